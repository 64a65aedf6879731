//! Filter expressions (pcap-filter(7)), compiled by the system's libpcap.
//!
//! Libpcap is what people know the language from, and no other compiler knows all of it. It is loaded when a filter is given and only then,
//! so that a sensor without one needs no library besides the C library.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};

use libloading::{Library, Symbol};
use wire::packet::LinkType;

use super::socket::Instruction;

/// Names of libpcap's shared library: Debian's, everybody else's.
const NAMES: [&str; 2] = ["libpcap.so.0.8", "libpcap.so.1"];
/// Most instructions that the kernel takes (`BPF_MAXINSNS`).
const INSTRUCTIONS: usize = 4096;
/// Bytes of a packet that an accepting filter passes on: all of them.
const WHOLE_PACKET: c_int = 0x40000;
/// The network's mask is not known (`PCAP_NETMASK_UNKNOWN`).
const NETMASK_UNKNOWN: c_uint = u32::MAX;

/// `struct bpf_program`.
#[repr(C)]
struct Program {
    length: c_uint,
    instructions: *mut Instruction,
}

type OpenDead = unsafe extern "C" fn(c_int, c_int) -> *mut c_void;
type Compile = unsafe extern "C" fn(*mut c_void, *mut Program, *const c_char, c_int, c_uint) -> c_int;
type Error = unsafe extern "C" fn(*mut c_void) -> *const c_char;
type Free = unsafe extern "C" fn(*mut Program);
type Close = unsafe extern "C" fn(*mut c_void);

/// The program of an expression for packets of this link type.
///
/// # Errors
/// One line: libpcap is not installed, or what it says against the expression.
pub fn compile(expression: &str, link: LinkType) -> Result<Vec<Instruction>, String> {
    if expression.split(|sign: char| !sign.is_ascii_alphanumeric()).any(|word| word == "vlan") {
        return Err(format!(
            "filter {expression:?}: VLAN tags are not there when the filter is asked. Leave `vlan` out: the rest finds tagged packets too."
        ));
    }
    let text = CString::new(expression).map_err(|_| "a filter must not contain a zero byte".to_owned())?;
    // SAFETY: libpcap's initialisers have no effect on the rest of the process.
    let library = NAMES.iter().find_map(|name| unsafe { Library::new(*name) }.ok()).ok_or_else(|| {
        "a filter needs libpcap, which is not installed. Install it (Debian: apt install libpcap0.8), or leave --filter out."
            .to_owned()
    })?;
    let missing = |error: libloading::Error| format!("libpcap cannot be used: {error}");
    // SAFETY: the types are those that pcap.h declares.
    let open: Symbol<'_, OpenDead> = unsafe { library.get(c"pcap_open_dead") }.map_err(missing)?;
    // SAFETY: as above.
    let compile: Symbol<'_, Compile> = unsafe { library.get(c"pcap_compile") }.map_err(missing)?;
    // SAFETY: as above.
    let error: Symbol<'_, Error> = unsafe { library.get(c"pcap_geterr") }.map_err(missing)?;
    // SAFETY: as above.
    let free: Symbol<'_, Free> = unsafe { library.get(c"pcap_freecode") }.map_err(missing)?;
    // SAFETY: as above.
    let close: Symbol<'_, Close> = unsafe { library.get(c"pcap_close") }.map_err(missing)?;
    // DLT_RAW is 12 where LINKTYPE_RAW is 101 (pcap-linktype(7)).
    let link = if link == LinkType::RAW { LinkType::RAW_DLT } else { link };
    // SAFETY: no pointer is passed.
    let handle = unsafe { open(c_int::from(link.0), WHOLE_PACKET) };
    if handle.is_null() {
        return Err("libpcap has no memory for a filter".to_owned());
    }
    let mut program = Program { length: 0, instructions: std::ptr::null_mut() };
    // SAFETY: handle, program and text live for the call.
    let done = unsafe { compile(handle, &raw mut program, text.as_ptr(), 1, NETMASK_UNKNOWN) };
    let result = if done == 0 {
        // SAFETY: libpcap says that so many instructions lie there; its `struct bpf_insn` and the kernel's `sock_filter` are one.
        let found = unsafe { std::slice::from_raw_parts(program.instructions, program.length as usize) }.to_vec();
        // SAFETY: the program was made by `compile` and is not used any more.
        unsafe { free(&raw mut program) };
        if found.len() > INSTRUCTIONS {
            Err(format!("filter {expression:?}: {} instructions, the kernel takes {INSTRUCTIONS}", found.len()))
        } else {
            Ok(found)
        }
    } else {
        // SAFETY: the text belongs to the handle, which is still open.
        let reason = unsafe { CStr::from_ptr(error(handle)) }.to_string_lossy().into_owned();
        Err(format!("filter {expression:?}: {reason}. See pcap-filter(7)."))
    };
    // SAFETY: the handle was opened above and is not used any more.
    unsafe { close(handle) };
    result
}
