//! The runner itself: output, exit status, panics, time limits, jobs, cables, disks and power cuts.

use std::time::Duration;

use lab::vm::{Disk, Error, Initramfs, Kernel, Nic, Snapshot, Userland, Vm, VmSpec};

fn kernel() -> Kernel {
    Kernel::prepare().unwrap_or_else(|error| panic!("the vm tier cannot run here: {error}"))
}

fn spec(initramfs: Initramfs) -> VmSpec {
    VmSpec::new(initramfs.build().unwrap_or_else(|error| panic!("the vm tier cannot run here: {error}")))
}

fn shell(kernel: &Kernel, script: &str) -> Initramfs {
    Initramfs::new(kernel).command(["sh", "-c", script])
}

#[test]
fn output_and_status_come_back() {
    let script = "uname -r; cat /proc/modules | cut -d' ' -f1; ip -o link | cut -d: -f2; ip link set eth1 up; cat /sys/class/net/eth1/speed;
                  cat /sys/class/net/eth1/address; echo oops >&2; printf unfinished; exit 3";
    let kernel = kernel();
    let mut spec = spec(shell(&kernel, script).module("8021q").module("bonding"));
    spec.nics = vec![Nic::default(), Nic { mac: Some([2, 0, 0, 0, 0, 0xab]), speed: Some(10_000), cable: 1 }];
    let outcome = Vm::boot(&spec).unwrap().wait().unwrap();
    let lines: Vec<_> = outcome.lines.iter().map(|line| line.trim()).collect();
    assert_eq!(outcome.status, 3, "{lines:?}");
    assert_eq!(lines.first(), Some(&kernel.release.as_str()));
    for expected in ["8021q", "garp", "bonding", "lo", "eth0", "eth1", "10000", "02:00:00:00:00:ab", "oops"] {
        assert!(lines.contains(&expected), "{expected} is not in {lines:?}");
    }
    assert!(!lines.contains(&"bond0"), "a module made a link of its own: {lines:?}");
    assert_eq!(lines.last(), Some(&"unfinished"));
}

#[test]
fn a_panic_is_told_with_the_console() {
    let machine = Vm::boot(&spec(shell(&kernel(), "echo going; echo c > /proc/sysrq-trigger"))).unwrap();
    match machine.wait().unwrap_err() {
        Error::Died { output, console } => {
            assert_eq!(output.trim(), "going");
            assert!(console.contains("Kernel panic - not syncing: sysrq triggered crash"), "{console}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_payload_that_hangs_is_stopped() {
    let mut spec = spec(shell(&kernel(), "echo waiting; sleep 1000"));
    spec.timeout = Duration::from_secs(2);
    match Vm::boot(&spec).unwrap().wait().unwrap_err() {
        Error::Timeout { output, .. } => assert_eq!(output.trim(), "waiting"),
        other => panic!("{other}"),
    }
}

#[test]
fn a_boot_that_fails_is_told_with_the_console() {
    let initramfs = shell(&kernel(), "true").mount_disk("/data");
    match Vm::boot(&spec(initramfs)).map(drop).unwrap_err() {
        Error::Boot { console, .. } => assert!(console.contains("init: disk"), "{console}"),
        other => panic!("{other}"),
    }
}

#[test]
fn a_disk_keeps_what_was_synced_over_a_power_cut() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("content")).unwrap();
    std::fs::write(dir.path().join("content/seen"), "from the host\n").unwrap();
    let disk = Disk::create(&dir.path().join("disk"), 32, Some(&dir.path().join("content"))).unwrap();
    let script =
        "cat /data/seen; echo kept > /data/kept; sync; echo lost > /data/lost; echo ready; sleep 1000";
    let boot = |script| {
        let mut spec = spec(shell(&kernel(), script).mount_disk("/data"));
        spec.disks = vec![disk.clone()];
        Vm::boot(&spec).unwrap()
    };
    let mut machine = boot(script);
    assert_eq!(machine.line().unwrap().as_deref(), Some("from the host"));
    assert_eq!(machine.line().unwrap().as_deref(), Some("ready"));
    machine.power_cut().unwrap();
    let outcome = boot("cat /data/kept /data/seen").wait().unwrap();
    assert_eq!(outcome.lines, ["kept", "from the host"]);
}

#[test]
fn one_boot_serves_many_jobs_and_cables_are_pulled_from_outside() {
    let mut spec = spec(Initramfs::new(&kernel()).jobs());
    spec.nics = vec![Nic::default(), Nic::default()];
    let mut machine = Vm::boot(&spec).unwrap();
    let answer = machine.run("echo \"it's $((6 * 7))%d\"; printf unfinished; exit 3").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (3, "it's 42%d\nunfinished"));
    let answer =
        machine.run("for n in 0 1; do ip link set eth$n up; cat /sys/class/net/eth$n/carrier; done").unwrap();
    assert_eq!(answer.text(), "1\n1");
    machine.plug(0, false).unwrap();
    let wait = |wanted| {
        format!("n=0; until [ $(cat /sys/class/net/eth0/carrier) = {wanted} ] || [ $n = 100 ]; do n=$((n+1)); sleep 0.1; done
                 cat /sys/class/net/eth0/carrier /sys/class/net/eth1/carrier")
    };
    assert_eq!(machine.run(&wait(0)).unwrap().text(), "0\n1");
    machine.plug(0, true).unwrap();
    assert_eq!(machine.run(&wait(1)).unwrap().text(), "1\n1");
    assert_eq!(machine.run("true").unwrap().status, 0);
}

#[test]
fn a_disk_at_risk_keeps_what_was_flushed_only() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::create(&dir.path().join("disk"), 32, None).unwrap();
    let boot = |seed| {
        let mut spec = spec(Initramfs::new(&kernel()).mount_disk("/data").jobs());
        spec.disks = vec![disk.clone().at_risk(seed)];
        Vm::boot(&spec).unwrap()
    };
    let mut machine = boot(1);
    let script = "echo kept > /data/kept; sync
                  dd if=/dev/zero of=/data/raw bs=4k count=64 oflag=direct 2>/dev/null; echo done";
    assert_eq!(machine.run(script).unwrap().text(), "done");
    let lost = machine.power_cut().unwrap().lost_writes;
    assert!(lost > 0, "64 direct writes without a flush, and none was lost");
    let mut machine = boot(2);
    assert_eq!(machine.run("cat /data/kept; dmesg | grep -ci 'ext4.*error'").unwrap().text(), "kept\n0");
    machine.power_cut().unwrap();
}

