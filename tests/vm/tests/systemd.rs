//! `llano host enable` under a real systemd, with systemd-networkd looking after interfaces of its own.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::vm::{Disk, Image, Nic, Userland, VmSpec};
use vm_tests::guest::Guest;
use vm_tests::machine::{initramfs, programs_in};

/// Ours: a bond of `eth2` and `eth3`, a macvlan on `eth0` with a MAC that is told and one without, routes and a rule.
const DECLARED: &str = "interfaces:
- name: eth0
  type: ethernet
  state: up
  ipv4:
    enabled: true
    dhcp: false
    address:
    - { ip: 10.60.0.2, prefix-length: 24 }
- name: bond0
  type: bond
  state: up
  link-aggregation:
    mode: active-backup
    options: { miimon: 100 }
    port: [eth2, eth3]
- name: bond0.100
  type: vlan
  state: up
  vlan: { base-iface: bond0, id: 100 }
  ipv4:
    enabled: true
    dhcp: false
    address:
    - { ip: 10.100.0.2, prefix-length: 24 }
- name: mv0
  type: mac-vlan
  state: up
  mac-address: 02:00:00:00:01:01
  mac-vlan: { base-iface: eth0, mode: bridge }
  ipv4:
    enabled: true
    dhcp: false
    address:
    - { ip: 10.61.0.2, prefix-length: 24 }
- name: mv1
  type: mac-vlan
  state: up
  mac-vlan: { base-iface: eth0, mode: bridge }
routes:
  config:
  - { destination: 10.99.0.0/16, next-hop-address: 10.100.0.1, next-hop-interface: bond0.100 }
  - { destination: 10.98.0.0/16, next-hop-address: 10.100.0.1, next-hop-interface: bond0.100, table-id: 98 }
route-rules:
  config:
  - { ip-from: 10.61.0.0/24, route-table: 98, priority: 1000, family: ipv4 }
";

/// systemd-networkd's own interface.
const NETWORKD: &str = "[Match]
Name=eth1

[Network]
Address=10.50.0.2/24
LinkLocalAddressing=no

[Route]
Destination=10.51.0.0/16
Gateway=10.50.0.1
";

/// What a service that waits for the network finds.
const WITNESS: &str = "[Unit]
Wants=network-online.target
After=network-online.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'ip -o address > /run/witness; ip route show table all >> /run/witness; ip rule >> /run/witness'
[Install]
WantedBy=multi-user.target
";

fn image() -> Result<Image> {
    let wants = "etc/systemd/system/multi-user.target.wants";
    let initramfs = programs_in(initramfs(&[])?, "/usr/local/bin", &["llano", "llano-cni"])?
        .file("/etc/systemd/network/50-own.network", NETWORKD)
        .file("/etc/systemd/system/witness.service", WITNESS)
        .prepare(&format!(
            "mkdir -p {wants}
             ln -sf ../witness.service {wants}/witness.service
             ln -sf /lib/systemd/system/systemd-networkd.service {wants}/systemd-networkd.service"
        ))
        .userland();
    Ok(initramfs.build()?)
}

fn boot(image: &Image, disk: &Disk) -> Result<Guest> {
    let mut spec = VmSpec::new(image.clone());
    spec.disks = vec![disk.clone()];
    spec.nics = (0..4).map(|cable| Nic { cable, ..Nic::default() }).collect();
    (spec.timeout, spec.boot_limit) = (Duration::from_secs(300), Duration::from_secs(300));
    let mut guest = Guest::boot(&spec)?;
    // `degraded` has its own test below, with the units that failed.
    guest.wait_for("systemctl is-system-running --wait | grep -q -e running -e degraded")?;
    let failed = guest.ok("systemctl --failed --no-legend --plain")?;
    ensure!(failed.is_empty(), "failed units:\n{failed}");
    Ok(guest)
}

/// Microseconds since the boot at which a unit became active.
fn active_since(guest: &mut Guest, unit: &str) -> Result<u64> {
    let text = guest.ok(&format!("systemctl show --value -p ActiveEnterTimestampMonotonic {unit}"))?;
    text.trim().parse().with_context(|| format!("{unit}: {text:?}"))
}

