//! One running machine: QEMU as a child process.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::disk::Disk;
use super::error::{Error, Result, spawn_error};
use super::initramfs::{Image, MARK};

const QEMU: &str = "qemu-system-x86_64";
/// Time from power on to the payload's start: some four seconds on an idle machine, and five times that on a busy one.
const BOOT_LIMIT: Duration = Duration::from_secs(120);
/// Lines of payload and console that an error shows.
const TAIL: usize = 25;

/// A network card of the machine (virtio). Cards with the same `cable` are wired together inside QEMU; no card
/// reaches anything outside it.
#[derive(Debug, Clone, Default)]
pub struct Nic {
    /// MAC address; without one QEMU's own: `52:54:00:12:34:56` and up.
    pub mac: Option<[u8; 6]>,
    /// Speed in Mbit/s that the card reports, with full duplex; virtio reports "unknown" without, and an 802.3ad
    /// bond then refuses to aggregate.
    pub speed: Option<u32>,
    /// The cable it is plugged into.
    pub cable: u8,
}

/// What to boot and how.
#[derive(Debug, Clone)]
pub struct VmSpec {
    /// Kernel and initramfs.
    pub image: Image,
    /// Memory in MiB.
    pub memory: u32,
    /// Virtual processors.
    pub cpus: u8,
    /// Network cards, `eth0` and up in this order.
    pub nics: Vec<Nic>,
    /// Disks, `/dev/vda` and up in this order.
    pub disks: Vec<Disk>,
    /// Time from the payload's start to its end; the machine is killed after it.
    pub timeout: Duration,
}

impl VmSpec {
    /// 512 MiB, two processors, no card, no disk, two minutes.
    #[must_use]
    pub fn new(image: Image) -> Self {
        let timeout = Duration::from_secs(120);
        Self { image, memory: 512, cpus: 2, nics: Vec::new(), disks: Vec::new(), timeout }
    }

    fn arguments(&self, dir: &Path) -> Vec<String> {
        let append = format!(
            "console=ttyS0 quiet panic=1 oops=panic mitigations=off net.ifnames=0 llano.limit={}",
            self.timeout.as_secs() + 10
        );
        let mut args: Vec<String> = [
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max",
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-append",
            &append,
        ]
        .map(str::to_owned)
        .to_vec();
        let mut add = |key: &str, value: String| args.extend([key.to_owned(), value]);
        add("-smp", self.cpus.to_string());
        add("-m", format!("{}M", self.memory));
        add("-kernel", self.image.kernel.display().to_string());
        add("-initrd", escaped(&dir.join("initramfs")));
        add("-serial", format!("file:{}", escaped(&dir.join("console"))));
        add("-chardev", "stdio,id=out,signal=off".to_owned());
        add("-device", "virtio-serial-pci".to_owned());
        add("-device", "virtserialport,chardev=out,nr=1,name=llano".to_owned());
        for (n, nic) in self.nics.iter().enumerate() {
            add("-netdev", format!("hubport,id=net{n},hubid={}", nic.cable));
            let mut device = format!("virtio-net-pci,netdev=net{n},romfile=");
            if let Some([a, b, c, d, e, f]) = nic.mac {
                device += &format!(",mac={a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
            }
            if let Some(speed) = nic.speed {
                device += &format!(",speed={speed},duplex=full");
            }
            add("-device", device);
        }
        for disk in &self.disks {
            add("-drive", format!("if=virtio,format=raw,file={}", escaped(&disk.path)));
        }
        args
    }
}

/// A comma in a QEMU option is doubled.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// How a payload ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Exit status, as a shell has it: 128 and more mean a signal.
    pub status: i32,
    /// All lines of its standard output and error that [`Vm::line`] did not take.
    pub lines: Vec<String>,
    /// What the kernel and init wrote on the console.
    pub console: String,
}

/// A machine that runs its payload. Dropped, it is killed and leaves nothing behind but its disks.
#[derive(Debug)]
pub struct Vm {
    process: Child,
    scratch: Scratch,
    output: Receiver<String>,
    tail: VecDeque<String>,
    status: Option<i32>,
    deadline: Instant,
    limit: Duration,
}

