//! What the machine boots into: busybox, modules, files and an init that runs one payload.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cpio::Archive;
use super::error::{Error, Result};
use super::kernel::Kernel;
use super::module::Modules;

/// What every machine has: its bus and the port that the payload's output takes.
const BASE_MODULES: [&str; 3] = ["virtio_pci", "virtio_console", "virtio_net"];
const BUSYBOX: &str = "/bin/busybox";

/// Modules that make links of their own when loaded, and how they do not.
const PARAMETERS: [(&str, &str); 3] =
    [("bonding", "max_bonds=0"), ("dummy", "numdummies=0"), ("ifb", "numifbs=0")];

/// The dynamic loader.
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// First word of init's own lines on the port.
pub(super) const MARK: &str = "llano-vm:";

/// Collects what the initramfs will hold. Nothing is read before [`Initramfs::build`].
#[derive(Debug, Clone)]
pub struct Initramfs {
    kernel: Kernel,
    modules: Vec<String>,
    later: Vec<String>,
    files: Vec<(String, Content)>,
    libraries: Vec<PathBuf>,
    disks: Vec<String>,
    prepare: String,
    payload: Payload,
}

/// What runs once the machine is ready.
#[derive(Debug, Clone)]
enum Payload {
    Command(Vec<String>),
    Jobs,
    /// The userland on the first disk, which then has the agent as a unit.
    Userland,
}

/// Takes jobs from the port, one a line, each a shell script as octal escapes, and tells how each ended.
const AGENT: &str = r#"while read -r job; do
  printf "$job" > /run/llano-job
  sh /run/llano-job </dev/null 2>&1
  printf '\n@MARK@ exit %d\n' $?
done
"#;

#[derive(Debug, Clone)]
enum Content {
    Copy(PathBuf),
    Bytes(u32, Vec<u8>),
    Symlink(String),
}

/// A kernel and its initramfs, ready to boot any number of times. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Image {
    pub(super) kernel: PathBuf,
    pub(super) initramfs: Arc<[u8]>,
    /// The machine does not end by itself.
    pub(super) jobs: bool,
}

impl Initramfs {
    /// An initramfs for this kernel, with the modules of the machine itself and no payload.
    #[must_use]
    pub fn new(kernel: &Kernel) -> Self {
        let modules = BASE_MODULES.map(str::to_owned).to_vec();
        Self {
            kernel: kernel.clone(),
            modules,
            later: Vec::new(),
            files: Vec::new(),
            libraries: Vec::new(),
            disks: Vec::new(),
            prepare: String::new(),
            payload: Payload::Command(Vec::new()),
        }
    }

    /// Loads a module at boot, after all it needs.
    #[must_use]
    pub fn module(mut self, name: &str) -> Self {
        self.modules.push(name.to_owned());
        self
    }

    /// Has a module and all it needs in `/lib/modules/NAME.ko`, for a job to load.
    #[must_use]
    pub fn later(mut self, name: &str) -> Self {
        self.later.push(name.to_owned());
        self
    }

    /// Copies a program of the host, static or linked with [`libraries`](Self::library), to `guest`, mode 0755.
    #[must_use]
    pub fn program(mut self, guest: &str, host: &Path) -> Self {
        self.files.push((guest.to_owned(), Content::Copy(host.to_owned())));
        self
    }

    /// Copies a shared library of the host to where the host has it. A userland keeps its own.
    #[must_use]
    pub fn library(mut self, host: &Path) -> Self {
        self.libraries.push(host.to_owned());
        self
    }

    /// Puts a file with this content at `guest`, mode 0644.
    #[must_use]
    pub fn file(mut self, guest: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((guest.to_owned(), Content::Bytes(0o644, content.into())));
        self
    }

    /// Puts a symbolic link at `guest`.
    #[must_use]
    pub fn symlink(mut self, guest: &str, target: &str) -> Self {
        self.files.push((guest.to_owned(), Content::Symlink(target.to_owned())));
        self
    }

    /// Mounts the machine's next disk (ext4; the first is /dev/vda) at this directory before the payload runs.
    #[must_use]
    pub fn mount_disk(mut self, directory: &str) -> Self {
        self.disks.push(directory.to_owned());
        self
    }

    /// The payload: a program of the guest with its arguments. Its output goes to the host line by line, its exit
    /// status becomes [`Outcome::status`](super::Outcome::status).
    #[must_use]
    pub fn command<S: Into<String>>(mut self, command: impl IntoIterator<Item = S>) -> Self {
        self.payload = Payload::Command(command.into_iter().map(Into::into).collect());
        self
    }

    /// No payload: the machine waits for [`Vm::run`](super::Vm::run), so that one boot serves many tests.
    #[must_use]
    pub fn jobs(mut self) -> Self {
        self.payload = Payload::Jobs;
        self
    }

