//! The host's side: build the guest, boot it, take its report.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lab::vm::{Initramfs, Kernel, Vm, VmSpec};

use crate::report::Report;

const TARGET: &str = "x86_64-unknown-linux-musl";
/// What the checks make links of.
const MODULES: [&str; 11] = [
    "8021q",
    "act_mirred",
    "bonding",
    "bridge",
    "cls_u32",
    "dummy",
    "ifb",
    "macvlan",
    "sch_ingress",
    "sch_tbf",
    "veth",
];

/// Boots one machine that runs the checks of these groups.
///
/// # Errors
/// When the machine, the guest or the plugin cannot be had, or the guest breaks off.
pub fn run(groups: &[&str]) -> Result<Report> {
    let initramfs =
        initramfs(&["llano-cni"])?.command(std::iter::once("vm-guest").chain(groups.iter().copied()));
    let mut spec = VmSpec::new(initramfs.build()?);
    spec.timeout = Duration::from_secs(300);
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
    let initramfs = Initramfs::new(&kernel).program("/bin/vm-guest", &guest()?);
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
    let mut initramfs = initramfs(&["llano", "llano-cni"])?.mount_disk("/disk");
    for directory in ["/etc/llano", "/var/lib/llano"] {
        let kept = directory.trim_start_matches('/').replace('/', "-");
        let bind = format!("mkdir -p /disk/{kept} {directory}\nmount --bind /disk/{kept} {directory}");
        initramfs = initramfs.prepare(&bind);
    }
    Ok(initramfs)
}

/// A static program of `cargo xtask dist`, or of the directory `LLANO_BIN_DIR`.
fn program(name: &str) -> Result<PathBuf> {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/dist");
    let path = std::env::var_os("LLANO_BIN_DIR").map_or(dist, PathBuf::from).join(name);
    ensure!(path.is_file(), "there is no {}: cargo xtask dist makes it", path.display());
    Ok(path)
}

/// The static guest: `LLANO_VM_GUEST`, or built now beside this very test's build.
fn guest() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("LLANO_VM_GUEST") {
        return Ok(path.into());
    }
    let test = std::env::current_exe()?;
    // TARGET_DIR/debug/deps/TEST, or TARGET_DIR/debug/PROGRAM
    let deps = test.parent().is_some_and(|directory| directory.ends_with("deps"));
    let Some(target_dir) = test.ancestors().nth(if deps { 3 } else { 2 }) else {
        bail!("{} is in no target directory", test.display())
    };
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", "vm-tests", "--bin", "vm-guest", "--target", TARGET])
        .arg("--target-dir")
        .arg(target_dir)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .context("cannot run cargo to build vm-guest")?;
    ensure!(output.status.success(), "cannot build vm-guest:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(target_dir.join(TARGET).join("debug/vm-guest"))
}
