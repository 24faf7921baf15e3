//! The reference plugin and ours on one host-local directory: after each other, at once, and after accidents.
//!
//! Needs Debian's containernetworking-plugins and the binaries of `cargo xtask dist` (or `LLANO_BIN_DIR`).
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};

/// Debian's, or that of the directory `LLANO_REFERENCE_DIR` (a later release).
fn reference() -> PathBuf {
    let dir = std::env::var_os("LLANO_REFERENCE_DIR").unwrap_or_else(|| "/usr/lib/cni".into());
    Path::new(&dir).join("host-local")
}

/// The two programs, and a directory of their own for everything they write.
struct Bench {
    temp: tempfile::TempDir,
    ours: PathBuf,
    reference: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Reference,
    Ours,
}

/// What a call said.
#[derive(Debug, PartialEq)]
struct Answer {
    ok: bool,
    value: Value,
}

impl Answer {
    fn address(&self) -> String {
        let text = self.value["ips"][0]["address"].as_str().unwrap();
        text.split('/').next().unwrap().to_owned()
    }

    fn msg(&self) -> &str {
        self.value["msg"].as_str().unwrap_or_default()
    }
}

impl Bench {
    fn new() -> Bench {
        let reference = reference();
        let found = reference.is_file();
        assert!(found, "no {}: apt-get install containernetworking-plugins", reference.display());
        let temp = tempfile::tempdir().unwrap();
        let ours = temp.path().join("host-local");
        symlink(netns_tests::bin_dir().join("llano-cni"), &ours).unwrap();
        Bench { temp, ours, reference }
    }

    fn data(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn call(&self, program: Program, verb: &str, owner: (&str, &str), args: &str, conf: &Value) -> Answer {
        let mut command = Command::new(match program {
            Program::Reference => &self.reference,
            Program::Ours => &self.ours,
        });
        command.env("CNI_COMMAND", verb).env("CNI_CONTAINERID", owner.0).env("CNI_IFNAME", owner.1);
        command
            .env("CNI_NETNS", "/run/netns/there-is-none")
            .env("CNI_PATH", "/usr/lib/cni")
            .env("CNI_ARGS", args);
        command.env("LLANO_RUN_DIR", self.temp.path().join("run"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), conf.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let value = if output.stdout.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&output.stdout).unwrap()
        };
        Answer { ok: output.status.success(), value }
    }
}

fn conf(data: &Path, ranges: &Value) -> Value {
    json!({
        "cniVersion": "0.4.0", "name": "net", "type": "macvlan",
        "ipam": {"type": "host-local", "dataDir": data, "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]}
    })
}

/// Every file of a directory with its content.
fn files(dir: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return BTreeMap::new() };
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            let content = String::from_utf8(std::fs::read(entry.path()).unwrap()).unwrap();
            (entry.file_name().into_string().unwrap(), content)
        })
        .collect()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % limit as u64).unwrap()
    }
}

