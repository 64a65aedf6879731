//! The system calls that a recording sensor may make (seccomp(2)): files, memory, threads, time, and packet sockets that only listen.
//!
//! The list was found by tracing runs, and holds the names under which the C library asks other kernels for the same. What is not on it
//! fails with EPERM and does not end the process: a library that asks for something in vain goes on without it.

use std::collections::BTreeMap;

use libc::{c_long, c_ulong};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Is, SeccompCondition as Condition,
    SeccompFilter, SeccompRule as Rule, TargetArch,
};

/// Calls that are allowed whatever their arguments.
const ALLOWED: &[c_long] = &[
    // Files, of which the user's rights and the service's name space decide which.
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fadvise64,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_copy_file_range,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_utimensat,
    libc::SYS_umask,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    // Waiting.
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_restart_syscall,
    // Memory.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_mincore,
    libc::SYS_brk,
    libc::SYS_membarrier,
    // Threads and signals.
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_sigsuspend,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // What the process is, and when.
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getgroups,
    libc::SYS_getrusage,
    libc::SYS_prlimit64,
    libc::SYS_getrlimit,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_times,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    // Asks how right the clock is; setting it takes a capability.
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    // Packet sockets, which `socket` lets through.
    libc::SYS_bind,
    libc::SYS_getsockopt,
    libc::SYS_getsockname,
];

/// The same by their older names, which newer processors do not have.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_getdents,
    libc::SYS_rename,
    libc::SYS_unlink,
    libc::SYS_rmdir,
    libc::SYS_mkdir,
    libc::SYS_chmod,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// What may be asked of a device or socket: which interface has a name, whether a file is a terminal, whether a descriptor is inherited.
const REQUESTS: &[libc::Ioctl] = &[
    libc::SIOCGIFINDEX,
    libc::SIOCGIFFLAGS,
    libc::SIOCGIFHWADDR,
    libc::TCGETS,
    libc::TIOCGWINSZ,
    libc::FIOCLEX,
    libc::FIONCLEX,
    libc::FIONBIO,
    libc::FIONREAD,
];

/// `PR_SET_VMA`, by which allocators name their memory.
const PR_SET_VMA: u64 = 0x5356_4d41;
/// Option of a packet socket that would make a transmit ring.
const PACKET_TX_RING: u64 = 13;

/// Restricts all threads, now and later.
///
/// # Errors
/// One line: the kernel has no seccomp, or the processor is not one that is known.
pub fn restrict() -> Result<(), String> {
    let text = |error: BackendError| error.to_string();
    let target: TargetArch = std::env::consts::ARCH.try_into().map_err(text)?;
    // The arguments of clone3 lie in memory, which a filter cannot read. As if the kernel did not have it, the C library takes clone.
    let no_clone3 = SeccompFilter::new(
        BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS as u32),
        target,
    )
    .map_err(text)?;
    let only_these =
        SeccompFilter::new(rules().map_err(text)?, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow, target)
            .map_err(text)?;
    // Of two filters that do not agree the stricter one holds.
    for filter in [no_clone3, only_these] {
        let program: BpfProgram = filter.try_into().map_err(text)?;
        seccompiler::apply_filter_all_threads(&program).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn rules() -> Result<BTreeMap<c_long, Vec<Rule>>, BackendError> {
    let mut rules: BTreeMap<c_long, Vec<Rule>> = ALLOWED.iter().chain(OLDER).map(|call| (*call, Vec::new())).collect();
    let word = |argument: u8, is: Is, value: u64| Condition::new(argument, Length::Dword, is, value);
    let one = |condition: Condition| Rule::new(vec![condition]);
    // Threads, not processes.
    let thread = libc::CLONE_THREAD as u64;
    rules.insert(libc::SYS_clone, vec![one(word(0, Is::MaskedEq(thread), thread)?)?]);
    rules.insert(libc::SYS_socket, vec![one(word(0, Is::Eq, libc::AF_PACKET as u64)?)?]);
    let is_packet = word(1, Is::Eq, libc::SOL_PACKET as u64)?;
    rules.insert(
        libc::SYS_setsockopt,
        vec![one(word(1, Is::Eq, libc::SOL_SOCKET as u64)?)?, Rule::new(vec![is_packet, word(2, Is::Ne, PACKET_TX_RING)?])?],
    );
    let requests = REQUESTS.iter().map(|request| one(word(1, Is::Eq, c_ulong::from(*request))?));
    rules.insert(libc::SYS_ioctl, requests.collect::<Result<_, _>>()?);
    let names =
        [libc::PR_SET_NAME as u64, libc::PR_GET_NAME as u64, PR_SET_VMA].into_iter().map(|what| one(word(0, Is::Eq, what)?));
    rules.insert(libc::SYS_prctl, names.collect::<Result<_, _>>()?);
    // A thread may signal its own process: aborting does.
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_tgkill, vec![one(word(0, Is::Eq, own)?)?]);
    Ok(rules)
}
