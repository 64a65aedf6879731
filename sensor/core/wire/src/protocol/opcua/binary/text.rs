//! Text of bytes that should be UTF-8, without loss where they are not, and text that ends at a limit.

use std::fmt::Write;

/// Writes bytes as text. A backslash is doubled; control characters and bytes that are no UTF-8 become `\x` and two digits: nothing is lost, and
/// no line breaks come from the wire.
pub fn write_escaped(bytes: &[u8], out: &mut dyn Write) {
    let is_plain = bytes.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'[' | b']'..=b'~'));
    if is_plain && let Ok(text) = std::str::from_utf8(bytes) {
        let _ = out.write_str(text);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(at) = rest.find(|c: char| c == '\\' || c.is_control()) {
            let (plain, odd) = rest.split_at(at);
            let _ = out.write_str(plain);
            let mut characters = odd.chars();
            match characters.next() {
                Some('\\') => drop(out.write_str("\\\\")),
                Some(control) => write_bytes(control.encode_utf8(&mut [0; 4]).as_bytes(), out),
                None => {}
            }
            rest = characters.as_str();
        }
        let _ = out.write_str(rest);
        write_bytes(chunk.invalid(), out);
    }
}

fn write_bytes(bytes: &[u8], out: &mut dyn Write) {
    for byte in bytes {
        let _ = write!(out, "\\x{byte:02x}");
    }
}

/// Writes bytes as hexadecimal digits.
pub fn write_hex(bytes: &[u8], out: &mut dyn Write) {
    for byte in bytes {
        if write!(out, "{byte:02x}").is_err() {
            return;
        }
    }
}

/// A text that takes so many bytes more and then ends with an ellipsis. Writing to a full one is an error, so that writers can stop.
pub struct Limited<'s> {
    out: &'s mut String,
    left: usize,
    full: bool,
    is_away: bool,
}

impl<'s> Limited<'s> {
    /// Appends to `out`, at most `limit` bytes and the ellipsis.
    pub fn new(out: &'s mut String, limit: usize) -> Self {
        Self { out, left: limit, full: false, is_away: false }
    }

    /// Appends nothing: for what is only to be walked through.
    pub fn away(out: &'s mut String) -> Self {
        Self { out, left: 0, full: false, is_away: true }
    }

    /// Whether something did not fit.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Where it stands, to `rewind` to.
    pub fn mark(&self) -> usize {
        self.out.len()
    }

    /// Takes back what was written since `mark`, of a text that is not full.
    pub fn rewind(&mut self, mark: usize) {
        if !self.full {
            self.left = self.left.saturating_add(self.out.len().saturating_sub(mark));
            self.out.truncate(mark);
        }
    }
}

impl Write for Limited<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if self.is_away {
            return Ok(());
        }
        if self.full {
            return Err(std::fmt::Error);
        }
        if let Some(left) = self.left.checked_sub(text.len()) {
            self.out.push_str(text);
            self.left = left;
            return Ok(());
        }
        let cut = (0..=self.left).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        self.out.push_str(text.get(..cut).unwrap_or_default());
        self.out.push('…');
        self.full = true;
        Err(std::fmt::Error)
    }
}
