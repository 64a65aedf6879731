//! OPC UA messages written from the specification (OPC 10000-6): a small encoder that uses nothing of the parser's own code.

use super::{ACK, Talk};

/// Chunk of a connection whose channel is 7 with token 3: MSG with this part letter.
pub fn chunk(part: u8, sequence: u32, request: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = [b"MSG".as_slice(), &[part]].concat();
    bytes.extend((body.len() as u32 + 24).to_le_bytes());
    for number in [7, 3, sequence, request] {
        bytes.extend(u32::to_le_bytes(number));
    }
    bytes.extend(body);
    bytes
}

/// A whole message.
pub fn message(sequence: u32, request: u32, body: &[u8]) -> Vec<u8> {
    chunk(b'F', sequence, request, body)
}

/// A hello.
pub fn hello() -> Vec<u8> {
    let mut bytes = b"HELF\x38\0\0\0".to_vec();
    for number in [0_u32, 65_536, 65_536, 0, 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(text("opc.tcp://10.0.0.2:4840/"));
    bytes[4] = bytes.len() as u8;
    bytes
}

/// Its acknowledgement.
pub fn acknowledge() -> Vec<u8> {
    let mut bytes = b"ACKF\x1c\0\0\0".to_vec();
    for number in [0_u32, 65_536, 65_536, 0, 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes
}

/// A String (5.2.2.4).
pub fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// The NodeId ns=2;s=name (5.2.2.9).
pub fn node(name: &str) -> Vec<u8> {
    [&[3, 2, 0][..], &text(name)].concat()
}

/// Type and request header with a session's token.
pub fn request(kind: u16, session: u16) -> Vec<u8> {
    let mut bytes = vec![1, 0];
    bytes.extend(kind.to_le_bytes());
    bytes.extend([1, 1]);
    bytes.extend(session.to_le_bytes());
    // Time, handle, diagnostics, audit entry, timeout, additional header.
    bytes.extend([0; 8]);
    bytes.extend([9, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x10, 0x27, 0, 0, 0, 0, 0]);
    bytes
}

/// Type and response header with a result.
pub fn response(kind: u16, status: u32) -> Vec<u8> {
    let mut bytes = vec![1, 0];
    bytes.extend(kind.to_le_bytes());
    bytes.extend([0; 8]);
    bytes.extend([9, 0, 0, 0]);
    bytes.extend(status.to_le_bytes());
    // Diagnostics, string table, additional header.
    bytes.extend([0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]);
    bytes
}

/// Asks for the values of these nodes.
pub fn read(nodes: &[&str]) -> Vec<u8> {
    let mut bytes = request(631, 1);
    bytes.extend([0; 12]);
    bytes.extend((nodes.len() as u32).to_le_bytes());
    for name in nodes {
        bytes.extend(node(name));
        bytes.extend([13, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    }
    bytes
}

/// A Double with no times.
pub fn value(number: f64) -> Vec<u8> {
    [&[1, 11][..], &number.to_le_bytes()].concat()
}

/// The answer to `read`.
pub fn values(numbers: &[f64]) -> Vec<u8> {
    let mut bytes = response(634, 0);
    bytes.extend((numbers.len() as u32).to_le_bytes());
    bytes.extend(numbers.iter().flat_map(|number| value(*number)));
    bytes.extend([0xff; 4]);
    bytes
}

/// Creates a subscription; the answer gives it this number.
pub fn create_subscription(session: u16, id: u32) -> [Vec<u8>; 2] {
    let mut ask = request(787, session);
    ask.extend([0; 22]);
    let mut answer = response(790, 0);
    answer.extend(id.to_le_bytes());
    answer.extend([0; 16]);
    [ask, answer]
}

/// Monitors the value of a node under a handle; the server's number is 100 more.
pub fn monitor(session: u16, subscription: u32, name: &str, handle: u32) -> [Vec<u8>; 2] {
    let mut ask = request(751, session);
    ask.extend(subscription.to_le_bytes());
    ask.extend([2, 0, 0, 0, 1, 0, 0, 0]);
    ask.extend(node(name));
    ask.extend([13, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    ask.extend([2, 0, 0, 0]);
    ask.extend(handle.to_le_bytes());
    // Interval, filter, queue, whether the oldest goes.
    ask.extend([0; 8]);
    ask.extend([0, 0, 0, 1, 0, 0, 0, 1]);
    let mut answer = response(754, 0);
    answer.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    answer.extend((handle + 100).to_le_bytes());
    answer.extend([0; 12]);
    answer.extend([0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    [ask, answer]
}

/// Moves a subscription to a session.
pub fn transfer(session: u16, subscription: u32) -> [Vec<u8>; 2] {
    let mut ask = request(841, session);
    ask.extend([1, 0, 0, 0]);
    ask.extend(subscription.to_le_bytes());
    ask.push(0);
    let mut answer = response(844, 0);
    answer.extend([1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    [ask, answer]
}

/// Asks for a notification; the answer has one of a handle.
pub fn publish(session: u16, subscription: u32, handle: u32, number: f64) -> [Vec<u8>; 2] {
    let mut ask = request(826, session);
    ask.extend([0xff; 4]);
    let mut change = vec![1, 0, 0, 0];
    change.extend(handle.to_le_bytes());
    change.extend(value(number));
    change.extend([0xff; 4]);
    let mut answer = response(829, 0);
    answer.extend(subscription.to_le_bytes());
    answer.extend([0xff, 0xff, 0xff, 0xff, 0]);
    // Notification message: number, time, one DataChangeNotification (811).
    answer.extend([1, 0, 0, 0]);
    answer.extend([0; 8]);
    answer.extend([1, 0, 0, 0, 1, 0, 0x2b, 3, 1]);
    answer.extend((change.len() as u32).to_le_bytes());
    answer.extend(change);
    answer.extend([0xff; 8]);
    [ask, answer]
}

impl Talk {
    /// A request and its answer, whose sequence numbers are that of the request.
    pub fn call(&mut self, number: u32, [ask, answer]: &[Vec<u8>; 2]) {
        self.ask(ACK, &message(number, number, ask));
        self.answer(ACK, &message(number, number, answer));
    }
}

/// Gives items other handles; the server's number of each is 100 more than its first one.
pub fn rename(session: u16, subscription: u32, items: &[(u32, u32)]) -> [Vec<u8>; 2] {
    let count = (items.len() as u32).to_le_bytes();
    let mut ask = request(763, session);
    ask.extend(subscription.to_le_bytes());
    ask.extend([2, 0, 0, 0]);
    ask.extend(count);
    let mut answer = response(766, 0);
    answer.extend(count);
    for (item, handle) in items {
        ask.extend(item.to_le_bytes());
        ask.extend(handle.to_le_bytes());
        ask.extend([0; 8]);
        ask.extend([0, 0, 0, 1, 0, 0, 0, 1]);
        answer.extend([0; 16]);
        answer.extend([0, 0, 0]);
    }
    answer.extend([0xff; 4]);
    [ask, answer]
}

/// Deletes an item.
pub fn delete(session: u16, subscription: u32, item: u32) -> [Vec<u8>; 2] {
    let mut ask = request(781, session);
    ask.extend(subscription.to_le_bytes());
    ask.extend([1, 0, 0, 0]);
    ask.extend(item.to_le_bytes());
    let mut answer = response(784, 0);
    answer.extend([1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    [ask, answer]
}

/// Asks for a notification again; the answer has one value of a handle.
pub fn republish(session: u16, subscription: u32, handle: u32, number: f64) -> [Vec<u8>; 2] {
    let mut ask = request(832, session);
    ask.extend(subscription.to_le_bytes());
    ask.extend([1, 0, 0, 0]);
    let [_, published] = publish(session, subscription, handle, number);
    let head = response(829, 0).len();
    // Without subscription, available numbers and more in front, results and diagnostics behind.
    let message = &published[head + 9..published.len() - 8];
    [ask, [&response(835, 0)[..], message].concat()]
}

/// Activates a session as nobody.
pub fn activate(session: u16) -> [Vec<u8>; 2] {
    let mut ask = request(467, session);
    // Signature, software certificates, locales.
    ask.extend([0xff; 16]);
    ask.extend([1, 0, 0x41, 1, 1, 13, 0, 0, 0, 9, 0, 0, 0]);
    ask.extend(b"anonymous");
    ask.extend([0xff; 8]);
    let mut answer = response(470, 0);
    answer.extend([0xff; 12]);
    [ask, answer]
}

/// The end of a chunk that opens a channel: under a policy all behind it is ciphertext.
pub fn open(policy: &str) -> Vec<u8> {
    let mut bytes = b"OPNF\0\0\0\0".to_vec();
    bytes.extend([7, 0, 0, 0]);
    bytes.extend(text(&format!("http://opcfoundation.org/UA/SecurityPolicy#{policy}")));
    bytes.extend([0xff; 8]);
    bytes.extend([0xa5; 64]);
    bytes[4] = bytes.len() as u8;
    bytes
}

/// A hello or an acknowledgement with these buffers and limits: receive, send, message, chunks.
pub fn offer(kind: &[u8; 3], offers: [u32; 4]) -> Vec<u8> {
    let mut bytes = [kind.as_slice(), b"F\0\0\0\0\0\0\0\0"].concat();
    offers.iter().for_each(|offer| bytes.extend(offer.to_le_bytes()));
    if kind == b"HEL" {
        bytes.extend(text("opc.tcp://10.0.0.2"));
    }
    bytes[4] = bytes.len() as u8;
    bytes
}

/// Writes a ByteString of so many bytes to a node; the answer says that it was taken.
pub fn write_bytes(name: &str, length: usize) -> [Vec<u8>; 2] {
    let mut ask = request(673, 1);
    ask.extend([1, 0, 0, 0]);
    ask.extend(node(name));
    ask.extend([13, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 15]);
    ask.extend((length as u32).to_le_bytes());
    ask.resize(ask.len() + length, 0x41);
    let mut answer = response(676, 0);
    answer.extend([1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    [ask, answer]
}

/// An ExtensionObject with a binary body (5.2.2.15).
pub fn object(encoding: u16, body: &[u8]) -> Vec<u8> {
    [&[1, 0][..], &encoding.to_le_bytes(), &[1], &(body.len() as u32).to_le_bytes(), body].concat()
}

/// Any request whose body is this, and its good answer.
pub fn exchange(ask: (u16, &[u8]), answer: (u16, &[u8])) -> [Vec<u8>; 2] {
    [[&request(ask.0, 1)[..], ask.1].concat(), [&response(answer.0, 0)[..], answer.1].concat()]
}
