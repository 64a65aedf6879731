//! OPC UA: binary encoding of messages (OPC 10000-6) and the services that they carry (OPC 10000-4).

pub mod binary;
pub mod service;
pub mod status;