/// What is ours is there.
fn ours_is_there(text: &str) -> Result<()> {
    for words in [
        "10.60.0.2/24",
        "10.100.0.2/24",
        "10.61.0.2/24",
        "10.99.0.0/16 via 10.100.0.1 dev bond0.100",
        "10.98.0.0/16 via 10.100.0.1 dev bond0.100 table 98",
        "from 10.61.0.0/24 lookup 98",
    ] {
        ensure!(text.contains(words), "{words} is missing:\n{text}");
    }
    Ok(())
}

const ALL: &str = "ip -o address; ip route show table all; ip rule";

fn networkd_keeps_to_its_own(guest: &mut Guest) -> Result<()> {
    let links = guest.ok("networkctl list --no-legend --no-pager")?;
    let setup = |name: &str| {
        links.lines().find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words.get(1) == Some(&name)).then(|| words.last().copied().unwrap_or_default().to_owned())
        })
    };
    ensure!(setup("eth1").as_deref() == Some("configured"), "{links}");
    for name in ["eth0", "bond0", "bond0.100", "mv0", "mv1"] {
        ensure!(setup(name).as_deref() == Some("unmanaged"), "{name}: {links}");
    }
    let all = guest.ok(ALL)?;
    ours_is_there(&all)?;
    ensure!(all.contains("10.50.0.2/24") && all.contains("10.51.0.0/16 via 10.50.0.1 dev eth1"), "{all}");
    // Its start is when it takes away what it does not know.
    guest.ok("systemctl restart systemd-networkd && networkctl reload")?;
    guest.wait_for("networkctl list --no-legend --no-pager eth1 | grep -q configured")?;
    ours_is_there(&guest.ok(ALL)?).context("after a restart of systemd-networkd")
}

fn udev_left_the_macs(guest: &mut Guest) -> Result<()> {
    guest.ok("udevadm settle")?;
    ensure!(guest.ok("cat /sys/class/net/mv0/address")?.trim() == "02:00:00:00:01:01");
    // The bond has the MAC of its first port, which udev's policy would have replaced before that port came.
    let macs = guest.ok("cat /sys/class/net/bond0/address; cat /proc/net/bonding/bond0")?;
    let (bond, ports) = macs.split_once('\n').context("two lines")?;
    ensure!(ports.contains(&format!("Permanent HW addr: {bond}")), "{macs}");
    for name in ["mv0", "mv1", "bond0", "bond0.100"] {
        let file = guest.ok(&format!(
            "udevadm info --query=property --property=ID_NET_LINK_FILE --value /sys/class/net/{name}"
        ))?;
        ensure!(file.contains("llano"), "{name} has its policy from {file}");
    }
    Ok(())
}

#[test]
fn the_unit_brings_the_state_up_before_network_online() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let disk = Userland::prepare()?.disk(&dir.path().join("disk"))?;
    let image = image()?;
    let mut guest = boot(&image, &disk)?;
    guest.write("/root/state.yaml", DECLARED)?;
    guest.ok("llano host apply --take /root/state.yaml")?;
    guest.ok("llano host enable")?;
    networkd_keeps_to_its_own(&mut guest).context("before the reboot")?;
    guest.ok("sync")?;
    guest.power_cut()?;

    for boot_number in [2, 3] {
        let mut guest = boot(&image, &disk)?;
        let context = || format!("boot {boot_number}");
        let online = active_since(&mut guest, "network-online.target")?;
        let unit = active_since(&mut guest, "llano-host.service")?;
        ensure!(
            0 < unit && unit <= online,
            "boot {boot_number}: the unit at {unit}, network-online at {online}"
        );
        ours_is_there(&guest.ok("cat /run/witness")?).with_context(context)?;
        udev_left_the_macs(&mut guest).with_context(context)?;
        networkd_keeps_to_its_own(&mut guest).with_context(context)?;
        guest.power_cut()?;
    }
    Ok(())
}