#[test]
fn one_sequence_leaves_the_same_bytes_whoever_runs_it() {
    let bench = Bench::new();
    let single = json!([[{"subnet": "10.9.0.0/28"}, {"subnet": "10.9.1.0/29", "rangeStart": "10.9.1.3"}]]);
    let dual = json!([single[0], [{"subnet": "2001:db8:9::/64", "gateway": "2001:db8:9::2"}]]);
    let ranges = [&single, &dual];
    let places = ["by-reference", "by-ours", "by-turns"].map(|name| bench.data(name));
    let mut dice = Dice(7);
    let mut held: BTreeSet<usize> = BTreeSet::new();
    let (mut failed, mut made) = (0, 0);
    for step in 0..330 {
        let who = dice.below(24);
        let id = format!("container-{}", who / 2);
        let owner = (id.as_str(), if who.is_multiple_of(2) { "eth0" } else { "net1" });
        let ranges = ranges[dice.below(2)];
        // More ADDs than DELs at first, so that the range is exhausted for a while.
        let add = dice.below(100) < if step % 150 < 80 { 75 } else { 35 };
        let mut args = String::new();
        if add && !held.contains(&who) && dice.below(4) == 0 {
            // Also the gateway, and taken ones.
            args = format!("IP=10.9.0.{}", 1 + dice.below(14));
        }
        let turn = if dice.below(2) == 0 { Program::Reference } else { Program::Ours };
        let verb = if add { "ADD" } else { "DEL" };
        let programs = [Program::Reference, Program::Ours, turn];
        let answers: Vec<Answer> = (programs.iter().zip(&places))
            .map(|(program, data)| bench.call(*program, verb, owner, &args, &conf(data, ranges)))
            .collect();
        let at = format!("step {step}: {verb} {owner:?} {args} {ranges}");
        let (theirs, ours) = (&answers[0], &answers[1]);
        assert_eq!(theirs.ok, ours.ok, "{at}: {theirs:?} {ours:?}");
        if theirs.ok {
            assert_eq!(theirs.value, ours.value, "{at}");
        } else {
            assert_eq!(theirs.msg(), ours.msg(), "{at}");
        }
        assert_eq!(answers[2].ok, ours.ok, "{at}");
        match (add, ours.ok) {
            (true, true) => drop(held.insert(who)),
            (false, _) => drop(held.remove(&who)),
            (true, false) => {}
        }
        made += usize::from(add && ours.ok);
        failed += usize::from(!ours.ok);
        let directories = places.each_ref().map(|data| files(&data.join("net")));
        assert_eq!(directories[0], directories[1], "{at}");
        assert_eq!(directories[0], directories[2], "{at}: by turns");
    }
    // As host-local has it since 1.6; Debian's older one lets everybody read.
    let ours = places[1].join("net");
    let modes: BTreeSet<u32> =
        files(&ours).keys().filter(|name| *name != "lock").map(|name| mode(&ours.join(name))).collect();
    assert_eq!((modes, mode(&ours), mode(&ours.join("lock"))), (BTreeSet::from([0o600]), 0o755, 0o750));
    assert!(made > 60 && failed > 30, "the sequence is worth something: {made} made, {failed} failed");
}

#[test]
fn a_request_outside_the_ranges_is_refused_in_the_same_words_and_changes_nothing() {
    let bench = Bench::new();
    let (theirs, ours) = (bench.data("theirs"), bench.data("ours"));
    let ranges = json!([[{"subnet": "10.9.0.0/28"}]]);
    let owner = ("container", "eth0");
    let refused = bench.call(Program::Ours, "ADD", owner, "IP=10.200.0.1", &conf(&ours, &ranges));
    let theirs = bench.call(Program::Reference, "ADD", owner, "IP=10.200.0.1", &conf(&theirs, &ranges));
    assert_eq!((refused.ok, refused.msg()), (false, "failed to allocate all requested IPs: 10.200.0.1"));
    assert_eq!(refused.msg(), theirs.msg());
    // The reference has moved its cursor by then.
    assert!(!ours.exists());
}

