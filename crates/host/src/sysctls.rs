//! Settings of interfaces below `/proc/sys/net` that decide who is heard and answered.

use std::collections::BTreeMap;

use kernel::Settings;

/// `ipv4/…` by their place in `IPV4_DEVCONF_*`, from 1.
const V4: [(&str, usize); 19] = [
    ("forwarding", 1),
    ("proxy_arp", 3),
    ("accept_redirects", 4),
    ("secure_redirects", 5),
    ("send_redirects", 6),
    ("shared_media", 7),
    ("rp_filter", 8),
    ("accept_source_route", 9),
    ("log_martians", 11),
    ("arp_filter", 13),
    ("arp_announce", 18),
    ("arp_ignore", 19),
    ("promote_secondaries", 20),
    ("arp_accept", 21),
    ("arp_notify", 22),
    ("accept_local", 23),
    ("src_valid_mark", 24),
    ("proxy_arp_pvlan", 25),
    ("route_localnet", 26),
];

/// `ipv6/…` by their place in `DEVCONF_*`, from 0.
const V6: [(&str, usize); 13] = [
    ("forwarding", 0),
    ("accept_ra", 3),
    ("accept_redirects", 4),
    ("autoconf", 5),
    ("dad_transmits", 6),
    ("router_solicitations", 7),
    ("use_tempaddr", 10),
    ("accept_ra_defrtr", 17),
    ("accept_ra_pinfo", 18),
    ("proxy_ndp", 22),
    ("accept_source_route", 24),
    ("accept_dad", 27),
    ("ndisc_notify", 29),
];

/// The settings of a link as `ipv4/rp_filter` → `1`.
pub(crate) fn of(settings: &Settings) -> BTreeMap<String, String> {
    let word = |number: &u32| number.cast_signed().to_string();
    let v4 =
        V4.iter().filter_map(|(name, at)| Some((format!("ipv4/{name}"), word(settings.v4.get(at - 1)?))));
    let v6 = V6.iter().filter_map(|(name, at)| Some((format!("ipv6/{name}"), word(settings.v6.get(*at)?))));
    v4.chain(v6).collect()
}

/// Where a setting of a link is below `/proc/sys`.
pub(crate) fn path(setting: &str, link: &str) -> String {
    let (family, name) = setting.split_once('/').unwrap_or(("ipv4", setting));
    format!("net/{family}/conf/{link}/{name}")
}
