//! What changed, told by comparing what the kernel says with what was known.

use std::collections::BTreeMap;

use kernel::{Address, Link, LinkKind, Message, Netlink};
use serde::Serialize;
use topology::visible;

/// One change of one link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    /// `added`, `changed`, `deleted`, `addressAdded`, `addressDeleted`.
    pub(crate) event: &'static str,
    pub(crate) name: String,
    pub(crate) index: u32,
    /// What is different, for `changed`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<Difference>,
    /// The address, for the two of addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
}

/// One property's old and new value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    pub(crate) key: &'static str,
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Event {
    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let name = visible(&self.name);
        let address = self.address.as_deref().unwrap_or_default();
        match self.event {
            "changed" => {
                let shown =
                    |text: &str| if text.is_empty() { "none".to_owned() } else { visible(text).into_owned() };
                let each = self
                    .changes
                    .iter()
                    .map(|change| format!("{} {} → {}", change.key, shown(&change.from), shown(&change.to)));
                format!("{name}: {}", each.collect::<Vec<_>>().join(", "))
            }
            "addressAdded" => format!("{name}: address {address} added"),
            "addressDeleted" => format!("{name}: address {address} deleted"),
            event => format!("{name}: {event}"),
        }
    }
}

/// What is known of a namespace.
#[derive(Debug, Default)]
pub(crate) struct Known {
    links: BTreeMap<u32, Link>,
    addresses: Vec<Address>,
}

impl Known {
    /// Reads all anew; the events say what is different.
    pub(crate) fn read(&mut self, socket: &mut Netlink) -> kernel::Result<Vec<Event>> {
        let (links, addresses) = (socket.links()?, socket.addresses(None)?);
        let mut events = Vec::new();
        for gone in std::mem::take(&mut self.links).into_values() {
            if links.iter().any(|link| link.index == gone.index) {
                self.links.insert(gone.index, gone);
            } else {
                self.addresses.retain(|address| address.index != gone.index);
                events.push(event("deleted", &gone.name, gone.index));
            }
        }
        for link in links {
            events.extend(self.link(link));
        }
        let lost = self.addresses.iter().filter(|known| !addresses.iter().any(|now| same(now, known)));
        for address in lost.cloned().collect::<Vec<_>>() {
            events.extend(self.hear(Message::AddressGone(address)));
        }
        for address in addresses {
            events.extend(self.hear(Message::Address(address)));
        }
        Ok(events)
    }

    /// Takes in one message.
    pub(crate) fn hear(&mut self, message: Message) -> Option<Event> {
        match message {
            Message::Link(link) => self.link(link),
            Message::LinkGone(link) => {
                self.addresses.retain(|address| address.index != link.index);
                let known = self.links.remove(&link.index)?;
                Some(event("deleted", &known.name, known.index))
            }
            Message::Address(address) => {
                if self.addresses.iter().any(|known| same(known, &address)) {
                    return None;
                }
                let event = self.of_address("addressAdded", &address);
                self.addresses.push(address);
                Some(event)
            }
            Message::AddressGone(address) => {
                let at = self.addresses.iter().position(|known| same(known, &address))?;
                self.addresses.remove(at);
                Some(self.of_address("addressDeleted", &address))
            }
            _ => None,
        }
    }

    fn of_address(&self, what: &'static str, address: &Address) -> Event {
        let name = self.links.get(&address.index).map(|link| link.name.clone());
        let name = name.unwrap_or_else(|| format!("if{}", address.index));
        Event { address: Some(address.net.to_string()), ..event(what, &name, address.index) }
    }

    fn link(&mut self, link: Link) -> Option<Event> {
        let before = self.links.get(&link.index).cloned();
        let event = match before {
            None => Some(event("added", &link.name, link.index)),
            Some(before) => {
                let changes = self.differences(&before, &link);
                (!changes.is_empty()).then(|| Event { changes, ..event("changed", &link.name, link.index) })
            }
        };
        self.links.insert(link.index, link);
        event
    }

    fn differences(&self, before: &Link, now: &Link) -> Vec<Difference> {
        let keys = self.properties(before).into_iter().zip(self.properties(now));
        let differ = keys.filter(|((_, from), (_, to))| from != to);
        differ.map(|((key, from), (_, to))| Difference { key, from, to }).collect()
    }

    /// What of a link is worth telling, in words.
    fn properties(&self, link: &Link) -> Vec<(&'static str, String)> {
        let yes = |on: bool| if on { "yes" } else { "no" }.to_owned();
        let name = |index: Option<u32>| match index {
            None => String::new(),
            Some(index) => {
                self.links.get(&index).map_or_else(|| format!("if{index}"), |link| link.name.clone())
            }
        };
        let macvlan = link.kind.as_macvlan();
        let bond = match &link.kind {
            LinkKind::Bond(bond) => Some(bond.mode()),
            _ => None,
        };
        vec![
            ("name", link.name.clone()),
            ("up", yes(link.is_up())),
            ("carrier", yes(link.is_lower_up())),
            ("state", link.oper_state.name().to_owned()),
            ("mac", link.mac.map(|mac| mac.to_string()).unwrap_or_default()),
            ("mtu", link.mtu.to_string()),
            ("promiscuity", link.promiscuity.to_string()),
            ("allMulticast", yes(link.allmulti)),
            ("controller", name(link.master)),
            ("mode", macvlan.map(|macvlan| macvlan.mode.to_string()).unwrap_or_default()),
            ("bondMode", bond.map(|mode| mode.to_string()).unwrap_or_default()),
            ("nopromisc", macvlan.map(|macvlan| yes(macvlan.nopromisc)).unwrap_or_default()),
            ("sourceMacs", macvlan.map(|macvlan| list(&macvlan.source_macs)).unwrap_or_default()),
            (
                "bcQueueLen",
                macvlan
                    .and_then(|macvlan| macvlan.bc_queue_len)
                    .map(|len| len.to_string())
                    .unwrap_or_default(),
            ),
            ("alias", link.alias.clone().unwrap_or_default()),
        ]
    }
}

fn list(macs: &[kernel::MacAddr]) -> String {
    // The kernel keeps them in a hash's order, which may change.
    let mut all: Vec<String> = macs.iter().map(ToString::to_string).collect();
    all.sort();
    all.join(" ")
}

fn event(event: &'static str, name: &str, index: u32) -> Event {
    Event { event, name: name.to_owned(), index, changes: Vec::new(), address: None }
}

fn same(a: &Address, b: &Address) -> bool {
    a.index == b.index && a.net == b.net && a.peer == b.peer
}