#[test]
fn two_thousand_at_once_by_both() {
    const WORKERS: usize = 16;
    const ROUNDS: usize = 10;
    const PER_ROUND: usize = 2000 / ROUNDS / WORKERS + 1;
    let bench = Bench::new();
    let data = bench.data("shared");
    let conf = conf(&data, &json!([[{"subnet": "10.9.0.0/24"}]]));
    // Per worker: the owners that hold an address, and that address.
    let live: Vec<Mutex<Vec<(String, String)>>> = (0..WORKERS).map(|_| Mutex::default()).collect();
    let crossed = Mutex::new([[0_usize; 2]; 2]);
    for round in 0..ROUNDS {
        std::thread::scope(|scope| {
            for worker in 0..WORKERS {
                let (bench, conf, live, crossed) = (&bench, &conf, &live[worker], &crossed);
                scope.spawn(move || {
                    let mut dice = Dice((round * WORKERS + worker) as u64);
                    let mut mine = live.lock().unwrap();
                    for step in 0..PER_ROUND {
                        let program = if dice.below(2) == 0 { Program::Reference } else { Program::Ours };
                        if mine.len() < 12 && (mine.is_empty() || dice.below(5) < 3) {
                            let maker = usize::from(program == Program::Ours);
                            let id = format!("c{worker}-{round}-{step}-by{maker}");
                            let answer = bench.call(program, "ADD", (&id, "eth0"), "", conf);
                            assert!(answer.ok, "{program:?} {answer:?}");
                            mine.push((id, answer.address()));
                        } else {
                            let place = dice.below(mine.len());
                            let (id, _) = mine.swap_remove(place);
                            let answer = bench.call(program, "DEL", (&id, "eth0"), "", conf);
                            assert!(answer.ok, "{program:?} {answer:?}");
                            let maker = usize::from(id.ends_with('1'));
                            crossed.lock().unwrap()[maker][usize::from(program == Program::Ours)] += 1;
                        }
                    }
                });
            }
        });
        // A pause: one file for each live attachment, no more, with the bytes of the reference.
        let mut expected = BTreeMap::new();
        for (id, address) in live.iter().flat_map(|mine| mine.lock().unwrap().clone()) {
            let before = expected.insert(address.clone(), format!("{id}\r\neth0"));
            assert_eq!(before, None, "{address} was given twice");
        }
        let mut found = files(&data.join("net"));
        assert_eq!(found.remove("lock"), Some(String::new()));
        let cursor = found.remove("last_reserved_ip.0").unwrap();
        assert!(cursor.parse::<std::net::Ipv4Addr>().is_ok(), "{cursor:?}");
        assert_eq!(found, expected, "round {round}");
    }
    for (n, mine) in live.iter().enumerate() {
        let program = if n.is_multiple_of(2) { Program::Reference } else { Program::Ours };
        for (id, _) in mine.lock().unwrap().drain(..) {
            assert!(bench.call(program, "DEL", (&id, "eth0"), "", &conf).ok);
        }
    }
    assert_eq!(files(&data.join("net")).keys().collect::<Vec<_>>(), ["last_reserved_ip.0", "lock"]);
    let crossed = crossed.lock().unwrap();
    assert!(crossed.iter().flatten().all(|count| *count > 20), "each deleted leases of both: {crossed:?}");
}

#[test]
fn what_a_crash_left_is_given_out_again_and_old_leases_are_kept() {
    let bench = Bench::new();
    let data = bench.data("broken");
    let net = data.join("net");
    let conf = conf(&data, &json!([[{"subnet": "10.9.0.0/29"}]]));
    std::fs::create_dir_all(&net).unwrap();
    // .2 created and not written, .3 cut off, .4 length without content, .5 of an old release.
    for (name, content) in
        [("10.9.0.2", ""), ("10.9.0.3", "gone\r\n"), ("10.9.0.4", "\0\0\0\0\0\0"), ("10.9.0.5", "old")]
    {
        std::fs::write(net.join(name), content).unwrap();
    }
    for n in [2, 3, 4, 6] {
        let answer = bench.call(Program::Ours, "ADD", (&format!("new-{n}"), "eth0"), "", &conf);
        assert!(answer.ok, "{answer:?}");
        assert_eq!(answer.address(), format!("10.9.0.{n}"));
        assert_eq!(files(&net)[&answer.address()], format!("new-{n}\r\neth0"));
    }
    let full = bench.call(Program::Ours, "ADD", ("late", "eth0"), "", &conf);
    assert_eq!(
        full.msg(),
        "failed to allocate for range 0: no IP addresses available in range set: 10.9.0.1-10.9.0.6"
    );
    assert_eq!(full.value["code"], 11);
    let details = full.value["details"].as_str().unwrap();
    assert!(
        details.starts_with("10.9.0.0/29 has 5 addresses to give, all taken; held by 10.9.0.2 new-2/eth0"),
        "{details}"
    );

    // The old lease is its container's, whatever the interface is called.
    let mut check = conf.clone();
    check["prevResult"] = json!({"cniVersion": "0.4.0"});
    assert!(bench.call(Program::Ours, "CHECK", ("old", "eth7"), "", &check).ok);
    let again = bench.call(Program::Ours, "ADD", ("old", "eth7"), "", &conf);
    assert_eq!(
        again.msg(),
        "failed to allocate for range 0: 10.9.0.5 has been allocated to old, duplicate allocation is not allowed"
    );
    assert!(bench.call(Program::Ours, "DEL", ("old", "eth7"), "", &conf).ok);
    assert!(!net.join("10.9.0.5").exists());
    assert!(!bench.call(Program::Ours, "CHECK", ("old", "eth7"), "", &check).ok);

    // And the reference goes on with what we left.
    let answer = bench.call(Program::Reference, "ADD", ("next", "eth0"), "", &conf);
    assert_eq!((answer.ok, answer.address().as_str()), (true, "10.9.0.5"));
}
