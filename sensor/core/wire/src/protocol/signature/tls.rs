//! TLS, and the server name that a client asks for.

use super::layer::field::be16;
use super::{Application, Example, Match, Signature};
use crate::protocol::Carrier;

/// What it looks like.
pub static SIGNATURE: Signature = Signature {
    tcp_ports: &[443, 4911, 8443, 8883],
    stream,
    examples: &[
        Example { carrier: Carrier::Stream, bytes: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" },
        Example { carrier: Carrier::Stream, bytes: b"\x15\x03\x03\x00\x02\x02\x28" },
    ],
    ..Signature::new(Application::Tls, "RFC 8446, 4 and 5.1")
};

/// Bytes of a server name that are kept: a host name has no more (RFC 1035, 2.3.4).
pub const SERVER_NAME_BYTES: usize = 255;

/// Bytes of a record's content with what encryption adds (RFC 5246, 6.2.3).
const RECORD_BYTES: u16 = 16_384 + 2_048;

/// A record of the handshake with a hello, or an alert; one of data may be another's.
fn stream(data: &[u8]) -> Match {
    let [kind, 0x03, 0x00..=0x04, l0, l1, rest @ ..] = data else { return Match::No };
    let length = u16::from_be_bytes([*l0, *l1]);
    match (kind, rest) {
        (0x16, [0x01 | 0x02, 0, ..]) => Match::certain_if((4..=RECORD_BYTES).contains(&length)),
        (0x15, [1 | 2, _]) => Match::certain_if(length == 2),
        (0x17, _) => Match::possible_if((1..=RECORD_BYTES).contains(&length)),
        _ => Match::No,
    }
}

/// What the first bytes of a client say about the server that it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerName<'a> {
    /// More bytes are needed.
    Unfinished,
    /// They are no client's, or it asks for none.
    None,
    /// It asks for this one: printable ASCII, at most `SERVER_NAME_BYTES`.
    Named(&'a str),
}

/// The server name of a client's hello (RFC 6066, 3). A hello in more than one record is followed into the first one only.
pub fn server_name(data: &[u8]) -> ServerName<'_> {
    let [0x16, 0x03, _, l0, l1, 0x01, rest @ ..] = data else { return ServerName::None };
    let record = usize::from(u16::from_be_bytes([*l0, *l1])).saturating_sub(1);
    // Behind the handshake's length: version and random.
    let body = rest.get(..record.min(rest.len())).unwrap_or_default();
    match extension(body).and_then(host_name) {
        Some(name) => ServerName::Named(name),
        None if rest.len() < record => ServerName::Unfinished,
        None => ServerName::None,
    }
}

/// The content of extension `server_name` (type 0).
fn extension(hello: &[u8]) -> Option<&[u8]> {
    let sessions = hello.get(3 + 2 + 32..)?;
    let ciphers = sessions.get(1 + usize::from(*sessions.first()?)..)?;
    let compressions = ciphers.get(2 + usize::from(be16(ciphers, 0)?)..)?;
    let mut extensions = compressions.get(1 + usize::from(*compressions.first()?)..)?.get(2..)?;
    loop {
        let (kind, length) = (be16(extensions, 0)?, usize::from(be16(extensions, 2)?));
        if kind == 0 {
            return extensions.get(4..4 + length);
        }
        extensions = extensions.get(4 + length..)?;
    }
}

/// The first host name (type 0) of a list of names.
fn host_name(list: &[u8]) -> Option<&str> {
    let [_, _, 0, l0, l1, name @ ..] = list else { return None };
    let name = name.get(..usize::from(u16::from_be_bytes([*l0, *l1])))?;
    let is_name = (1..=SERVER_NAME_BYTES).contains(&name.len()) && name.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(name).ok().filter(|_| is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's hello with two extensions, the second of which names a server.
    fn hello(name: &[u8]) -> Vec<u8> {
        let length = name.len() as u8;
        let list = [&[0, length + 3, 0, 0, length][..], name].concat();
        let extensions = [&[0, 23, 0, 0, 0, 0, 0, list.len() as u8][..], &list].concat();
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 0x01, 1, 0, 0, extensions.len() as u8]);
        body.extend(&extensions);
        let mut record = vec![0x16, 3, 1, 0, body.len() as u8 + 4, 1, 0, 0, body.len() as u8];
        record.extend(&body);
        record
    }

    #[test]
    fn the_server_that_a_client_asks_for_is_read_once_its_hello_is_there() {
        let hello = hello(b"plc.example");
        assert_eq!(stream(&hello), Match::Certain);
        assert_eq!(server_name(&hello), ServerName::Named("plc.example"));
        assert_eq!(server_name(&hello[..hello.len() - 1]), ServerName::Unfinished);
        assert_eq!(server_name(b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76"), ServerName::None);
    }

    #[test]
    fn a_name_that_cannot_be_printed_is_none() {
        assert_eq!(server_name(&hello(b"plc\nexample")), ServerName::None);
        assert_eq!(server_name(&hello(b"")), ServerName::None);
    }

    #[test]
    fn a_record_longer_than_records_may_be_is_none() {
        assert_eq!(stream(b"\x16\x03\x01\xff\xff\x01\x00"), Match::No);
        assert_eq!(stream(b"\x17\x03\x03\x00\x20"), Match::Possible);
    }
}
