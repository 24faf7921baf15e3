//! Who takes a change back, and when.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::site::{PATIENCE, Site};

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
    site.ok(&["apply", &file, "--confirm", "600"]);
    site.kill_all();
    site.expire();
    assert!(site.has_shop(), "nobody is there to take it back");
    let output = site.run(&["show"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "llano: apply wanted.yaml has been rolled back: not confirmed in 600 s\n");
    assert_eq!(site.network(), before);

    site.ok(&["apply", &file, "--confirm", "600"]);
    site.kill_all();
    let output = site.run(&["history"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("waits to be confirmed for another"));
    assert_eq!(site.running().len(), 1, "it has a watchdog again");
    site.expire();
    site.settle("when its time is over");
    assert_eq!(site.network(), before);
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
