//! What the tasks need from outside the checkout: the one place where something gets installed.
//!
//! Everything here looks first, says what it installs and why, and is silent and quick when nothing is missing.
//! Programs that apt does not have go to `~/.cache/llano` under their version, never into the system.

use crate::{run, sys};
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a package is needed for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Job {
    /// The static programs.
    Dist,
    Demo,
    Netns,
    Conformance,
    Vm,
    Fuzz,
    Bench,
    Cluster,
}

struct Apt {
    package: &'static str,
    /// The package is there when this is: an absolute path, or the name of a program.
    sign: &'static str,
    jobs: &'static [Job],
    why: &'static str,
}

const fn apt_row(package: &'static str, sign: &'static str, jobs: &'static [Job], why: &'static str) -> Apt {
    Apt { package, sign, jobs, why }
}

/// The packages of Debian 12 and later, and of Ubuntu 22.04 and later.
const PACKAGES: &[Apt] = {
    use Job::{Bench, Cluster, Conformance, Demo, Dist, Fuzz, Netns, Vm};
    &[
        apt_row(
            "musl-tools",
            "musl-gcc",
            &[Dist],
            "compiles the C in ring, of which TLS is made, for static programs",
        ),
        apt_row(
            "iproute2",
            "ip",
            &[Demo, Netns, Conformance, Bench, Cluster],
            "ip: what tests compare our netlink with",
        ),
        apt_row(
            "iputils-ping",
            "ping",
            &[Demo, Netns, Conformance, Cluster],
            "ping: the connectivity matrix",
        ),
        apt_row("strace", "strace", &[Netns, Bench], "kills the plugin at every system call; counts calls"),
        apt_row("tcpdump", "tcpdump", &[Netns], "captures on the lab's LAN"),
        apt_row("dnsmasq-base", "dnsmasq", &[Netns], "a DHCP server to test against"),
        apt_row("prometheus", "promtool", &[Netns], "promtool: tests the alert rules"),
        apt_row("kea-dhcp4-server", "kea-dhcp4", &[Netns], "a second DHCPv4 server to test against"),
        apt_row("kea-dhcp6-server", "kea-dhcp6", &[Netns], "a DHCPv6 server to test against"),
        apt_row(
            "containernetworking-plugins",
            "/usr/lib/cni/host-local",
            &[Netns, Conformance, Bench, Cluster],
            "the reference plugins: interoperation and comparison",
        ),
        apt_row(
            "containerd",
            "containerd",
            &[Netns, Conformance, Cluster],
            "real containers with `ctr --cni`",
        ),
        apt_row("runc", "runc", &[Netns, Conformance, Cluster], "runs containerd's containers"),
        apt_row("podman", "podman", &[Conformance], "real containers with the CNI backend of podman 4"),
        apt_row(
            "systemd",
            "systemd-socket-activate",
            &[Netns],
            "starts the DHCP daemon the way a systemd socket does; networkd beside llano host",
        ),
        apt_row("dbus-daemon", "dbus-daemon", &[Netns], "the bus on which networkd is told to reload"),
        apt_row(
            "busybox-static",
            // The dynamic busybox has the same program.
            "/var/lib/dpkg/info/busybox-static.list",
            &[Demo, Netns, Conformance, Vm, Cluster],
            "the containers' and the VM's only program",
        ),
        apt_row("qemu-system-x86", "qemu-system-x86_64", &[Vm, Bench], "the virtual machine (no KVM needed)"),
        apt_row("xz-utils", "xz", &[Vm, Bench], "unpacks the kernel package's modules"),
        apt_row("mmdebstrap", "mmdebstrap", &[Vm, Bench], "makes the VM's userland with systemd"),
        apt_row("e2fsprogs", "/usr/sbin/mke2fs", &[Vm, Bench], "makes the VM's disks"),
        apt_row("etcd-server", "etcd", &[Cluster], "the cluster's store"),
        apt_row("etcd-client", "etcdctl", &[Cluster], "looks into the cluster's store"),
        apt_row("nftables", "nft", &[Cluster], "kube-proxy's and flannel's rules"),
        apt_row("conntrack", "conntrack", &[Cluster], "kube-proxy forgets ended connections with it"),
        apt_row("iptables", "iptables", &[Cluster], "what the primary network's portmap runs on a node"),
        apt_row("curl", "curl", &[Cluster], "asks agents and kubelets how they are"),
        apt_row("g++", "g++", &[Fuzz], "compiles libFuzzer"),
    ]
};

