//! What the fuzz targets have in common: input bytes as a script of what happens to a conversation, and a room in which one is played.

mod play;
mod rows;
mod script;

pub use play::{Cuts, Frame, Room};
pub use rows::{Rows, assert_same, has_bytes};
pub use script::{Event, Script};

/// A hash of an input, to choose some inputs for what is too dear to be done for all, and to seed it (FNV-1a).
pub fn hash(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The number of rows of a table.
pub fn rows(counts: &Rows, table: &str) -> usize {
    counts.iter().find(|(name, _)| *name == table).map_or(0, |(_, rows)| *rows)
}
