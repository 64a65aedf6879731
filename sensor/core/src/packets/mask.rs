//! Zeros in place of the bytes that carry values, so that evidence can be shown to others: lengths stay, checksums of what was changed become zero.
//!
//! What stays of a message says what was asked for, not what was said: Modbus keeps its header, function, address and quantity
//! (Modbus Application Protocol V1.1b3, 6), OPC UA the headers of its chunks (OPC 10000-6, 6.7.2). Everything else keeps nothing.

use wire::packet::{Content, Decoder, LinkType, Packet};

/// Bytes of an Ethernet header.
const ETHERNET_BYTES: usize = 14;
/// Bytes of a Modbus header (Modbus Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3).
const MBAP_BYTES: usize = 7;
/// Bytes of the fixed part of a TCP header, and of a UDP header.
const TCP_BYTES: usize = 20;
const UDP_BYTES: usize = 8;

/// Blanks packets.
#[derive(Default)]
pub struct Mask(Decoder);

/// Where the payload lies, and what is before it.
struct Place {
    start: usize,
    length: usize,
    ports: Option<(u16, u16)>,
    is_tcp: bool,
}

impl Mask {
    /// Blanks what a packet says.
    pub fn packet(&mut self, ts: i64, link: LinkType, original_length: u32, data: &mut [u8]) {
        let place = {
            let packet = Packet { ts, link, original_length, data };
            let decoded = self.0.decode(&packet);
            let at = |payload: &[u8], ports: Option<(u16, u16)>, is_tcp: bool| {
                let start = (payload.as_ptr() as usize).checked_sub(packet.data.as_ptr() as usize);
                let start = start.filter(|start| start.saturating_add(payload.len()) <= packet.data.len());
                start.map(|start| Place { start, length: payload.len(), ports, is_tcp })
            };
            match &decoded.content {
                Content::Tcp(segment) => at(segment.payload, Some((segment.source_port, segment.destination_port)), true),
                Content::Udp(datagram) => at(datagram.payload, Some((datagram.source_port, datagram.destination_port)), false),
                Content::Ethernet(frame) => at(frame.payload, None, false),
                // Addresses are all that they hold.
                Content::Arp(_) | Content::Neighbour(_) => return,
                // Fragments, and what is not known: nothing but the link's header is certain to be no value.
                Content::Reassembled | Content::None => None,
            }
        };
        if self.0.has_anomalies() {
            drop(self.0.take_anomalies());
        }
        let Some(Place { start, length, ports, is_tcp }) = place else {
            let kept = if link == LinkType::ETHERNET { ETHERNET_BYTES } else { 0 };
            return zero(data, kept);
        };
        // Behind the payload there may be padding, a trailer, or what an adapter left there.
        zero(data, start + length);
        let Some(payload) = data.get_mut(start..start + length) else { return };
        if ports.is_none() {
            payload.fill(0);
            return;
        }
        if length == 0 {
            return;
        }
        blank(payload);
        let checksum =
            if is_tcp { tcp_checksum(data, start, ports) } else { start.checked_sub(UDP_BYTES).map(|header| header + 6) };
        if let Some(field) = checksum.and_then(|place| data.get_mut(place..place + 2)) {
            field.fill(0);
        }
    }
}

/// Where the checksum of the TCP header lies that ends before the payload: the header says how long it is.
fn tcp_checksum(data: &[u8], payload: usize, ports: Option<(u16, u16)>) -> Option<usize> {
    let (source, destination) = ports?;
    (TCP_BYTES..=60).step_by(4).find_map(|length| {
        let start = payload.checked_sub(length)?;
        let header = data.get(start..)?.first_chunk::<TCP_BYTES>()?;
        let [s0, s1, d0, d1, _, _, _, _, _, _, _, _, offset, ..] = *header;
        let is_it = usize::from(offset >> 4) * 4 == length
            && (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])) == (source, destination);
        is_it.then_some(start + 16)
    })
}

fn zero(data: &mut [u8], from: usize) {
    data.get_mut(from..).unwrap_or_default().fill(0);
}

/// Blanks the values of an application's payload.
fn blank(payload: &mut [u8]) {
    let is_modbus = modbus(payload, false);
    if is_modbus {
        modbus(payload, true);
    } else if !opcua(payload) {
        payload.fill(0);
    }
}

/// Goes through Modbus messages that fill the payload to its last byte; blanks them, or only says whether they do.
fn modbus(payload: &mut [u8], blanks: bool) -> bool {
    let mut rest = payload;
    while !rest.is_empty() {
        let Some(&[_, _, 0, 0, l0, l1, _]) = rest.first_chunk::<MBAP_BYTES>() else { return false };
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        // A unit and a function at least, 254 bytes at most.
        if !(2..=254).contains(&length) {
            return false;
        }
        let Some((message, behind)) = rest.split_at_mut_checked(MBAP_BYTES - 1 + length) else { return false };
        rest = behind;
        if blanks && let Some((&mut function, data)) = message.get_mut(MBAP_BYTES..).and_then(|message| message.split_first_mut())
        {
            let kept = kept(function, data);
            zero(data, kept);
        }
    }
    true
}

/// Bytes behind the function code that carry no value, whether this is a request or its response.
fn kept(function: u8, data: &[u8]) -> usize {
    // A response of this kind begins with the number of bytes of values that follow it.
    let may_be_values = data.first().is_some_and(|count| usize::from(*count) == data.len() - 1);
    match function {
        // Exceptions: the code.
        0x80.. => 1,
        // Reads: address and quantity, or the number of bytes.
        1..=4 if data.len() == 4 && !may_be_values => 4,
        // Single writes, and the mask: the address.
        5 | 6 | 22 => 2,
        // Multiple writes: address and quantity.
        15 | 16 => 4,
        // Read and write: both addresses and quantities.
        23 if data.len() >= 9 && !may_be_values && data.get(8).is_some_and(|count| usize::from(*count) == data.len() - 9) => 9,
        1..=4 | 23 if may_be_values => 1,
        _ => 0,
    }
}

/// Blanks OPC UA chunks: what follows their headers. The last one may go on in the next segment, which then begins with no header.
fn opcua(payload: &mut [u8]) -> bool {
    let mut rest = payload;
    let mut is_any = false;
    while let Some(&[k0, k1, k2, chunk, s0, s1, s2, s3]) = rest.first_chunk::<8>() {
        // Symmetric: channel, token, sequence and request; asymmetric: the channel, then a certificate.
        let kept = match &[k0, k1, k2] {
            b"HEL" | b"ACK" | b"ERR" | b"RHE" => 8,
            b"OPN" => 12,
            b"MSG" | b"CLO" => 24,
            _ => break,
        };
        let size = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
        if !matches!(chunk, b'F' | b'C' | b'A') || size < kept {
            break;
        }
        let end = size.min(rest.len());
        let (message, behind) = std::mem::take(&mut rest).split_at_mut(end);
        zero(message, kept);
        rest = behind;
        is_any = true;
    }
    rest.fill(0);
    is_any
}