/// Installs the apt packages that the jobs need and this machine lacks.
pub(crate) fn apt(jobs: &[Job]) -> Result<()> {
    if missing(jobs).is_empty() {
        return Ok(());
    }
    let _lock = lock(&run::cache_dir()?.join("apt"))?;
    install(&missing(jobs).iter().map(|row| (row.package, row.why)).collect::<Vec<_>>())
}

/// The packages that are not there.
fn missing(jobs: &[Job]) -> Vec<&'static Apt> {
    PACKAGES
        .iter()
        .filter(|row| row.jobs.iter().any(|job| jobs.contains(job)))
        .filter(|row| {
            if row.sign.starts_with('/') {
                !Path::new(row.sign).exists()
            } else {
                run::find_program(row.sign).is_none()
            }
        })
        .collect()
}

fn install(missing: &[(&str, &str)]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("missing on this machine, to be installed with apt-get:");
    for (package, why) in missing {
        eprintln!("  {package:<28} {why}");
    }
    let names: Vec<&str> = missing.iter().map(|(package, _)| *package).collect();
    if run::find_program("apt-get").is_none() {
        bail!("this machine has no apt-get; install by its own means: {}", names.join(" "));
    }
    if let Err(error) = run::step(&mut root_command("apt-get", &["update", "-qq"], &[])?) {
        eprintln!("warning: {error:#}; trying with the lists that are here");
    }
    let mut words =
        vec!["DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", "--no-install-recommends"];
    // Somebody else may be installing just now.
    words.extend(["-o", "DPkg::Lock::Timeout=900"]);
    words.extend(&names);
    run::step(&mut root_command("env", &words, &[])?)
}

/// True when this process may do everything.
pub(crate) fn is_root() -> bool {
    sys::effective_uid() == 0
}

/// A command that runs as root: as it is when we are root, through sudo otherwise, keeping the named variables.
pub(crate) fn root_command(program: impl AsRef<OsStr>, args: &[&str], keep: &[&str]) -> Result<Command> {
    if is_root() {
        return run::command(program, args);
    }
    let Some(sudo) = run::find_program("sudo") else {
        bail!("`{}` needs root and there is no sudo: run this as root", program.as_ref().to_string_lossy());
    };
    let mut command = run::command(sudo, &[])?;
    if !keep.is_empty() {
        command.arg(format!("--preserve-env={}", keep.join(",")));
    }
    command.arg(program.as_ref()).args(args);
    Ok(command)
}

/// Makes a compilation target of the toolchain present.
pub(crate) fn rust_target(target: &str) -> Result<()> {
    if sysroot()?.join("lib/rustlib").join(target).join("lib").is_dir() {
        return Ok(());
    }
    if run::find_program("rustup").is_none() {
        bail!("the Rust target {target} is missing and there is no rustup to add it");
    }
    eprintln!("missing: the Rust target {target} (static programs); adding it with rustup");
    run::step(&mut run::command("rustup", &["target", "add", target])?)
}

/// Makes the standard library's source present.
pub(crate) fn rust_source() -> Result<()> {
    if sysroot()?.join("lib/rustlib/src/rust/library/std").is_dir() {
        return Ok(());
    }
    if run::find_program("rustup").is_none() {
        bail!("the Rust component rust-src is missing and there is no rustup to add it");
    }
    eprintln!(
        "missing: the Rust component rust-src (a small standard library for the plugin); adding it with rustup"
    );
    run::step(&mut run::command("rustup", &["component", "add", "rust-src"])?)
}

