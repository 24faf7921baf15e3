//! A plan as a person reads it: one line a step.

use std::fmt;

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
            Self::Announce { dev, addresses } => {
                write!(f, "announce on {dev}:")?;
                addresses.iter().try_for_each(|address| write!(f, " {address}"))
            }
        }
    }
}

pub(crate) fn words_of(rule: &kernel::Rule) -> String {
    let mut text = String::new();
    if let Some(priority) = rule.priority {
        text.push_str(&format!("{priority}: "));
    }
    match rule.src {
        Some(src) => text.push_str(&format!("from {src}")),
        None => text.push_str("from all"),
    }
    if let Some(dst) = rule.dst {
        text.push_str(&format!(" to {dst}"));
    }
    text.push_str(&format!(" lookup {}", rule.table));
    text
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

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.route)?;
        if let Some(dev) = &self.dev {
            write!(f, " dev {dev}")?;
        }
        for hop in &self.hops {
            write!(f, " nexthop")?;
            if let Some(via) = hop.hop.gateway {
                write!(f, " via {via}")?;
            }
            write!(f, " dev {}", hop.dev)?;
        }
        Ok(())
    }
}
