//! Which rows of a column are null.

use arrow_buffer::{BooleanBufferBuilder, NullBuffer};

/// Validity of a column while it grows: runs of rows that are not null, so that a row behind such a one costs an addition. Nothing is built when
/// every row is valid.
#[derive(Default)]
pub(super) struct Validity {
    /// Ends of the runs in rows; the first is valid, and from there they alternate. The last run, which is valid, ends at `rows`.
    ends: Vec<usize>,
    rows: usize,
}

impl Validity {
    /// The row of this number is not null. Rows between it and the one before are.
    #[inline]
    pub fn set(&mut self, row: usize) {
        if row != self.rows {
            self.ends.extend([self.rows, row]);
        }
        self.rows = row + 1;
    }

    /// So many rows from the one of this number on are not null.
    #[inline]
    pub fn extend(&mut self, row: usize, count: usize) {
        if count > 0 {
            self.set(row);
            self.rows = row + count;
        }
    }

    /// The column starts anew.
    pub fn clear(&mut self) {
        self.ends.clear();
        self.rows = 0;
    }

    /// The validity of so many rows; the column starts anew.
    pub fn finish(&mut self, rows: usize) -> Option<NullBuffer> {
        let told = std::mem::take(&mut self.rows);
        if self.ends.is_empty() && told == rows {
            return None;
        }
        let mut bits = BooleanBufferBuilder::new(rows);
        let (mut valid, mut from) = (true, 0);
        for end in self.ends.drain(..).chain([told, rows]) {
            bits.append_n(end - from, valid);
            (valid, from) = (!valid, end);
        }
        Some(NullBuffer::new(bits.finish()))
    }
}
