//! Files as each tool writes them, below a root of the test's own.

use std::path::Path;

use super::{Foreign, Owner, Running, Subject, Tool, View, find, taking};
use crate::Error;

struct Host {
    dir: tempfile::TempDir,
    running: Vec<Running>,
}

impl Host {
    fn new(files: &[(&str, &str)]) -> Self {
        let host = Self { dir: tempfile::tempdir().unwrap(), running: Vec::new() };
        files.iter().for_each(|(path, text)| host.write(path, text));
        host
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn runs(mut self, name: &str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        self.running.push(Running { pid: 42, name: name.to_owned(), arguments });
        self
    }

    fn view(&self) -> View {
        View { root: self.dir.path().to_owned(), running: self.running.clone() }
    }

    fn owners(&self) -> Vec<Owner> {
        let subject = |name: &str, index, mac: Option<&str>, kind: Option<&str>| Subject {
            name: name.to_owned(),
            index,
            mac: mac.map(|mac| mac.parse().unwrap()),
            permanent_mac: mac.map(|mac| mac.parse().unwrap()),
            kind: kind.map(str::to_owned),
            loopback: name == "lo",
        };
        let subjects = [
            subject("lo", 1, None, None),
            subject("eth0", 2, Some("52:54:00:00:00:01"), None),
            subject("eth1", 3, Some("52:54:00:00:00:02"), None),
            subject("bond0", 4, Some("52:54:00:00:00:01"), Some("bond")),
            Subject::to_be_made("bond0.100"),
        ];
        find(&self.view(), &subjects)
    }

    fn owned(&self) -> Vec<(String, Tool, String)> {
        self.owners()
            .into_iter()
            .map(|owner| (owner.interface, owner.tool, owner.evidence.display().to_string()))
            .collect()
    }
}

fn is(interface: &str, tool: Tool, evidence: &str) -> (String, Tool, String) {
    (interface.to_owned(), tool, evidence.to_owned())
}

const ETHERNET: &str = "[Match]\nName=eth0\n\n[Network]\nDHCP=yes\n";

#[test]
fn nobody_owns_anything_on_a_bare_host() {
    assert_eq!(Host::new(&[]).owners(), []);
    // Files of a tool that neither runs nor comes with the next boot.
    let lying_about = Host::new(&[
        ("etc/systemd/network/10-eth0.network", ETHERNET),
        ("etc/netplan/50.yaml", "network: {ethernets: {eth0: {dhcp4: true}}}"),
        ("etc/network/interfaces", "auto eth0\niface eth0 inet dhcp\n"),
        ("etc/NetworkManager/system-connections/a.nmconnection", "[connection]\ninterface-name=eth0\n"),
    ]);
    assert_eq!(lying_about.owners(), []);
}

#[test]
fn networkd_says_itself_which_link_has_which_file() {
    let host = Host::new(&[
        ("etc/systemd/network/10-eth0.network", ETHERNET),
        ("etc/systemd/network/20-any.network", "[Match]\nName=*\n"),
        (
            "run/systemd/netif/links/2",
            "# This is private data. Do not parse.\nADMIN_STATE=configured\nOPER_STATE=routable\n\
             NETWORK_FILE=/etc/systemd/network/10-eth0.network\n",
        ),
        ("run/systemd/netif/links/3", "ADMIN_STATE=unmanaged\nOPER_STATE=off\n"),
        (
            "run/systemd/netif/links/4",
            "ADMIN_STATE=configuring\nNETWORK_FILE=\"/run/systemd/network/10-netplan-bond0.network\"\n",
        ),
    ])
    .runs("systemd-network", &["/lib/systemd/systemd-networkd"]);
    assert_eq!(
        host.owned(),
        [
            is("bond0", Tool::Netplan, "/run/systemd/network/10-netplan-bond0.network"),
            // Still to be made, and the file that matches everything will match it.
            is("bond0.100", Tool::SystemdNetworkd, "/etc/systemd/network/20-any.network"),
            is("eth0", Tool::SystemdNetworkd, "/etc/systemd/network/10-eth0.network"),
        ]
    );
}

#[test]
fn networkd_that_comes_with_the_next_boot_is_known_by_its_files() {
    let host = Host::new(&[
        ("etc/systemd/system/multi-user.target.wants/systemd-networkd.service", ""),
        ("etc/systemd/network/10-mac.network", "[Match]\nMACAddress=52-54-00-00-00-02\n"),
        // Hides the one of the same name; the first that matches counts.
        ("etc/systemd/network/20-all.network", ""),
        ("usr/lib/systemd/network/20-all.network", "[Match]\nName=*\n"),
        ("etc/systemd/network/30-bonds.network", "[Match]\nKind=bond\n[Link]\nUnmanaged=yes\n"),
        ("run/systemd/network/40-b.network", "[Match]\nName=!eth* lo\nType=bond ether\n"),
        ("usr/lib/systemd/network/50-driver.network", "[Match]\nDriver=virtio_net\nName=eth0\n"),
    ]);
    assert_eq!(
        host.owned(),
        [
            is("bond0.100", Tool::SystemdNetworkd, "/run/systemd/network/40-b.network"),
            is("eth1", Tool::SystemdNetworkd, "/etc/systemd/network/10-mac.network"),
        ]
    );
    assert!(host.owners().iter().all(|owner| !owner.running));
}

#[test]
fn network_manager_by_its_devices_and_its_connections() {
    let host = Host::new(&[
        ("run/NetworkManager/devices/2", "[device]\nmanaged=true\nconnection-uuid=6c1f\n"),
        ("run/NetworkManager/devices/3", "[device]\nmanaged=false\n"),
        (
            "etc/NetworkManager/system-connections/Wired connection 1.nmconnection",
            "[connection]\nid=Wired connection 1\nuuid=6c1f\ntype=ethernet\n",
        ),
        (
            "etc/NetworkManager/system-connections/vlan.nmconnection",
            "[connection]\nuuid=1\ntype=vlan\ninterface-name=bond0.100\n",
        ),
        (
            "etc/NetworkManager/system-connections/bond.nmconnection",
            "[connection]\nuuid=2\ntype=bond\ninterface-name=bond0\n",
        ),
        (
            "etc/NetworkManager/conf.d/10.conf",
            "[keyfile]\nunmanaged-devices=type:bond;interface-name:veth*\n",
        ),
    ])
    .runs("NetworkManager", &["/usr/sbin/NetworkManager", "--no-daemon"]);
    let connections = "/etc/NetworkManager/system-connections";
    assert_eq!(
        host.owned(),
        [
            is("bond0.100", Tool::NetworkManager, &format!("{connections}/vlan.nmconnection")),
            is("eth0", Tool::NetworkManager, &format!("{connections}/Wired connection 1.nmconnection")),
        ]
    );
    host.write(
        "etc/NetworkManager/conf.d/20.conf",
        "[device-x]\nmatch-device=interface-name:bond*\nmanaged=1\n",
    );
    assert_eq!(host.owned().len(), 3, "the later word counts");
}

#[test]
fn netplan_is_named_instead_of_the_one_it_writes_for() {
    let host = Host::new(&[
        ("usr/sbin/netplan", ""),
        (
            "etc/netplan/50-cloud-init.yaml",
            "network:\n  version: 2\n  ethernets:\n    nic:\n      match: {macaddress: '52:54:00:00:00:01'}\n      set-name: eth0\n      dhcp4: true\n    any:\n      match: {name: 'en*'}\n  bonds:\n    bond0: {interfaces: [eth1]}\n",
        ),
        ("etc/netplan/60-torn.yaml", "network: {ethernets: {eth1"),
        (
            "run/systemd/netif/links/2",
            "ADMIN_STATE=configured\nNETWORK_FILE=/run/systemd/network/10-netplan-nic.network\n",
        ),
    ])
    .runs("systemd-network", &[]);
    let file = "/etc/netplan/50-cloud-init.yaml";
    assert_eq!(host.owned(), [is("bond0", Tool::Netplan, file), is("eth0", Tool::Netplan, file)]);
}

#[test]
fn ifupdown_by_its_stanzas_and_its_state() {
    let host = Host::new(&[
        ("usr/sbin/ifup", ""),
        (
            "etc/network/interfaces",
            "source /etc/network/interfaces.d/*\nauto lo\niface lo inet loopback\n# iface eth1 inet dhcp\n",
        ),
        ("etc/network/interfaces.d/eth0", "allow-hotplug eth0\niface eth0 \\\n  inet dhcp\n"),
        (
            "etc/network/interfaces.d/loop",
            "source interfaces.d/loop\nsource-directory /etc/network/interfaces.d\n",
        ),
        ("run/network/ifstate", "lo=lo\nbond0=bond0\n"),
    ]);
    assert_eq!(
        host.owned(),
        [
            is("bond0", Tool::Ifupdown, "/run/network/ifstate"),
            is("eth0", Tool::Ifupdown, "/etc/network/interfaces.d/eth0"),
        ]
    );
    let owner = host.owners().into_iter().find(|owner| owner.interface == "eth0").unwrap();
    assert_eq!(owner.says, "has \"iface eth0 inet dhcp\"");
    let error = taking(&host.view(), &[owner]).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("eth0 belongs to ifupdown (/etc/network/interfaces.d/eth0 has"), "{text}");
    assert!(matches!(error, Error::Owned { .. }) && text.contains("take the stanza of eth0 out"), "{text}");
}

