//! The picture of a handbook's network, declared once: a bond of two cards, two VLANs on it, a macvlan network on each,
//! a router at the other end of the trunk; a card's cable is pulled, and the machine is reset.

use std::sync::{Mutex, PoisonError};

use anyhow::{Result, ensure};
use lab::vm::{Disk, Image, Nic, VmSpec};
use vm_tests::guest::Guest;
use vm_tests::machine::host_image;

/// Pings while a cable is pulled.
const PINGS: u32 = 8;
/// One picture after another: what is lost depends on the machine's speed, and each has two processors.
static ONE: Mutex<()> = Mutex::new(());

/// A state in nmstate's words.
fn declared(mode: &str) -> String {
    let lacp =
        if mode == "802.3ad" { "\n      lacp_rate: fast\n      xmit_hash_policy: layer2+3" } else { "" };
    format!(
        "interfaces:
- name: bond0
  type: bond
  state: up
  link-aggregation:
    mode: {mode}
    options:
      miimon: 100{lacp}
    port: [eth0, eth1]
- name: bond0.100
  type: vlan
  state: up
  vlan: {{ base-iface: bond0, id: 100 }}
  ipv4:
    enabled: true
    dhcp: false
    address:
    - {{ ip: 10.100.0.2, prefix-length: 24 }}
- name: bond0.200
  type: vlan
  state: up
  vlan: {{ base-iface: bond0, id: 200 }}
routes:
  config:
  - destination: 0.0.0.0/0
    next-hop-address: 10.100.0.1
    next-hop-interface: bond0.100
"
    )
}

/// The host: `eth0` and `eth1` are its own, `eth2` and `eth3` the partner's.
fn boot(image: &Image, disk: &Disk) -> Result<Guest> {
    let mut spec = VmSpec::new(image.clone());
    spec.disks = vec![disk.clone()];
    spec.nics = [0, 1, 0, 1].map(|cable| Nic { speed: Some(10_000), cable, ..Nic::default() }).to_vec();
    Guest::boot(&spec)
}

/// A shell command that pings so many times, once a second.
fn ping(from: &str, to: &str, count: u32) -> String {
    format!("nsenter --net=/run/netns/{from} ping -c {count} -W 2 {to}")
}

/// The two cards carry, as the mode has it.
fn bond_is_ready(vm: &mut Guest, mode: &str) -> Result<()> {
    vm.wait_for("[ $(grep -c 'MII Status: up' /proc/net/bonding/bond0) = 3 ]")?;
    if mode == "802.3ad" {
        vm.wait_for("grep -q 'Number of ports: 2' /proc/net/bonding/bond0")?;
        // 63: active, fast, aggregated, in step, collecting and distributing, as both ends see both.
        vm.wait_for("[ $(grep -c 'port state: 63' /proc/net/bonding/bond0) = 4 ]")?;
    }
    vm.wait_for("ping -c 1 -W 1 10.100.0.1 >/dev/null")
}

/// The bond, its VLANs and the pods' networks work; the pods are made.
fn everything_is_as_declared(vm: &mut Guest, mode: &str) -> Result<()> {
    let bond = vm.ok("cat /proc/net/bonding/bond0")?;
    let words = match mode {
        "active-backup" => "fault-tolerance (active-backup)",
        "balance-xor" => "load balancing (xor)",
        _ => "IEEE 802.3ad Dynamic link aggregation",
    };
    ensure!(bond.contains(words) && bond.contains("MII Polling Interval (ms): 100"), "{bond}");
    if mode == "802.3ad" {
        ensure!(bond.contains("LACP rate: fast") && bond.contains("layer2+3"), "{bond}");
    }
    let vlans = vm.ok("cat /proc/net/vlan/config")?;
    for (name, id) in [("bond0.100", "100"), ("bond0.200", "200")] {
        let line = vlans.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        let words: Vec<_> = line.split('|').map(str::trim).collect();
        ensure!(words == [name, id, "bond0"], "{vlans}");
    }
    bond_is_ready(vm, mode)?;

    let mut pod = |name: &str, vlan: u32| {
        vm.ok(&format!("vm-guest pod {name} bond0.{vlan} 10.{vlan}.0.0/24 10.{vlan}.0.1"))
    };
    let (_, a2, b1) = (pod("a1", 100)?, pod("a2", 100)?, pod("b1", 200)?);
    vm.ok(&ping("a1", &a2, 3))?;
    vm.ok(&ping("a1", "10.100.0.1", 3))?;
    vm.ok(&ping("b1", "10.200.0.1", 3))?;
    vm.ok(&ping("a1", &b1, 3))?;
    // Between the VLANs there is the router and nothing else.
    let forwarding =
        |on: u8| format!("nsenter --net=/run/netns/trunk sh -c 'echo {on} > /proc/sys/net/ipv4/ip_forward'");
    vm.ok(&forwarding(0))?;
    vm.fails(&ping("a1", &b1, 2))?;
    vm.ok(&ping("a1", &a2, 2))?;
    vm.ok(&forwarding(1))?;
    vm.ok(&ping("a1", &b1, 3)).map(drop)
}

