//! What protocols look like from outside: enough to name a conversation by its first bytes, not to parse it.
//!
//! Each protocol is one file here with its `SIGNATURE`, and one line in the registry below. Content goes first: a signature that is
//! `Certain` names a conversation whatever its ports. One that is only `Possible` needs a second witness: its own port, or the same answer
//! from the other direction. Protocols that are parsed have their own `probe`, which is asked before.
//!
//! A signature is plain data, and a registry is a list of them:
//!
//! ```
//! use wire::protocol::Carrier;
//! use wire::protocol::signature::{Application, Example, Match, Registry, Signature};
//!
//! fn stream(data: &[u8]) -> Match {
//!     Match::certain_if(data.starts_with(b"fox a "))
//! }
//!
//! static EXAMPLE: Signature = Signature {
//!     is_industrial: true,
//!     tcp_ports: &[1911],
//!     stream,
//!     examples: &[Example { carrier: Carrier::Stream, bytes: b"fox a 1 -1 fox hello\n" }],
//!     ..Signature::new(Application::Fox, "Tridium Niagara 4 documentation, Fox service, port 1911")
//! };
//!
//! let registry = Registry::new(&[&EXAMPLE]);
//! assert_eq!(registry.look(Carrier::Stream, b"fox a 1 -1 fox hello\n").certain, Some(Application::Fox));
//! assert_eq!(registry.by_port(Carrier::Stream, 1911), Some(Application::Fox));
//! ```

pub(in crate::protocol) mod layer;
mod registry;

pub use registry::{Candidates, Registry, registry};

use super::Carrier;
use crate::choice;

/// What the first bytes of one direction say about a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// They are not of this protocol, or too few to say.
    No,
    /// They may be: a port, or the other direction, has to say so too.
    Possible,
    /// They are: bytes of something else look like this less than once in a million times.
    Certain,
}

impl Match {
    /// `Certain` if this holds, otherwise `No`.
    pub fn certain_if(holds: bool) -> Self {
        if holds { Self::Certain } else { Self::No }
    }

    /// `Possible` if this holds, otherwise `No`.
    pub fn possible_if(holds: bool) -> Self {
        if holds { Self::Possible } else { Self::No }
    }
}

/// Looks at the first bytes of one direction. They may end anywhere; in a stream more than one message may be there.
pub type Look = fn(&[u8]) -> Match;

/// Bytes that are the protocol's without doubt.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// How they travel.
    pub carrier: Carrier,
    /// The bytes.
    pub bytes: &'static [u8],
}

/// What one protocol looks like.
#[derive(Clone, Copy)]
pub struct Signature {
    /// Its name in table `flow`.
    pub application: Application,
    /// Document and clause that the look is taken from.
    pub clause: &'static str,
    /// Whether it belongs to machines rather than to an office.
    pub is_industrial: bool,
    /// TCP ports that its servers use.
    pub tcp_ports: &'static [u16],
    /// UDP ports that it uses.
    pub udp_ports: &'static [u16],
    /// EtherTypes that it has.
    pub ether_types: &'static [u16],
    /// Whether a port of its own names a conversation that no content told. Not so for protocols that are parsed: what their probe did
    /// not find is not there.
    pub is_named_by_port: bool,
    /// How its TCP streams look.
    pub stream: Look,
    /// How its UDP datagrams look.
    pub datagram: Look,
    /// How its Ethernet payloads look, behind one of its EtherTypes.
    pub frame: Look,
    /// What the looks are certain of; nobody else's are. Empty for a protocol that only a port tells apart from its like.
    pub examples: &'static [Example],
}

impl Signature {
    /// A signature that nothing looks like yet, to be completed.
    pub const fn new(application: Application, clause: &'static str) -> Self {
        Self {
            application,
            clause,
            is_industrial: false,
            tcp_ports: &[],
            udp_ports: &[],
            ether_types: &[],
            is_named_by_port: true,
            stream: never,
            datagram: never,
            frame: never,
            examples: &[],
        }
    }