    /// Boots the userland on the first disk (see [`Userland`](super::Userland)) under its own init, and waits for
    /// jobs there. What [`program`](Self::program) and [`file`](Self::file) put in comes along.
    #[must_use]
    pub fn userland(mut self) -> Self {
        self.payload = Payload::Userland;
        self
    }

    /// Shell lines that run before the payload, disks mounted; the machine stops when one fails.
    #[must_use]
    pub fn prepare(mut self, script: &str) -> Self {
        self.prepare.push_str(script);
        self.prepare.push('\n');
        self
    }

    /// Reads everything and writes the archive.
    pub fn build(mut self) -> Result<Image> {
        if !self.disks.is_empty() || matches!(self.payload, Payload::Userland) {
            self.modules.extend(["virtio_blk".to_owned(), "ext4".to_owned()]);
        }
        let all = Modules::of(&self.kernel)?;
        let modules = all.resolve(&self.modules)?;
        let mut archive = Archive::default();
        // The kernel opens /dev/console for init before anything is mounted.
        archive.character_device("/dev/console", 5, 1);
        for directory in ["/bin", "/etc", "/proc", "/sys", "/run", "/tmp", "/root", "/var"] {
            archive.directory(directory);
        }
        archive.file(BUSYBOX, 0o755, &busybox()?);
        let mut names = Vec::new();
        for module in modules {
            archive.file(&format!("/lib/modules/{}.ko", module.name), 0o644, &module.object);
            names.push(module.name);
        }
        for module in all.resolve(&self.later)? {
            archive.file(&format!("/lib/modules/{}.ko", module.name), 0o644, &module.object);
        }
        for (guest, content) in &self.files {
            match content {
                Content::Copy(host) => {
                    let data = fs::read(host).map_err(Error::io("read", host))?;
                    archive.file(guest, 0o755, &data);
                }
                Content::Bytes(mode, data) => archive.file(guest, *mode, data),
                Content::Symlink(target) => archive.symlink(guest, target),
            }
        }
        for host in &self.libraries {
            let data = fs::read(host).map_err(Error::io("read", host))?;
            archive.file(&host.to_string_lossy(), 0o755, &data);
            // What programs name as their interpreter: the ABI of x86-64 has it here.
            if host.ends_with("ld-linux-x86-64.so.2") {
                archive.symlink(LOADER, &host.to_string_lossy());
            }
        }
        for directory in &self.disks {
            archive.directory(directory);
        }
        archive.file("/agent", 0o755, AGENT.replace("@MARK@", MARK).as_bytes());
        if matches!(self.payload, Payload::Userland) {
            archive.file("/agent.service", 0o644, AGENT_UNIT.replace("@MARK@", MARK).as_bytes());
        }
        let paths: Vec<&str> = self.files.iter().map(|(guest, _)| guest.as_str()).collect();
        archive.file("/init", 0o755, self.init(&names, &paths).as_bytes());
        let jobs = !matches!(self.payload, Payload::Command(_));
        Ok(Image { kernel: self.kernel.image, initramfs: archive.finish().into(), jobs })
    }

    /// The script that the kernel starts. A virtio port takes the output: agetty and the serial line lose some.
    fn init(&self, modules: &[String], files: &[&str]) -> String {
        let mut script = String::from(
            "#!/bin/busybox sh\n\
             export PATH=/bin HOME=/root\n\
             /bin/busybox --install -s /bin\n\
             fail() { echo \"init: $*\"; poweroff -f; }\n\
             mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t devtmpfs dev /dev || fail mount\n",
        );
        // Writing to a String does not fail.
        for module in modules {
            let parameters =
                PARAMETERS.iter().find(|(name, _)| name == module).map_or("", |(_, value)| value);
            let _ = writeln!(script, "insmod /lib/modules/{module}.ko {parameters} || fail module {module}");
        }
        let command = match &self.payload {
            Payload::Userland => return script + &switch_root(files, &self.prepare),
            Payload::Jobs => "sh /agent <&3".to_owned(),
            Payload::Command(command) if command.is_empty() => "true </dev/null".to_owned(),
            Payload::Command(command) => {
                let words: Vec<_> = command.iter().map(|word| quoted(word)).collect();
                format!("{} </dev/null", words.join(" "))
            }
        };
        script.push_str(
            "mkdir -p /dev/pts /dev/shm && mount -t devpts pts /dev/pts\n\
             mount -t tmpfs -o mode=755 run /run && mount -t tmpfs tmp /tmp && mount -t tmpfs var /var || fail mount\n\
             mount -t cgroup2 cgroup /sys/fs/cgroup\n\
             mount --make-rshared /\n",
        );
        for (directory, letter) in self.disks.iter().zip('a'..='z') {
            let _ = writeln!(script, "mount -t ext4 /dev/vd{letter} {} || fail disk", quoted(directory));
        }
        if !self.prepare.is_empty() {
            let _ = writeln!(script, "(set -e\n{}) || fail to prepare", self.prepare);
        }
        let _ = write!(
            script,
            "ip link set lo up\n\
             # A machine whose host died ends by itself.\n\
             for word in $(cat /proc/cmdline); do\n\
             case $word in llano.limit=*) (sleep ${{word#*=}}; poweroff -f) >/dev/null 2>&1 & ;; esac\n\
             done\n\
             n=0; until [ -e /dev/vport0p1 ]; do n=$((n+1)); [ $n -lt 200 ] || fail no port; sleep 0.05; done\n\
             exec 3<>/dev/vport0p1\n\
             echo '{MARK} start' >&3\n\
             {command} >&3 2>&1 3>&-\n\
             status=$?\n\
             sync\n\
             printf '\\n{MARK} exit %d\\n' $status >&3\n\
             poweroff -f\n",
        );
        script
    }
}

