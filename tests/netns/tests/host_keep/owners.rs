//! Interfaces that another tool looks after.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::site::{PATIENCE, Site};

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
