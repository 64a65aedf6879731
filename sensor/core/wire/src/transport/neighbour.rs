//! Which hardware address speaks for which network address (ARP, RFC 826; neighbour discovery, RFC 4861), and what breaks that order.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::packet::{Address, ArpMessage, NeighbourMessage};
use crate::record::mac_text;

/// Addresses remembered; the one that was learned first makes room.
const NEIGHBOURS: usize = 16_384;
/// Questions remembered; the oldest makes room.
const QUESTIONS: usize = 1_024;
/// How long a question may wait for its answer, in nanoseconds.
const ANSWER_NS: i64 = 5_000_000_000;
/// How much later the same answer may come again: a mirror port shows a frame where it enters and where it leaves. In nanoseconds.
const AGAIN_NS: i64 = 100_000_000;
/// Hardware addresses that may answer one question: the owner's, and one that contradicts it.
const ANSWERS: usize = 2;
/// Time between two reports of a conflict about the same address, in nanoseconds.
const CONFLICT_NS: i64 = 60_000_000_000;
/// Announcements of one address within `STORM_NS` that are a storm. RFC 5227, 2.3 asks for two.
const STORM: u32 = 20;
/// Window of a storm, in nanoseconds.
const STORM_NS: i64 = 10_000_000_000;

/// An address within a VLAN: plants use the same private addresses more than once.
type Place = (Option<u16>, Address);

struct Neighbour {
    mac: [u8; 6],
    seen_ts: i64,
    reported_ts: Option<i64>,
    announced_ts: i64,
    announcements: u32,
}

/// Somebody who wants to know the hardware address of a network address.
struct Question {
    ts: i64,
    place: Place,
    asker: Address,
    /// Who has answered, and when first.
    answers: [Option<([u8; 6], i64)>; ANSWERS],
}

impl Question {
    /// Takes an answer in. False where this hardware address has answered before, or too many have.
    fn answer(&mut self, ts: i64, mac: [u8; 6]) -> bool {
        for slot in &mut self.answers {
            match slot {
                Some((known, first)) if *known == mac => return ts.saturating_sub(*first).saturating_abs() <= AGAIN_NS,
                Some(_) => {}
                None => {
                    *slot = Some((mac, ts));
                    return true;
                }
            }
        }
        false
    }
}

/// Something that breaks the network's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Protocol: arp or ndp.
    pub protocol: &'static str,
    /// What is broken, stable snake case.
    pub kind: &'static str,
    /// Document and clause.
    pub clause: &'static str,
    /// What was expected and what was seen.
    pub detail: String,
}

/// What is known of addresses on the link.
#[derive(Default)]
pub struct Neighbours {
    known: HashMap<Place, Neighbour, FixedState>,
    order: VecDeque<Place>,
    questions: VecDeque<Question>,
    first_ts: Option<i64>,
    /// Addresses forgotten to make room.
    pub forgotten: u64,
}

