//! Any bytes as segments of one direction of a TCP connection, against a plain model: for each place in the stream what was said first, or last.
//!
//! The first five bytes are the manner (bit 0 the last overlapping bytes hold, bit 1 nobody reads the stream) and the first sequence number.
//! Then each step is a control byte: bits 0 to 2 what happens, bit 3 whether the bytes are held back, bits 4 to 7 how many bytes the snap
//! length cut off; and for a segment two bytes for its place, which is 256 in front of the beginning or later, one for its length, and itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::transport::{Arriving, Counters, Limits, Overlap, Ready, Stream};

/// Places in front of the first byte that segments may have.
const BEFORE: i64 = 256;
/// Places that the model has.
const PLACES: usize = 4_096;

/// What is known of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Unseen,
    Lost,
    Byte(u8),
}

/// The stream as a row of places.
struct Model {
    places: [Place; PLACES],
    next: usize,
    end: Option<usize>,
    overlap: Overlap,
}

impl Model {
    /// A segment says what is at these places. Whether anyone may believe it: it does not go on behind the end.
    fn say(&mut self, at: i64, payload: &[u8], missing: usize) {
        let end = at + (payload.len() + missing) as i64;
        // A byte right in front of the next one asks whether the other side is alive.
        let is_probe = at == self.next as i64 - 1 && payload.len() + missing <= 1;
        if is_probe || self.end.is_some_and(|last| end > last as i64) {
            return;
        }
        let said = payload.iter().map(|byte| Place::Byte(*byte)).chain(std::iter::repeat_n(Place::Lost, missing));
        for (place, said) in (at..).zip(said) {
            if place < self.next as i64 {
                continue;
            }
            let known = &mut self.places[place as usize];
            match (*known, said) {
                (Place::Unseen, said) => *known = said,
                (Place::Byte(_), Place::Byte(_)) if self.overlap == Overlap::Last => *known = said,
                _ => {}
            }
        }
    }

    /// The next place is used.
    fn take(&mut self) -> Place {
        let place = self.places[self.next];
        self.next += 1;
        place
    }

    fn is_ready(&self) -> bool {
        self.places[self.next] != Place::Unseen
    }
}

/// Takes out everything that is ready.
fn drain(stream: &mut Stream, model: &mut Model, counters: &mut Counters, is_read: bool) {
    while let Some(ready) = stream.ready(counters) {
        match ready {
            Ready::Data(ts, bytes) => {
                assert!(is_read && ts > 0);
                bytes.iter().for_each(|byte| assert_eq!(model.take(), Place::Byte(*byte)));
            }
            Ready::Gap(lost) if is_read => (0..lost).for_each(|_| assert_eq!(model.take(), Place::Lost)),
            // How many bytes went before, only the place of the stream tells.
            Ready::Gap(_) | Ready::Unread => assert!(!is_read),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let [manner, a, b, c, d, rest @ ..] = data else { return };
    let first = u32::from_be_bytes([*a, *b, *c, *d]);
    let overlap = if manner & 1 == 0 { Overlap::First } else { Overlap::Last };
    let is_read = manner & 2 == 0;
    let limits = Limits { overlap, ..Limits::default() };
    let mut counters = Counters::default();
    let mut stream = Stream::default();
    stream.synchronise(first);
    let mut model = Model { places: [Place::Unseen; PLACES], next: 0, end: None, overlap };
    let (mut rest, mut ts) = (rest, 0);
    while let [control, behind @ ..] = rest {
        rest = behind;
        ts += 1;
        match control & 7 {
            // What is missing in front of what waits is given up.
            6 => {
                let lost = stream.skip_to_held(&mut counters).unwrap_or(0);
                (0..lost).for_each(|_| assert_eq!(model.take(), Place::Unseen));
            }
            // The sender has no more than so much behind the next byte.
            7 => {
                let end = model.next + usize::from(control >> 4);
                if model.end.is_none() && end < PLACES - 1 {
                    stream.finish_at(first.wrapping_add(end as u32));
                    model.end = Some(end);
                }
            }
            what => {
                let [high, low, length, behind @ ..] = rest else { return };
                let at = i64::from(u16::from_be_bytes([*high, *low]) % 2_048) - BEFORE;
                let payload = &behind[..usize::from(*length).min(behind.len())];
                rest = &behind[payload.len()..];
                let missing = u32::from(if what == 5 { control >> 4 } else { 0 });
                let is_held_back = control & 8 != 0;
                let sequence = first.wrapping_add(at as u32);
                let segment =
                    Arriving { ts, sequence, acknowledgment: Some(7), payload, missing, is_held_back, is_kept: is_read };
                model.say(at, payload, missing as usize);
                let arrival = stream.arrive(&segment, &limits, &mut counters);
                assert!(!arrival.has_moved);
                assert!(arrival.new_bytes <= payload.len() as u64 + u64::from(missing));
                for byte in arrival.in_order.unwrap_or_default() {
                    assert_eq!(model.take(), Place::Byte(*byte));
                }
                if let Some(conflict) = &arrival.conflict {
                    assert!(conflict.before.first() != conflict.now.first() && conflict.now.len() <= 16);
                }
            }
        }
        if control & 8 == 0 {
            drain(&mut stream, &mut model, &mut counters, is_read);
        }
        if !is_read {
            // Nobody reads: the place of the stream is what there is to compare.
            let next = stream.next().map_or(0, |next| next.wrapping_sub(first) as usize);
            assert!(next >= model.next && model.places[model.next..next].iter().all(|place| *place != Place::Unseen));
            model.next = next;
        }
        assert_eq!(stream.next(), Some(first.wrapping_add(model.next as u32)));
        assert_eq!(counters.held_bytes, stream.held_bytes());
        assert!(control & 8 != 0 || !model.is_ready(), "bytes in order are held");
        assert!(stream.is_waiting() || !model.is_ready());
    }
    drain(&mut stream, &mut model, &mut counters, is_read);
    stream.discard(&mut counters);
    assert_eq!((counters.held_bytes, stream.is_waiting()), (0, false));
});
