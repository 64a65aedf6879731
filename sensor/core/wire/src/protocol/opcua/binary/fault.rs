//! What is wrong with bytes that do not decode, and the clause that says so.

/// Kind of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The message ends inside of a value.
    Truncated,
    /// A length or count that the bytes left cannot hold.
    LengthTooLong,
    /// A length below −1. It is read as null.
    NegativeLength,
    /// Values nested deeper than `reader::DEPTH`.
    TooDeep,
    /// More of something than this decoder takes.
    TooMany,
    /// An encoding byte, mask or type number that the specification does not define.
    UnknownEncoding,
    /// Bits of a mask that are reserved are set.
    ReservedBits,
    /// A value out of what its type allows: a Boolean other than 0 and 1, dimensions that do not multiply to the length.
    InvalidValue,
    /// A structure does not fill its stated length.
    LengthMismatch,
    /// The body's type is no service that the specification defines.
    UnknownService,
    /// Bytes are left behind the last field of a message.
    TrailingBytes,
}

impl FaultKind {
    /// The word for it in records.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::LengthTooLong => "length_too_long",
            Self::NegativeLength => "negative_length",
            Self::TooDeep => "too_deep",
            Self::TooMany => "too_many",
            Self::UnknownEncoding => "unknown_encoding",
            Self::ReservedBits => "reserved_bits",
            Self::InvalidValue => "invalid_value",
            Self::LengthMismatch => "length_mismatch",
            Self::UnknownService => "unknown_service",
            Self::TrailingBytes => "trailing_bytes",
        }
    }
}

/// Something that breaks the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// The clause that it breaks, as `OPC 10000-6, 5.2.2.4`.
    pub clause: &'static str,
    /// Offset in the bytes given to the reader.
    pub at: usize,
}

impl Fault {
    /// The word for its kind in records.
    pub fn kind(&self) -> &'static str {
        self.kind.kind()
    }
}
