//! Checks of `llano check` that break only where modules can be taken away, cards be bonded and the machine's one table
//! of neighbours be filled: the rows that `tests/netns/tests/check/rows.rs`, which has all others, leaves to a machine.

/// How to break one check, and how to mend it again: one boot serves all rows.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The check's id.
    pub id: &'static str,
    /// Its group.
    pub group: &'static str,
    /// A shell script of the guest that breaks it.
    pub how: &'static str,
    /// What the check then is.
    pub status: &'static str,
    /// What its summary or advice says.
    pub says: &'static str,
    /// A shell script that takes `how` back.
    pub back: &'static str,
}

const fn row(group: &'static str, id: &'static str, status: &'static str, says: &'static str) -> Row {
    Row { id, group, how: "", status, says, back: "" }
}

const fn kernel(id: &'static str, status: &'static str, says: &'static str) -> Row {
    row("kernel", id, status, says)
}

const MACVLAN: &str = "insmod /lib/modules/macvlan.ko && insmod /lib/modules/macvtap.ko";
const BONDING: &str = "insmod /lib/modules/bonding.ko max_bonds=0";
const NO_BOND: &str = "echo -bond0 > /sys/class/net/bonding_masters";

/// A bond of both cards.
macro_rules! bonded {
    ($then:literal) => {
        concat!(
            "echo +bond0 > /sys/class/net/bonding_masters
             echo active-backup > /sys/class/net/bond0/bonding/mode
             echo 100 > /sys/class/net/bond0/bonding/miimon
             for card in eth0 eth1; do
               ip link set $card down
               echo +$card > /sys/class/net/bond0/bonding/slaves
             done
             ip link set bond0 up
             ",
            $then
        )
    };
}

/// A network on VLAN 5 of a cable whose other end is in a namespace of its own.
macro_rules! tagged {
    ($then:literal) => {
        concat!(
            r#"mkdir -p /etc/cni/net.d
             echo '{"cniVersion": "1.0.0", "name": "tagged", "type": "vlan", "master": "up0", "vlanId": 5,
              "ipam": {"type": "host-local", "subnet": "10.5.0.0/24", "gateway": "10.5.0.254",
              "rangeEnd": "10.5.0.9"}}' > /etc/cni/net.d/10-tagged.conf
             llano link add up0 --type veth --peer down0 --up
             ip link set down0 up
             unshare -n sleep 1000 > /dev/null 2>&1 &
             echo $! > /tmp/beyond
             "#,
            $then
        )
    };
}

const UNTAGGED: &str = "ip link del up0; kill $(cat /tmp/beyond); rm -r /etc/cni/net.d";

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        how: "rmmod macvtap && rmmod macvlan",
        back: MACVLAN,
        ..kernel("macvlan-modes", "fail", "macvlan mode bridge does not work")
    },
    Row {
        how: "rmmod macvtap && rmmod macvlan",
        back: MACVLAN,
        ..kernel("macvlan-modes", "warn", "modprobe macvlan")
    },
    Row {
        how: "rmmod macvtap",
        back: "insmod /lib/modules/macvtap.ko",
        ..kernel("macvtap", "warn", "only virtual machines need it")
    },
    Row {
        how: "rmmod 8021q",
        back: "insmod /lib/modules/8021q.ko",
        ..kernel("vlan", "warn", "nothing declared here needs it")
    },
    Row {
        how: "rmmod 8021q && echo 'interfaces: [{name: eth0.5, type: vlan}]' > /etc/llano/host.yaml",
        back: "insmod /lib/modules/8021q.ko && rm /etc/llano/host.yaml",
        ..kernel("vlan", "fail", "modprobe 8021q")
    },
    Row {
        how: "rmmod bonding",
        back: BONDING,
        ..kernel("bonding", "warn", "nothing declared here needs it")
    },
    Row {
        how: "rmmod bonding && echo 'interfaces: [{name: bond0, type: bond}]' > /etc/llano/host.yaml",
        back: "insmod /lib/modules/bonding.ko max_bonds=0 && rm /etc/llano/host.yaml",
        ..kernel("bonding", "fail", "modprobe bonding")
    },
    Row {
        how: "ip address add 10.5.0.1/24 dev eth0
              cat /proc/sys/net/ipv4/neigh/default/gc_thresh3 > /tmp/thresh
              echo 20 > /proc/sys/net/ipv4/neigh/default/gc_thresh3
              for n in $(seq 2 30); do arp -i eth0 -s 10.5.0.$n 02:00:00:00:05:02; done",
        back: "cat /tmp/thresh > /proc/sys/net/ipv4/neigh/default/gc_thresh3
               ip address flush dev eth0
               ip link set eth0 down && ip link set eth0 up
               for n in $(seq 2 30); do arp -d 10.5.0.$n 2>/dev/null; done; true",
        ..kernel("neighbour-table", "fail", "new neighbours are refused")
    },
    Row {
        how: r#"mkdir -p /etc/cni/net.d
                echo '{"cniVersion": "1.0.0", "name": "wide", "type": "macvlan", "master": "eth0",
                 "ipam": {"type": "host-local", "subnet": "10.8.0.0/16"}}' > /etc/cni/net.d/10-wide.conf"#,
        back: "rm -r /etc/cni/net.d",
        ..kernel("neighbour-table", "warn", "IPv4 ranges hold 65533 addresses, the neighbour table 1024")
    },
    Row {
        how: "echo +bond0 > /sys/class/net/bonding_masters",
        back: NO_BOND,
        ..row("interfaces", "bond-ports", "fail", "bond0 has no port")
    },
    Row {
        how: bonded!("ip link set eth1 down"),
        back: NO_BOND,
        ..row("interfaces", "bond-ports", "warn", "bond0 works with 1 of 2 ports: eth1 without carrier")
    },
    Row {
        how: bonded!("ip link set eth0 down && ip link set eth1 down"),
        back: NO_BOND,
        ..row("interfaces", "bond-ports", "fail", "no port of bond0 has a carrier")
    },
    Row {
        how: bonded!("echo 1000 > /tmp/speed && mount --bind /tmp/speed /sys/class/net/eth1/speed"),
        back: "umount /sys/class/net/eth1/speed && echo -bond0 > /sys/class/net/bonding_masters",
        ..row("interfaces", "bond-ports", "warn", "ports of bond0 differ in speed or duplex")
    },
    Row {
        how: tagged!(""),
        back: UNTAGGED,
        ..row("switch", "gateways", "fail", "10.5.0.254 of network tagged does not answer on VLAN 5 of up0")
    },
    Row {
        how: tagged!(
            "llano link add gw5 --type vlan --parent down0 --id 5 --netns $! --address 10.5.0.254/24 --up"
        ),
        back: UNTAGGED,
        ..row("switch", "gateways", "ok", "10.5.0.254 of network tagged answers on VLAN 5 of up0")
    },
    Row {
        how: tagged!(
            "llano link add gw5 --type vlan --parent down0 --id 5 --netns $! --address 10.5.0.7/24 --up"
        ),
        back: UNTAGGED,
        ..row("switch", "duplicates", "fail", "network tagged: 10.5.0.7 is used by")
    },
];
