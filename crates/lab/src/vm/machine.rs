//! One running machine: QEMU as a child process.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::disk::Disk;
use super::error::{Error, Result, spawn_error};
use super::initramfs::{Image, MARK};
use super::monitor::Monitor;

const QEMU: &str = "qemu-system-x86_64";
/// Time from power on to the payload's start: some four seconds on an idle machine, and five times that on a busy one.
const BOOT_LIMIT: Duration = Duration::from_secs(120);
/// How long a machine that waits for jobs may live at most.
const LIFE: Duration = Duration::from_secs(3600);
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
    /// Time from the payload's start to its end, and for each [job](Vm::run); the machine is killed after it.
    pub timeout: Duration,
    /// Time from power on to the payload's start.
    pub boot_limit: Duration,
}

impl VmSpec {
    /// 512 MiB, two processors, no card, no disk, two minutes.
    #[must_use]
    pub fn new(image: Image) -> Self {
        let timeout = Duration::from_secs(120);
        Self {
            image,
            memory: 512,
            cpus: 2,
            nics: Vec::new(),
            disks: Vec::new(),
            timeout,
            boot_limit: BOOT_LIMIT,
        }
    }

    fn arguments(&self, dir: &Path) -> Vec<String> {
        let append = format!(
            "console=ttyS0 quiet panic=1 oops=panic mitigations=off net.ifnames=0 llano.limit={}",
            if self.image.jobs { LIFE } else { self.timeout + Duration::from_secs(10) }.as_secs()
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
            let mut device = format!("virtio-net-pci,id=nic{n},netdev=net{n},romfile=");
            if let Some([a, b, c, d, e, f]) = nic.mac {
                device += &format!(",mac={a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
            }
            if let Some(speed) = nic.speed {
                device += &format!(",speed={speed},duplex=full");
            }
            add("-device", device);
        }
        add("-qmp", format!("unix:{},server=on,wait=off", escaped(&dir.join("monitor"))));
        for (n, disk) in self.disks.iter().enumerate() {
            add("-drive", disk.drive(dir, n));
        }
        args
    }
}

/// One word of QEMU's shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
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

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Exit status, as a shell has it.
    pub status: i32,
    /// The lines of its standard output and error.
    pub lines: Vec<String>,
}

impl Answer {
    /// The lines as one text.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// What a power cut left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PowerCut {
    /// Writes that the disks [at risk](Disk::at_risk) lost.
    pub lost_writes: usize,
    /// What the machine had still said; the last line may be half.
    pub lines: Vec<String>,
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
    disks: Vec<Disk>,
    jobs: Option<ChildStdin>,
    monitor: Option<Monitor>,
}

impl Vm {
    /// Powers the machine on and returns when its payload starts.
    pub fn boot(spec: &VmSpec) -> Result<Self> {
        let mut vm = Self::spawn(spec, None)?;
        let start = format!("{MARK} start");
        match vm.receive() {
            Ok(line) if line == start => {
                vm.deadline = Instant::now() + spec.timeout;
                // Loaded, and the only large file: gone even if this process is killed later.
                let _ = fs::remove_file(vm.scratch.path.join("initramfs"));
                Ok(vm)
            }
            Ok(line) => Err(vm.no_boot(format!("it sent `{line}`"))),
            Err(RecvTimeoutError::Timeout) => Err(vm.no_boot(format!("not within {:?}", spec.boot_limit))),
            Err(RecvTimeoutError::Disconnected) => {
                let said = fs::read_to_string(vm.scratch.path.join("stderr")).unwrap_or_default();
                let why = if said.is_empty() { "it went down" } else { said.trim() };
                Err(vm.no_boot(why.to_owned()))
            }
        }
    }

