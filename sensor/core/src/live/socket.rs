//! A packet socket that listens and never sends.
//!
//! It is opened for protocol 0, so that nothing arrives before it is bound to its interface with filter and ring in place; there is no
//! transmit ring (packet(7)).

use std::ffi::c_int;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::abi;
use super::interface::Interface;
use super::sharing::BY_SERVER;

/// One instruction of a packet filter (`struct sock_filter`): code, jump if true, jump if false, operand.
pub type Instruction = libc::sock_filter;

/// A filter that lets nothing through: it holds packets off until the socket is ready for them.
const NOTHING: [Instruction; 1] = [Instruction { code: 0x06, jt: 0, jf: 0, k: 0 }];

/// A packet socket.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// Opens one that receives nothing yet.
    ///
    /// # Errors
    /// The process lacks CAP_NET_RAW (`EPERM`), or the kernel has no packet sockets.
    pub fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointer is passed.
        let descriptor = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just opened and nobody else has it.
        let socket = Self(unsafe { OwnedFd::from_raw_fd(descriptor) });
        socket.filter(&NOTHING)?;
        Ok(socket)
    }

    /// Receives from this interface, promiscuously, with the adapter's own time stamps where it makes them.
    ///
    /// # Errors
    /// The interface has gone.
    pub fn bind(&self, interface: &Interface) -> io::Result<()> {
        if interface.is_loopback {
            // Every packet is seen as it is received; what is sent is the same.
            self.set(libc::SOL_PACKET, abi::PACKET_IGNORE_OUTGOING, &1_i32)?;
        }
        self.set(libc::SOL_PACKET, abi::PACKET_TIMESTAMP, &libc::SOF_TIMESTAMPING_RAW_HARDWARE)?;
        let address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: abi::ETH_P_ALL.to_be(),
            sll_ifindex: interface.index,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: the address lives for the call and its size is given.
        let bound = unsafe {
            libc::bind(self.0.as_raw_fd(), (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as libc::socklen_t)
        };
        if bound != 0 {
            return Err(io::Error::last_os_error());
        }
        let membership =
            abi::Membership { interface: interface.index, kind: abi::PACKET_MR_PROMISC, address_length: 0, address: [0; 8] };
        self.set(libc::SOL_PACKET, abi::PACKET_ADD_MEMBERSHIP, &membership)
    }

    /// Takes stamps of the system's clock from now on.
    ///
    /// # Errors
    /// The kernel refuses, which it has no cause to.
    pub fn stamp_by_system(&self) -> io::Result<()> {
        self.set(libc::SOL_PACKET, abi::PACKET_TIMESTAMP, &0_i32)
    }

    /// Shares the packets of its interface with the sockets that join the same group: all conversations of one server go to the same
    /// socket (`sharing`), fragments of IPv4 are put together before (PACKET_FANOUT_FLAG_DEFRAG). `group` None founds one. Returns the group.
    ///
    /// # Errors
    /// The group is on another interface, or there are no more group numbers.
    pub fn share(&self, group: Option<u16>) -> io::Result<u16> {
        let unique = if group.is_none() { abi::PACKET_FANOUT_FLAG_UNIQUEID } else { 0 };
        let kind = abi::PACKET_FANOUT_CBPF | abi::PACKET_FANOUT_FLAG_DEFRAG | unique;
        self.set(libc::SOL_PACKET, abi::PACKET_FANOUT, &(u32::from(group.unwrap_or(0)) | kind << 16))?;
        let told: u32 = self.get(libc::SOL_PACKET, abi::PACKET_FANOUT)?;
        if group.is_none() {
            self.set(libc::SOL_PACKET, abi::PACKET_FANOUT_DATA, &program_of(&BY_SERVER)?)?;
        }
        Ok((told & 0xffff) as u16)
    }

    /// Lets through what this filter lets through; everything where there is none.
    ///
    /// # Errors
    /// The kernel refuses the program (`EINVAL`).
    pub fn filter(&self, program: &[Instruction]) -> io::Result<()> {
        if program.is_empty() {
            return self.set(libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &0_i32);
        }
        self.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program_of(program)?)
    }

    /// What the ring has counted since the last call.
    ///
    /// # Errors
    /// There is no ring.
    pub fn statistics(&self) -> io::Result<abi::RingStatistics> {
        self.get(libc::SOL_PACKET, abi::PACKET_STATISTICS)
    }

    /// Takes the pending error off, so that waiting for the socket does not return at once for ever.
    pub fn take_error(&self) -> Option<io::Error> {
        let code: c_int = self.get(libc::SOL_SOCKET, libc::SO_ERROR).unwrap_or(0);
        (code != 0).then(|| io::Error::from_raw_os_error(code))
    }

    /// Sets an option. `T` is what the option takes, without references.
    pub(super) fn set<T>(&self, level: c_int, option: c_int, value: &T) -> io::Result<()> {
        // SAFETY: the value lives for the call and its size is given.
        let done = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                level,
                option,
                std::ptr::from_ref(value).cast(),
                size_of::<T>() as libc::socklen_t,
            )
        };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Asks for an option. `T` is made of numbers.
    fn get<T: Copy + Default>(&self, level: c_int, option: c_int) -> io::Result<T> {
        let mut value = T::default();
        let mut size = size_of::<T>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `size` bytes into the value.
        let done = unsafe { libc::getsockopt(self.0.as_raw_fd(), level, option, (&raw mut value).cast(), &raw mut size) };
        if done == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
    }
}

/// A program as the kernel takes it, which reads it and does not write it. It must not outlive the instructions.
fn program_of(instructions: &[Instruction]) -> io::Result<libc::sock_fprog> {
    let len = u16::try_from(instructions.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    Ok(libc::sock_fprog { len, filter: instructions.as_ptr().cast_mut() })
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
