//! The address sources as the recipe calls them, and host-local and static as the plugins they are too.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use cni::{Plugin, Request};

use super::{HostLocalPlugin, Ipam, StaticAddresses, StaticPlugin};
use crate::Error;
use crate::paths::Paths;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn paths(&self) -> Paths {
        Paths { run: self.0.path().join("run") }
    }

    fn plugin(&self) -> HostLocalPlugin {
        HostLocalPlugin { paths: self.paths() }
    }

    /// Names of the lease files.
    fn leases(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.0.path().join("data/net")) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.parse::<IpAddr>().is_ok()).collect();
        names.sort_unstable();
        names
    }

    /// A configuration with these keys in `ipam` and, after `|`, beside it.
    fn request(&self, verb: &str, id: &str, args: &str, keys: &str) -> cni::Result<Request> {
        self.request_of("1.1.0", verb, id, args, keys)
    }

    fn request_of(
        &self,
        version: &str,
        verb: &str,
        id: &str,
        args: &str,
        keys: &str,
    ) -> cni::Result<Request> {
        let (inside, beside) = keys.split_once('|').unwrap_or((keys, ""));
        let data = self.0.path().join("data");
        let conf = format!(
            r#"{{"cniVersion": "{version}", "name": "net", "type": "macvlan", "ipam": {{"type": "host-local", "dataDir": {data:?}{inside}}}{beside}}}"#
        );
        let variables = [
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", id),
            ("CNI_NETNS", "/run/netns/none"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_ARGS", args),
            ("CNI_PATH", self.0.path().to_str().unwrap()),
        ];
        Request::from_texts(&variables, &conf)
    }

    fn add(&self, id: &str, args: &str, keys: &str) -> cni::Result<Vec<String>> {
        let result = self.plugin().add(&self.request("ADD", id, args, keys)?)?;
        Ok(result.ips.iter().map(|ip| ip.address.to_string()).collect())
    }
}

const SMALL: &str = r#", "ranges": [[{"subnet": "10.0.0.0/29"}]]"#;
const DUAL: &str = r#", "ranges": [[{"subnet": "10.0.0.0/29"}], [{"subnet": "2001:db8::/64"}]]"#;

#[test]
fn sets_are_in_the_order_of_the_reference() {
    let place = Place::new();
    let keys = r#", "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.40", "gateway": "10.1.0.9", "ranges": [[{"subnet": "10.2.0.0/24"}, {"subnet": "10.3.0.0/24"}]]
        | , "runtimeConfig": {"IPRanges": [[{"subnet": "10.4.0.0/24"}]]}"#;
    assert_eq!(place.add("a", "", keys).unwrap(), ["10.4.0.2/24", "10.1.0.40/24", "10.2.0.2/24"]);
    let result = place.plugin().add(&place.request("ADD", "b", "", keys).unwrap()).unwrap();
    assert_eq!(result.ips[1].gateway, Some("10.1.0.9".parse().unwrap()));
    assert_eq!(result.ips[2].gateway, Some("10.2.0.1".parse().unwrap()));
}

#[test]
fn requested_addresses_come_from_three_places() {
    let place = Place::new();
    let keys = r#", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.2.0.0/24"}], [{"subnet": "10.3.0.0/24"}], [{"subnet": "2001:db8::/64"}]]
        | , "args": {"cni": {"ips": ["10.2.0.22/24", ""]}}, "runtimeConfig": {"ips": ["10.3.0.33", "2001:db8::33/64"]}"#;
    let got = place.add("a", "IP=10.1.0.11/16;MAC=02:00:00:00:00:01", keys).unwrap();
    assert_eq!(got, ["10.1.0.11/24", "10.2.0.22/24", "10.3.0.33/24", "2001:db8::33/64"]);
    let error = place.add("b", "IP=10.1.0.11", keys).unwrap_err();
    assert_eq!(error.code(), 110);
    assert_eq!(
        error.msg(),
        "failed to allocate for range 0: requested IP address 10.1.0.11 is not available in range set 10.1.0.1-10.1.0.254"
    );
    assert_eq!(place.leases().len(), 4, "none of b's");
}