    /// Its ports on this carrier; EtherTypes on Ethernet.
    pub const fn ports(&self, carrier: Carrier) -> &'static [u16] {
        match carrier {
            Carrier::Stream => self.tcp_ports,
            Carrier::Datagram => self.udp_ports,
            Carrier::Frame => self.ether_types,
        }
    }

    /// What it says to these bytes.
    pub fn look(&self, carrier: Carrier, data: &[u8]) -> Match {
        match carrier {
            Carrier::Stream => (self.stream)(data),
            Carrier::Datagram => (self.datagram)(data),
            Carrier::Frame => (self.frame)(data),
        }
    }
}

/// The look of a protocol on a carrier that it does not use.
fn never(_: &[u8]) -> Match {
    Match::No
}

/// One line for each protocol: file, name, and the word in table `flow`. Where two are equally possible the first one is named.
macro_rules! signatures {
    ($($module:ident: $application:ident = $word:literal),* $(,)?) => {
        $(pub mod $module;)*

        choice! {
            /// Application protocol of a flow.
            pub enum Application { $($application = $word),* }
        }

        impl Application {
            /// Whether it belongs to machines rather than to an office. Asked for each packet, so that no registry is in the way.
            #[inline]
            pub fn is_industrial(self) -> bool {
                match self {
                    $(Self::$application => $module::SIGNATURE.is_industrial),*
                }
            }
        }

        /// All signatures, in the order of `Application`.
        pub static SIGNATURES: &[&Signature] = &[$(&$module::SIGNATURE),*];
    };
}

signatures! {
    modbus: Modbus = "modbus",
    opcua: Opcua = "opcua",
    s7comm: S7comm = "s7comm",
    s7comm_plus: S7commPlus = "s7comm_plus",
    mms: Mms = "mms",
    iec104: Iec104 = "iec104",
    dnp3: Dnp3 = "dnp3",
    enip: Enip = "enip",
    bacnet: Bacnet = "bacnet",
    profinet_dcp: ProfinetDcp = "profinet_dcp",
    profinet_rt: ProfinetRt = "profinet_rt",
    profinet_cm: ProfinetCm = "profinet_cm",
    goose: Goose = "goose",
    sv: Sv = "sv",
    synchrophasor: Synchrophasor = "synchrophasor",
    hart_ip: HartIp = "hart_ip",
    fins: Fins = "fins",
    slmp: Slmp = "slmp",
    ads: Ads = "ads",
    codesys: Codesys = "codesys",
    srtp: Srtp = "srtp",
    fox: Fox = "fox",
    ethercat: Ethercat = "ethercat",
    powerlink: Powerlink = "powerlink",
    knx: Knx = "knx",
    mqtt: Mqtt = "mqtt",
    opc_classic: OpcClassic = "opc_classic",
    mrp: Mrp = "mrp",
    ptp: Ptp = "ptp",
    http: Http = "http",
    tls: Tls = "tls",
    ssh: Ssh = "ssh",
    dcerpc: Dcerpc = "dcerpc",
    smb: Smb = "smb",
    ftp: Ftp = "ftp",
    telnet: Telnet = "telnet",
    smtp: Smtp = "smtp",
    dns: Dns = "dns",
    mdns: Mdns = "mdns",
    llmnr: Llmnr = "llmnr",
    netbios_ns: NetbiosNs = "netbios_ns",
    netbios_dgm: NetbiosDgm = "netbios_dgm",
    ntp: Ntp = "ntp",
    snmp: Snmp = "snmp",
    dhcp: Dhcp = "dhcp",
    tftp: Tftp = "tftp",
    syslog: Syslog = "syslog",
    ssdp: Ssdp = "ssdp",
    rdp: Rdp = "rdp",
    vnc: Vnc = "vnc",
    lldp: Lldp = "lldp",
    cdp: Cdp = "cdp",
}
