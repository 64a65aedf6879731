//! Network addresses.

use std::fmt::{Display, Formatter, Result};
use std::net::Ipv6Addr;

/// A network address; IPv4 as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2). Its text is canonical (RFC 5952).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(pub u128);

impl Address {
    /// An IPv4 address.
    #[inline]
    pub const fn v4(bytes: [u8; 4]) -> Self {
        Self(0xffff_0000_0000 | u32::from_be_bytes(bytes) as u128)
    }

    /// An IPv6 address.
    #[inline]
    pub const fn v6(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// Whether it is nobody's: all zeros, of either version.
    pub const fn is_unspecified(self) -> bool {
        matches!(self.0, 0 | 0xffff_0000_0000)
    }

    /// The four bytes of an IPv4 address.
    pub const fn octets_v4(self) -> Option<[u8; 4]> {
        if self.0 >> 32 == 0xffff { Some((self.0 as u32).to_be_bytes()) } else { None }
    }
}

impl Display for Address {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        Ipv6Addr::from(self.0).to_canonical().fmt(formatter)
    }
}
