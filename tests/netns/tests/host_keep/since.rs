//! What goes on while a change waits, or after it: leases end and are renewed, others add what is theirs.

use crate::site::Site;

const SMALLER: &str = "interfaces: [ { name: eth0, type: ethernet, mtu: 1400 } ]";
const LEASE: &str = "ip addr add 10.4.0.1/24 dev eth0 valid_lft 3600 preferred_lft 3600";

impl Site {
    fn smaller(&self) -> String {
        std::fs::write(self.file("smaller.yaml"), SMALLER).unwrap();
        self.file("smaller.yaml")
    }

    /// As though the addresses that were lent had been at their end when the change began.
    fn lent_time_is_over(&self) {
        self.rewrite(|text| {
            let mut parts = text.split("\"valid\":");
            let mut new = parts.next().unwrap().to_owned();
            for part in parts {
                let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap();
                let zero = if digits > 0 { format!("{:>digits$}", 0) } else { String::new() };
                new = format!("{new}\"valid\":{zero}{}", &part[digits..]);
            }
            assert_ne!(new, text, "an address was lent");
            new
        });
    }
}

/// The kernel took the address with its routes: none of that can be made again, and all else comes back.
#[test]
fn a_lease_that_ends_does_not_keep_a_change_from_being_taken_back() {
    let site = Site::new();
    let before = site.network();
    site.sh(&format!("{LEASE}; ip route add 10.70.0.0/16 via 10.4.0.254 src 10.4.0.1"));
    site.ok(&["apply", &site.smaller(), "--confirm", "600"]);
    site.lent_time_is_over();
    site.sh("ip addr del 10.4.0.1/24 dev eth0");
    site.ok(&["undo"]);
    site.settle("it is taken back");
    assert_eq!(site.network(), before);
}

#[test]
fn what_others_have_done_since_stays() {
    let site = Site::new();
    let before = site.network();
    let others = "ip addr add 10.5.0.1/24 dev eth0; ip route add 10.90.0.0/16 via 10.9.0.2";
    let renewed = "ip addr change 10.4.0.1/24 dev eth0 valid_lft 7200 preferred_lft 7200";
    for way in [&[] as &[&str], &["--confirm", "600"]] {
        site.sh(LEASE);
        site.ok(&[&["apply", &site.smaller()], way].concat());
        site.sh(&format!("{others}; {renewed}"));
        if way.is_empty() {
            let dry = site.json(&["undo", "--dry-run"]);
            assert_eq!(dry["steps"], serde_json::json!(["change eth0: mtu 1500"]));
        } else {
            // By the record it is over, and by the kernel it is not.
            site.lent_time_is_over();
        }
        site.ok(&["undo"]);
        site.settle("undone");
        let now = site.sh("ip -o addr show eth0; ip route");
        assert!(now.contains("10.5.0.1/24") && now.contains("10.90.0.0/16 via 10.9.0.2"), "{now}");
        let left = now.split("10.4.0.1/24").nth(1).and_then(|rest| rest.split("valid_lft ").nth(1)).unwrap();
        let left: u32 = left.split("sec").next().unwrap().parse().unwrap();
        assert!(left > 3600, "{now}");
        site.sh(
            "ip addr del 10.4.0.1/24 dev eth0; ip addr del 10.5.0.1/24 dev eth0; ip route del 10.90.0.0/16",
        );
        assert_eq!(site.network(), before);
    }
}
