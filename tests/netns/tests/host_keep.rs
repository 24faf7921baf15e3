//! `llano host`: what becomes of a change when its program, its terminal or its watchdog dies.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test ends where it cannot go on.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use lab::{Ephemeral, Host};
use netns_tests::kill::{Call, calls};
use netns_tests::{LeakCheck, bin_dir, up};
use serde_json::Value;

const SPEC: &str = "
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
const WANTED: &str = "
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
const PATIENCE: Duration = Duration::from_secs(60);

struct Site {
    lab: Ephemeral,
    scratch: tempfile::TempDir,
    llano: PathBuf,
}

impl Site {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("wanted.yaml"), WANTED).unwrap();
        Self { lab: up(SPEC), scratch, llano: bin_dir().join("llano") }
    }

    fn host(&self) -> &Host {
        self.lab.host("host").unwrap()
    }

    fn file(&self, name: &str) -> String {
        self.scratch.path().join(name).display().to_string()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.host().command(&self.llano).unwrap();
        command.arg("host").args(args).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {}: {said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["--output", "json"]].concat())).unwrap()
    }

    fn sh(&self, script: &str) -> String {
        let output = self.host().command("sh").unwrap().args(["-ec", script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{script}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The network as ip(8) tells it, without what the kernel changes by itself.
    fn network(&self) -> String {
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

    fn declared(&self) -> Option<String> {
        let text = self.sh("cat /etc/llano/host.yaml 2>/dev/null || true");
        (!text.is_empty()).then_some(text)
    }

    fn has_shop(&self) -> bool {
        self.sh("ip -o link").contains("shop@")
    }

    /// Processes of our program on the host.
    fn running(&self) -> Vec<String> {
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

    /// The time of the change that waits is over now: who sits on a busy machine decides when, not the clock.
    fn expire(&self) {
        self.rewrite(|text| {
            let marker = "\"waiting\":{\"until\":{\"secs\":";
            let at = text.find(marker).expect("it waits") + marker.len();
            let digits = text[at..].find(',').unwrap();
            format!("{}{:>digits$}{}", &text[..at], 0, &text[at + digits..])
        });
    }

    /// Changes the record of the change that waits. It takes no room on a disk, and the watchdog hears of it as of any other
    /// change in that directory.
    fn rewrite(&self, change: impl FnOnce(&str) -> String) {
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
    fn settle(&self, when: &str) {
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

#[test]
fn a_change_is_made_shown_and_undone() {
    let check = LeakCheck::begin();
    let site = Site::new();
    let (before, file) = (site.network(), site.file("wanted.yaml"));
    let dry = site.ok(&["apply", &file, "--dry-run"]);
    assert!(dry.contains("shop") && dry.contains("1400") && dry.contains("10.77.0.0/16"), "{dry}");
    assert_eq!((site.network(), site.declared()), (before.clone(), None), "a dry run changes nothing");
    let diff = site.json(&["diff", &file]);
    assert!(diff["interfaces"]["eth0"].is_array(), "{diff}");

    site.ok(&["apply", &file]);
    assert!(site.has_shop() && site.sh("ip -o addr show eth0").contains("10.9.0.7/24"));
    assert!(site.sh("ip route").contains("10.77.0.0/16 via 10.9.0.2"));
    assert!(site.declared().unwrap().contains("name: shop"));
    assert!(site.ok(&["apply", &file]).contains("so already"));
    assert_eq!(site.json(&["history"]).as_array().unwrap().len(), 1);
    let shown = site.json(&["show", "shop"]);
    assert_eq!(shown["interfaces"][0]["mac-vlan"]["base-iface"], "eth0");
    assert!(site.refused(&["show", "nosuch"]).contains("there is no interface nosuch; there are eth0"));

    site.ok(&["undo"]);
    assert_eq!((site.network(), site.declared()), (before, None));
    assert_eq!(site.refused(&["undo"]), "llano: there is no change to undo\n");
    site.settle("after it all");
    drop(site);
    check.assert_clean();
}

#[test]
fn a_change_that_nobody_confirms_is_taken_back() {
    let site = Site::new();
    let (before, file) = (site.network(), site.file("wanted.yaml"));
    site.ok(&["apply", &file, "--confirm", "600"]);
    assert!(site.has_shop());
    assert_eq!(site.declared(), None, "what is not confirmed is not declared");
    site.expire();
    site.settle("when its time is over");
    assert_eq!(site.network(), before);
    let history = site.json(&["history"]);
    assert_eq!(history[0]["state"], "rolled back: not confirmed in 600 s", "{history}");
    let late = site.refused(&["confirm"]);
    assert!(late.contains("nothing waits to be confirmed: apply wanted.yaml was rolled back"), "{late}");

    site.ok(&["apply", &file, "--confirm", "600"]);
    assert!(site.refused(&["apply", &file]).contains("waits to be confirmed for another"));
    site.ok(&["confirm"]);
    site.settle("once it is confirmed");
    assert!(site.has_shop() && site.declared().is_some());
    site.ok(&["undo", "--confirm", "600"]);
    assert!(!site.has_shop() && site.declared().is_some());
    assert!(site.ok(&["undo"]).contains("taken back"), "undoing an undo that waits");
    site.settle("once it is taken back");
    assert!(site.has_shop());
}

#[test]
fn a_terminal_that_closes_ends_the_program_but_not_the_watchdog() {
    let site = Site::new();
    let before = site.network();
    let line = format!(
        "{} host apply {} --confirm 600; echo applied; sleep 100",
        site.llano.display(),
        site.file("wanted.yaml")
    );
    let mut script = site.host().command("script").unwrap();
    let mut terminal = script
        .args(["-qefc", &line, "/dev/null"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut lines = std::io::BufReader::new(terminal.stdout.take().unwrap());
    while !said.contains("applied") {
        let read = std::io::BufRead::read_line(&mut lines, &mut said).unwrap();
        assert!(read > 0, "{said}");
    }
    assert!(site.has_shop());
    // The terminal goes, and with it everything of its session.
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    assert_eq!(site.running().len(), 1, "the watchdog lives");
    site.expire();
    site.settle("when its time is over");
    assert_eq!(site.network(), before);
}

#[test]
fn the_next_command_does_what_a_killed_watchdog_cannot() {
    let site = Site::new();
    let (before, file) = (site.network(), site.file("wanted.yaml"));
    let kill = || {
        let watchdogs = site.running();
        assert_eq!(watchdogs.len(), 1);
        site.sh(&format!("kill -9 {}", watchdogs[0]));
        // What it held is free once it is gone.
        let end = Instant::now() + PATIENCE;
        while !site.running().is_empty() {
            assert!(Instant::now() < end, "{watchdogs:?} does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    site.ok(&["apply", &file, "--confirm", "600"]);
    kill();
    site.expire();
    assert!(site.has_shop(), "nobody is there to take it back");
    let output = site.run(&["show"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "llano: apply wanted.yaml has been rolled back: not confirmed in 600 s\n");
    assert_eq!(site.network(), before);

    site.ok(&["apply", &file, "--confirm", "600"]);
    kill();
    let output = site.run(&["history"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("waits to be confirmed for another"));
    assert_eq!(site.running().len(), 1, "it has a watchdog again");
    site.expire();
    site.settle("when its time is over");
    assert_eq!(site.network(), before);
}

/// `llano host ARGS` below strace, which may kill it.
struct Traced<'a> {
    site: &'a Site,
    args: Vec<String>,
}

impl Traced<'_> {
    fn run(&self, options: &[&str]) -> (Output, String) {
        let trace = self.site.file("trace");
        let mut strace = self.site.host().command("strace").unwrap();
        strace.args(["-qq", "-s", "0", "-o", &trace]).args(options).arg(&self.site.llano).arg("host");
        strace.args(&self.args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        (strace.output().unwrap(), std::fs::read_to_string(&trace).unwrap())
    }

    /// What every one of several runs does: how often it looks at what the kernel does by itself differs. Before the
    /// watchdog is made nothing is written down: some calls before, and all after it.
    fn calls(&self, reset: impl Fn()) -> Vec<Call> {
        let in_all = self.in_all(reset);
        let is_fork = |call: &Call| ["clone", "clone3", "vfork", "fork"].contains(&call.name.as_str());
        let fork = in_all.iter().position(is_fork).expect("it makes a watchdog");
        let walked = &in_all[fork.saturating_sub(20)..];
        assert!(walked.len() > 80, "{} calls are not the whole of it", walked.len());
        walked.to_vec()
    }

    fn in_all(&self, reset: impl Fn()) -> Vec<Call> {
        let mut runs: Vec<Vec<Call>> = Vec::new();
        for _ in 0..3 {
            let (output, trace) = self.run(&[]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            runs.push(calls(&trace));
            reset();
        }
        let in_all = runs[0].iter().filter(|call| runs.iter().all(|run| run.contains(call)));
        in_all.cloned().collect()
    }

    /// Whether it was killed there.
    fn killed(&self, call: &Call) -> bool {
        let inject = call.inject();
        let (output, trace) = self.run(&[&inject[0], &inject[1]]);
        call.killed(output.status, &trace)
    }
}

/// SIGKILL at every call of an apply. The watchdog gives the old network back, or the new one is whole and declared.
#[test]
fn killed_at_every_call_of_apply() {
    let site = Site::new();
    let (before, file) = (site.network(), site.file("wanted.yaml"));
    let apply = Traced { site: &site, args: vec!["apply".to_owned(), file.clone()] };
    let undo = || {
        site.ok(&["undo"]);
        site.settle("once it is undone");
        assert_eq!(site.network(), before);
    };
    let calls = apply.calls(undo);
    let (mut old, mut new) = (0, 0);
    for call in &calls {
        let killed = apply.killed(call);
        let when = format!("killed at {call}");
        site.settle(&when);
        if site.has_shop() {
            new += 1;
            assert!(site.declared().is_some_and(|text| text.contains("shop")), "{when}: made, not declared");
            assert!(site.ok(&["apply", &file]).contains("so already"), "{when}: half made");
            undo();
        } else {
            old += 1;
            assert!(killed, "{when}: it was not, and made nothing");
        }
        assert_eq!(site.network(), before, "{when}");
        assert_eq!(site.declared(), None, "{when}");
    }
    eprintln!("apply killed at {} calls: {old} times the old network, {new} times the new one", calls.len());
    assert!(old > 0 && new > 0);
}

/// The same of undo: it is as if it had not begun, or it is done.
#[test]
fn killed_at_every_third_call_of_undo() {
    let site = Site::new();
    let (before, file) = (site.network(), site.file("wanted.yaml"));
    let undo = Traced { site: &site, args: vec!["undo".to_owned()] };
    let apply = || {
        site.ok(&["apply", &file]);
        site.settle("once it is applied");
    };
    apply();
    let calls = undo.calls(apply);
    let (mut old, mut new) = (0, 0);
    for call in calls.iter().step_by(3) {
        let killed = undo.killed(call);
        let when = format!("killed at {call}");
        site.settle(&when);
        if site.has_shop() {
            old += 1;
            assert!(killed, "{when}: it was not, and undid nothing");
            assert!(site.ok(&["apply", &file]).contains("so already"), "{when}: half undone");
        } else {
            new += 1;
            assert_eq!(site.network(), before, "{when}");
            assert_eq!(site.declared(), None, "{when}");
            apply();
        }
    }
    eprintln!("undo killed at {} calls: {old} times not undone, {new} times undone", calls.len().div_ceil(3));
    assert!(old > 0 && new > 0);
}

/// Nobody watches any more, and who takes back what waits is killed too: the next command takes it back, or it still waits
/// whole. What is half taken back is never confirmed.
#[test]
fn killed_while_taking_back() {
    let site = Site::new();
    let (before, file) = (site.network(), site.file("wanted.yaml"));
    let wait = || {
        site.ok(&["apply", &file, "--confirm", "600"]);
        for process in site.running() {
            site.sh(&format!("kill -9 {process}"));
        }
        let end = Instant::now() + PATIENCE;
        while !site.running().is_empty() {
            assert!(Instant::now() < end, "the watchdog does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let undo = Traced { site: &site, args: vec!["undo".to_owned()] };
    wait();
    let calls = undo.in_all(wait);
    let (mut back, mut waits) = (0, 0);
    // Before it opens the records it is any program.
    for call in calls.iter().skip(calls.len() / 3).step_by(4) {
        undo.killed(call);
        let when = format!("killed at {call}");
        let confirmed = site.run(&["confirm"]).status.success();
        site.settle(&when);
        if confirmed {
            waits += 1;
            assert!(
                site.ok(&["apply", &file]).contains("so already"),
                "{when}: confirmed and half taken back"
            );
            site.ok(&["undo"]);
            site.settle(&when);
        } else {
            back += 1;
        }
        assert_eq!((site.network(), site.declared()), (before.clone(), None), "{when}");
        wait();
    }
    eprintln!(
        "taking back killed: {back} times taken back by the next command, {waits} times it waited still"
    );
    assert!(back > 0 && waits > 0);
}

/// Where nothing can be written down nothing is changed, and what waits can be taken back all the same.
#[test]
fn a_full_disk() {
    let site = Site::new();
    let (before, file) = (site.network(), site.file("wanted.yaml"));
    let (fill, free) = ("cat /dev/zero > /var/lib/llano/full 2>/dev/null || true", "rm /var/lib/llano/full");
    site.sh(&format!("mount -t tmpfs -o size=512k tmpfs /var/lib/llano; mkdir /var/lib/llano/host; {fill}"));
    let refused = site.refused(&["apply", &file]);
    assert!(refused.contains("No space left on device"), "{refused}");
    site.settle("nothing was begun");
    assert_eq!((site.network(), site.declared()), (before.clone(), None));

    site.sh(free);
    site.ok(&["apply", &file, "--confirm", "600"]);
    site.sh(fill);
    site.ok(&["undo"]);
    site.settle("it is taken back");
    assert_eq!((site.network(), site.declared()), (before.clone(), None));

    site.sh(free);
    site.ok(&["apply", &file, "--confirm", "600"]);
    site.sh(fill);
    site.expire();
    site.settle("when its time is over");
    assert_eq!((site.network(), site.declared()), (before.clone(), None));

    // What cannot be written down as kept is taken back.
    site.sh(free);
    site.ok(&["apply", &file, "--confirm", "600"]);
    site.sh(fill);
    assert!(site.refused(&["confirm"]).contains("No space left on device"));
    site.ok(&["undo"]);
    site.settle("at last");
    assert_eq!((site.network(), site.declared()), (before, None));
}

#[test]
fn enable_writes_what_disable_gives_back() {
    let site = Site::new();
    let files = || site.sh("find /etc/systemd /etc/modules-load.d /etc/modprobe.d ! -type d | sort");
    site.ok(&["apply", &site.file("wanted.yaml")]);
    let dry = site.ok(&["enable", "--dry-run", "--program", "/usr/bin/llano"]);
    assert!(dry.contains("would write /etc/systemd/system/llano-host.service"), "{dry}");
    assert_eq!(files(), "");
    site.ok(&["enable", "--program", "/usr/bin/llano"]);
    assert_eq!(
        files(),
        "/etc/modules-load.d/llano.conf\n\
         /etc/systemd/network/05-llano.link\n\
         /etc/systemd/system/llano-host.service\n\
         /etc/systemd/system/multi-user.target.wants/llano-host.service\n\
         /etc/systemd/system/network-online.target.wants/llano-host.service\n"
    );
    assert!(site.sh("cat /etc/systemd/network/05-llano.link").contains("OriginalName=shop\n"));
    // What is declared later is added, and goes with its undo.
    let second =
        "interfaces: [ { name: second, type: mac-vlan, mac-vlan: { base-iface: eth1, mode: bridge } } ]";
    std::fs::write(site.file("second.yaml"), second).unwrap();
    site.ok(&["apply", &site.file("second.yaml")]);
    assert!(site.sh("cat /etc/systemd/network/05-llano.link").contains("OriginalName=second shop\n"));
    site.ok(&["undo"]);
    assert!(site.sh("cat /etc/systemd/network/05-llano.link").contains("OriginalName=shop\n"));
    let dry = site.ok(&["disable", "--dry-run"]);
    assert!(dry.contains("would remove /etc/systemd/system/llano-host.service"), "{dry}");
    site.ok(&["disable"]);
    assert_eq!(files(), "");
    assert!(site.ok(&["disable"]).contains("Nothing was enabled."));
}

#[test]
fn boot_waits_for_a_nic_and_brings_up_what_is_declared() {
    let site = Site::new();
    assert!(site.ok(&["boot"]).contains("nothing to do"));
    site.ok(&["apply", &site.file("wanted.yaml")]);
    let made = site.network();
    assert!(site.ok(&["boot"]).contains("already"));
    // As after a reboot: nothing of it is there.
    let undo = "ip link del shop; ip link set eth0 mtu 1500; ip addr del 10.9.0.7/24 dev eth0; ip route del 10.77.0.0/16";
    site.sh(undo);
    site.ok(&["boot"]);
    let strip =
        |text: &str| text.lines().filter(|line| !line.contains("shop")).collect::<Vec<_>>().join("\n");
    assert_eq!(strip(&site.network()), strip(&made));
    assert!(site.has_shop());

    // A NIC that is late, and one that never comes.
    std::fs::write(
        site.file("late.yaml"),
        "interfaces: [ { name: eth1, type: ethernet, state: up, mtu: 1450 } ]",
    )
    .unwrap();
    site.ok(&["apply", &site.file("late.yaml")]);
    site.sh("ip link set eth1 down; ip link set eth1 name late");
    let boot = site
        .command(&["boot", "--wait", "20"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut boot = boot;
    let mut errors = std::io::BufReader::new(boot.stderr.take().unwrap());
    while !said.contains("waiting up to 20 s for eth1") {
        assert!(std::io::BufRead::read_line(&mut errors, &mut said).unwrap() > 0, "{said}");
    }
    site.sh("ip link set late name eth1");
    std::io::Read::read_to_string(&mut errors, &mut said).unwrap();
    assert!(boot.wait().unwrap().success(), "{said}");
    assert!(site.sh("ip -o link show eth1").contains("mtu 1450"));

    site.sh("ip link set eth1 down; ip link set eth1 name late; ip link del shop");
    let output = site.run(&["boot", "--wait", "1"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("eth1 did not appear in 1 s"), "{said}");
    assert!(site.has_shop(), "the rest is up: {said}");
}

#[test]
fn what_another_tool_looks_after_is_refused_or_taken() {
    let site = Site::new();
    assert!(site.ok(&["owners"]).contains("No other tool"));
    // Stands in for the daemon: a process of its name in this host's namespace.
    let daemon = site.file("systemd-network");
    std::fs::copy("/bin/sleep", &daemon).unwrap();
    let mut daemon = site.host().command(&daemon).unwrap().arg("600").spawn().unwrap();
    site.sh("mkdir -p /etc/systemd/network; printf '[Match]\\nName=eth*\\n[Network]\\nDHCP=yes\\n' > /etc/systemd/network/10-eth.network");
    let owners = site.json(&["owners"]);
    assert_eq!(owners[0]["interface"], "eth0", "{owners}");
    assert_eq!(owners[0]["evidence"], "/etc/systemd/network/10-eth.network");
    let (before, file) = (site.network(), site.file("wanted.yaml"));
    let refused = site.refused(&["apply", &file]);
    assert!(
        refused.contains("eth0 belongs to systemd-networkd (/etc/systemd/network/10-eth.network"),
        "{refused}"
    );
    assert!(refused.contains("--take"), "{refused}");
    assert_eq!(site.network(), before);
    site.ok(&["apply", &file, "--take"]);
    assert!(site.sh("cat /etc/systemd/network/00-llano-unmanaged.network").contains("Name=eth0\n"));
    assert_eq!(site.json(&["owners"])[0]["interface"], "eth1");
    site.ok(&["undo"]);
    assert_eq!(site.network(), before);
    assert_eq!(site.sh("ls /etc/systemd/network").trim(), "10-eth.network");
    site.ok(&["apply", &file, "--take"]);
    site.ok(&["disable"]);
    assert_eq!(site.sh("ls /etc/systemd/network").trim(), "10-eth.network");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

/// The NIC that a change touched is pulled out while it waits: the rest comes back all the same.
#[test]
fn a_link_that_dies_meanwhile_does_not_stop_the_rest_from_coming_back() {
    let site = Site::new();
    let wanted = "
interfaces:
- { name: eth0, type: ethernet, mtu: 1400 }
- { name: eth1, type: ethernet, mtu: 1300, state: up }
- { name: on1, type: mac-vlan, mac-vlan: { base-iface: eth1, mode: bridge } }
routes:
  config: [ { destination: 10.77.0.0/16, next-hop-address: 10.9.0.2, next-hop-interface: eth0 } ]
";
    std::fs::write(site.file("both.yaml"), wanted).unwrap();
    // What is confirmed already stands on it too.
    let first = "interfaces: [ { name: on1, type: mac-vlan, state: up, mac-vlan: { base-iface: eth1, mode: private } } ]";
    std::fs::write(site.file("first.yaml"), first).unwrap();
    site.ok(&["apply", &site.file("first.yaml")]);
    site.ok(&["apply", &site.file("both.yaml"), "--confirm", "600"]);
    site.sh("ip link del eth1");
    site.expire();
    site.settle("when its time is over");
    assert!(!site.sh("ip route").contains("10.77.0.0/16"));
    assert!(site.sh("ip -o link show eth0").contains("mtu 1500"));
    let history = site.json(&["history"]);
    assert_eq!(history[1]["state"], "rolled back: not confirmed in 600 s", "{history}");
}

/// The second waits for the first, and plans on what that left.
#[test]
fn of_two_at_once_the_second_waits() {
    let site = Site::new();
    let mut running = Vec::new();
    for number in 1..=4 {
        let file = site.file(&format!("{number}.yaml"));
        let text = format!(
            "interfaces: [ {{ name: m{number}, type: mac-vlan, state: up, mac-vlan: {{ base-iface: eth0, mode: bridge }} }} ]"
        );
        std::fs::write(&file, text).unwrap();
        let mut apply = site.command(&["apply", &file]);
        running.push(apply.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    }
    for apply in running {
        let output = apply.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let declared = site.declared().unwrap();
    for number in 1..=4 {
        assert!(declared.contains(&format!("name: m{number}\n")), "{declared}");
        assert!(site.sh("ip -o link").contains(&format!("m{number}@eth0")));
    }
    assert_eq!(site.json(&["history"]).as_array().unwrap().len(), 4);
}

/// Who has the lock is stopped, another waits, the first is killed: its change is taken back, then the other's is made.
#[test]
fn a_lock_whose_holder_dies_is_free_and_its_change_taken_back() {
    let site = Site::new();
    let before = site.network();
    let mut strace = site.host().command("strace").unwrap();
    // Stops when its record has got its name: it is written down, and nothing is made yet.
    strace.args([
        "-qq",
        "-o",
        &site.file("trace"),
        "-e",
        "inject=renameat,rename,renameat2:signal=SIGSTOP:when=1",
    ]);
    strace.arg(&site.llano).args(["host", "apply", &site.file("wanted.yaml")]);
    let mut strace = strace.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let end = Instant::now() + PATIENCE;
    while site.sh("ls /var/lib/llano/host/pending.json 2>/dev/null || true").is_empty() {
        assert!(Instant::now() < end, "it does not come to its record");
        std::thread::sleep(Duration::from_millis(5));
    }
    let holder = site.sh("cut -d : -f 1 /var/lib/llano/host/lock").trim().to_owned();
    let other =
        "interfaces: [ { name: other, type: mac-vlan, mac-vlan: { base-iface: eth1, mode: bridge } } ]";
    std::fs::write(site.file("other.yaml"), other).unwrap();
    let mut apply = site.command(&["apply", &site.file("other.yaml")]);
    let mut apply = apply.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut errors = std::io::BufReader::new(apply.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut errors, &mut said).unwrap();
    assert_eq!(said, format!("llano: waiting for another llano host (process {holder})\n"));
    site.sh(&format!("kill -9 {holder}"));
    std::io::Read::read_to_string(&mut errors, &mut said).unwrap();
    assert!(apply.wait().unwrap().success(), "{said}");
    strace.wait().unwrap();
    site.settle("after both");
    let history = site.json(&["history"]);
    let killed = "rolled back: the program that made it was ended before it was done";
    assert_eq!((&history[0]["state"], &history[1]["state"]), (&killed.into(), &"holds".into()), "{history}");
    site.ok(&["undo"]);
    assert_eq!(site.network(), before);
}

/// A pager that nobody reads on in, or a terminal that is stopped, keeps no other command from its work.
#[test]
fn a_dry_run_that_nobody_reads_holds_no_lock() {
    let site = Site::new();
    let mut many = "interfaces:\n".to_owned();
    for number in 0..600 {
        many += &format!(
            "- {{ name: m{number}, type: mac-vlan, state: up, mac-vlan: {{ base-iface: eth0, mode: bridge }} }}\n"
        );
    }
    std::fs::write(site.file("many.yaml"), many).unwrap();
    let mut dry = site.command(&["apply", &site.file("many.yaml"), "--dry-run"]);
    let mut dry = dry.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    std::io::Read::read_exact(dry.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    let end = Instant::now() + PATIENCE;
    while site.sh("flock -n /var/lib/llano/host/lock echo free || true") != "free\n" {
        assert!(Instant::now() < end, "it has the lock while it writes");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(dry.try_wait().unwrap().is_none(), "it is not done: more is to be read than a pipe holds");
    dry.kill().unwrap();
    dry.wait().unwrap();
}

/// Another program of ours has the lock and does not go on: it is ended some seconds after the change had to be taken back.
#[test]
fn who_holds_the_lock_too_long_does_not_keep_a_change_from_being_taken_back() {
    let site = Site::new();
    let before = site.network();
    site.ok(&["apply", &site.file("wanted.yaml"), "--confirm", "600"]);
    let script = "exec 9<> /var/lib/llano/host/lock; flock 9
        echo $$:$(cut -d ' ' -f 22 /proc/$$/stat) > /var/lib/llano/host/lock; echo held; exec sleep 600";
    let mut holder = site.host().command("sh").unwrap();
    let mut holder =
        holder.args(["-ec", script]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut [0; 5]).unwrap();
    site.expire();
    site.settle("when its time is over");
    assert_eq!(site.network(), before);
    let ended = holder.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9));
}

/// Nobody listens to what it says: that does not stop it in the middle.
#[test]
fn a_reader_who_goes_does_not_decide() {
    let site = Site::new();
    site.sh(&format!(
        "{0} host apply {1} 2>&1 | true; {0} host apply {1} >&- 2>&-",
        site.llano.display(),
        site.file("wanted.yaml")
    ));
    site.settle("after it");
    assert!(site.has_shop() && site.declared().unwrap().contains("shop"));
}

/// Damaged files, a full disk, a kind that the kernel refuses: as much as can be is brought up, and it is told.
#[test]
fn boot_brings_up_what_it_can() {
    let site = Site::new();
    let told = |output: &Output| String::from_utf8(output.stderr.clone()).unwrap();
    site.ok(&["apply", &site.file("wanted.yaml")]);
    let away = "ip link del shop; ip link set eth0 mtu 1500; ip addr del 10.9.0.7/24 dev eth0; ip route flush 10.77.0.0/16";
    let whole = site.declared().unwrap();

    site.sh(&format!("{away}; : > /etc/llano/host.yaml"));
    let output = site.run(&["boot"]);
    assert!(told(&output).contains("host.yaml is not a record of this program: it is empty"), "{output:?}");
    assert!(told(&output).contains("taking what change 1 declared instead"), "{output:?}");
    assert_eq!(output.status.code(), Some(1));
    assert!(site.has_shop() && site.sh("ip route").contains("10.77.0.0/16"));

    // The records' directory is a file: nothing can be written there.
    std::fs::write(site.file("whole.yaml"), &whole).unwrap();
    site.sh(&format!(
        "{away}; cp {} /etc/llano/host.yaml; mv /var/lib/llano/host /var/lib/llano/aside; touch /var/lib/llano/host",
        site.file("whole.yaml")
    ));
    let output = site.run(&["boot"]);
    assert!(told(&output).contains("going on without the records"), "{output:?}");
    assert!(output.status.success() && site.has_shop(), "{output:?}");
    site.sh("rm /var/lib/llano/host; mv /var/lib/llano/aside /var/lib/llano/host");

    // One part that cannot be: the others are up.
    site.sh(&format!("{away}; cp {} /etc/llano/host.yaml", site.file("whole.yaml")));
    let bad = "\n- { name: bad, type: mac-vlan, state: up, mtu: 9000, mac-vlan: { base-iface: eth1, mode: bridge } }";
    let text = whole.replacen("interfaces:", &format!("interfaces:{bad}"), 1);
    std::fs::write(site.file("bad.yaml"), text).unwrap();
    site.sh(&format!("cp {} /etc/llano/host.yaml", site.file("bad.yaml")));
    let output = site.run(&["boot"]);
    assert!(told(&output).contains("bringing up each interface for itself"), "{output:?}");
    assert!(told(&output).contains("llano: bad is not up: "), "{output:?}");
    assert_eq!(output.status.code(), Some(1));
    assert!(site.has_shop() && site.sh("ip route").contains("10.77.0.0/16"), "{output:?}");
}

/// A change that was not confirmed when the power went: the boot knows it no more, and brings up what was.
#[test]
fn boot_after_a_pending_change() {
    let site = Site::new();
    site.ok(&["apply", &site.file("wanted.yaml")]);
    let second = "interfaces: [ { name: eth0, type: ethernet, mtu: 1300 }, { name: second, type: mac-vlan, mac-vlan: { base-iface: eth1, mode: bridge } } ]";
    std::fs::write(site.file("second.yaml"), second).unwrap();
    site.ok(&["apply", &site.file("second.yaml"), "--confirm", "600"]);
    // The power goes: no process, no network, another boot.
    for process in site.running() {
        site.sh(&format!("kill -9 {process}"));
    }
    let pending = "/var/lib/llano/host/pending.json";
    site.sh(&format!(
        "sed -i 's/\"boot\":\"[0-9a-f-]*\"/\"boot\":\"00000000-0000-0000-0000-000000000000\"/' {pending}; \
         ip link del second; ip link del shop; ip link set eth0 mtu 1500; ip addr del 10.9.0.7/24 dev eth0; ip route flush 10.77.0.0/16"
    ));
    let output = site.run(&["boot"]);
    let said = String::from_utf8(output.stderr).unwrap();
    let line =
        "llano: apply second.yaml was not confirmed before the host was started anew, and is forgotten";
    assert!(output.status.success() && said.lines().any(|other| other == line), "{said}");
    assert!(site.has_shop() && site.sh("ip -o link show eth0").contains("mtu 1400"));
    assert!(!site.sh("ip -o link").contains("second@"));
    site.settle("after the boot");
    assert_eq!(site.json(&["history"])[1]["state"], "rolled back: the host was started anew");
}

/// `undo` of what was to be undone already is no undo of what was before it.
#[test]
fn undo_takes_back_one_change_only() {
    let site = Site::new();
    site.ok(&["apply", &site.file("wanted.yaml")]);
    let second =
        "interfaces: [ { name: second, type: mac-vlan, mac-vlan: { base-iface: eth1, mode: bridge } } ]";
    std::fs::write(site.file("second.yaml"), second).unwrap();
    site.ok(&["apply", &site.file("second.yaml"), "--confirm", "600"]);
    for process in site.running() {
        site.sh(&format!("kill -9 {process}"));
    }
    site.expire();
    let output = site.run(&["undo"]);
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = "  delete second\nllano: apply second.yaml has been rolled back: not confirmed in 600 s\n";
    assert_eq!(said, expected);
    assert!(output.status.success() && site.has_shop());
    site.ok(&["apply", &site.file("second.yaml"), "--confirm", "600"]);
    assert!(site.refused(&["undo", "1"]).contains("waits to be confirmed"));
    site.ok(&["confirm"]);
    site.ok(&["undo", "1"]);
    assert!(!site.has_shop() && !site.sh("ip -o link").contains("second@"));
    site.settle("after all");
}

/// A real systemd-networkd, with a bus of its own, as the host's root would run them.
struct Networkd<'a> {
    site: &'a Site,
    running: Vec<std::process::Child>,
}

impl<'a> Networkd<'a> {
    fn start(site: &'a Site, configuration: &str) -> Self {
        // On a /sys that cannot be written it does not wait for udev.
        site.sh(&format!(
            "mount -o remount,ro /sys
             mkdir -p /etc/systemd/network /run/dbus /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
             chown -R systemd-network /run/systemd/netif
             printf '{configuration}' > /etc/systemd/network/10-eth.network"
        ));
        let mut networkd = Self { site, running: Vec::new() };
        networkd.spawn(&["dbus-daemon", "--system", "--nofork", "--nopidfile"]);
        networkd.wait("test -S /run/dbus/system_bus_socket");
        networkd.spawn(&["/lib/systemd/systemd-networkd"]);
        networkd
    }

    fn spawn(&mut self, line: &[&str]) {
        let mut command = self.site.host().command(line[0]).expect("this test needs systemd and dbus-daemon");
        command.args(&line[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.running.push(command.spawn().unwrap());
    }

    fn wait(&self, condition: &str) {
        let end = Instant::now() + PATIENCE;
        while self.site.sh(&format!("{condition} && echo yes || true")) != "yes\n" {
            assert!(Instant::now() < end, "{condition}: {}", self.state("eth0"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it says of a link.
    fn state(&self, name: &str) -> String {
        self.site.sh(&format!("cat /run/systemd/netif/links/$(cat /sys/class/net/{name}/ifindex) || true"))
    }

    fn wait_for(&self, name: &str, state: &str) {
        let file = format!("/run/systemd/netif/links/$(cat /sys/class/net/{name}/ifindex)");
        self.wait(&format!("grep -q ADMIN_STATE={state} {file}"));
    }
}

impl Drop for Networkd<'_> {
    fn drop(&mut self) {
        for child in self.running.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// networkd takes its addresses away when it lets go: they are there all the same, and it has its own again after undo.
#[test]
fn a_real_networkd_lets_go_and_has_it_again() {
    let site = Site::new();
    let networkd = Networkd::start(
        &site,
        "[Match]\\nName=eth0\\n[Network]\\nAddress=10.9.0.1/24\\nLinkLocalAddressing=no\\nIPv6AcceptRA=no\\n",
    );
    networkd.wait_for("eth0", "configured");
    let owners = site.json(&["owners"]);
    assert_eq!(owners.as_array().unwrap().len(), 1, "{owners}");
    let owner = &owners[0];
    assert_eq!((&owner["interface"], &owner["tool"]), (&"eth0".into(), &"systemd-networkd".into()));
    assert_eq!(owner["evidence"], "/etc/systemd/network/10-eth.network");
    let file = site.file("wanted.yaml");
    assert!(site.refused(&["apply", &file]).contains("eth0 belongs to systemd-networkd"));
    let dry = site.ok(&["apply", &file, "--take", "--dry-run"]);
    assert!(!dry.contains("would refuse"), "{dry}");

    site.ok(&["apply", &file, "--take"]);
    networkd.wait_for("eth0", "unmanaged");
    let addresses = site.sh("ip -o -4 addr show eth0");
    assert!(addresses.contains("10.9.0.1/24") && addresses.contains("10.9.0.7/24"), "{addresses}");
    assert!(site.sh("ip route").contains("10.77.0.0/16 via 10.9.0.2"));
    assert_eq!(site.json(&["owners"]), serde_json::json!([]));

    site.ok(&["undo"]);
    networkd.wait_for("eth0", "configured");
    assert_eq!(site.json(&["owners"])[0]["interface"], "eth0");
    let addresses = site.sh("ip -o -4 addr show eth0");
    assert!(addresses.contains("10.9.0.1/24") && !addresses.contains("10.9.0.7/24"), "{addresses}");
}

/// An address that networkd leased would end with nobody to renew it.
#[test]
fn a_leased_address_is_not_taken() {
    let site = Site::new();
    let networkd = Networkd::start(
        &site,
        "[Match]\\nName=eth1\\n[Network]\\nLinkLocalAddressing=no\\nIPv6AcceptRA=no\\n",
    );
    networkd.wait_for("eth1", "configured");
    site.sh("ip addr add 10.8.0.5/24 dev eth1 valid_lft 600 preferred_lft 600");
    let file = site.file("mtu.yaml");
    std::fs::write(&file, "interfaces: [ { name: eth1, type: ethernet, mtu: 1400 } ]").unwrap();
    let dry = site.ok(&["apply", &file, "--take", "--dry-run"]);
    assert!(dry.contains("would refuse: systemd-networkd leases an address of eth1"), "{dry}");
    let refused = site.refused(&["apply", &file, "--take"]);
    assert!(
        refused.contains("systemd-networkd leases an address of eth1")
            && refused.contains("declare it in the file"),
        "{refused}"
    );
    assert!(site.sh("ip -o link show eth1").contains("mtu 1500"));
    let static_too = "interfaces: [ { name: eth1, type: ethernet, mtu: 1400, ipv4: { enabled: true, address: [ { ip: 10.8.0.5, prefix-length: 24, valid-life-time: forever, preferred-life-time: forever } ] } } ]";
    std::fs::write(&file, static_too).unwrap();
    site.ok(&["apply", &file, "--take"]);
    assert!(site.sh("ip -o -4 addr show eth1").contains("10.8.0.5/24"));
}

#[test]
fn every_command_has_help_with_an_example() {
    let commands = [
        "apply",
        "show",
        "diff",
        "confirm",
        "undo",
        "history",
        "enable",
        "disable",
        "boot",
        "owners",
        "access on",
        "access off",
        "access status",
    ];
    for command in commands {
        let llano = bin_dir().join("llano");
        let output = Command::new(llano).arg("host").args(command.split(' ')).arg("--help").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(
            help.contains(&format!("llano host {command}")) && help.contains("Example"),
            "{command}: {help}"
        );
    }
}

/// A container's macvlan goes with its parent, and no roll back makes it again: not without a word.
#[test]
fn what_containers_hang_on_is_not_taken_away_unasked() {
    let site = Site::new();
    let container = site.host().container("web").unwrap();
    site.sh(&format!(
        "ip link add br9 type bridge && ip link set br9 up && ip link add link br9 name lan9 netns {} type macvlan mode bridge",
        container.path().display()
    ));
    std::fs::write(site.file("gone.yaml"), "interfaces: [ { name: br9, state: absent } ]").unwrap();
    let file = site.file("gone.yaml");
    let said = site.refused(&["apply", &file]);
    assert!(said.contains("br9 carries lan9 of") && said.contains("--lose-containers"), "{said}");
    assert!(site.sh("ip -o link").contains("br9"));
    let dry = site.json(&["apply", &file, "--dry-run"]);
    assert_eq!(dry["containers"][0]["interface"], "lan9", "{dry}");
    assert!(site.ok(&["apply", &file, "--dry-run"]).contains("would refuse: br9 carries lan9"));
    site.ok(&["apply", &file, "--lose-containers"]);
    assert!(!site.sh("ip -o link").contains("br9"));
}

/// Nor by undo.
#[test]
fn undo_does_not_take_away_unasked_what_containers_hang_on() {
    let site = Site::new();
    let container = site.host().container("web").unwrap();
    let file = site.file("mtu.yaml");
    std::fs::write(&file, "interfaces: [ { name: eth1, type: ethernet, mtu: 1400 } ]").unwrap();
    site.ok(&["apply", &file]);
    // The bridge stands in for a bond or a VLAN that the change made, which not every kernel has.
    site.sh(
        r#"sed -i 's/"affected":\["eth1"/"affected":["br9","eth1"/' /var/lib/llano/host/history/0001.json"#,
    );
    site.sh(&format!(
        "ip link add br9 type bridge && ip link set br9 up && ip link add link br9 name lan9 netns {} type macvlan mode bridge",
        container.path().display()
    ));
    let said = site.refused(&["undo"]);
    assert!(said.contains("br9 carries lan9 of") && said.contains("--lose-containers"), "{said}");
    assert!(site.sh("ip -o link").contains("br9"));
    assert_eq!(site.json(&["undo", "--dry-run"])["containers"][0]["interface"], "lan9");
    assert!(site.ok(&["undo", "--dry-run"]).contains("would refuse: br9 carries lan9"));
    site.ok(&["undo", "--lose-containers"]);
    assert!(!site.sh("ip -o link").contains("br9"));
}

/// A dry run says what apply would say, and nothing that is not so.
#[test]
fn a_dry_run_says_what_apply_would() {
    let site = Site::new();
    let file = site.file("as-is.yaml");
    std::fs::write(&file, "interfaces: [ { name: eth1, type: ethernet, mtu: 1500 } ]").unwrap();
    let said = site.ok(&["apply", &file, "--dry-run"]);
    assert!(said.contains("it would be declared") && !said.contains("declared now"), "{said}");
    assert_eq!(site.json(&["apply", &file, "--dry-run"])["declared"], false);
    site.ok(&["apply", &file]);
    assert_eq!(site.json(&["apply", &file, "--dry-run"])["declared"], true);

    let wanted = site.file("wanted.yaml");
    site.ok(&["apply", &wanted, "--confirm", "600"]);
    std::fs::write(&file, "interfaces: [ { name: eth1, type: ethernet, mtu: 1400 } ]").unwrap();
    let said = site.ok(&["apply", &file, "--dry-run"]);
    assert!(said.contains("would refuse: ") && said.contains("waits to be confirmed"), "{said}");
    site.ok(&["confirm"]);
    site.ok(&["enable", "--program", "/usr/bin/llano"]);
    let second =
        "interfaces: [ { name: second, type: mac-vlan, mac-vlan: { base-iface: eth1, mode: bridge } } ]";
    std::fs::write(&file, second).unwrap();
    let dry = site.json(&["apply", &file, "--dry-run"]);
    assert_eq!(dry["refused"], serde_json::json!([]));
    assert_eq!(dry["files"], serde_json::json!(["/etc/systemd/network/05-llano.link"]));
    assert!(
        site.ok(&["apply", &file, "--dry-run"]).contains("would write /etc/systemd/network/05-llano.link")
    );
}

/// What was written into host.yaml by hand is not lost by an undo.
#[test]
fn undo_keeps_a_host_yaml_that_was_edited() {
    let site = Site::new();
    site.ok(&["apply", &site.file("wanted.yaml")]);
    site.sh("echo '# by hand' >> /etc/llano/host.yaml");
    let edited = site.declared().unwrap();
    let output = site.run(&["undo"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("/etc/llano/host.yaml was edited since the newest change"), "{said}");
    assert_eq!((site.declared(), site.sh("cat /etc/llano/host.yaml.edited")), (None, edited));
    site.sh("rm /etc/llano/host.yaml.edited");
    site.ok(&["apply", &site.file("wanted.yaml")]);
    let output = site.run(&["undo"]);
    assert!(!String::from_utf8(output.stderr).unwrap().contains("was edited"));
    assert_eq!(site.sh("ls /etc/llano/host.yaml.edited 2>/dev/null || true"), "");
}

/// enable writes into the list of files that an apply writes into too: one after the other.
#[test]
fn enable_waits_for_an_apply() {
    let site = Site::new();
    let mut holder = site.host().command("sh").unwrap();
    let script =
        "mkdir -p /var/lib/llano/host; exec 9<> /var/lib/llano/host/lock; flock 9; echo held; read line";
    let mut holder =
        holder.args(["-ec", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut [0; 5]).unwrap();
    let mut enable = site.command(&["enable", "--program", "/usr/bin/llano"]);
    let mut enable = enable.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut errors = std::io::BufReader::new(enable.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut errors, &mut said).unwrap();
    assert_eq!(said, "llano: waiting for another llano host\n");
    assert_eq!(site.sh("ls /var/lib/llano/host/files.json 2>/dev/null || true"), "");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert!(enable.wait().unwrap().success());
    assert!(!site.sh("ls /var/lib/llano/host/files.json").is_empty());
}

/// What cannot be taken back now may be later: somebody may be cut off from the host until then.
#[test]
fn the_watchdog_does_not_give_up() {
    let site = Site::new();
    let before = site.network();
    site.ok(&["apply", &site.file("wanted.yaml"), "--confirm", "600"]);
    // A network that does not let go is stood in for by one that is not the change's.
    let of = |text: &str| {
        let at = text.find("\"namespace\":[").unwrap() + "\"namespace\":[".len();
        (at, at + text[at..].find(']').unwrap())
    };
    let mut own = String::new();
    site.rewrite(|text| {
        let (from, to) = of(text);
        own = text[from..to].to_owned();
        format!("{}{:>width$}{}", &text[..from], "0,0", &text[to..], width = to - from)
    });
    site.expire();
    // Longer than a handful of tries.
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(site.running().len(), 1, "the watchdog is there");
    assert!(site.has_shop());
    site.rewrite(|text| {
        let (from, to) = of(text);
        format!("{}{own}{}", &text[..from], &text[to..])
    });
    site.settle("when it can be taken back");
    assert_eq!(site.network(), before);
}