/// The agent as a unit. It starts early, so that a test sees a boot that hangs.
const AGENT_UNIT: &str = "[Unit]
Description=Jobs of the host
DefaultDependencies=no
After=local-fs.target
ConditionPathExists=/dev/vport0p1
[Service]
ExecStart=/bin/sh -c \"exec 3<>/dev/vport0p1; echo '@MARK@ start' >&3; sh /usr/local/lib/agent <&3 >&3 3>&-\"
Environment=HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WorkingDirectory=/root
KillMode=process
";

/// Mounts the first disk, gives it the agent and the files, and becomes its init.
fn switch_root(files: &[&str], prepare: &str) -> String {
    let mut script = String::from(
        "mkdir -p /new && mount -t ext4 /dev/vda /new || fail disk\n\
         units=/new/etc/systemd/system\n\
         mkdir -p $units/sysinit.target.wants /new/usr/local/lib\n\
         cp /agent /new/usr/local/lib/agent && cp /agent.service $units/llano-agent.service || fail agent\n\
         ln -sf ../llano-agent.service $units/sysinit.target.wants/\n",
    );
    for file in files {
        let _ = writeln!(
            script,
            "mkdir -p /new{0} && rmdir /new{0} 2>/dev/null; cp -a {0} /new{0} || fail {0}",
            quoted(file)
        );
    }
    if !prepare.is_empty() {
        let _ = writeln!(script, "(cd /new; set -e\n{prepare}) || fail to prepare");
    }
    script.push_str(
        "n=0; until [ -e /dev/vport0p1 ]; do n=$((n+1)); [ $n -lt 200 ] || fail no port; sleep 0.05; done\n\
         umount /sys /proc; mount --move /dev /new/dev\n\
         exec switch_root /new /sbin/init\n",
    );
    script
}

/// Debian's busybox-static; the dynamic busybox of the package `busybox` would need its libraries.
fn busybox() -> Result<Vec<u8>> {
    let missing =
        || Error::MissingProgram { program: format!("static {BUSYBOX}"), package: "busybox-static" };
    let bytes = fs::read(BUSYBOX).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => missing(),
        _ => Error::io("read", BUSYBOX)(error),
    })?;
    let dynamic =
        bytes.windows(10).any(|window| window == b"/ld-linux-") || bytes.windows(8).any(|w| w == b"/ld-musl");
    if dynamic { Err(missing()) } else { Ok(bytes) }
}

/// One shell word.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_quotes_and_keeps_the_order() {
        let kernel = Kernel { release: "6".into(), image: "/vmlinuz".into(), modules: "/none".into() };
        let initramfs = Initramfs::new(&kernel).mount_disk("/data").command(["echo", "it's; $HOME"]);
        let script = initramfs.prepare("mkdir /data/x").init(&["llc".into(), "stp".into()], &[]);
        let at = |text: &str| script.find(text).unwrap_or_else(|| panic!("{text} is not in:\n{script}"));
        assert!(at("insmod /lib/modules/llc.ko") < at("insmod /lib/modules/stp.ko"));
        assert!(at("stp.ko") < at("mount -t ext4 /dev/vda '/data'"));
        assert!(at("mount -t ext4") < at("mkdir /data/x"));
        assert!(at("mkdir /data/x") < at(r"'echo' 'it'\''s; $HOME' </dev/null >&3"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("kernel")).unwrap();
        fs::write(
            dir.path().join("modules.builtin"),
            "a/virtio_pci.ko\na/virtio_console.ko\na/virtio_net.ko\n",
        )
        .unwrap();
        let kernel = Kernel { release: "6".into(), image: "/vmlinuz".into(), modules: dir.path().into() };
        let error = Initramfs::new(&kernel).program("/bin/x", Path::new("/no/such")).build().unwrap_err();
        let error = error.to_string();
        assert!(error.contains("/no/such") || error.contains("busybox-static"), "{error}");
    }
}
