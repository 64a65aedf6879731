//! Packets kept on disk as evidence: a ring of segments bounded in bytes, and slices of it.
//!
//! A segment is a plain pcapng file with times in nanoseconds, which any tool reads; beside each closed one lies an index (`index`). The
//! path of a packet: `tap` copies it into a buffer, a thread of its own (`writer`) indexes and writes whole buffers, so that the engine does
//! not wait for the disk. The open segment has no index: whoever reads it looks at its packets anew, which takes a fraction of a second.

pub mod block;
pub mod index;
pub mod mask;
pub mod ring;
pub mod slice;
pub mod tap;
mod writer;

/// Bytes of a segment and its index, where the quota allows.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Least bytes of a segment.
pub const SEGMENT_BYTES_LEAST: u64 = 1024 * 1024;
/// Least quota that a ring can work with.
pub const QUOTA_BYTES_LEAST: u64 = 16 * 1024 * 1024;
/// Ending of segments.
pub const SEGMENT: &str = "pcapng";
/// Ending of indexes.
pub const INDEX: &str = "index";