impl Vm {
    /// Powers the machine on and returns when its payload starts.
    pub fn boot(spec: &VmSpec) -> Result<Self> {
        let scratch = Scratch::new()?;
        let initramfs = scratch.path.join("initramfs");
        fs::write(&initramfs, &spec.image.initramfs).map_err(Error::io("write", initramfs))?;
        let deadline = Instant::now() + BOOT_LIMIT;
        let errors = scratch.path.join("stderr");
        let errors = fs::File::create(&errors).map_err(Error::io("create", errors))?;
        let mut process = Command::new(QEMU)
            .args(spec.arguments(&scratch.path))
            .stdin(Stdio::piped()) // held open: at its end QEMU would unplug the port
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|error| spawn_error(error, QEMU, "qemu-system-x86"))?;
        let (sender, output) = mpsc::channel();
        if let Some(stdout) = process.stdout.take() {
            thread::spawn(move || forward(stdout, &sender));
        }
        let (tail, limit) = (VecDeque::new(), spec.timeout);
        let mut vm = Self { process, scratch, output, tail, status: None, deadline, limit };
        let start = format!("{MARK} start");
        match vm.receive() {
            Ok(line) if line == start => {
                vm.deadline = Instant::now() + spec.timeout;
                // Loaded, and the only large file: gone even if this process is killed later.
                let _ = fs::remove_file(vm.scratch.path.join("initramfs"));
                Ok(vm)
            }
            Ok(line) => Err(vm.no_boot(format!("it sent `{line}`"))),
            Err(RecvTimeoutError::Timeout) => Err(vm.no_boot(format!("not within {BOOT_LIMIT:?}"))),
            Err(RecvTimeoutError::Disconnected) => {
                let said = fs::read_to_string(vm.scratch.path.join("stderr")).unwrap_or_default();
                let why = if said.is_empty() { "it went down" } else { said.trim() };
                Err(vm.no_boot(why.to_owned()))
            }
        }
    }

    /// The payload's next line, or nothing when it has ended.
    pub fn line(&mut self) -> Result<Option<String>> {
        if self.status.is_some() {
            return Ok(None);
        }
        match self.receive() {
            Ok(line) => {
                if let Some(status) = line.strip_prefix(MARK).and_then(|rest| rest.strip_prefix(" exit ")) {
                    self.status = status.parse().ok();
                    return Ok(None);
                }
                if self.tail.len() == TAIL {
                    self.tail.pop_front();
                }
                self.tail.push_back(line.clone());
                Ok(Some(line))
            }
            Err(RecvTimeoutError::Timeout) => {
                self.kill();
                Err(Error::Timeout {
                    limit: self.limit,
                    output: self.last_lines(),
                    console: self.console_tail(),
                })
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(Error::Died { output: self.last_lines(), console: self.console_tail() })
            }
        }
    }

    /// Waits for the payload's end.
    pub fn wait(mut self) -> Result<Outcome> {
        let mut lines = Vec::new();
        while let Some(line) = self.line()? {
            lines.push(line);
        }
        // init ends its output with an empty line of its own, so that its mark starts a line.
        if lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        Ok(Outcome { status: self.status.unwrap_or(-1), lines, console: self.console() })
    }

    /// Stops the machine at once, as if its plug was pulled. Its disks keep what was written to them.
    pub fn power_cut(mut self) {
        self.kill();
    }

    /// What the kernel and init wrote on the console so far.
    #[must_use]
    pub fn console(&self) -> String {
        let bytes = fs::read(self.scratch.path.join("console")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    fn receive(&self) -> Result<String, RecvTimeoutError> {
        self.output.recv_timeout(self.deadline.saturating_duration_since(Instant::now()))
    }

    fn no_boot(&mut self, why: String) -> Error {
        self.kill();
        Error::Boot { why, console: self.console_tail() }
    }

    fn last_lines(&self) -> String {
        self.tail.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    fn console_tail(&self) -> String {
        let console = self.console();
        let lines: Vec<_> = console.lines().collect();
        // A panic's first lines say what it was; its trace would push them out.
        let panic = lines.iter().position(|line| line.contains("Kernel panic") || line.contains("BUG:"));
        let from = panic.map_or(lines.len().saturating_sub(TAIL), |at| at.saturating_sub(5));
        lines.get(from..).unwrap_or_default().iter().take(TAIL).copied().collect::<Vec<_>>().join("\n")
    }

    fn kill(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads the port to its end; a guest must never wait for its host.
fn forward(stdout: ChildStdout, sender: &mpsc::Sender<String>) {
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line);
        if sender.send(text.trim_end_matches(['\n', '\r']).to_owned()).is_err() {
            return;
        }
        line.clear();
    }
}

/// A directory for one machine's initramfs and console, removed when dropped.
#[derive(Debug)]
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("llano-vm-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).map_err(Error::io("create", &path))?;
        Ok(Self { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_card_leaves_the_machine_and_each_option_arrives() {
        let image = Image { kernel: "/k".into(), initramfs: Vec::new().into() };
        let mut spec = VmSpec::new(image);
        spec.nics =
            vec![Nic { mac: Some([2, 0, 0, 0, 0, 0xab]), speed: Some(10_000), cable: 3 }, Nic::default()];
        spec.disks = vec![Disk::open(Path::new("/a,b"))];
        let args = spec.arguments(Path::new("/d")).join(" ");
        for text in [
            "-netdev hubport,id=net0,hubid=3 ",
            "netdev=net0,romfile=,mac=02:00:00:00:00:ab,speed=10000,duplex=full ",
            "-netdev hubport,id=net1,hubid=0 ",
            "file=/a,,b",
        ] {
            assert!(args.contains(text), "{text} is not in {args}");
        }
        assert!(!args.contains("user") || args.contains("-no-user-config"), "{args}");
        assert_eq!(args.matches("-netdev").count(), args.matches("-netdev hubport").count());
    }
}
