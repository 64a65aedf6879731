//! What several protocols stand on: the layer's look is told once.

pub mod dns;
pub mod field;
pub mod netbios;
pub mod rpc;
pub mod tls;
pub mod tpkt;
