//! The host's side: build the guest, boot it, take its report.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::vm::{Disk, Initramfs, Kernel, Nic, Snapshot, Vm, VmSpec};

use crate::checks::names;
use crate::guest::Guest;
use crate::random::seed;
use crate::report::Report;

/// What the checks make links of, and the file system of a lab's nodes.
const MODULES: [&str; 13] = [
    "8021q",
    "act_mirred",
    "bonding",
    "bridge",
    "cls_u32",
    "dummy",
    "ifb",
    "macvlan",
    "macvtap",
    "overlay",
    "sch_ingress",
    "sch_tbf",
    "veth",
];

/// One machine that serves all tests of a program: each test looks at a group of the checks that ran in it.
#[derive(Debug)]
pub struct Shared {
    programs: &'static [&'static str],
    groups: &'static [&'static str],
    report: OnceLock<Result<Report, String>>,
}

impl Shared {
    /// One with these programs, for these groups; it boots with the first test.
    #[must_use]
    pub const fn new(programs: &'static [&'static str], groups: &'static [&'static str]) -> Self {
        Self { programs, groups, report: OnceLock::new() }
    }

    /// Asserts that every check of a group was ok, once.
    ///
    /// # Panics
    /// When one was not, when there is no such group, or when the machine cannot be had.
    pub fn assert_group(&self, group: &str) {
        let run = || run(self.programs, self.groups).map_err(|error| format!("{error:#}"));
        match self.report.get_or_init(run) {
            Ok(report) => {
                let (names, faults) = (names(group), report.faults(names(group)));
                assert!(!names.is_empty(), "no group {group}");
                assert!(faults.is_empty(), "{}\n\nthe guest said:\n{}", faults.join("\n"), report.text());
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Boots one machine that runs the checks of these groups, with the programs that they need.
///
/// # Errors
/// When the machine, the guest or the plugin cannot be had, or the guest breaks off.
fn run(programs: &[&str], groups: &[&str]) -> Result<Report> {
    // The guest's clock and environment are its own.
    let seed = format!("LLANO_SEED={}", seed("in the machine"));
    let command = ["env", &seed, "vm-guest"].into_iter().chain(groups.iter().copied());
    let initramfs = initramfs(programs)?.command(command);
    let mut spec = VmSpec::new(initramfs.build()?);
    // Three minutes on an idle machine; others may run beside.
    spec.timeout = Duration::from_secs(900);
    let outcome = Vm::boot(&spec)?.wait()?;
    let report = Report::new(outcome.lines);
    ensure!(outcome.status == 0, "the guest ended with status {}:\n{}", outcome.status, report.text());
    Ok(report)
}

/// An initramfs with the guest's side, these programs of ours in `/bin`, the plugin in `/plugins` as well when it is
/// among them, and every module that a test makes links of.
///
/// # Errors
/// When the kernel, the guest or a program cannot be had.
pub fn initramfs(programs: &[&str]) -> Result<Initramfs> {
    let kernel = Kernel::prepare().context("the vm tier cannot run here")?;
    let mut initramfs = Initramfs::new(&kernel).program("/bin/vm-guest", &guest()?);
    for library in libraries()? {
        initramfs = initramfs.library(&library);
    }
    let mut initramfs = programs_in(initramfs, "/bin", programs)?;
    for name in programs {
        if *name == "llano-cni" {
            for kind in lab::TYPES {
                initramfs = initramfs.symlink(&format!("/plugins/{kind}"), "/bin/llano-cni");
            }
        }
    }
    for module in MODULES {
        initramfs = initramfs.module(module);
    }
    Ok(initramfs)
}

/// Puts programs of ours into a directory.
///
/// # Errors
/// When one was not built.
pub fn programs_in(mut initramfs: Initramfs, directory: &str, programs: &[&str]) -> Result<Initramfs> {
    for name in programs {
        initramfs = initramfs.program(&format!("{directory}/{name}"), &program(name)?);
    }
    Ok(initramfs)
}

/// A machine that is a host under our own init: `llano` and the plugin, and on its disk what a host keeps.
///
/// # Errors
/// As [`initramfs`].
pub fn host_image() -> Result<Initramfs> {
    Ok(initramfs(&["llano", "llano-cni"])?.mount_disk("/disk").prepare(KEPT))
}

/// A shell command that prints what tells a boot from all others.
pub const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id";

/// Where a host keeps things, on the disk.
const KEPT: &str = "for directory in /etc/llano /var/lib/llano; do
mkdir -p /disk$directory $directory
mount --bind /disk$directory $directory
done";

/// What has just booted and waits for its disk: [`resume`] gives it one.
///
/// # Errors
/// As [`initramfs`], and when the machine does not boot.
pub fn snapshot(nics: Vec<Nic>, disk: &Disk) -> Result<Snapshot> {
    let image = initramfs(&["llano", "llano-cni"])?.later("virtio_blk").jobs().build()?;
    let mut spec = VmSpec::new(image);
    (spec.nics, spec.disks) = (nics, vec![disk.clone()]);
    Ok(Snapshot::take(&spec)?)
}

/// A machine as after a boot, with this disk at `/disk` and what a host keeps on it. Its kernel has not seen the disk
/// before, so nothing of it can be in memory. The identity of its boot and all other random numbers are its own.
///
/// # Errors
/// When it cannot be had, or the disk cannot be mounted.
pub fn resume(snapshot: &Snapshot, disk: Disk) -> Result<Guest> {
    let mut guest = Guest::new(snapshot.resume(vec![disk])?);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let reseed = crate::reseed::command()?;
    guest.ok(&format!(
        "set -e
         {reseed}
         date -s @{now} >/dev/null
         insmod /lib/modules/virtio_blk.ko
         mkdir -p /disk
         mount -t ext4 /dev/vda /disk
         {KEPT}"
    ))?;
    Ok(guest)
}

/// A static program of `cargo xtask dist`, or of the directory `LLANO_BIN_DIR`.
fn program(name: &str) -> Result<PathBuf> {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/dist");
    let path = std::env::var_os("LLANO_BIN_DIR").map_or(dist, PathBuf::from).join(name);
    ensure!(path.is_file(), "there is no {}: cargo xtask dist makes it", path.display());
    Ok(path)
}

/// The guest, which cargo builds with this package's tests: beside this program, or above `deps`, where tests are.
fn guest() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let path = program.ancestors().skip(1).find(|directory| !directory.ends_with("deps"));
    let path = path.context("a program in no directory")?.join("vm-guest");
    ensure!(path.is_file(), "there is no {}", path.display());
    Ok(path)
}

/// The shared libraries that this program has, which are those of the guest.
fn libraries() -> Result<BTreeSet<PathBuf>> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let files = maps.lines().filter_map(|line| line.split_ascii_whitespace().nth(5));
    Ok(files.filter(|file| file.contains(".so")).map(PathBuf::from).collect())
}
