//! The system calls that std lacks. The only module of this package with `unsafe`.
#![allow(unsafe_code)]

/// The effective user ID of this process.
pub(crate) fn effective_uid() -> u32 {
    // SAFETY: geteuid takes nothing, touches no memory and cannot fail.
    unsafe { libc::geteuid() }
}