#[test]
fn a_snapshot_gives_machines_that_do_not_know_of_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::create(&dir.path().join("disk"), 32, None).unwrap();
    let mut spec = spec(Initramfs::new(&kernel()).later("virtio_blk").jobs());
    spec.disks = vec![disk.clone()];
    let snapshot = Snapshot::take(&spec).unwrap();
    let mount = "insmod /lib/modules/virtio_blk.ko; mkdir /data; mount -t ext4 /dev/vda /data";
    for round in 1..=2 {
        let mut machine = snapshot.resume(vec![disk.clone()]).unwrap();
        let script =
            format!("{mount}; cat /data/rounds; echo round >> /data/rounds; sync; touch /tmp/x; ls /tmp");
        let expected = if round == 1 { "x" } else { "round\nx" };
        let answer = machine.run(&script).unwrap().text();
        assert!(answer.ends_with(expected) && !answer.contains("round\nround"), "round {round}: {answer}");
        machine.power_cut().unwrap();
    }
}

#[test]
fn the_userland_boots_with_systemd_and_keeps_its_disk() {
    let dir = tempfile::tempdir().unwrap();
    let userland = Userland::prepare().unwrap_or_else(|error| panic!("the vm tier cannot run here: {error}"));
    let disk = userland.disk(&dir.path().join("disk")).unwrap();
    let boot = || {
        let mut spec = spec(Initramfs::new(&kernel()).file("/etc/from-the-host", "seen").userland());
        spec.disks = vec![disk.clone()];
        spec.boot_limit = Duration::from_secs(300);
        Vm::boot(&spec).unwrap()
    };
    let mut machine = boot();
    let answer = machine
        .run("systemctl is-system-running --wait; readlink /proc/1/exe; cat /etc/from-the-host")
        .unwrap();
    assert!(
        ["running\n", "degraded\n"].iter().any(|state| answer.text().starts_with(state)),
        "{}",
        answer.text()
    );
    assert!(answer.text().ends_with("systemd/systemd\nseen"), "{}", answer.text());
    assert_eq!(
        machine.run("systemctl --failed --no-legend --plain; echo kept > /root/kept; sync").unwrap().text(),
        ""
    );
    machine.power_cut().unwrap();
    assert_eq!(boot().run("cat /root/kept").unwrap().text(), "kept");
}