#[test]
fn dhcp_clients_by_their_command_lines() {
    let line = ["dhclient", "-4", "-pf", "/run/dhclient.eth0.pid", "eth0"];
    let host = Host::new(&[]).runs("dhclient", &line).runs("dhcpcd", &["dhcpcd: eth1 [ip4]"]);
    assert_eq!(
        host.owned(),
        [is("eth0", Tool::DhcpClient, "/proc/42"), is("eth1", Tool::DhcpClient, "/proc/42")]
    );
}

#[test]
fn what_is_taken_is_owned_no_more() {
    let host = Host::new(&[
        ("etc/systemd/system/multi-user.target.wants/systemd-networkd.service", ""),
        ("etc/systemd/system/multi-user.target.wants/NetworkManager.service", ""),
        ("etc/systemd/network/10-eth0.network", ETHERNET),
        ("etc/systemd/network/20.network", "[Match]\nName=eth1\n"),
        ("etc/NetworkManager/system-connections/a.nmconnection", "[connection]\ninterface-name=bond0\n"),
    ]);
    let view = host.view();
    assert_eq!(Foreign::of(&view), Some(Foreign { routes: true, rules: true }));
    // One after the other: the second must not forget the first.
    for name in ["eth0", "bond0", "eth1"] {
        let owners: Vec<Owner> = host.owners().into_iter().filter(|owner| owner.interface == name).collect();
        assert_eq!(owners.len(), 1, "{name}");
        for file in taking(&view, &owners).unwrap().files {
            file.write().unwrap();
        }
        assert!(host.owners().iter().all(|owner| owner.interface != name), "{name}");
    }
    assert_eq!(host.owners(), []);
    assert_eq!(Foreign::of(&view), Some(Foreign { routes: false, rules: false }));
    let text =
        std::fs::read_to_string(view.root.join("etc/systemd/network/00-llano-unmanaged.network")).unwrap();
    assert!(text.contains("Name=eth0 eth1\n"), "{text}");
    assert!(Path::new(&view.root).join("etc/NetworkManager/conf.d/90-llano.conf").is_file());
}
