//! Input bytes as what happens to a conversation, event by event.
//!
//! An event is a control byte and what belongs to it. Bit 0 is the side: 0 the client. Bits 1 and 2 tell what happens.
//!
//! | bits 1 and 2 | what happens | bits 3 to 7 |
//! |---|---|---|
//! | 0, 2 | bytes: a byte for their number, and they themselves | 3 and 4: the number's higher bits; 5 to 7: a tag, for the target's use |
//! | 1 | some bytes were lost | how many, squared; 0: nobody knows |
//! | 3 | time goes on | twice as long for each step, from a microsecond |

use wire::protocol::Side;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A side sends these bytes, which have a tag from 0 to 7.
    Bytes(Side, u8, &'a [u8]),
    /// So many bytes of a side were not captured; 0: nobody knows how many.
    Gap(Side, u64),
    /// So many nanoseconds pass.
    Wait(i64),
}

/// Events of an input, in order.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a>(pub &'a [u8]);

impl<'a> Iterator for Script<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        let (&control, rest) = self.0.split_first()?;
        let side = if control & 1 == 0 { Side::Client } else { Side::Server };
        let amount = control >> 3;
        self.0 = rest;
        Some(match control >> 1 & 3 {
            1 => Event::Gap(side, u64::from(amount) * u64::from(amount)),
            3 => Event::Wait(1_000 << amount),
            _ => {
                let (&low, rest) = self.0.split_first()?;
                let length = usize::from(amount & 3) << 8 | usize::from(low);
                let (bytes, rest) = rest.split_at(length.min(rest.len()));
                self.0 = rest;
                Event::Bytes(side, amount >> 2, bytes)
            }
        })
    }
}
