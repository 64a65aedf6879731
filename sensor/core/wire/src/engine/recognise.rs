//! Which protocol the first bytes of a conversation belong to: by content, and by port where content does not tell.
//!
//! These are signatures, not parsers: enough to name a conversation. A protocol that is parsed has its own `probe`.

use crate::record::table::Application;

/// Names the protocol of a TCP stream from the first bytes of one direction.
pub(super) fn stream(data: &[u8]) -> Option<Application> {
    Some(match data {
        // TLS handshake or alert record (RFC 8446, 5.1); the major version has been 3 since SSL 3.0.
        [0x16 | 0x15, 0x03, 0x00..=0x04, _, _, 0x01 | 0x02, ..] => Application::Tls,
        [b'S', b'S', b'H', b'-', b'1' | b'2', ..] => Application::Ssh,
        [b'R', b'F', b'B', b' ', b'0', b'0', ..] => Application::Vnc,
        // OPC UA connection protocol (OPC 10000-6, 7.1.2): message type, chunk type.
        [b'H', b'E', b'L', b'F', ..]
        | [b'A', b'C', b'K', b'F', ..]
        | [b'E', b'R', b'R', b'F', ..]
        | [b'R', b'H', b'E', b'F', ..] => Application::Opcua,
        [b'O', b'P', b'N', b'F' | b'C' | b'A', ..]
        | [b'M', b'S', b'G', b'F' | b'C' | b'A', ..]
        | [b'C', b'L', b'O', b'F', ..] => Application::Opcua,
        // SMB 1 to 3 behind a NetBIOS session header (MS-SMB2, 2.1).
        [0x00, _, _, _, 0xfd..=0xff, b'S', b'M', b'B', ..] => Application::Smb,
        // Connection-oriented DCE/RPC 5.0 and 5.1: request, response, fault, bind, its answers.
        [0x05, 0x00 | 0x01, 0x00 | 0x02..=0x03 | 0x0b..=0x10, flags, 0x00 | 0x10, 0x00, 0x00, 0x00, ..] if flags & 0x03 != 0 => {
            Application::Dcerpc
        }
        // DNP3 link header (IEEE 1815, 9.2.4): start octets, a length of at least 5.
        [0x05, 0x64, 5..=255, ..] => Application::Dnp3,
        // IEC 60870-5-104, 5: start, length of at least 4, and for S and U formats the fixed bits.
        [0x68, 4, control, 0, _, _] | [0x68, 4, control, 0, _, _, 0x68, ..]
            if control & 0x03 == 1 || (control & 0x03 == 3 && control.count_ones() == 3) =>
        {
            Application::Iec104
        }
        [0x68, length @ 14..=253, control, _, receive, _, 1..=127, ..]
            if control & 1 == 0 && receive & 1 == 0 && data.len() >= usize::from(*length) =>
        {
            Application::Iec104
        }
        [0x03, 0x00, 0x00 | 0x01, _, rest @ ..] => tpkt(rest)?,
        _ if is_encapsulation(data) => Application::Enip,
        _ if is_dns_stream(data) => Application::Dns,
        [0xff, 0xfb..=0xfe, _, ..] => Application::Telnet,
        _ => return text(data),
    })
}

/// Protocols whose first line is text.
fn text(data: &[u8]) -> Option<Application> {
    const HTTP: [&[u8]; 10] =
        [b"GET /", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"CONNECT ", b"PATCH ", b"TRACE ", b"HTTP/1."];
    if HTTP.iter().any(|word| data.starts_with(word)) {
        return Some(Application::Http);
    }
    let line: &[u8] = data.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let contains = |word: &[u8]| line.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    match data {
        // RFC 5321, 4.2: a mail server names itself and its protocol in the greeting.
        [b'2', b'2', b'0', b' ' | b'-', ..] if contains(b"SMTP") => Some(Application::Smtp),
        [b'2', b'2', b'0', b' ' | b'-', ..] => Some(Application::Ftp),
        [b'E' | b'H', b'H' | b'E', b'L', b'O', b' ', ..] => Some(Application::Smtp),
        [b'U', b'S', b'E', b'R', b' ', ..] => Some(Application::Ftp),
        _ => None,
    }
}