#[test]
fn refuses_in_the_words_of_the_reference() {
    let place = Place::new();
    let cases = [
        ("1.1.0", "", "", 7, "no IP ranges specified"),
        ("1.1.0", "", r#", "ranges": [[]]"#, 7, "invalid range set 0: empty range set"),
        (
            "1.1.0",
            "",
            r#", "ranges": [[{"subnet": "10.0.0.0/31"}]]"#,
            7,
            "invalid range set 0: Network 10.0.0.0/31 too small to allocate from",
        ),
        (
            "1.1.0",
            "",
            r#", "ranges": [[{"subnet": "10.0.0.0/24"}], [{"subnet": "10.1.0.0/24"}, {"subnet": "2001:db8::/64"}]]"#,
            7,
            "invalid range set 1: mixed address families",
        ),
        (
            "1.1.0",
            "",
            r#", "ranges": [[{"subnet": "10.0.0.0/24"}, {"subnet": "10.0.0.0/28"}]]"#,
            7,
            "invalid range set 0: subnets 10.0.0.1-10.0.0.254 and 10.0.0.1-10.0.0.14 overlap",
        ),
        (
            "1.1.0",
            "",
            r#", "ranges": [[{"subnet": "10.0.0.0/24"}], [{"subnet": "10.1.0.0/24"}], [{"subnet": "10.0.0.0/28"}]]"#,
            7,
            "range set 0 overlaps with 2",
        ),
        (
            "0.2.0",
            "",
            r#", "ranges": [[{"subnet": "10.0.0.0/24"}], [{"subnet": "10.1.0.0/24"}]]"#,
            7,
            "CNI version 0.2.0 does not support more than 1 address per family",
        ),
        (
            "1.1.0",
            "IP=10.0.0.1",
            SMALL,
            7,
            "failed to allocate for range 0: requested ip 10.0.0.1 is subnet's gateway",
        ),
        ("1.1.0", "IP=10.9.0.1", SMALL, 7, "failed to allocate all requested IPs: 10.9.0.1"),
        ("1.1.0", "IP=nonsense", SMALL, 4, "IP: invalid IP address nonsense"),
        ("1.1.0", "FOO=bar", SMALL, 4, "ARGS: unknown args [\"FOO=bar\"]"),
        (
            "1.1.0",
            "",
            r#", "ranges": [[{"subnet": "10.0.0.0/24", "gateway": "here"}]]"#,
            7,
            "ipam.ranges[0][0].gateway",
        ),
        ("1.1.0", "", r#", "ranges": [[{"rangeStart": "10.0.0.9"}]]"#, 7, "ipam.ranges[0][0].subnet"),
        ("1.1.0", "", r#", "ranges": {}"#, 7, "ipam.ranges"),
        (
            "1.1.0",
            "",
            r#", "ranges": [[{"subnet": "10.0.0.0/24"}]], "routes": [{"dst": 5}]"#,
            7,
            "ipam.routes[0].dst",
        ),
        (
            "1.1.0",
            "",
            r#", "ranges": [[{"subnet": "10.0.0.0/24"}]], "resolvConf": "/nowhere/resolv.conf""#,
            5,
            "ipam.resolvConf: cannot read /nowhere/resolv.conf",
        ),
    ];
    for (version, args, keys, code, text) in cases {
        let error =
            place.plugin().add(&place.request_of(version, "ADD", "a", args, keys).unwrap()).unwrap_err();
        assert_eq!(error.code(), code, "{keys}: {error}");
        assert!(error.to_string().contains(text), "{keys}: {error}");
        assert_eq!(place.leases(), [] as [String; 0], "{keys}");
    }
}

#[test]
fn a_second_add_is_an_error_and_takes_nothing_away() {
    let place = Place::new();
    assert_eq!(place.add("a", "", DUAL).unwrap(), ["10.0.0.2/29", "2001:db8::2/64"]);
    let error = place.add("a", "", DUAL).unwrap_err();
    assert_eq!(
        (error.code(), error.msg().as_str()),
        (
            999,
            "failed to allocate for range 0: 10.0.0.2 has been allocated to a, duplicate allocation is not allowed"
        )
    );
    // A set before the one that refuses is undone; what was held before stays, which the reference also takes.
    let wider = r#", "ranges": [[{"subnet": "10.7.0.0/24"}], [{"subnet": "10.0.0.0/29"}]]"#;
    place.add("a", "", wider).unwrap_err();
    assert_eq!(place.leases(), ["10.0.0.2", "2001:db8::2"]);
}

#[test]
fn del_needs_no_ranges_and_no_lease() {
    let place = Place::new();
    place.add("a", "", DUAL).unwrap();
    for keys in [r#", "ranges": "gone""#, ""] {
        place.plugin().del(&place.request("DEL", "a", "FOO=bar", keys).unwrap()).unwrap();
        assert_eq!(place.leases(), [] as [String; 0]);
    }
}

#[test]
fn a_result_that_the_version_cannot_hold_leaves_no_lease() {
    let place = Place::new();
    // 0.2.0 has room for one address of each family, so this one is fine.
    let request = place.request_of("0.2.0", "ADD", "a", "", DUAL).unwrap();
    let result = place.plugin().add(&request).unwrap();
    assert!(result.to_json(request.version).unwrap().to_compact().contains("ip6"));
}

#[test]
fn check_compares_leases_with_the_promise() {
    let place = Place::new();
    place.add("a", "", SMALL).unwrap();
    let check = |id: &str, address: &str| {
        let keys = format!(
            r#"{SMALL}|, "prevResult": {{"cniVersion": "1.1.0", "ips": [{{"address": "{address}"}}]}}"#
        );
        place.plugin().check(&place.request("CHECK", id, "", &keys).unwrap()).map_err(|error| error.msg())
    };
    check("a", "10.0.0.2/29").unwrap();
    // Of another IPAM.
    check("a", "192.0.2.1/24").unwrap();
    assert_eq!(
        check("a", "10.0.0.3/29").unwrap_err(),
        "host-local: address 10.0.0.3 is not leased to container a"
    );
    assert_eq!(
        check("b", "10.0.0.2/29").unwrap_err(),
        "host-local: Failed to find address added by container b"
    );
}

#[test]
fn status_says_when_a_set_has_nothing_to_give() {
    let place = Place::new();
    let status = || place.plugin().status(&place.request("STATUS", "", "", SMALL).unwrap());
    for n in 0..5 {
        status().unwrap();
        place.add(&format!("c{n}"), "", SMALL).unwrap();
    }
    let error = status().unwrap_err();
    assert_eq!(
        (error.code(), error.msg().as_str()),
        (50, "no IP addresses available in range set: 10.0.0.1-10.0.0.6")
    );
    let error = place.add("late", "", SMALL).unwrap_err();
    assert_eq!(error.code(), 11);
    assert!(error.details().contains("held by 10.0.0.2 c0/eth0"), "{error}");
}

#[test]
fn gc_keeps_what_is_listed() {
    let place = Place::new();
    for id in ["a", "b", "c"] {
        place.add(id, "", SMALL).unwrap();
    }
    let gc = |list: &str| {
        place.plugin().gc(&place.request("GC", "", "", &format!(r#", "ranges": 0|{list}"#)).unwrap())
    };
    assert_eq!(gc("").unwrap_err().code(), 7, "no list is not an empty list");
    assert_eq!(place.leases().len(), 3);
    gc(r#", "cni.dev/valid-attachments": [{"containerID": "b", "ifname": "eth0"}, {"containerID": "c", "ifname": "net1"}]"#).unwrap();
    assert_eq!(place.leases(), ["10.0.0.3"]);
    gc(r#", "cni.dev/valid-attachments": []"#).unwrap();
    assert_eq!(place.leases(), [] as [String; 0]);
}

#[test]
fn an_address_in_use_is_replaced_and_stays_out_of_the_choice() {
    let place = Place::new();
    let request = place.request("ADD", "a", "", DUAL).unwrap();
    let ipam = Ipam::parse(&request, &place.paths()).unwrap().unwrap();
    let claimed = ipam.claim(&request).unwrap();
    assert_eq!(claimed.ips[0].address.to_string(), "10.0.0.2/29");
    let holder: kernel::MacAddr = "02:00:00:00:00:09".parse().unwrap();
    let minute = Duration::from_secs(60);
    let instead = ipam.replace(&request, "10.0.0.2".parse().unwrap(), holder, minute).unwrap();
    assert_eq!(instead.address.to_string(), "10.0.0.3/29");
    assert_eq!(place.leases(), ["10.0.0.3", "2001:db8::2"]);
    ipam.release(&request).unwrap();
    // .4, .5, .6, then .3 again: never .2.
    for (n, expected) in ["10.0.0.4/29", "10.0.0.5/29", "10.0.0.6/29", "10.0.0.3/29"].iter().enumerate() {
        assert_eq!(place.add(&format!("c{n}"), "", SMALL).unwrap(), [*expected]);
    }
    let error = place.add("late", "", SMALL).unwrap_err();
    assert!(error.details().contains("or (1) in quarantine"), "{error}");
    // Who names the address gets it or a clear no.
    let named = place.request("ADD", "named", "IP=10.0.0.2", SMALL).unwrap();
    let ipam = Ipam::parse(&named, &place.paths()).unwrap().unwrap();
    ipam.claim(&named).unwrap();
    let refused = ipam.replace(&named, "10.0.0.2".parse().unwrap(), holder, minute).unwrap_err();
    assert!(matches!(refused, Error::AddressInUse { .. }), "{refused}");
}

/// A request for `static` with these keys in `ipam` and, after `|`, beside it.
fn static_request(version: &str, args: &str, keys: &str) -> Request {
    let (inside, beside) = keys.split_once('|').unwrap_or((keys, ""));
    let conf = format!(
        r#"{{"cniVersion": "{version}", "name": "net", "ipam": {{"type": "static"{inside}}}{beside}}}"#
    );
    let variables = [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "a"),
        ("CNI_NETNS", "/run/netns/none"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_ARGS", args),
        ("CNI_PATH", "/nowhere"),
    ];
    Request::from_texts(&variables, &conf).unwrap()
}

fn static_ips(args: &str, keys: &str) -> cni::Result<Vec<String>> {
    let ips = StaticAddresses::parse(&static_request("1.1.0", args, keys))?.claim().ips;
    let text = |ip: &cni::IpConfig| match ip.gateway {
        Some(gateway) => format!("{} via {gateway}", ip.address),
        None => ip.address.to_string(),
    };
    Ok(ips.iter().map(text).collect())
}

const CONFIGURED: &str = r#", "addresses": [{"address": "10.10.0.1/24", "gateway": "10.10.0.254"}, {"address": "2001:db8::1/64"}]"#;

#[test]
fn static_sources_have_their_order() {
    assert_eq!(static_ips("", CONFIGURED).unwrap(), ["10.10.0.1/24 via 10.10.0.254", "2001:db8::1/64"]);
    assert_eq!(
        static_ips("IP=10.11.0.5/24, 10.12.0.5/16;GATEWAY=10.12.0.1", CONFIGURED).unwrap(),
        ["10.10.0.1/24 via 10.10.0.254", "2001:db8::1/64", "10.11.0.5/24", "10.12.0.5/16 via 10.12.0.1"]
    );
    let args = format!(r#"{CONFIGURED}|, "args": {{"cni": {{"ips": ["10.10.0.7/24", "10.13.0.7/24"]}}}}"#);
    // The gateway of the configured address of the same subnet stays.
    assert_eq!(
        static_ips("IP=10.11.0.5/24", &args).unwrap(),
        ["10.10.0.7/24 via 10.10.0.254", "10.13.0.7/24"]
    );
    let runtime = format!(r#"{args}, "runtimeConfig": {{"ips": ["10.10.0.254/24", "2001:db8::9/64"]}}"#);
    assert_eq!(static_ips("IP=10.11.0.5/24", &runtime).unwrap(), ["10.10.0.254/24", "2001:db8::9/64"]);
}

#[test]
fn static_refuses_in_the_words_of_the_reference() {
    let cases = [
        (
            "",
            r#", "addresses": [{"address": "10.10.0.1"}]"#,
            7,
            "the 'address' field is expected to be in CIDR notation, got: '10.10.0.1'",
        ),
        ("IP=10.10.0.1", "", 4, "the 'ip' field is expected to be in CIDR notation, got: '10.10.0.1'"),
        ("GATEWAY=here", "", 4, "invalid gateway address: here"),
        (
            "",
            r#"|, "args": {"cni": {"ips": ["x"]}}"#,
            7,
            "an entry in the 'ips' field is NOT in CIDR notation, got: 'x'",
        ),
        (
            "",
            r#"|, "runtimeConfig": {"ips": ["10.1.1.1"]}"#,
            7,
            "an entry in the 'ips' field is NOT in CIDR notation, got: '10.1.1.1'",
        ),
    ];
    for (args, keys, code, text) in cases {
        let error = static_ips(args, keys).unwrap_err();
        assert_eq!((error.code(), error.msg().as_str()), (code, text));
    }
    let two = r#", "addresses": [{"address": "10.10.0.1/24"}, {"address": "10.10.0.2/24"}]"#;
    let error = StaticAddresses::parse(&static_request("0.2.0", "", two)).unwrap_err();
    assert_eq!(error.msg(), "CNI version 0.2.0 does not support more than 1 address per family");
}

#[test]
fn static_check_misses_no_address() {
    let check = |addresses: &str| {
        let keys = format!(r#"{CONFIGURED}|, "prevResult": {{"cniVersion": "1.1.0", "ips": [{addresses}]}}"#);
        StaticPlugin.check(&static_request("1.1.0", "", &keys)).map_err(|error| error.msg())
    };
    let six = r#"{"address": "2001:db8::1/64"}"#;
    check(&format!(r#"{{"address": "10.10.0.1/24", "gateway": "10.10.0.254"}}, {six}"#)).unwrap();
    let text = "static: Failed to match addr 10.10.0.1 on interface eth0";
    assert_eq!(
        check(&format!(r#"{{"address": "10.10.0.1/24", "gateway": "10.10.0.3"}}, {six}"#)).unwrap_err(),
        text
    );
    assert_eq!(check(six).unwrap_err(), text);
}

/// A plugin that notes its verbs and fails at ADD.
fn failing_plugin(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let script = format!(
        "#!/bin/sh\ncat >/dev/null\necho $CNI_COMMAND >>{}/verbs\n\
         [ $CNI_COMMAND = ADD ] || exit 0\necho '{{\"code\": 123, \"msg\": \"no more\"}}'\nexit 1\n",
        dir.display()
    );
    std::fs::write(dir.join("foreign"), script).unwrap();
    std::fs::set_permissions(dir.join("foreign"), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_delegate_that_fails_is_told_to_undo() {
    let place = Place::new();
    failing_plugin(place.0.path());
    let request = place.request("ADD", "a", "", r#", "type": "foreign""#).unwrap();
    let ipam = Ipam::parse(&request, &place.paths()).unwrap().unwrap();
    assert!(ipam.needs_link_up() && !ipam.probes_itself());
    let error = cni::Error::from(ipam.claim(&request).unwrap_err());
    assert_eq!((error.code(), error.msg().as_str()), (123, "no more"));
    ipam.check(&request).unwrap();
    ipam.gc(&request).unwrap();
    assert_eq!(std::fs::read_to_string(place.0.path().join("verbs")).unwrap(), "ADD\nDEL\nCHECK\nGC\n");
    let none = place.request("ADD", "a", "", r#", "type": "nowhere""#).unwrap();
    let error = Ipam::parse(&none, &place.paths()).unwrap().unwrap().claim(&none).unwrap_err();
    assert!(error.to_string().contains("failed to find plugin \"nowhere\""), "{error}");
}

#[test]
fn no_type_is_no_addresses() {
    let place = Place::new();
    for keys in [r#", "type": """#, r#", "type": null"#] {
        let request = place.request("ADD", "a", "", keys).unwrap();
        assert!(Ipam::parse(&request, &place.paths()).unwrap().is_none());
        assert!(Ipam::parse_for_removal(&request, &place.paths()).unwrap().is_none());
    }
}