impl Neighbours {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.known.len() * (size_of::<Place>() + size_of::<Neighbour>())
            + self.order.capacity() * size_of::<Place>()
            + self.questions.capacity() * size_of::<Question>()
    }

    /// Takes an ARP message in; `frame_mac` is the sender of the frame.
    pub fn arp(&mut self, ts: i64, vlan: Option<u16>, frame_mac: Option<[u8; 6]>, message: &ArpMessage) -> Vec<Observation> {
        let mut found = Vec::new();
        let place = (vlan, message.sender);
        let unspecified = Address::v4([0; 4]);
        if let Some(frame_mac) = frame_mac
            && frame_mac != message.sender_mac
        {
            let detail = format!(
                "expected the frame's sender {} as sender hardware address, seen {}",
                mac_text(frame_mac),
                mac_text(message.sender_mac)
            );
            found.push(Observation {
                protocol: "arp",
                kind: "arp_sender_mismatch",
                clause: "RFC 826, Packet Generation",
                detail,
            });
        }
        let is_announcement = message.sender == message.target;
        if message.is_reply {
            if !is_announcement && !self.was_asked(ts, place, message.target, Some(message.sender_mac)) {
                let detail = format!(
                    "expected a request for {} by {} in the 5 s before that is not answered yet, seen a reply by {} without",
                    message.sender,
                    message.target,
                    mac_text(message.sender_mac)
                );
                found.push(Observation {
                    protocol: "arp",
                    kind: "arp_reply_unasked",
                    clause: "RFC 826, Packet Reception",
                    detail,
                });
            }
        } else if !is_announcement {
            self.ask(ts, (vlan, message.target), message.sender);
        }
        // A probe has no sender yet (RFC 5227, 2.1.1).
        if message.sender != unspecified {
            found.extend(self.learn(ts, place, message.sender_mac).map(|detail| Observation {
                protocol: "arp",
                kind: "address_conflict",
                clause: "RFC 5227, 2.4",
                detail,
            }));
            if is_announcement && let Some(count) = self.announce(ts, place) {
                let detail = format!(
                    "expected at most {STORM} announcements of {} in 10 s, seen {count} by {}",
                    message.sender,
                    mac_text(message.sender_mac)
                );
                found.push(Observation { protocol: "arp", kind: "gratuitous_arp_storm", clause: "RFC 5227, 2.3", detail });
            }
        }
        found
    }

    /// Takes a neighbour solicitation or advertisement in; `ends` are the sender and the receiver of the packet.
    pub fn neighbour(
        &mut self,
        ts: i64,
        vlan: Option<u16>,
        ends: (Address, Address),
        message: &NeighbourMessage,
    ) -> Vec<Observation> {
        let (source, destination) = ends;
        let mut found = Vec::new();
        let place = (vlan, message.target);
        let speaker = if message.is_advertisement {
            if message.is_solicited && !self.was_asked(ts, place, destination, message.mac) {
                let detail = format!(
                    "expected a solicitation for {} by {destination} in the 5 s before that is not answered yet, seen a solicited advertisement without",
                    message.target
                );
                found.push(Observation { protocol: "ndp", kind: "ndp_advertisement_unasked", clause: "RFC 4861, 7.2.4", detail });
            }
            place
        } else {
            self.ask(ts, place, source);
            (vlan, source)
        };
        // Duplicate address detection comes from the unspecified address (RFC 4862, 5.4.2).
        if let Some(mac) = message.mac
            && speaker.1 != Address::v6([0; 16])
        {
            found.extend(self.learn(ts, speaker, mac).map(|detail| Observation {
                protocol: "ndp",
                kind: "address_conflict",
                clause: "RFC 4862, 5.4",
                detail,
            }));
        }
        found
    }

    fn ask(&mut self, ts: i64, place: Place, asker: Address) {
        if self.questions.len() >= QUESTIONS {
            self.questions.pop_front();
        }
        self.first_ts.get_or_insert(ts);
        self.questions.push_back(Question { ts, place, asker, answers: [None; ANSWERS] });
    }

    /// Whether the receiver of an answer asked for it lately, or may have before the capture began. A question is answered once by a
    /// hardware address: who says the same again and again wants to be believed against another.
    fn was_asked(&mut self, ts: i64, place: Place, receiver: Address, mac: Option<[u8; 6]>) -> bool {
        let recent = |asked: i64| ts.saturating_sub(asked).saturating_abs() <= ANSWER_NS;
        let began = *self.first_ts.get_or_insert(ts);
        let mut questions = self.questions.iter_mut().rev();
        let fits = |question: &&mut Question| question.place == place && question.asker == receiver && recent(question.ts);
        let is_answer = questions.find(fits).is_some_and(|question| mac.is_none_or(|mac| question.answer(ts, mac)));
        is_answer || recent(began)
    }

    /// Remembers who speaks for an address; says so when somebody else did.
    fn learn(&mut self, ts: i64, place: Place, mac: [u8; 6]) -> Option<String> {
        let Some(known) = self.known.get_mut(&place) else {
            if self.order.len() >= NEIGHBOURS
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
                self.forgotten += 1;
            }
            self.order.push_back(place);
            self.known.insert(place, Neighbour { mac, seen_ts: ts, reported_ts: None, announced_ts: ts, announcements: 0 });
            return None;
        };
        let (before, seen_ts) = (std::mem::replace(&mut known.mac, mac), std::mem::replace(&mut known.seen_ts, ts));
        // Routers that share an address share its virtual hardware address, and answer with their own at times.
        if before == mac || is_virtual_router(before) || is_virtual_router(mac) {
            return None;
        }
        if known.reported_ts.is_some_and(|reported| ts.saturating_sub(reported).saturating_abs() < CONFLICT_NS) {
            return None;
        }
        known.reported_ts = Some(ts);
        let seconds = ts.saturating_sub(seen_ts).max(0) / 1_000_000_000;
        Some(format!("expected {} at {} (seen there {seconds} s before), seen at {}", place.1, mac_text(before), mac_text(mac)))
    }

    /// Counts an announcement; gives the count when it makes a storm.
    fn announce(&mut self, ts: i64, place: Place) -> Option<u32> {
        let known = self.known.get_mut(&place)?;
        if ts.saturating_sub(known.announced_ts).saturating_abs() > STORM_NS {
            known.announced_ts = ts;
            known.announcements = 0;
        }
        known.announcements = known.announcements.saturating_add(1);
        (known.announcements == STORM + 1).then_some(known.announcements)
    }
}