/// Pulls the cable of `eth{card}` while a pod pings. The two ends lose their carrier one after the other, and on a busy
/// machine an emulated one may stand still in between, or with the bond about to look: that is tried once more.
fn pulling_loses_at_most_one_ping(vm: &mut Guest, card: usize, mode: &str) -> Result<()> {
    let pings = pull(vm, card, mode)?;
    if lost(&pings) <= 1 {
        return Ok(());
    }
    eprintln!("eth{card} was pulled: {pings}");
    let pings = pull(vm, card, mode)?;
    ensure!(lost(&pings) <= 1, "eth{card} was pulled twice: {pings}");
    Ok(())
}

/// What `ping` says in the end; all are lost when it does not.
fn lost(pings: &str) -> u32 {
    let received = pings.split(", ").find_map(|part| part.strip_suffix(" packets received"));
    PINGS - received.and_then(|number| number.parse().ok()).unwrap_or(0).min(PINGS)
}

/// Pulls the cable of `eth{card}`, both of its ends, while a pod pings; then plugs it in again. What `ping` said.
fn pull(vm: &mut Guest, card: usize, mode: &str) -> Result<String> {
    vm.ok(&format!("{} > /tmp/pings 2>&1 & sleep 2.5", ping("a1", "10.100.0.1", PINGS)))?;
    let cable = [card, card + 2];
    vm.plug(cable, false)?;
    vm.wait_for("grep -q transmitted /tmp/pings")?;
    let pings = vm.ok("cat /tmp/pings")?;
    let bond = vm.ok("cat /proc/net/bonding/bond0")?;
    ensure!(bond.matches("MII Status: down").count() == 1, "the cable was pulled: {bond}");
    vm.plug(cable, true)?;
    bond_is_ready(vm, mode)?;
    Ok(pings)
}

fn whole_picture(mode: &str) -> Result<()> {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir()?;
    let disk = Disk::create(&dir.path().join("disk"), 64, None)?;
    let image = host_image()?.jobs().build()?;
    let mut vm = boot(&image, &disk)?;
    vm.ok(&format!("vm-guest partner {mode}"))?;
    vm.write("/tmp/state.yaml", &declared(mode))?;
    vm.ok("llano host apply /tmp/state.yaml")?;
    everything_is_as_declared(&mut vm, mode)?;
    for card in [0, 1] {
        pulling_loses_at_most_one_ping(&mut vm, card, mode)?;
    }
    vm.power_cut()?;

    let mut vm = boot(&image, &disk)?;
    vm.ok(&format!("vm-guest partner {mode}"))?;
    vm.fails("test -e /sys/class/net/bond0")?;
    vm.ok("llano host boot")?;
    everything_is_as_declared(&mut vm, mode)?;
    vm.power_cut().map(drop)
}

#[test]
fn the_whole_picture_with_active_backup() -> Result<()> {
    whole_picture("active-backup")
}

#[test]
fn the_whole_picture_with_balance_xor() -> Result<()> {
    whole_picture("balance-xor")
}

#[test]
fn the_whole_picture_with_802_3ad() -> Result<()> {
    whole_picture("802.3ad")
}
