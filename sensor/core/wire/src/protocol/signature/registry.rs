//! All signatures together: which of them fit, and which protocol a port belongs to.

use std::sync::LazyLock;

use super::{Application, Match, SIGNATURES, Signature};
use crate::protocol::Carrier;

/// Signatures that a registry holds at most: the possible ones are bits of one number.
pub const SIGNATURES_AT_MOST: usize = 128;

/// What all signatures say to the first bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// The protocol that one of them is certain of.
    pub certain: Option<Application>,
    /// Those that are possible, as bits by position in the registry; none where one is certain.
    possible: u128,
}

/// Signatures, ready to be asked.
pub struct Registry {
    signatures: Vec<&'static Signature>,
    /// By EtherType.
    frames: Vec<(u16, &'static Signature)>,
    /// Port and protocol, sorted; without those whose port does not name them.
    named: [Vec<(u16, Application)>; 2],
    /// All ports, sorted.
    ports: [Vec<u16>; 2],
}

/// The registry of all signatures.
pub fn registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(|| Registry::new(SIGNATURES));
    &REGISTRY
}

impl Registry {
    /// A registry of these signatures, at most `SIGNATURES_AT_MOST` of them; more are not asked.
    pub fn new(signatures: &[&'static Signature]) -> Self {
        let signatures: Vec<&'static Signature> = signatures.iter().copied().take(SIGNATURES_AT_MOST).collect();
        let frames =
            signatures.iter().flat_map(|signature| signature.ether_types.iter().map(|kind| (*kind, *signature))).collect();
        let all = |carrier: Carrier| -> Vec<(u16, &'static Signature)> {
            let mut ports: Vec<_> =
                signatures.iter().flat_map(|signature| signature.ports(carrier).iter().map(|port| (*port, *signature))).collect();
            ports.sort_by_key(|(port, _)| *port);
            ports
        };
        let carriers = [all(Carrier::Stream), all(Carrier::Datagram)];
        let ports = carriers.each_ref().map(|all| all.iter().map(|(port, _)| *port).collect());
        // A port that several protocols share names none of them.
        let named = carriers.map(|all| {
            all.chunk_by(|(port, _), (next, _)| port == next)
                .filter_map(|sharing| match sharing {
                    [(port, signature)] if signature.is_named_by_port => Some((*port, signature.application)),
                    _ => None,
                })
                .collect()
        });
        Self { signatures, frames, named, ports }
    }

    /// What all signatures say to the first bytes of one direction.
    pub fn look(&self, carrier: Carrier, data: &[u8]) -> Candidates {
        let mut possible = 0;
        for (position, signature) in self.signatures.iter().enumerate() {
            match signature.look(carrier, data) {
                Match::Certain => return Candidates { certain: Some(signature.application), possible: 0 },
                Match::Possible => possible |= 1 << position,
                Match::No => {}
            }
        }
        Candidates { certain: None, possible }
    }

    /// The possible protocol that one of these ports belongs to.
    pub fn with_port(&self, candidates: Candidates, carrier: Carrier, ports: [u16; 2]) -> Option<Application> {
        self.possible(candidates.possible)
            .find(|signature| ports.iter().any(|port| signature.ports(carrier).contains(port)))
            .map(|signature| signature.application)
    }

    /// The protocol that is possible in both directions.
    pub fn with_answer(&self, asked: Candidates, answered: Candidates) -> Option<Application> {
        self.possible(asked.possible & answered.possible).next().map(|signature| signature.application)
    }

    fn possible(&self, mut bits: u128) -> impl Iterator<Item = &'static Signature> {
        std::iter::from_fn(move || {
            let position = bits.trailing_zeros();
            bits &= bits.checked_sub(1)?;
            self.signatures.get(position as usize).copied()
        })
    }

    /// The protocol of an Ethernet payload: its EtherType counts as its port.
    #[inline]
    pub fn frame(&self, ether_type: u16, data: &[u8]) -> Option<Application> {
        self.frames
            .iter()
            .filter(|(kind, _)| *kind == ether_type)
            .find(|(_, signature)| (signature.frame)(data) != Match::No)
            .map(|(_, signature)| signature.application)
    }

    /// Names a protocol by the port of one endpoint, where content did not tell.
    pub fn by_port(&self, carrier: Carrier, port: u16) -> Option<Application> {
        let named = self.named.get(transport(carrier)?)?;
        let position = named.binary_search_by_key(&port, |(port, _)| *port).ok()?;
        named.get(position).map(|(_, application)| *application)
    }