/// Virtual hardware addresses of VRRP (RFC 9568, 7.3), and of Cisco's HSRP and GLBP.
fn is_virtual_router(mac: [u8; 6]) -> bool {
    matches!(
        mac,
        [0x00, 0x00, 0x5e, 0x00, 0x01 | 0x02, _]
            | [0x00, 0x00, 0x0c, 0x07, 0xac, _]
            | [0x00, 0x00, 0x0c, 0x9f, 0xf0..=0xff, _]
            | [0x00, 0x07, 0xb4, 0x00, _, _]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn message(is_reply: bool, sender: u8, mac: u8, target: u8) -> ArpMessage {
        let address = |last| Address::v4([10, 0, 0, last]);
        ArpMessage {
            is_reply,
            sender_mac: [2, 0, 0, 0, 0, mac],
            sender: address(sender),
            target_mac: [0; 6],
            target: address(target),
        }
    }

    fn kinds(neighbours: &mut Neighbours, ts: i64, message: &ArpMessage) -> Vec<&'static str> {
        neighbours.arp(ts, None, Some(message.sender_mac), message).iter().map(|observation| observation.kind).collect()
    }

    #[test]
    fn an_address_that_moves_to_another_hardware_address_is_a_conflict_told_once_a_minute() {
        let mut neighbours = Neighbours::default();
        assert!(kinds(&mut neighbours, 0, &message(false, 1, 1, 9)).is_empty());
        let found = neighbours.arp(3 * SECOND, None, Some([2, 0, 0, 0, 0, 2]), &message(false, 1, 2, 9));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].kind, "address_conflict");
        assert_eq!(found[0].detail, "expected 10.0.0.1 at 02:00:00:00:00:01 (seen there 3 s before), seen at 02:00:00:00:00:02");
        assert!(kinds(&mut neighbours, 4 * SECOND, &message(false, 1, 1, 9)).is_empty());
        assert_eq!(kinds(&mut neighbours, 64 * SECOND, &message(false, 1, 2, 9)), ["address_conflict"]);
        // Another VLAN is another network.
        assert!(neighbours.arp(65 * SECOND, Some(7), None, &message(false, 1, 3, 9)).is_empty());
    }

    #[test]
    fn a_reply_that_nobody_asked_for_is_told_and_an_asked_one_is_not() {
        let mut neighbours = Neighbours::default();
        kinds(&mut neighbours, 0, &message(false, 1, 1, 2));
        assert!(kinds(&mut neighbours, 20 * SECOND, &message(false, 1, 1, 2)).is_empty());
        assert!(kinds(&mut neighbours, 21 * SECOND, &message(true, 2, 2, 1)).is_empty());
        assert_eq!(kinds(&mut neighbours, 30 * SECOND, &message(true, 2, 2, 1)), ["arp_reply_unasked"]);
    }

    #[test]
    fn a_reply_to_another_than_who_asked_is_told() {
        let mut neighbours = Neighbours::default();
        kinds(&mut neighbours, 0, &message(false, 9, 9, 8));
        assert!(kinds(&mut neighbours, 20 * SECOND, &message(false, 1, 1, 2)).is_empty());
        assert_eq!(kinds(&mut neighbours, 21 * SECOND, &message(true, 2, 2, 3)), ["arp_reply_unasked"]);
        assert!(kinds(&mut neighbours, 22 * SECOND, &message(true, 2, 2, 1)).is_empty());
    }

    #[test]
    fn a_second_answer_by_another_is_a_conflict_and_each_repetition_is_unasked() {
        let mut neighbours = Neighbours::default();
        kinds(&mut neighbours, 0, &message(false, 9, 9, 8));
        kinds(&mut neighbours, 20 * SECOND, &message(false, 1, 1, 2));
        assert!(kinds(&mut neighbours, 20 * SECOND + 1_000, &message(true, 2, 2, 1)).is_empty());
        // The same frame where it leaves the switch.
        assert!(kinds(&mut neighbours, 20 * SECOND + 2_000, &message(true, 2, 2, 1)).is_empty());
        assert_eq!(kinds(&mut neighbours, 21 * SECOND, &message(true, 2, 6, 1)), ["address_conflict"]);
        assert_eq!(kinds(&mut neighbours, 22 * SECOND, &message(true, 2, 6, 1)), ["arp_reply_unasked"]);
        assert_eq!(kinds(&mut neighbours, 23 * SECOND, &message(true, 2, 7, 1)), ["arp_reply_unasked"]);
        // The next question may be answered anew.
        kinds(&mut neighbours, 24 * SECOND, &message(false, 1, 1, 2));
        assert!(kinds(&mut neighbours, 24 * SECOND + 1_000, &message(true, 2, 2, 1)).is_empty());
    }

    #[test]
    fn an_advertisement_to_another_than_who_solicited_is_told() {
        let mut neighbours = Neighbours::default();
        let address = |last: u8| Address::v6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        let ask =
            |target| NeighbourMessage { is_advertisement: false, is_solicited: false, target, mac: Some([2, 0, 0, 0, 0, 1]) };
        let tell =
            |target| NeighbourMessage { is_advertisement: true, is_solicited: true, target, mac: Some([2, 0, 0, 0, 0, 2]) };
        let group = address(0xff);
        assert!(neighbours.neighbour(0, None, (address(1), group), &ask(address(9))).is_empty());
        assert!(neighbours.neighbour(20 * SECOND, None, (address(1), group), &ask(address(2))).is_empty());
        assert!(neighbours.neighbour(21 * SECOND, None, (address(2), address(1)), &tell(address(2))).is_empty());
        let found = neighbours.neighbour(22 * SECOND, None, (address(2), address(3)), &tell(address(2)));
        assert_eq!(found.iter().map(|each| each.kind).collect::<Vec<_>>(), ["ndp_advertisement_unasked"]);
    }

    #[test]
    fn a_storm_of_announcements_is_told_once() {
        let mut neighbours = Neighbours::default();
        let found: Vec<_> = (0..60).flat_map(|at| kinds(&mut neighbours, at * SECOND / 10, &message(false, 1, 1, 1))).collect();
        assert_eq!(found, ["gratuitous_arp_storm"]);
    }

    #[test]
    fn a_frame_sent_by_another_than_it_claims_is_told() {
        let mut neighbours = Neighbours::default();
        let found = neighbours.arp(0, None, Some([2, 0, 0, 0, 0, 9]), &message(false, 1, 1, 2));
        assert_eq!(found[0].kind, "arp_sender_mismatch");
    }
}
