//! The host that changes are made on, and what is looked at.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use lab::{Ephemeral, Host};
use netns_tests::{bin_dir, up};
use serde_json::Value;

pub(crate) const SPEC: &str = "
switches:
  lan: {}
hosts:
  host:
    interfaces:
      eth0: { switch: lan, addresses: [10.9.0.1/24, \"fd09::1/64\"] }
      eth1: { switch: lan }
  peer:
    interfaces:
      eth0: { switch: lan, addresses: [10.9.0.2/24, \"fd09::2/64\"] }
";

/// Changes of everything: a link made, one changed, addresses, a route.
pub(crate) const WANTED: &str = "
interfaces:
- name: eth0
  type: ethernet
  mtu: 1400
  ipv4: { enabled: true, address: [ { ip: 10.9.0.1, prefix-length: 24 }, { ip: 10.9.0.7, prefix-length: 24 } ] }
- name: shop
  type: mac-vlan
  state: up
  mac-vlan: { base-iface: eth0, mode: bridge }
  ipv4: { enabled: true, address: [ { ip: 10.50.0.1, prefix-length: 24 } ] }
routes:
  config:
  - { destination: 10.77.0.0/16, next-hop-address: 10.9.0.2, next-hop-interface: eth0 }
";

/// Longest wait for what happens by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Site {
    pub(crate) lab: Ephemeral,
    pub(crate) scratch: tempfile::TempDir,
    pub(crate) llano: PathBuf,
}

impl Site {
    pub(crate) fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("wanted.yaml"), WANTED).unwrap();
        Self { lab: up(SPEC), scratch, llano: bin_dir().join("llano") }
    }

    pub(crate) fn host(&self) -> &Host {
        self.lab.host("host").unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.scratch.path().join(name).display().to_string()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.host().command(&self.llano).unwrap();
        command.arg("host").args(args).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {}: {said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["--output", "json"]].concat())).unwrap()
    }

    pub(crate) fn sh(&self, script: &str) -> String {
        let output = self.host().command("sh").unwrap().args(["-ec", script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{script}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The network as ip(8) tells it, without what the kernel changes by itself.
    pub(crate) fn network(&self) -> String {
        let script = "ip -o link; ip -o addr; ip route show table all; ip -6 route show table all; ip rule; ip -6 rule";
        let text = self.sh(script);
        let mut lines: Vec<String> = Vec::new();
        for line in text.lines() {
            let words: Vec<&str> =
                line.split_ascii_whitespace().filter(|word| *word != "tentative").collect();
            let line = words.join(" ");
            // The shop's number and MAC are new each time it is made; its family's own routes come when DAD is over.
            let own = line.contains("multicast") || line.contains("anycast") || line.contains("local fe80");
            if !own && !line.contains("fe80::") {
                lines.push(line);
            }
        }
        lines.join("\n")
    }

    pub(crate) fn declared(&self) -> Option<String> {
        let text = self.sh("cat /etc/llano/host.yaml 2>/dev/null || true");
        (!text.is_empty()).then_some(text)
    }

    pub(crate) fn has_shop(&self) -> bool {
        self.sh("ip -o link").contains("shop@")
    }

    /// Processes of our program on the host.
    pub(crate) fn running(&self) -> Vec<String> {
        let own = self.sh("readlink /proc/self/ns/net");
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let net = std::fs::read_link(entry.path().join("ns/net")).map(|link| link.display().to_string());
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            // A watchdog that has just been started is still named after the link it was started by.
            if net.is_ok_and(|net| net == own.trim()) && ["llano", "exe"].contains(&name.trim()) {
                found.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        found
    }

    /// Kills them all, and waits until they hold nothing any more: the kernel takes a process out of its namespaces before it
    /// lets go of its locks, and is done with both when it is a zombie or gone.
    pub(crate) fn kill_all(&self) {
        let killed = self.running();
        assert!(!killed.is_empty(), "nothing of ours runs");
        self.sh(&format!("kill -9 {}", killed.join(" ")));
        let end = Instant::now() + PATIENCE;
        let ended = |process: &String| {
            let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
        };
        while !killed.iter().all(ended) {
            assert!(Instant::now() < end, "{killed:?} do not end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The time of the change that waits is over now: who sits on a busy machine decides when, not the clock.
    pub(crate) fn expire(&self) {
        self.rewrite(|text| {
            let marker = "\"waiting\":{\"until\":{\"secs\":";
            let at = text.find(marker).expect("it waits") + marker.len();
            let digits = text[at..].find(',').unwrap();
            format!("{}{:>digits$}{}", &text[..at], 0, &text[at + digits..])
        });
    }

    /// Changes the record of the change that waits. It takes no room on a disk, and the watchdog hears of it as of any other
    /// change in that directory.
    pub(crate) fn rewrite(&self, change: impl FnOnce(&str) -> String) {
        let path = "/var/lib/llano/host/pending.json";
        let text = self.sh(&format!("cat {path}"));
        let (new, over) = (change(&text), self.file("over.json"));
        assert_eq!(new.len(), text.len());
        std::fs::write(&over, new).unwrap();
        self.sh(&format!(
            "dd if={over} of={path} bs=16M conv=notrunc status=none; : > {path}.over; rm {path}.over"
        ));
    }

    /// Waits until no program of ours runs on the host, so that nothing goes on.
    pub(crate) fn settle(&self, when: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let running = self.running();
            let pending = self.sh("ls /var/lib/llano/host/pending.json 2>/dev/null || true");
            if running.is_empty() && pending.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "{when}: {running:?} still run, {pending:?} is there");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