    /// Starts QEMU; with a file of another machine's memory, as that machine.
    pub(super) fn spawn(spec: &VmSpec, memory: Option<&Path>) -> Result<Self> {
        let scratch = Scratch::new()?;
        let initramfs = scratch.path.join("initramfs");
        fs::write(&initramfs, &spec.image.initramfs).map_err(Error::io("write", initramfs))?;
        for (n, disk) in spec.disks.iter().enumerate() {
            disk.prepare(&scratch.path, n)?;
        }
        let deadline = Instant::now() + spec.boot_limit;
        let errors = scratch.path.join("stderr");
        let errors = fs::File::create(&errors).map_err(Error::io("create", errors))?;
        let mut arguments = spec.arguments(&scratch.path);
        if let Some(memory) = memory {
            arguments.extend(["-incoming".to_owned(), format!("exec:cat {}", quoted(memory))]);
        }
        let mut process = Command::new(QEMU)
            .args(arguments)
            .stdin(Stdio::piped()) // takes the jobs; at its end QEMU would unplug the port
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|error| spawn_error(error, QEMU, "qemu-system-x86"))?;
        let (sender, output) = mpsc::channel();
        if let Some(stdout) = process.stdout.take() {
            thread::spawn(move || forward(stdout, &sender));
        }
        let jobs = process.stdin.take();
        Ok(Self {
            process,
            scratch,
            output,
            tail: VecDeque::new(),
            status: None,
            deadline,
            limit: spec.timeout,
            disks: spec.disks.clone(),
            jobs,
            monitor: None,
        })
    }

    /// Writes the memory of the machine to a file and stops it.
    pub(super) fn save(mut self, memory: &Path) -> Result<()> {
        self.monitor()?.migrate(&format!("exec:cat > {}", quoted(memory)))
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
        let lines = self.rest()?;
        for (n, disk) in self.disks.iter().enumerate() {
            disk.keep_all(&self.scratch.path, n)?;
        }
        Ok(Outcome { status: self.status.unwrap_or(-1), lines, console: self.console() })
    }

    /// Hands a shell script to a machine made with [`Initramfs::jobs`](super::Initramfs::jobs); its lines come with
    /// [`Vm::line`], of which the last is followed by nothing, and its status with [`Vm::status`].
    pub fn start(&mut self, script: &str) -> Result<()> {
        self.status = None;
        self.deadline = Instant::now() + self.limit;
        // One line whatever the script holds.
        let mut line = script.bytes().fold(String::new(), |mut line, byte| {
            line.push_str(&format!("\\{byte:03o}"));
            line
        });
        line.push('\n');
        let port = self.scratch.path.join("port");
        let Some(jobs) = self.jobs.as_mut() else { return Err(Error::Monitor { why: "no port".into() }) };
        jobs.write_all(line.as_bytes()).and_then(|()| jobs.flush()).map_err(Error::io("write", port))
    }

    /// Runs a shell script in a machine made with [`Initramfs::jobs`](super::Initramfs::jobs) and waits for its end.
    /// What it leaves in the background must write elsewhere.
    pub fn run(&mut self, script: &str) -> Result<Answer> {
        self.start(script)?;
        let lines = self.rest()?;
        Ok(Answer { status: self.status.unwrap_or(-1), lines })
    }

    /// Exit status of the payload or the job, when it has ended.
    #[must_use]
    pub fn status(&self) -> Option<i32> {
        self.status
    }

    /// Plugs the cable of the card `eth{card}` in or pulls it: the card gains or loses its carrier. The other end of
    /// the cable is a card of its own.
    pub fn plug(&mut self, card: usize, plugged: bool) -> Result<()> {
        self.monitor()?.set_link(&format!("nic{card}"), plugged)
    }

    fn monitor(&mut self) -> Result<&mut Monitor> {
        let monitor = match self.monitor.take() {
            Some(monitor) => monitor,
            None => Monitor::connect(&self.scratch.path.join("monitor"))?,
        };
        Ok(self.monitor.insert(monitor))
    }

    /// Stops the machine at once, as if its plug was pulled. A disk keeps what was written to it; one made
    /// [`at_risk`](Disk::at_risk) loses some of what was not flushed.
    pub fn power_cut(mut self) -> Result<PowerCut> {
        self.kill();
        let mut lost_writes = 0;
        for (n, disk) in self.disks.iter().enumerate() {
            lost_writes += disk.lose(&self.scratch.path, n)?;
        }
        // The reader ends by itself: the port's other end is closed.
        Ok(PowerCut { lost_writes, lines: self.output.iter().collect() })
    }

    /// The lines up to the end of the payload or job.
    fn rest(&mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        while let Some(line) = self.line()? {
            lines.push(line);
        }
        // The mark is preceded by an empty line of its own, so that it starts a line.
        if lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        Ok(lines)
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
pub(super) struct Scratch {
    pub(super) path: PathBuf,
}

impl Scratch {
    pub(super) fn new() -> Result<Self> {
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
        let image = Image { kernel: "/k".into(), initramfs: Vec::new().into(), jobs: false };
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
