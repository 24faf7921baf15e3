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

/// Gives the calling thread a host name of its own.
pub(crate) fn leave_host_name() -> io::Result<()> {
    // SAFETY: as above, the file descriptor table stays shared.
    unsafe { unshare_unsafe(UnshareFlags::NEWUTS)? };
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

/// Moves the calling thread into a UTS namespace.
pub(crate) fn enter_host_name(names: &File) -> io::Result<()> {
    move_into_link_name_space(names.as_fd(), Some(LinkNameSpaceType::HostNameAndNISDomainName))?;
    Ok(())
}

/// Makes `command` enter the network and, where they are given, the mount and the UTS namespace between fork and exec.
///
/// With a mount namespace the working directory becomes `/`: a directory of the old mount namespace cannot be kept.
pub(crate) fn enter_before_exec(
    command: &mut Command,
    mounts: Option<File>,
    network: File,
    names: Option<File>,
) {
    let enter = move || {
        if let Some(mounts) = &mounts {
            move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount))?;
        }
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        if let Some(names) = &names {
            move_into_link_name_space(names.as_fd(), Some(LinkNameSpaceType::HostNameAndNISDomainName))?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only these system calls run, no allocation and no lock.
    unsafe { command.pre_exec(enter) };
}