    /// Whether a protocol's servers use this port.
    pub fn is_known(&self, carrier: Carrier, port: u16) -> bool {
        transport(carrier).and_then(|position| self.ports.get(position)).is_some_and(|ports| ports.binary_search(&port).is_ok())
    }
}

/// Position of a carrier that has ports.
fn transport(carrier: Carrier) -> Option<usize> {
    match carrier {
        Carrier::Stream => Some(0),
        Carrier::Datagram => Some(1),
        Carrier::Frame => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::signature::Example;
    use crate::record::column::Word;

    /// Those that are asked about what this one's example travels in: on Ethernet, the ones that share an EtherType.
    fn asked(signature: &Signature, carrier: Carrier) -> impl Iterator<Item = &'static &'static Signature> {
        let shares = |other: &Signature| other.ether_types.iter().any(|kind| signature.ether_types.contains(kind));
        SIGNATURES.iter().filter(move |other| carrier != Carrier::Frame || shares(other))
    }

    fn certain(signature: &Signature, carrier: Carrier, bytes: &[u8]) -> Vec<Application> {
        let is_certain = |other: &&&Signature| other.look(carrier, bytes) == Match::Certain;
        asked(signature, carrier).filter(is_certain).map(|other| other.application).collect()
    }

    #[test]
    fn each_example_is_certain_for_its_own_signature_and_for_no_other() {
        for signature in SIGNATURES {
            for Example { carrier, bytes } in signature.examples {
                assert_eq!(certain(signature, *carrier, bytes), [signature.application], "{bytes:02x?}");
            }
        }
    }

    #[test]
    fn an_example_cut_anywhere_is_never_another_protocol_for_certain() {
        for signature in SIGNATURES {
            for Example { carrier, bytes } in signature.examples {
                for length in 0..bytes.len() {
                    let seen = certain(signature, *carrier, &bytes[..length]);
                    assert!(seen.iter().all(|seen| *seen == signature.application), "{seen:?} in {:02x?}", &bytes[..length]);
                }
            }
        }
    }

    #[test]
    fn the_registry_is_in_the_order_of_the_names_and_fits_its_bits() {
        assert!(SIGNATURES.len() <= SIGNATURES_AT_MOST);
        for (position, signature) in SIGNATURES.iter().enumerate() {
            assert_eq!(usize::from(signature.application.key()), position);
            assert!(!signature.clause.is_empty());
        }
    }

    #[test]
    fn a_port_names_a_protocol_only_where_it_is_the_only_one_and_not_parsed() {
        let registry = registry();
        assert_eq!(registry.by_port(Carrier::Stream, 2404), Some(Application::Iec104));
        assert_eq!(registry.by_port(Carrier::Datagram, 2404), None);
        // S7 communication, its successor and MMS share it.
        assert_eq!(registry.by_port(Carrier::Stream, 102), None);
        assert!(registry.is_known(Carrier::Stream, 102));
        assert_eq!(registry.by_port(Carrier::Stream, 502), None);
        assert!(registry.is_known(Carrier::Stream, 502));
    }

    #[test]
    fn what_is_possible_needs_its_port_or_the_other_direction() {
        let registry = registry();
        let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x02ex\x00\x00\x01\x00\x01";
        let asked = registry.look(Carrier::Datagram, query);
        assert_eq!(asked.certain, None);
        assert_eq!(registry.with_port(asked, Carrier::Datagram, [50_000, 53]), Some(Application::Dns));
        assert_eq!(registry.with_port(asked, Carrier::Datagram, [50_000, 5355]), Some(Application::Llmnr));
        assert_eq!(registry.with_port(asked, Carrier::Datagram, [50_000, 50_001]), None);
        assert_eq!(registry.with_answer(asked, asked), Some(Application::Dns));
        assert_eq!(registry.with_answer(asked, Candidates::default()), None);
    }

    #[test]
    fn zeros_text_and_modbus_are_nobody_s_for_certain() {
        let modbus = b"\x00\x01\x00\x00\x00\x06\x01\x03\x00\x00\x00\x0a";
        for bytes in [&[0; 64][..], &[0xff; 64], b"hello, world, this is nothing at all\r\n", modbus, b"\x23\x02\x06\xe8"] {
            for carrier in [Carrier::Stream, Carrier::Datagram] {
                assert_eq!(registry().look(carrier, bytes).certain, None, "{bytes:02x?}");
            }
        }
    }
}
