//! SecureChannel service set (OPC 10000-4, 5.6).

use super::{Operand, Out};
use crate::protocol::opcua::binary::{Fault, Reader, Text, structure};

structure! {
    /// Asks for a secure channel (5.6.2.2; OPC 10000-6, 6.7.4).
    pub struct ChannelRequest<'a> {
        /// Version of the protocol that the client speaks.
        pub protocol_version: u32,
        /// 0 issues a token for a new channel, 1 renews one.
        pub request_type: u32,
        /// 1 none, 2 sign, 3 sign and encrypt.
        pub security_mode: u32,
        /// Random bytes for the keys.
        pub client_nonce: Text<'a>,
        /// Lifetime that the client wants, milliseconds.
        pub requested_lifetime: u32,
    }
}

structure! {
    /// The token that a server gave (5.6.2.2; OPC 10000-6, 6.7.4).
    pub struct ChannelToken<'a> {
        /// Version of the protocol that the server speaks.
        pub protocol_version: u32,
        /// The channel.
        pub channel_id: u32,
        /// The token.
        pub token_id: u32,
        /// When it was made, nanoseconds since 1970.
        pub created_at: Option<i64>,
        /// Its lifetime, milliseconds.
        pub revised_lifetime: u32,
        /// Random bytes for the keys.
        pub server_nonce: Text<'a>,
    }
}

pub(super) fn open_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let request = reader.read()?;
    out.one(Operand::ChannelRequest(request));
    Ok(())
}

pub(super) fn open_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let token = reader.read()?;
    out.one(Operand::ChannelToken(token));
    Ok(())
}
