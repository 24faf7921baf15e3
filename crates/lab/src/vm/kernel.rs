//! The distribution's own kernel, fetched as a package and unpacked into a cache; nothing is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::time::SystemTime;

use super::error::{Error, Result, run};

/// Packages that depend on the newest kernel made for virtual machines: Debian's, then Ubuntu's.
const META_PACKAGES: [&str; 2] = ["linux-image-cloud-amd64", "linux-image-virtual"];

/// A kernel on disk with its modules.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// Release as `uname -r` gives it, for example `6.1.0-56-cloud-amd64`.
    pub release: String,
    /// The bootable image.
    pub image: PathBuf,
    /// `lib/modules/<release>`.
    pub modules: PathBuf,
}

/// Where kernels and userlands are kept.
pub(super) fn cache_dir() -> PathBuf {
    std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("llano/vm")
}

/// A kernel package by its name, and the version of what led to it: the two name a cache entry.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Package {
    name: String,
    version: String,
}

impl Kernel {
    /// The newest kernel for virtual machines that the distribution offers, from `~/.cache/llano/vm` (or under
    /// `$XDG_CACHE_HOME`) when it is there, else fetched by apt. Without a network or package lists the newest
    /// kernel of the cache is taken.
    pub fn prepare() -> Result<Self> {
        Self::prepare_in(&cache_dir())
    }

    /// As [`Kernel::prepare`], with the cache in `cache`.
    pub fn prepare_in(cache: &Path) -> Result<Self> {
        let wanted = wanted().and_then(|package| {
            let home = cache.join(format!("{}_{}", package.name, package.version));
            if !home.is_dir() {
                fetch(&package, cache, &home)?;
            }
            Self::read(&home)
        });
        wanted.or_else(|error| newest(cache).map_or(Err(error), |home| Self::read(&home)))
    }

    /// Reads an unpacked package.
    fn read(home: &Path) -> Result<Self> {
        let layout = |what| Error::Layout { package: home.display().to_string(), what };
        let image = entries(&home.join("boot"))?
            .into_iter()
            .find(|path| name(path).starts_with("vmlinuz-"))
            .ok_or_else(|| layout("boot/vmlinuz"))?;
        let release = name(&image).trim_start_matches("vmlinuz-").to_owned();
        let modules = home.join("lib/modules").join(&release);
        if !modules.is_dir() {
            return Err(layout("lib/modules"));
        }
        Ok(Self { release, image, modules })
    }
}

/// The kernel package that a meta package depends on, by its exact name.
fn wanted() -> Result<Package> {
    for meta in META_PACKAGES {
        match run("apt-cache", "apt", ["show", "--no-all-versions", meta], None) {
            Ok(shown) => {
                if let Some(package) = image_of(&String::from_utf8_lossy(&shown)) {
                    return Ok(package);
                }
            }
            Err(Error::Command { .. }) => {} // the distribution has no such package
            Err(other) => return Err(other),
        }
    }
    Err(Error::NoKernel { tried: META_PACKAGES.join(", ") })
}

/// The first dependency that is a kernel image with a version in its name.
fn image_of(meta: &str) -> Option<Package> {
    let is_image = |name: &str| {
        name.strip_prefix("linux-image-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    // `Depends: linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2), …`
    let depends = field(meta, "Depends")?;
    let mut names = depends.split([',', '|']).filter_map(|dependency| dependency.split_whitespace().next());
    Some(Package { name: names.find(|name| is_image(name))?.to_owned(), version: field(meta, "Version")? })
}

/// The value of a field of a package's description.
fn field(description: &str, key: &str) -> Option<String> {
    let value = description.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// Downloads and unpacks beside `home`, then renames: a cache entry is whole or absent, whoever runs at once.
fn fetch(package: &Package, cache: &Path, home: &Path) -> Result<()> {
    let work = cache.join(format!(".new-{}", process::id()));
    let done = unpack(package, &work).and_then(|()| match fs::rename(&work, home) {
        Err(_) if home.is_dir() => Ok(()), // another process was faster
        other => other.map_err(Error::io("rename", &work)),
    });
    let _ = fs::remove_dir_all(&work);
    // What killed runs left behind.
    for path in entries(cache)? {
        if name(&path).strip_prefix(".new-").is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(path);
        }
    }
    done
}

fn unpack(package: &Package, work: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(work);
    fs::create_dir_all(work).map_err(Error::io("create", work))?;
    let mut args = vec!["-o".to_owned(), "APT::Sandbox::User=root".to_owned(), "download".to_owned()];
    args.push(package.name.clone());
    // Ubuntu keeps the modules in a package of their own; Debian has none of that name.
    let modules = package.name.replacen("linux-image-", "linux-modules-", 1);
    if run("apt-cache", "apt", ["show", "--no-all-versions", &modules], None).is_ok_and(|out| !out.is_empty())
    {
        args.push(modules);
    }
    run("apt-get", "apt", args, Some(work))?;
    for path in entries(work)?.iter().filter(|path| name(path).ends_with(".deb")) {
        run("dpkg", "dpkg", ["-x".as_ref(), path.as_os_str(), work.as_os_str()], None)?;
        fs::remove_file(path).map_err(Error::io("remove", path))?;
    }
    let _ = fs::remove_dir_all(work.join("usr"));
    Ok(())
}

/// The cache entry that was made last.
fn newest(cache: &Path) -> Option<PathBuf> {
    let made =
        |path: &PathBuf| fs::metadata(path).and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    entries(cache).ok()?.into_iter().filter(|path| name(path).starts_with("linux-image-")).max_by_key(made)
}

/// The paths in a directory, sorted.
pub(super) fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io("list", dir))? {
        paths.push(entry.map_err(Error::io("list", dir))?.path());
    }
    paths.sort();
    Ok(paths)
}

/// The file name of a path, as text.
pub(super) fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_name_is_taken_from_the_meta_package() {
        let image = |depends: &str| image_of(&format!("Package: meta\nVersion: 6.1-2\nDepends: {depends}\n"));
        let package = |name: &str| Some(Package { name: name.to_owned(), version: "6.1-2".to_owned() });
        let debian = "linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)";
        assert_eq!(image(debian), package("linux-image-6.1.0-56-cloud-amd64"));
        let ubuntu = "linux-firmware, linux-image-6.8.0-87-generic, linux-modules-x";
        assert_eq!(image(ubuntu), package("linux-image-6.8.0-87-generic"));
        assert_eq!(image("linux-image-generic"), None);
    }

    #[test]
    fn an_unpacked_package_is_read_and_the_cache_serves_without_apt() {
        let cache = tempfile::tempdir().unwrap();
        let home = cache.path().join("linux-image-1-cloud_1-1");
        fs::create_dir_all(home.join("boot")).unwrap();
        fs::write(home.join("boot/vmlinuz-1-cloud"), "").unwrap();
        let error = Kernel::read(&home).unwrap_err().to_string();
        assert!(error.ends_with("has no lib/modules"), "{error}");
        fs::create_dir_all(home.join("lib/modules/1-cloud")).unwrap();
        assert_eq!(Kernel::read(&home).unwrap().release, "1-cloud");
        assert_eq!(newest(cache.path()), Some(home));
        assert_eq!(newest(&cache.path().join("none")), None);
    }
}
