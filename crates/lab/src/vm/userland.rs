//! Debian with systemd on a disk: what only a real init and its neighbours can show.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use super::disk::Disk;
use super::error::{Error, Result, run, spawn_error};
use super::kernel::cache_dir;

/// What is installed beside the essential packages.
const PACKAGES: [&str; 9] =
    ["systemd", "systemd-sysv", "udev", "dbus", "iproute2", "iputils-ping", "kmod", "ifupdown", "procps"];
/// Larger than the content by what a test writes.
const MEBIBYTES: u64 = 512;
/// Raised when what is made of the same packages changes.
const VERSION: u32 = 1;
const PROGRAM: &str = "mmdebstrap";

/// The cached disk. It is never booted itself; each test gets a [copy](Userland::disk).
#[derive(Debug, Clone)]
pub struct Userland {
    disk: PathBuf,
}

impl Userland {
    /// Takes it from the cache, or makes it by mmdebstrap from the distribution that the machine's own apt is set up
    /// for, which takes some 40 seconds and needs root.
    pub fn prepare() -> Result<Self> {
        Self::prepare_in(&cache_dir())
    }

    /// As [`Userland::prepare`], with the cache in `cache`.
    pub fn prepare_in(cache: &Path) -> Result<Self> {
        let release = field("VERSION_CODENAME")?;
        let key = format!("{VERSION} {release} {MEBIBYTES} {}", PACKAGES.join(" "));
        let disk = cache.join(format!("userland-{release}-{:016x}.ext4", hash(&key)));
        if !disk.is_file() {
            make(&release, cache, &disk)?;
        }
        Ok(Self { disk })
    }

    /// A copy of it at `path`, for one test to write to.
    pub fn disk(&self, path: &Path) -> Result<Disk> {
        Disk::open(&self.disk).copy(path)
    }
}

/// Makes the tree and the file system beside `disk`, then renames: the cache entry is whole or absent.
fn make(release: &str, cache: &Path, disk: &Path) -> Result<()> {
    let work = cache.join(format!(".new-userland-{}", process::id()));
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work).map_err(Error::io("create", &work))?;
    let done = tree(release, &work.join("tree")).and_then(|()| {
        let file = work.join("disk");
        Disk::create(&file, MEBIBYTES, Some(&work.join("tree")))?;
        fs::rename(&file, disk).map_err(Error::io("rename", &file))
    });
    let _ = fs::remove_dir_all(&work);
    done
}

fn tree(release: &str, directory: &Path) -> Result<()> {
    let sources = sources()?;
    let include = format!("--include={}", PACKAGES.join(","));
    let mut command = Command::new(PROGRAM);
    command
        .args(["--quiet", "--variant=minbase", "--format=directory", &include])
        .args(["--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*"])
        .args(["--dpkgopt=path-exclude=/usr/share/man/*", "--aptopt=Acquire::Languages \"none\""])
        // Nobody logs in; what is not there need not start.
        .arg("--customize-hook=rm -rf \"$1/var/cache/apt\" \"$1/var/lib/apt/lists\"")
        .arg("--customize-hook=: > \"$1/etc/machine-id\"; echo guest > \"$1/etc/hostname\"")
        .arg("--customize-hook=: > \"$1/etc/fstab\"; rm -f \"$1/etc/resolv.conf\"")
        .arg(release)
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| spawn_error(error, PROGRAM, PROGRAM))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(sources.as_bytes()).map_err(Error::io("write", PROGRAM))?;
    }
    let output = child.wait_with_output().map_err(Error::io("run", PROGRAM))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(Error::Command { command: PROGRAM.to_owned(), stderr: stderr.trim().to_owned() })
}

/// The distribution's own archives among those that apt is set up for, as lines of a sources.list.
fn sources() -> Result<String> {
    let id = field("ID")?;
    let format = "$(ORIGIN) deb $(REPO_URI) $(RELEASE) $(COMPONENT)";
    let targets = run("apt-get", "apt", ["indextargets", "--format", format, "Created-By: Packages"], None)?;
    let lines = own(&String::from_utf8_lossy(&targets), &id);
    if lines.is_empty() {
        return Err(Error::Command {
            command: "apt-get indextargets".to_owned(),
            stderr: format!("apt knows no archive of {id}; run apt-get update"),
        });
    }
    Ok(lines)
}

/// The lines whose first word is the distribution, without it, each once.
fn own(targets: &str, id: &str) -> String {
    let mut lines: Vec<&str> = targets
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(origin, _)| origin.eq_ignore_ascii_case(id))
        .map(|(_, line)| line)
        .collect();
    lines.sort_unstable();
    lines.dedup();
    lines.iter().fold(String::new(), |text, line| text + line + "\n")
}

/// A value of /etc/os-release.
fn field(key: &str) -> Result<String> {
    const FILE: &str = "/etc/os-release";
    let text = fs::read_to_string(FILE).map_err(Error::io("read", FILE))?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let value = value.ok_or_else(|| Error::Layout { package: FILE.to_owned(), what: "VERSION_CODENAME" })?;
    Ok(value.trim_matches('"').to_owned())
}

/// FNV-1a: names a cache entry, nothing more.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_distributions_own_archives_count() {
        let targets = "Debian deb http://d/ bookworm main\n\
                       Node deb http://n/ nodistro main\n\
                       Debian deb http://d/ bookworm main\n\
                       Debian deb http://s/ bookworm-security main\n";
        assert_eq!(
            own(targets, "debian"),
            "deb http://d/ bookworm main\ndeb http://s/ bookworm-security main\n"
        );
        assert_eq!(own(targets, "ubuntu"), "");
    }

    #[test]
    fn another_list_of_packages_is_another_entry() {
        assert_ne!(hash("1 bookworm systemd"), hash("1 bookworm systemd udev"));
        assert_eq!(hash(""), 0xcbf2_9ce4_8422_2325);
    }
}
