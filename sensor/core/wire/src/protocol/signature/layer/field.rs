//! Numbers at a place in the bytes; nothing where the bytes end before.

/// Two bytes, the most significant first.
pub fn be16(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// Two bytes, the least significant first.
pub fn le16(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

/// Four bytes, the least significant first.
pub fn le32(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// Whether a needle occurs.
pub fn contains(data: &[u8], needle: &[u8]) -> bool {
    data.windows(needle.len().max(1)).any(|part| part == needle)
}

/// Whether a word occurs, in whatever case.
pub fn contains_word(data: &[u8], word: &[u8]) -> bool {
    data.windows(word.len().max(1)).any(|part| part.eq_ignore_ascii_case(word))
}

/// The first line, without its end.
pub fn first_line(data: &[u8]) -> &[u8] {
    data.split(|byte| *byte == b'\n').next().unwrap_or_default()
}

/// Whether a message of so many bytes fits what was heard of a stream: it ends with it, or in front of another one that begins alike.
pub fn fits(data: &[u8], length: usize) -> bool {
    length == data.len() || data.get(length).is_some_and(|next| Some(next) == data.first())
}
