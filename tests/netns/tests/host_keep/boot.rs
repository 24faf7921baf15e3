//! What `enable` writes and `boot` brings up.

use std::process::{Output, Stdio};

use crate::site::Site;

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
    site.kill_all();
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

/// What `show` prints of an interface with a lease can be applied, and brought up when nobody has lent anything yet.
#[test]
fn a_lease_is_not_declared() {
    let site = Site::new();
    site.sh("ip addr add 10.4.0.1/24 dev eth0 valid_lft 3600 preferred_lft 3600; ip link set eth0 mtu 1400; ip route add 10.70.0.0/16 via 10.4.0.254");
    std::fs::write(site.file("shown.yaml"), site.ok(&["show", "eth0"])).unwrap();
    site.ok(&["apply", &site.file("shown.yaml")]);
    let declared = site.declared().unwrap();
    assert!(!declared.contains("dhcp") && !declared.contains("10.4.0"), "{declared}");
    site.sh("ip addr flush dev eth0 scope global; ip link set eth0 mtu 1500");
    site.ok(&["boot"]);
    let now = site.sh("ip -o link show eth0; ip -o addr show eth0");
    assert!(now.contains("mtu 1400") && now.contains("10.9.0.1/24") && !now.contains("10.4.0.1"), "{now}");
}
