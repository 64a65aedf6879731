//! Wire formats: packet bytes in, record tables out. No I/O and no unsafe code.

#![forbid(unsafe_code)]

pub mod capture;
pub mod device;
pub mod engine;
mod maker;
pub mod packet;
pub mod protocol;
pub mod record;
pub mod transport;
