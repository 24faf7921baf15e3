//! What `/proc/sys/net/ipv4/conf/IF` and `/proc/sys/net/ipv6/conf/IF` hold, of all links in one list.

use crate::netlink::Dump;
use crate::uapi::{AF_INET, AF_INET6, IFLA_AF_SPEC, IFLA_INET_CONF, IFLA_INET6_CONF, NLM_F_DUMP};
use crate::wire::{Attr, Attrs, Writer, u32_at};
use crate::{Netlink, Result, link_wire};

/// The numbers of one link, in the kernel's order; those that this kernel does not have are missing at the end.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Settings {
    /// The link.
    pub index: u32,
    /// `IPV4_DEVCONF_*` (linux/ip.h), from 1: the first is `forwarding`.
    pub v4: Vec<u32>,
    /// `DEVCONF_*` (linux/ipv6.h), from 0: the first is `forwarding`. Empty where IPv6 is not.
    pub v6: Vec<u32>,
}

impl Netlink {
    /// The settings of all links.
    pub fn settings(&mut self) -> Result<Vec<Settings>> {
        let encode = |w: &mut Writer| link_wire::encode_get(w, NLM_F_DUMP, 0, None);
        let mut all = Vec::new();
        self.dump("read settings of links", &encode, &mut |part| match part {
            Dump::Begin => all.clear(),
            Dump::Item(raw) => all.extend(decode(raw.body)),
        })?;
        Ok(all)
    }
}

fn decode(body: &[u8]) -> Option<Settings> {
    let mut settings = Settings { index: u32_at(body, 4)?, ..Settings::default() };
    let families = Attrs::after(body, 16).filter(|attr| attr.kind == IFLA_AF_SPEC).flat_map(Attr::attrs);
    for family in families {
        let (conf, list) = match u8::try_from(family.kind) {
            Ok(AF_INET) => (IFLA_INET_CONF, &mut settings.v4),
            Ok(AF_INET6) => (IFLA_INET6_CONF, &mut settings.v6),
            _ => continue,
        };
        if let Some(conf) = family.attrs().find(|attr| attr.kind == conf) {
            *list = conf.value.chunks_exact(4).filter_map(|number| u32_at(number, 0)).collect();
        }
    }
    Some(settings)
}
