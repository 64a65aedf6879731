//! Modbus: application data units in, rows of tables `modbus`, `point`, `device` and `violation` out.
//!
//! Sources: MODBUS Application Protocol Specification V1.1b3 ("MAP"), MODBUS Messaging on TCP/IP Implementation Guide V1.0b ("GUIDE"), MODBUS over
//! Serial Line Specification and Implementation Guide V1.02 ("SERIAL").

pub mod check;
mod conversation;
pub mod frame;
pub mod function;
pub mod identity;
pub mod point;
mod row;

pub use conversation::Modbus;
pub(in crate::protocol) use identity::learn_makers;

use super::{Probe, Side};
use frame::Framing;

/// TCP and UDP port of Modbus (GUIDE, 4.2.2).
pub const PORT: u16 = 502;

/// What the bytes of one side look like: by framing. `whole`: nothing follows them (a datagram).
pub fn probe(side: Side, data: &[u8], whole: bool) -> (Probe, Framing) {
    match frame::probe_tcp(side, data, whole) {
        Probe::No => match frame::probe_rtu(side, data) {
            Probe::No => (Probe::No, Framing::Tcp),
            rtu => (rtu, Framing::Rtu),
        },
        // Zeros stand where a header has them in many serial frames too: a read from address 0. A check sequence that holds tells.
        Probe::Possible(None) if frame::is_whole_rtu(side, data) => match frame::probe_rtu(side, data) {
            Probe::No => (Probe::Possible(None), Framing::Tcp),
            rtu => (rtu, Framing::Rtu),
        },
        tcp => (tcp, Framing::Tcp),
    }
}
