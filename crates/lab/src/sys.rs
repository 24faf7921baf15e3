//! The calls that Rust cannot prove safe: leaving a namespace in a thread, and entering two in a child before exec.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// Gives the calling thread a network and a mount namespace of its own, and with that its own root and directory.
pub(crate) fn leave_network_and_mounts() -> io::Result<()> {
    // SAFETY: neither flag touches the file descriptor table, which is what makes unshare unsafe; other threads keep
    // their namespaces.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS)? };
    Ok(())
}

/// Gives the calling thread a network namespace of its own.
pub(crate) fn leave_network() -> io::Result<()> {
    // SAFETY: as above, the file descriptor table stays shared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET)? };
    Ok(())
}

/// Moves the calling thread into a mount namespace, for good: it can no longer share root and directory with others.
pub(crate) fn enter_mounts(mounts: &File) -> io::Result<()> {
    // SAFETY: CLONE_FS only stops the sharing of root, directory and umask with the other threads.
    unsafe { unshare_unsafe(UnshareFlags::FS)? };
    move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount))?;
    Ok(())
}

/// Moves the calling thread into a network namespace.
pub(crate) fn enter_network(network: &File) -> io::Result<()> {
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(())
}

/// Makes `command` enter the mount and the network namespace between fork and exec.
///
/// The working directory becomes `/`: a directory of the old mount namespace cannot be kept.
pub(crate) fn enter_before_exec(command: &mut Command, mounts: File, network: File) {
    let enter = move || {
        move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount))?;
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(())
    };
    // SAFETY: between fork and exec only two system calls run, no allocation and no lock.
    unsafe { command.pre_exec(enter) };
}
