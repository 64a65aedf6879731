//! The identity of a conversation: two endpoints and a transport, whichever of them sends.

use std::hash::{BuildHasher, Hasher};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use foldhash::fast::RandomState;

use crate::packet::Address;
use crate::record::column::Word;
use crate::record::table::{Application, Transport};

/// An address and a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Network address.
    pub address: Address,
    /// Transport port.
    pub port: u16,
}

/// Two endpoints in order, and the transport between them. On Ethernet the addresses are hardware addresses, and EtherType and protocol stand
/// in place of the ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    /// The endpoints, the smaller one first.
    pub endpoints: [Endpoint; 2],
    /// Transport protocol.
    pub transport: Transport,
}

impl FlowKey {
    /// The key of what `source` sends to `destination`, and the position of `source` in it.
    #[inline]
    pub fn new(source: Endpoint, destination: Endpoint, transport: Transport) -> (Self, usize) {
        if source <= destination {
            (Self { endpoints: [source, destination], transport }, 0)
        } else {
            (Self { endpoints: [destination, source], transport }, 1)
        }
    }

    /// The key of frames of one protocol from one hardware address to another, and the position of `source` in it. The EtherType alone would
    /// not do: PROFINET's cyclic data and its discovery share one.
    #[inline]
    pub fn ethernet(source: [u8; 6], destination: [u8; 6], ether_type: u16, application: Application) -> (Self, usize) {
        let number = |[a, b, c, d, e, f]: [u8; 6]| Address(u128::from(u64::from_be_bytes([0, 0, a, b, c, d, e, f])));
        let (low, high, position) = if source <= destination { (source, destination, 0) } else { (destination, source, 1) };
        let low = Endpoint { address: number(low), port: ether_type };
        let high = Endpoint { address: number(high), port: u16::from(application.key()) };
        (Self { endpoints: [low, high], transport: Transport::Ethernet }, position)
    }

    /// Hash of the key.
    #[inline]
    pub fn hash_with(&self, hasher: &RandomState) -> u64 {
        let [low, high] = self.endpoints;
        let mut state = hasher.build_hasher();
        // An IPv4 address fills the lower half only: two of them are one word, which spares a round for each packet.
        state.write_u128(low.address.0 ^ high.address.0.rotate_left(64));
        if (low.address.0 | high.address.0) >> 64 != 0 {
            state.write_u128(high.address.0);
        }
        state.write_u64(u64::from(low.port) | u64::from(high.port) << 16 | u64::from(self.transport.key()) << 32);
        state.finish()
    }

    /// Community ID v1 with seed 0; Ethernet has none (<https://github.com/corelight/community-id-spec>): the same in Zeek, Suricata and Arkime.
    pub fn community_id(&self) -> [u8; 30] {
        let mut hash = sha1_smol::Sha1::new();
        let [low, high] = self.endpoints;
        hash.update(&0_u16.to_be_bytes());
        for endpoint in [low, high] {
            match endpoint.address.octets_v4() {
                Some(octets) => hash.update(&octets),
                None => hash.update(&endpoint.address.0.to_be_bytes()),
            }
        }
        hash.update(&[if self.transport == Transport::Tcp { 6 } else { 17 }, 0]);
        for endpoint in [low, high] {
            hash.update(&endpoint.port.to_be_bytes());
        }
        let mut text = *b"1:............................";
        if let Some(room) = text.get_mut(2..) {
            // 20 bytes are 28 characters of Base64: exactly the room that there is.
            let _ = BASE64_STANDARD.encode_slice(hash.digest().bytes(), room);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(source: ([u8; 4], u16), destination: ([u8; 4], u16), transport: Transport) -> String {
        let endpoint = |(address, port)| Endpoint { address: Address::v4(address), port };
        let (key, _) = FlowKey::new(endpoint(source), endpoint(destination), transport);
        String::from_utf8(key.community_id().to_vec()).unwrap()
    }

    #[test]
    fn community_ids_are_those_of_the_specification() {
        let tcp = "1:LQU9qZlK+B5F3KDmev6m5PMibrg=";
        let there = ([128, 232, 110, 120], 34_855);
        let here = ([66, 35, 250, 204], 80);
        assert_eq!(id(there, here, Transport::Tcp), tcp);
        assert_eq!(id(here, there, Transport::Tcp), tcp);
        let udp = "1:d/FP5EW3wiY1vCndhwleRRKHowQ=";
        assert_eq!(id(([192, 168, 1, 52], 54_585), ([8, 8, 8, 8], 53), Transport::Udp), udp);
    }

    #[test]
    fn frames_of_both_directions_have_one_key_and_those_of_another_protocol_another() {
        let (one, two) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let (there, from) = FlowKey::ethernet(two, one, 0x8892, Application::ProfinetDcp);
        let (back, to) = FlowKey::ethernet(one, two, 0x8892, Application::ProfinetDcp);
        assert_eq!((there, from, to), (back, 1, 0));
        assert_ne!(there, FlowKey::ethernet(two, one, 0x8892, Application::ProfinetRt).0);
        assert_ne!(there, FlowKey::ethernet(two, one, 0x88b8, Application::ProfinetDcp).0);
    }

    #[test]
    fn both_directions_have_one_key() {
        let [a, b] = [([10, 0, 0, 2], 502), ([10, 0, 0, 1], 40_000)]
            .map(|(address, port)| Endpoint { address: Address::v4(address), port });
        let (there, from) = FlowKey::new(a, b, Transport::Tcp);
        let (back, to) = FlowKey::new(b, a, Transport::Tcp);
        assert_eq!((there, from, to), (back, 1, 0));
    }
}