/// The toolchain's directory; from rustup's variables when they are set, which saves starting `rustc`.
fn sysroot() -> Result<PathBuf> {
    if let Some(toolchain) = std::env::var_os("RUSTUP_TOOLCHAIN") {
        let home = std::env::var_os("RUSTUP_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".rustup")));
        if let Some(dir) = home.map(|home| home.join("toolchains").join(toolchain)).filter(|dir| dir.is_dir())
        {
            return Ok(dir);
        }
    }
    Ok(PathBuf::from(run::output(&mut run::command("rustc", &["--print", "sysroot"])?)?.trim()))
}

/// Makes a component (clippy, rustfmt) present: the program it brings is looked for in the toolchain.
pub(crate) fn rust_component(component: &str, program: &str) -> Result<()> {
    if sysroot()?.join("bin").join(program).is_file() {
        return Ok(());
    }
    if run::find_program("rustup").is_none() {
        bail!("{program} is missing and there is no rustup to add it");
    }
    eprintln!("missing: {component}; adding it with rustup");
    run::step(&mut run::command("rustup", &["component", "add", component])?)
}

/// Makes a nightly toolchain present: only fuzzing needs it, for the sanitizer.
pub(crate) fn nightly() -> Result<()> {
    if run::find_program("rustup").is_none() {
        bail!("fuzzing needs a nightly toolchain and there is no rustup to install it");
    }
    let installed = run::output(&mut run::command("rustup", &["toolchain", "list"])?)?;
    if installed.lines().any(|line| line.starts_with("nightly")) {
        return Ok(());
    }
    eprintln!("missing: a nightly toolchain (cargo-fuzz needs its sanitizer); installing it with rustup");
    run::step(&mut run::command("rustup", &["toolchain", "install", "nightly", "--profile", "minimal"])?)
}

/// Holds the making of a file or directory in the cache for this process; waits while another makes it.
pub(crate) fn lock(made: &Path) -> Result<File> {
    let mut name = made.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    if file.try_lock().is_err() {
        eprintln!("another process makes {}; waiting for it", made.display());
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(file)
}

/// A cargo tool of a fixed version, built from its lock file into the cache; returns the program.
pub(crate) fn cargo_tool(name: &str, version: &str, why: &str) -> Result<PathBuf> {
    let root = run::cache_dir()?.join("tools").join(format!("{name}-{version}"));
    let program = root.join("bin").join(name);
    if program.is_file() {
        return Ok(program);
    }
    let _lock = lock(&root)?;
    if program.is_file() {
        return Ok(program);
    }
    eprintln!("missing: {name} {version} ({why}); building it into {}", root.display());
    // Without optimisation: it runs for a second and would compile for minutes.
    let mut command = run::cargo(&["install", "--quiet", "--locked", "--debug", name, "--version", version])?;
    command.arg("--root").arg(&root).env_remove("CARGO_TARGET_DIR");
    run::step(&mut command)?;
    Ok(program)
}

/// One version of a Go module and the programs of it that we use.
pub(crate) struct GoModule {
    /// Directory name in the cache: name and version.
    name: &'static str,
    version: &'static str,
    packages: &'static [&'static str],
    why: &'static str,
}

/// The newest reference plugins; Debian's are years older.
pub(crate) const REFERENCE_PLUGINS: GoModule = GoModule {
    name: "plugins",
    version: "v1.9.1",
    packages: &[
        "github.com/containernetworking/plugins/plugins/main/macvlan",
        "github.com/containernetworking/plugins/plugins/main/vlan",
        "github.com/containernetworking/plugins/plugins/main/loopback",
        "github.com/containernetworking/plugins/plugins/ipam/host-local",
        "github.com/containernetworking/plugins/plugins/ipam/static",
        "github.com/containernetworking/plugins/plugins/ipam/dhcp",
        "github.com/containernetworking/plugins/plugins/meta/tuning",
        "github.com/containernetworking/plugins/plugins/meta/sbr",
        "github.com/containernetworking/plugins/plugins/meta/bandwidth",
    ],
    why: "the reference plugins at their newest: comparison and interoperation",
};

/// The CNI project's own caller of plugins.
pub(crate) const CNITOOL: GoModule = GoModule {
    name: "cnitool",
    version: "v1.3.0",
    packages: &["github.com/containernetworking/cni/cnitool"],
    why: "the CNI project's own tool: our plugin as a runtime calls it",
};

/// Oldest Go that builds the modules above.
const GO_AT_LEAST: (u32, u32) = (1, 24);

impl GoModule {
    /// `plugins v1.9.1`
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

/// Builds what is missing of a Go module by name and version; returns the directory with its programs.
pub(crate) fn go_module(module: &GoModule) -> Result<PathBuf> {
    let dir = run::cache_dir()?.join("go").join(format!("{}-{}", module.name, module.version));
    let missing = || -> Vec<&str> {
        let is_missing =
            |package: &&&str| package.rsplit('/').next().is_some_and(|program| !dir.join(program).is_file());
        module.packages.iter().filter(is_missing).copied().collect()
    };
    if missing().is_empty() {
        return Ok(dir);
    }
    let _lock = lock(&dir)?;
    let missing = missing();
    if missing.is_empty() {
        return Ok(dir);
    }
    let go = go()?;
    eprintln!("missing: {} ({}); building into {}", module.title(), module.why, dir.display());
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let mut command = run::command(go, &["install"])?;
    command.args(missing.iter().map(|package| format!("{package}@{}", module.version)));
    // Static, as the project's own releases are.
    command.env("GOBIN", &dir).env("CGO_ENABLED", "0");
    run::step(&mut command)?;
    Ok(dir)
}

/// A Go that is new enough: the one that is here, else Debian's.
pub(crate) fn go() -> Result<PathBuf> {
    if run::find_program("go").is_none() {
        install(&[(
            "golang-go",
            "builds the reference plugins and cnitool, which apt has only in old versions",
        )])?;
    }
    let go = run::find_program("go").context("golang-go was installed, yet there is no `go` in PATH")?;
    let said = run::output(&mut run::command(&go, &["version"])?)?;
    let (major, minor) = GO_AT_LEAST;
    match go_version(&said) {
        Some(version) if version >= GO_AT_LEAST => Ok(go),
        _ => bail!(
            "{} is too old ({}): the reference plugins need Go {major}.{minor} or newer. Put a newer one first in PATH \
             (https://go.dev/dl, or `apt-get install -t {{codename}}-backports golang-go`), or leave this tier out with --without",
            go.display(),
            said.trim()
        ),
    }
}

/// `go version go1.26.8 linux/amd64` → (1, 26)
fn go_version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.split_whitespace().nth(2)?.strip_prefix("go")?.split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor: String = numbers.next()?.chars().take_while(char::is_ascii_digit).collect();
    Some((major, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_versions_are_read_and_compared_as_numbers() {
        assert_eq!(go_version("go version go1.26.8 linux/amd64"), Some((1, 26)));
        assert_eq!(go_version("go version go1.24rc1 linux/amd64"), Some((1, 24)));
        assert_eq!(go_version("go version devel linux/amd64"), None);
        assert!(go_version("go version go1.9.7 linux/amd64") < Some(GO_AT_LEAST));
    }

    #[test]
    fn every_package_has_a_sign_a_job_and_a_reason() {
        for row in PACKAGES {
            assert!(!row.sign.is_empty() && !row.jobs.is_empty() && !row.why.is_empty(), "{}", row.package);
        }
    }
}