/// What TPKT carries (RFC 1006, 6): COTP, and in it S7 communication, MMS or RDP.
fn tpkt(cotp: &[u8]) -> Option<Application> {
    match cotp {
        // Connection request or confirm (ISO 8073, 13.3) with what RDP adds (MS-RDPBCGR, 2.2.1.1): a cookie or a negotiation.
        [_, 0xe0 | 0xd0, _, _, _, _, _, rest @ ..]
            if rest.starts_with(b"Cookie: ") || matches!(rest, [0x01..=0x03, _, 0x08, 0x00, ..]) =>
        {
            Some(Application::Rdp)
        }
        // S7 takes the called TSAP (parameter 0xc2) as rack and slot: two bytes; MMS names longer or other selectors.
        [_, 0xe0 | 0xd0, _, _, _, _, _, rest @ ..] => {
            Some(if is_s7_connection(rest) { Application::S7comm } else { Application::Mms })
        }
        [0x02, 0xf0, _, 0x32 | 0x72, ..] => Some(Application::S7comm),
        // ISO session: connect, accept, or give tokens with data transfer.
        [0x02, 0xf0, _, 0x0d | 0x0e | 0x01, ..] => Some(Application::Mms),
        // T.125 MCS connect.
        [0x02, 0xf0, 0x80, 0x7f, 0x65 | 0x66, ..] => Some(Application::Rdp),
        _ => None,
    }
}

fn is_s7_connection(parameters: &[u8]) -> bool {
    let mut rest = parameters;
    while let [code, length, tail @ ..] = rest {
        let value = tail.get(..usize::from(*length)).unwrap_or_default();
        if *code == 0xc2 || *code == 0xc1 {
            // Connection type PG, OP or basic, or the S7 client's own; a selector of MMS is usually 00 01.
            if matches!(value, [0x01..=0x03 | 0x10.., _]) || value.starts_with(b"SIMATIC") {
                return true;
            }
        }
        rest = tail.get(usize::from(*length)..).unwrap_or_default();
    }
    false
}

/// EtherNet/IP encapsulation (CIP volume 2, 2-3): a known command, a length that fits, status 0 in the usual case, options 0.
fn is_encapsulation(data: &[u8]) -> bool {
    let Some((header, rest)) = data.split_first_chunk::<24>() else {
        return false;
    };
    let [c0, c1, l0, l1, _, _, _, _, s0, s1, s2, s3, .., o0, o1, o2, o3] = *header;
    let command = u16::from_le_bytes([c0, c1]);
    matches!(command, 0x0004 | 0x0063 | 0x0064 | 0x0065 | 0x0066 | 0x006f | 0x0070)
        && usize::from(u16::from_le_bytes([l0, l1])) >= rest.len().min(1)
        && u32::from_le_bytes([s0, s1, s2, s3]) < 0x100
        && [o0, o1, o2, o3] == [0; 4]
}

/// DNS over TCP (RFC 1035, 4.2.2): the length, then a message.
fn is_dns_stream(data: &[u8]) -> bool {
    data.split_first_chunk::<2>()
        .is_some_and(|(length, rest)| usize::from(u16::from_be_bytes(*length)) == rest.len() && is_dns(rest))
}

/// A DNS message (RFC 1035, 4.1.1): an opcode in use, counts that can be, room for a question.
fn is_dns(data: &[u8]) -> bool {
    let Some((header, rest)) = data.split_first_chunk::<12>() else {
        return false;
    };
    let [_, _, flags, codes, q0, q1, a0, a1, n0, n1, r0, r1] = *header;
    let counts = [[q0, q1], [a0, a1], [n0, n1], [r0, r1]].map(u16::from_be_bytes);
    let is_response = flags & 0x80 != 0;
    matches!(flags >> 3 & 0x0f, 0 | 4 | 5)
        && codes & 0x40 == 0
        && (counts.first() == Some(&1)
            || is_response && counts.first() == Some(&0) && counts.get(1).is_some_and(|answers| *answers > 0))
        && counts.iter().all(|count| *count < 256)
        && (is_response || counts.get(1) == Some(&0))
        && rest.first().is_some_and(|label| *label < 64)
        && rest.len() >= 5
}

/// Names the protocol of a datagram.
pub(super) fn datagram(data: &[u8], ports: [u16; 2]) -> Option<Application> {
    let on = |port: u16| ports.contains(&port);
    Some(match data {
        // BOOTP with DHCP's magic cookie (RFC 2131, 3); DHCPv6 has no mark but its ports.
        _ if data.get(236..240) == Some(&[0x63, 0x82, 0x53, 0x63]) => Application::Dhcp,
        [1..=13, ..] if on(546) && on(547) => Application::Dhcp,
        // SNMP (RFC 3416, 3): a sequence, the version as an integer of 0, 1 or 3.
        [0x30, length, 0x02, 0x01, 0 | 1 | 3, ..] if *length < 0x80 => Application::Snmp,
        [0x30, 0x81, _, 0x02, 0x01, 0 | 1 | 3, ..] | [0x30, 0x82, _, _, 0x02, 0x01, 0 | 1 | 3, ..] => Application::Snmp,
        // BACnet virtual link control (ASHRAE 135, J.2): type, function, its own length.
        [0x81, 0x00..=0x0b, l0, l1, ..] if usize::from(u16::from_be_bytes([*l0, *l1])) == data.len() => Application::Bacnet,
        [0x05, 0x64, 5..=255, ..] => Application::Dnp3,
        _ if on(123) && data.len() >= 48 && data.first().is_some_and(|first| matches!(first >> 3 & 7, 1..=4)) => Application::Ntp,
        _ if is_encapsulation(data) => Application::Enip,
        [0x00, 0x01 | 0x02, ..] if on(69) => Application::Tftp,
        // Connectionless DCE/RPC 4 (PROFINET context manager).
        [0x04, 0x00 | 0x02 | 0x04 | 0x06 | 0x0a, _, _, 0x00 | 0x10, 0x00, 0x00, _, ..] if data.len() >= 80 => Application::Dcerpc,
        _ if (on(53) || on(5353) || on(5355) || on(137)) && is_dns(data) => Application::Dns,
        _ => return None,
    })
}

