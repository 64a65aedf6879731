//! What devices say of themselves in protocols that are not parsed whole: names, makers, products, versions, addresses.
//!
//! Each source is one file here with its `SOURCE`, and one line in the registry below. A source is a pure function of bytes: the first
//! bytes of one direction of a stream, one datagram, or the payload of one frame, of a conversation whose protocol is known. It says what
//! it finds about the sender, or about the device that the bytes name. Nothing is asked, nothing is believed: a fact is what was said.
//!
//! ```
//! use wire::protocol::identity::{Facts, sources};
//! use wire::protocol::Carrier;
//! use wire::protocol::signature::Application;
//!
//! let mut found = Vec::new();
//! for source in sources(Application::Ssh, Carrier::Stream) {
//!     let mut learn = |_, attribute: wire::record::table::Attribute, value: &str| found.push((attribute.word(), value.to_owned()));
//!     (source.read)(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", &mut Facts::new(&mut learn));
//! }
//! assert_eq!(found, [("product", "OpenSSH_9.2p1 Debian-2".to_owned())]);
//! ```

mod facts;
mod maker;
pub mod tcp_stack;

pub use facts::{Facts, TEXT_BYTES};

use super::Carrier;
use super::signature::Application;

/// Bytes of each direction of a stream that sources are shown.
pub const STREAM_BYTES: usize = 8 * 1024;
/// Pieces of a stream, of both directions, after which sources are asked no more.
pub const STREAM_PIECES: usize = 64;
/// Datagrams of a conversation after which sources are asked no more.
pub const DATAGRAMS: usize = 256;

/// Looks for facts in the first bytes of one direction of a stream, in one datagram or in one frame. They may be cut, and may lie.
pub type Read = fn(&[u8], &mut Facts<'_>);

/// Where facts about devices come from.
#[derive(Clone, Copy)]
pub struct Source {
    /// Protocol whose conversations it reads.
    pub application: Application,
    /// How they travel.
    pub carriers: &'static [Carrier],
    /// Its name in column `device.source`.
    pub name: &'static str,
    /// How far a value of this source is to be trusted where sources differ, from 0 to 1: 0.9 what a device is asked for its identity and
    /// answers, 0.8 what it announces, 0.6 what software says in passing, 0.4 what is concluded from its manners.
    pub confidence: f64,
    /// Document and clause.
    pub clause: &'static str,
    /// What it reads.
    pub read: Read,
}

/// One line for each source.
macro_rules! registry {
    ($($module:ident),* $(,)?) => {
        $(pub mod $module;)*
        /// All sources.
        pub static SOURCES: &[&Source] = &[$(&$module::SOURCE),*];
    };
}

registry! {
    lldp, cdp, profinet_dcp, profinet_cm, enip, s7, s7_connection, s7_function, iec104, dnp3, bacnet, dhcp, dhcp6, http, ftp, ssh, telnet,
    tls_certificate, tls_hello, mdns, netbios_ns, netbios_dgm, snmp,
}

/// The sources that read this protocol.
pub fn sources(application: Application, carrier: Carrier) -> impl Iterator<Item = &'static Source> {
    SOURCES.iter().copied().filter(move |source| source.application == application && source.carriers.contains(&carrier))
}

/// Whether anyone reads this protocol.
pub fn is_read(application: Application, carrier: Carrier) -> bool {
    sources(application, carrier).next().is_some()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::device::Device;

    /// What a source says: attribute and value, with the device where it is not the sender.
    pub(crate) fn told(source: &Source, data: &[u8]) -> Vec<String> {
        let mut told = Vec::new();
        let mut learn = |about: Option<Device>, attribute: crate::record::table::Attribute, value: &str| {
            let mac = about.and_then(|device| device.mac).map(|mac| format!("{} ", crate::record::mac_text(mac)));
            let ip = about.and_then(|device| device.ip).map(|ip| format!("{ip} "));
            told.push(format!("{}{}{}={value}", mac.unwrap_or_default(), ip.unwrap_or_default(), attribute.word()));
        };
        (source.read)(data, &mut Facts::new(&mut learn));
        told
    }

    /// A source never panics, whatever the end of its bytes, and whichever of them is another.
    pub(crate) fn survives(source: &Source, data: &[u8]) {
        for end in 0..data.len() {
            told(source, &data[..end]);
            for value in [0x00, 0x7f, 0x80, 0xff] {
                let mut other = data.to_vec();
                other[end] = value;
                told(source, &other);
            }
        }
    }

    #[test]
    fn sources_have_names_of_their_own_and_a_confidence_within_bounds() {
        for source in SOURCES {
            assert_eq!(SOURCES.iter().filter(|other| other.name == source.name).count(), 1, "{}", source.name);
            assert!((0.0..=1.0).contains(&source.confidence) && !source.clause.is_empty());
        }
    }

    #[test]
    fn text_is_cleaned_and_bounded() {
        let mut told = Vec::new();
        let mut learn = |_: Option<Device>, _, value: &str| told.push(value.to_owned());
        let mut facts = Facts::new(&mut learn);
        let attribute = crate::record::table::Attribute::Name;
        facts.say(attribute, b" a\x00b\x1b[2J\xff\xc2\x85 ");
        facts.say(attribute, b"\x00\x01 ");
        facts.say(attribute, "€".repeat(1_000).as_bytes());
        assert_eq!(told[0], "ab[2J\u{fffd}");
        assert_eq!(told.len(), 2);
        assert!(told[1].len() <= TEXT_BYTES && told[1].chars().all(|letter| letter == '€'));
    }
}
