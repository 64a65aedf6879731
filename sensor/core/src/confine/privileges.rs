//! User and capabilities (capabilities(7)). CAP_NET_RAW alone is kept, so that an interface which comes back can be opened again.

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_keep_capabilities, set_no_new_privs,
};

/// What is kept where it was had.
const KEPT: CapabilitySet = CapabilitySet::NET_RAW;

/// Gives up everything but `KEPT`; becomes this user and group. To be called before other threads that are to keep it are started: they get
/// what this one has. Threads that run already follow the user, and lose all capabilities where that is another one.
///
/// # Errors
/// The system refuses: only root may become another user.
pub fn drop(user_and_group: Option<(u32, u32)>) -> io::Result<()> {
    let had = capabilities(None)?;
    if had.effective.contains(CapabilitySet::SETPCAP) {
        for capability in CapabilitySet::all().difference(KEPT).iter() {
            // One that this kernel does not know is not had either.
            let _ = remove_capability_from_bounding_set(capability);
        }
    }
    if let Some((user, group)) = user_and_group {
        set_keep_capabilities(true)?;
        // SAFETY: no pointer is read, the list is empty. The C library changes all threads.
        done(unsafe { libc::setgroups(0, std::ptr::null()) })?;
        // SAFETY: no pointer is passed.
        done(unsafe { libc::setresgid(group, group, group) })?;
        // SAFETY: no pointer is passed.
        done(unsafe { libc::setresuid(user, user, user) })?;
        set_keep_capabilities(false)?;
    }
    // Linux before 4.3 has no ambient set.
    let _ = clear_ambient_capability_set();
    let kept = had.permitted.intersection(KEPT);
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() })?;
    set_no_new_privs(true)?;
    Ok(())
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