/// Names a protocol by the port of one endpoint, where content did not tell.
pub(super) fn by_port(port: u16, is_stream: bool) -> Option<Application> {
    Some(match (port, is_stream) {
        (4840, _) => Application::Opcua,
        (80 | 8080, true) => Application::Http,
        (443 | 8443, true) => Application::Tls,
        (22, true) => Application::Ssh,
        (135, true) => Application::Dcerpc,
        (139 | 445, true) => Application::Smb,
        (21, true) => Application::Ftp,
        (23, true) => Application::Telnet,
        (25, true) => Application::Smtp,
        (53 | 5353, _) => Application::Dns,
        (123, false) => Application::Ntp,
        (161 | 162, _) => Application::Snmp,
        (67 | 68 | 546 | 547, false) => Application::Dhcp,
        (69, false) => Application::Tftp,
        (3389, _) => Application::Rdp,
        (5900..=5903, true) => Application::Vnc,
        (102, true) => Application::S7comm,
        (44818, _) | (2222, false) => Application::Enip,
        (20000, _) => Application::Dnp3,
        (2404, true) => Application::Iec104,
        (47808, false) => Application::Bacnet,
        _ => return None,
    })
}

/// Whether a protocol belongs to machines rather than to an office.
pub(super) fn is_industrial(application: Application) -> bool {
    use Application::{Bacnet, Dnp3, Enip, Iec104, Mms, Modbus, Opcua, S7comm};
    matches!(application, Modbus | Opcua | S7comm | Enip | Dnp3 | Iec104 | Bacnet | Mms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_named_by_their_first_bytes() {
        let cases: [(&[u8], Option<Application>); 16] = [
            (b"GET / HTTP/1.1\r\n", Some(Application::Http)),
            (b"\x16\x03\x01\x02\x00\x01\x00", Some(Application::Tls)),
            (b"SSH-2.0-OpenSSH_9.6\r\n", Some(Application::Ssh)),
            (b"\x00\x00\x00\x85\xffSMB\x72", Some(Application::Smb)),
            (b"\x05\x00\x0b\x03\x10\x00\x00\x00\x48\x00", Some(Application::Dcerpc)),
            (b"\x05\x64\x05\xc0\x01\x00", Some(Application::Dnp3)),
            (b"\x68\x04\x07\x00\x00\x00", Some(Application::Iec104)),
            (
                b"\x03\x00\x00\x16\x11\xe0\x00\x00\x00\x01\x00\xc1\x02\x01\x00\xc2\x02\x01\x02\xc0\x01\x0a",
                Some(Application::S7comm),
            ),
            (b"\x03\x00\x00\x19\x02\xf0\x80\x32\x01\x00\x00", Some(Application::S7comm)),
            (b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00", Some(Application::Rdp)),
            (b"HELF\x20\x00\x00\x00", Some(Application::Opcua)),
            (b"RFB 003.008\n", Some(Application::Vnc)),
            (b"220 mail.example ESMTP ready\r\n", Some(Application::Smtp)),
            (b"220 FTP server ready\r\n", Some(Application::Ftp)),
            (b"\xff\xfd\x18", Some(Application::Telnet)),
            (b"\x00\x01\x00\x00\x00\x06\x01\x03\x00\x00\x00\x0a", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(stream(bytes), expected, "{bytes:02x?}");
        }
    }

    #[test]
    fn datagrams_are_named_by_content_and_port() {
        let dns = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x02ex\x00\x00\x01\x00\x01";
        assert_eq!(datagram(dns, [50_000, 53]), Some(Application::Dns));
        assert_eq!(datagram(b"\x30\x26\x02\x01\x01\x04\x06public", [50_000, 161]), Some(Application::Snmp));
        assert_eq!(datagram(b"\x81\x0b\x00\x08\x01\x20\xff\xff", [47_808, 47_808]), Some(Application::Bacnet));
        assert_eq!(datagram(b"\x23\x02\x06\xe8", [123, 123]), None);
    }
}
