//! The system calls that std lacks, or that a measurement must not wrap. The only module of this package with `unsafe`.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

/// The effective user ID of this process.
pub(crate) fn effective_uid() -> u32 {
    // SAFETY: geteuid takes nothing, touches no memory and cannot fail.
    unsafe { libc::geteuid() }
}

/// Gives this process, while it has one thread, a network namespace and a mount namespace of its own.
/// What is mounted from here on is seen by nobody else and goes with the process.
pub(crate) fn own_namespaces() -> Result<()> {
    // SAFETY: unshare takes flags only.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS) })?;
    // SAFETY: the target is a NUL-terminated string; source, type and data may be null for a change of propagation.
    check(unsafe {
        libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), libc::MS_REC | libc::MS_PRIVATE, ptr::null())
    })
}

/// Mounts an empty tmpfs.
pub(crate) fn mount_tmpfs(target: &CStr) -> Result<()> {
    // SAFETY: all strings are NUL-terminated and live over the call; tmpfs takes null data.
    check(unsafe { libc::mount(c"tmpfs".as_ptr(), target.as_ptr(), c"tmpfs".as_ptr(), 0, ptr::null()) })
}

/// The kernel's number for the type of the file system at a path (`TMPFS_MAGIC`, …).
pub(crate) fn file_system(path: &CStr) -> Result<i64> {
    // SAFETY: statfs is plain numbers, for which all zeroes is a value; the path is NUL-terminated.
    unsafe {
        let mut buffer: libc::statfs = std::mem::zeroed();
        check(libc::statfs(path.as_ptr(), &mut buffer))?;
        Ok(buffer.f_type)
    }
}

/// The type number of tmpfs.
pub(crate) const TMPFS: i64 = libc::TMPFS_MAGIC;

/// A pipe: read end, write end, both closed on exec.
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the array has room for the two descriptors, which are ours alone after success.
    unsafe {
        check(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC))?;
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}

/// Argument and environment vectors, ready for exec.
pub(crate) struct Words {
    /// Owns what `pointers` points to: the heap part of a `CString` does not move with it.
    _strings: Vec<CString>,
    pointers: Vec<*mut libc::c_char>,
}

impl Words {
    pub(crate) fn new(words: impl IntoIterator<Item = String>) -> Result<Self> {
        let strings = words.into_iter().map(CString::new).collect::<std::result::Result<Vec<_>, _>>()?;
        let pointers = strings.iter().map(|word| word.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect();
        Ok(Self { _strings: strings, pointers })
    }
}

/// Starts a program with the given standard input and output; this process waits only until the exec (vfork).
pub(crate) fn spawn(
    path: &CStr,
    argv: &Words,
    envp: &Words,
    stdin: &OwnedFd,
    stdout: &OwnedFd,
) -> Result<i32> {
    let mut pid = 0;
    // SAFETY: the file actions are initialised before use and destroyed after it; path, argv and envp are
    // NUL-terminated, the vectors null-terminated, and all live over the call, which does not write to them.
    let status = unsafe {
        let mut actions: libc::posix_spawn_file_actions_t = std::mem::zeroed();
        let mut status = libc::posix_spawn_file_actions_init(&mut actions);
        if status == 0 {
            status = libc::posix_spawn_file_actions_adddup2(&mut actions, stdin.as_raw_fd(), 0);
        }
        if status == 0 {
            status = libc::posix_spawn_file_actions_adddup2(&mut actions, stdout.as_raw_fd(), 1);
        }
        if status == 0 {
            status = libc::posix_spawn(
                &mut pid,
                path.as_ptr(),
                &actions,
                ptr::null(),
                argv.pointers.as_ptr(),
                envp.pointers.as_ptr(),
            );
        }
        libc::posix_spawn_file_actions_destroy(&mut actions);
        status
    };
    if status == 0 { Ok(pid) } else { Err(Error::from_raw_os_error(status)) }
}

/// How a child ended.
pub(crate) struct Ended {
    pub(crate) pid: i32,
    /// Zero, or what went wrong in words.
    pub(crate) failure: Option<String>,
}

/// Waits for one child, or for any with `-1`.
pub(crate) fn wait(pid: i32) -> Result<Ended> {
    let mut status = 0;
    // SAFETY: status is valid for writing over the call.
    let pid = unsafe { libc::waitpid(pid, &mut status, 0) };
    if pid < 0 {
        return Err(Error::last_os_error());
    }
    let failure = if libc::WIFEXITED(status) {
        let code = libc::WEXITSTATUS(status);
        (code != 0).then(|| format!("exit code {code}"))
    } else {
        Some(format!("signal {}", libc::WTERMSIG(status)))
    };
    Ok(Ended { pid, failure })
}

fn check(result: i32) -> Result<()> {
    if result < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}
