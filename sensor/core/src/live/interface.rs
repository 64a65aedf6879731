//! Network interfaces by name: whether one is there, and what its packets begin with.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use wire::packet::LinkType;

/// Longest name of an interface (`IFNAMSIZ` less its end).
pub const NAME_BYTES: usize = libc::IFNAMSIZ - 1;

/// An interface as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its number: another one when it is made anew.
    pub index: c_int,
    /// Whether it is up.
    pub is_up: bool,
    /// Whether it is the loopback, on which every packet is sent and received.
    pub is_loopback: bool,
    /// What its packets begin with; None for a kind that is not known.
    pub link: Option<LinkType>,
}

/// Looks an interface up. `socket`: any socket of the network namespace.
///
/// # Errors
/// There is none of that name (`ENODEV`).
pub fn find(socket: BorrowedFd<'_>, name: &str) -> io::Result<Interface> {
    let mut request = request(name)?;
    ask(socket, libc::SIOCGIFINDEX, &mut request)?;
    // SAFETY: SIOCGIFINDEX has filled in this member.
    let index = unsafe { request.ifr_ifru.ifru_ifindex };
    ask(socket, libc::SIOCGIFFLAGS, &mut request)?;
    // SAFETY: SIOCGIFFLAGS has filled in this member.
    let flags = c_int::from(unsafe { request.ifr_ifru.ifru_flags });
    ask(socket, libc::SIOCGIFHWADDR, &mut request)?;
    // SAFETY: SIOCGIFHWADDR has filled in this member.
    let kind = unsafe { request.ifr_ifru.ifru_hwaddr.sa_family };
    let link = match kind {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Some(LinkType::ETHERNET),
        // Tunnels without a link layer.
        libc::ARPHRD_NONE | super::abi::ARPHRD_RAWIP | libc::ARPHRD_TUNNEL | libc::ARPHRD_TUNNEL6 | libc::ARPHRD_PPP => {
            Some(LinkType::RAW)
        }
        _ => None,
    };
    Ok(Interface { index, is_up: flags & libc::IFF_UP != 0, is_loopback: flags & libc::IFF_LOOPBACK != 0, link })
}

/// The names of all interfaces, for a message.
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir("/sys/class/net")
        .map(|entries| entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

fn request(name: &str) -> io::Result<libc::ifreq> {
    if name.is_empty() || name.len() > NAME_BYTES || name.bytes().any(|byte| byte == 0) {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    // SAFETY: all of its members are numbers and addresses, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = libc::c_char::from_ne_bytes([byte]);
    }
    Ok(request)
}

fn ask(socket: BorrowedFd<'_>, what: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: these requests read the name and write one member of the structure that is lent to them.
    match unsafe { libc::ioctl(socket.as_raw_fd(), what, request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
