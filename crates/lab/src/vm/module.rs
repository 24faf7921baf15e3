//! Kernel modules: where they are, what they need, in which order they are loaded.
//!
//! Distribution packages carry no `modules.dep` (depmod writes it when a package is installed), so the dependencies
//! are read from the modules' own `.modinfo`, which is where depmod has the names from that matter here.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::{Error, Result, run};
use super::kernel::{Kernel, entries, name};

/// The modules of one kernel.
#[derive(Debug)]
pub(super) struct Modules {
    release: String,
    files: BTreeMap<String, PathBuf>,
    built_in: BTreeSet<String>,
}

/// One module ready for insmod.
#[derive(Debug)]
pub(super) struct Module {
    /// Name as lsmod shows it.
    pub(super) name: String,
    /// The ELF object, not compressed.
    pub(super) object: Vec<u8>,
}

impl Modules {
    /// Looks over the kernel's module directory.
    pub(super) fn of(kernel: &Kernel) -> Result<Self> {
        let mut files = BTreeMap::new();
        collect(&kernel.modules.join("kernel"), &mut files)?;
        let list = kernel.modules.join("modules.builtin");
        let list = fs::read_to_string(&list).map_err(Error::io("read", list))?;
        let built_in = list.lines().filter_map(|path| module_name(&name(Path::new(path)))).collect();
        Ok(Self { release: kernel.release.clone(), files, built_in })
    }

    /// The named modules and all they need, each once, each after what it needs. Built-in ones need no loading.
    pub(super) fn resolve(&self, names: &[String]) -> Result<Vec<Module>> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for name in names {
            self.visit(&name.replace('-', "_"), &mut seen, &mut order)?;
        }
        Ok(order)
    }

    fn visit(&self, name: &str, seen: &mut BTreeSet<String>, order: &mut Vec<Module>) -> Result<()> {
        if self.built_in.contains(name) || !seen.insert(name.to_owned()) {
            return Ok(());
        }
        let Some(path) = self.files.get(name) else {
            return Err(Error::NoModule { release: self.release.clone(), module: name.to_owned() });
        };
        let object = load(path)?;
        for needed in depends(&object) {
            self.visit(&needed, seen, order)?;
        }
        order.push(Module { name: name.to_owned(), object });
        Ok(())
    }
}

fn collect(dir: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for path in entries(dir)? {
        if path.is_dir() {
            collect(&path, files)?;
        } else if let Some(module) = module_name(&name(&path)) {
            files.insert(module, path);
        }
    }
    Ok(())
}

/// `8021q.ko.xz` → `8021q`; dashes are underscores to the kernel.
fn module_name(file: &str) -> Option<String> {
    let (stem, suffix) = file.split_once(".ko")?;
    ["", ".xz", ".zst"].contains(&suffix).then(|| stem.replace('-', "_"))
}

fn load(path: &Path) -> Result<Vec<u8>> {
    let unpack = |program, package| run(program, package, [OsStr::new("-dc"), path.as_os_str()], None);
    match path.extension().and_then(OsStr::to_str) {
        Some("xz") => unpack("xz", "xz-utils"),
        Some("zst") => unpack("zstd", "zstd"),
        _ => fs::read(path).map_err(Error::io("read", path)),
    }
}

/// The `depends=` entry of a module's `.modinfo`: a NUL-terminated string with commas, the only one of that start.
fn depends(object: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = object.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let value = object[at + KEY.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let value = String::from_utf8_lossy(value);
    value.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(depends: &str) -> Vec<u8> {
        format!("ELF\0license=GPL\0depends={depends}\0retpoline=Y\0").into_bytes()
    }

    fn kernel(dir: &Path) -> Kernel {
        let kernel = Kernel { release: "6".into(), image: dir.join("vmlinuz"), modules: dir.to_owned() };
        for (file, needs) in [
            ("net/8021q/8021q.ko", "mrp,garp"),
            ("net/802/garp.ko", "stp"),
            ("net/802/mrp.ko", ""),
            ("net/802/stp.ko", "llc"),
            ("net/llc/llc.ko", ""),
            ("drivers/virtio-net.ko", "net-failover,tls"),
            ("drivers/net_failover.ko", ""),
        ] {
            let path = dir.join("kernel").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, object(needs)).unwrap();
        }
        fs::write(dir.join("modules.builtin"), "kernel/net/tls.ko\nkernel/fs/ext4/ext4.ko\n").unwrap();
        kernel
    }

    fn order(modules: &Modules, names: &[&str]) -> Result<Vec<String>> {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        Ok(modules.resolve(&names)?.into_iter().map(|module| module.name).collect())
    }

    #[test]
    fn what_is_needed_comes_first_and_once() {
        let dir = tempfile::tempdir().unwrap();
        let modules = Modules::of(&kernel(dir.path())).unwrap();
        assert_eq!(
            order(&modules, &["8021q", "garp", "virtio_net", "ext4"]).unwrap(),
            ["mrp", "llc", "stp", "garp", "8021q", "net_failover", "virtio_net"]
        );
        assert_eq!(order(&modules, &["nothing"]).unwrap_err().to_string(), "kernel 6 has no module nothing");
    }

    #[test]
    fn compressed_names_count() {
        assert_eq!(module_name("virtio-rng.ko.xz").as_deref(), Some("virtio_rng"));
        assert_eq!(module_name("bonding.ko.zst").as_deref(), Some("bonding"));
        assert_eq!(module_name("bonding.ko.sig"), None);
        assert_eq!(module_name("modules.order"), None);
    }
}
