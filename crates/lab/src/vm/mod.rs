//! Virtual machines for what the running kernel lacks or what needs a reboot: bonds, 802.1Q, dummy, power cuts.
//!
//! A machine is QEMU without KVM, the distribution's cloud kernel ([`Kernel`]), an initramfs made here
//! ([`Initramfs`]) with busybox, the modules asked for and one payload, and nothing else. It runs its payload about
//! four seconds after [`Vm::boot`], streams the payload's output to the host and powers off. Its network never
//! leaves QEMU.
//!
//! ```no_run
//! use lab::vm::{Initramfs, Kernel, Vm, VmSpec};
//! let kernel = Kernel::prepare()?;
//! let image = Initramfs::new(&kernel).module("dummy").command(["ip", "link", "add", "d0", "type", "dummy"]).build()?;
//! let outcome = Vm::boot(&VmSpec::new(image))?.wait()?;
//! assert_eq!(outcome.status, 0);
//! # Ok::<(), lab::vm::Error>(())
//! ```

mod cpio;
mod disk;
mod error;
mod initramfs;
mod kernel;
mod machine;
mod module;
mod monitor;
mod snapshot;
mod userland;
mod write_log;

pub use disk::Disk;
pub use error::{Error, Result};
pub use initramfs::{Image, Initramfs};
pub use kernel::Kernel;
pub use machine::{Answer, Nic, Outcome, PowerCut, Vm, VmSpec};
pub use snapshot::Snapshot;
pub use userland::Userland;
