//! A plan as a person reads it: one line a step.

use std::fmt;

use kernel::uapi::{
    FR_ACT_BLACKHOLE, FR_ACT_PROHIBIT, FR_ACT_TO_TBL, FR_ACT_UNREACHABLE, RTN_BLACKHOLE, RTN_PROHIBIT,
    RTN_UNREACHABLE,
};

use crate::{LinkChange, Plan, Route, Step};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddLink { name, link } => {
                write!(f, "make {name}, {}", link.kind.name())?;
                if let Some(parent) = &link.parent {
                    write!(f, " on {parent}")?;
                }
                Ok(())
            }
            Self::ChangeLink { name, change } => write!(f, "change {name}: {change}"),
            Self::DeleteLink { name } => write!(f, "delete {name}"),
            Self::AddAddress { dev, address } => write!(f, "add address {} to {dev}", address.net),
            Self::DeleteAddress { dev, address } => write!(f, "delete address {} from {dev}", address.net),
            Self::AddRoute(route) | Self::AppendRoute(route) => write!(f, "add route {route}"),
            Self::DeleteRoute(route) => write!(f, "delete route {route}"),
            Self::AddRule(rule) => write!(f, "add rule {}", words_of(rule)),
            Self::DeleteRule(rule) => write!(f, "delete rule {}", words_of(rule)),
            Self::SetNeighbour { dev, neighbour } => {
                write!(f, "set neighbour {} of {dev}", neighbour.address)?;
                neighbour.mac.map_or(Ok(()), |mac| write!(f, " to {mac}"))
            }
            Self::DeleteNeighbour { dev, neighbour } => {
                write!(f, "delete neighbour {} of {dev}", neighbour.address)
            }
            Self::SetSysctl { path, value } => write!(f, "set {} to {value}", path.replace('/', ".")),
            Self::AddShim { parent } => write!(f, "give the containers on {parent} access by a shim"),
            Self::RemoveShim { parent } => write!(f, "take the shim of {parent} away"),
            Self::Announce { dev, addresses } => {
                write!(f, "announce on {dev}:")?;
                addresses.iter().try_for_each(|address| write!(f, " {address}"))
            }
        }
    }
}

/// As ip(8) says it.
pub(crate) fn words_of(rule: &kernel::Rule) -> String {
    let all = || "all".to_owned();
    let mut words = Vec::new();
    words.extend(rule.priority.map(|priority| format!("{priority}:")));
    words.extend(rule.invert.then(|| "not".to_owned()));
    words.push(format!("from {}", rule.src.map_or_else(all, |src| src.to_string())));
    words.extend(rule.dst.map(|dst| format!("to {dst}")));
    words.extend((rule.tos != 0).then(|| format!("tos {:#x}", rule.tos)));
    if rule.mark.is_some() || rule.mask.is_some() {
        let mask = rule.mask.filter(|mask| *mask != u32::MAX).map(|mask| format!("/{mask:#x}"));
        words.push(format!("fwmark {:#x}{}", rule.mark.unwrap_or(0), mask.unwrap_or_default()));
    }
    words.extend(rule.iif.as_ref().map(|iif| format!("iif {iif}")));
    words.extend(rule.oif.as_ref().map(|oif| format!("oif {oif}")));
    words.extend(rule.attributes.iter().map(|(kind, value)| format!("attribute {kind} {value:02x?}")));
    words.push(match rule.action {
        FR_ACT_TO_TBL => format!("lookup {}", rule.table),
        FR_ACT_BLACKHOLE => "blackhole".to_owned(),
        FR_ACT_UNREACHABLE => "unreachable".to_owned(),
        FR_ACT_PROHIBIT => "prohibit".to_owned(),
        action => format!("action {action}"),
    });
    words.extend(rule.suppress_prefix_len.map(|len| format!("suppress_prefixlength {len}")));
    words.join(" ")
}

impl fmt::Display for LinkChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |on: bool| if on { "on" } else { "off" };
        let mut words = Vec::new();
        words.extend(self.up.map(|up| if up { "up".to_owned() } else { "down".to_owned() }));
        words.extend(self.mtu.map(|mtu| format!("mtu {mtu}")));
        words.extend(self.mac.map(|mac| format!("mac {mac}")));
        words.extend(self.controller.as_ref().map(|controller| match controller {
            Some(controller) => format!("port of {controller}"),
            None => "released".to_owned(),
        }));
        words.extend(self.promiscuous.map(|value| format!("promiscuous {}", on(value))));
        words.extend(self.all_multicast.map(|value| format!("all multicast {}", on(value))));
        words.extend(self.arp.map(|value| format!("arp {}", on(value))));
        words.extend(self.tx_queue_len.map(|len| format!("queue of {len} packets")));
        words.extend(self.addr_gen_mode.map(|mode| format!("address generation {mode}")));
        words.extend(self.alias.as_ref().map(|alias| format!("description {alias:?}")));
        words.extend(self.kind.as_ref().map(|kind| format!("{} parameters", kind.name())));
        f.write_str(&words.join(", "))
    }
}

/// As ip(8) says it, with all that two routes of one place may differ in.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let route = &self.route;
        match route.kind {
            RTN_BLACKHOLE => f.write_str("blackhole ")?,
            RTN_UNREACHABLE => f.write_str("unreachable ")?,
            RTN_PROHIBIT => f.write_str("prohibit ")?,
            _ => {}
        }
        write!(f, "{route}")?;
        if let Some(dev) = &self.dev {
            write!(f, " dev {dev}")?;
        }
        if let Some(from) = route.from {
            write!(f, " from {from}")?;
        }
        if route.tos != 0 {
            write!(f, " tos {:#x}", route.tos)?;
        }
        if let Some(src) = route.src {
            write!(f, " src {src}")?;
        }
        if let Some(metric) = route.priority.filter(|metric| *metric != crate::same::metric(self)) {
            write!(f, " metric {metric}")?;
        }
        if let Some(mtu) = route.mtu {
            write!(f, " mtu {mtu}")?;
        }
        if let Some(advmss) = route.advmss {
            write!(f, " advmss {advmss}")?;
        }
        for hop in &self.hops {
            write!(f, " nexthop")?;
            if let Some(via) = hop.hop.gateway {
                write!(f, " via {via}")?;
            }
            write!(f, " dev {}", hop.dev)?;
            if hop.hop.weight > 1 {
                write!(f, " weight {}", hop.hop.weight)?;
            }
        }
        Ok(())
    }
}
