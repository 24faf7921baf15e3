//! Token buckets on a link: one for what it sends, and by way of an ifb one for what it receives.

use cni::Env;
use kernel::uapi::{TC_H_ROOT, TC_INGRESS_HANDLE};
use kernel::{Change, Filter, Link, LinkKind, MacAddr, Netlink, NewLink, Qdisc, QdiscKind, SetLink, Tbf};

use super::sha512::sha512_head;
use crate::warning::warn;
use crate::{Error, Result};

/// A link and what is to limit it, seen from the link.
pub(crate) struct Shape<'a> {
    pub(crate) link: &'a Link,
    pub(crate) sends: Option<Tbf>,
    pub(crate) receives: Option<Tbf>,
}

/// The ifb's name: one per attachment, 15 characters.
pub(crate) fn ifb_name(network: &str, env: &Env) -> String {
    name_of(&format!("{network}/{}/{}", env.container_id, env.ifname))
}

/// The name that the reference plugin gives, the same for every interface of a container on a network.
pub(crate) fn reference_ifb_name(network: &str, env: &Env) -> String {
    name_of(&format!("{network}{}", env.container_id))
}

fn name_of(text: &str) -> String {
    format!("bwp{:012x}", sha512_head(text.as_bytes()) >> 16)
}

/// Who an ifb belongs to, for GC. Empty when it is too long for the kernel: then only DEL finds the ifb, by its name.
pub(crate) fn alias(network: &str, container_id: &str, ifname: &str) -> String {
    let alias = format!("llano {network}/{container_id}/{ifname}");
    if alias.len() < 256 { alias } else { String::new() }
}

impl Shape<'_> {
    /// Sets the limits, all or none. `ifb` is its name and its alias. Returns the ifb's MAC when one was needed.
    pub(crate) fn apply(&self, socket: &mut Netlink, ifb: (&str, String)) -> Result<Option<MacAddr>> {
        let mut undo = Vec::new();
        let done = self.steps(socket, ifb, &mut undo);
        if done.is_err() {
            for change in undo.iter().rev() {
                let _ = socket.apply(change);
            }
        }
        done
    }

    fn steps(
        &self,
        socket: &mut Netlink,
        ifb: (&str, String),
        undo: &mut Vec<Change>,
    ) -> Result<Option<MacAddr>> {
        let index = self.link.index;
        let mut mac = None;
        if let Some(tbf) = self.receives {
            let (name, alias) = ifb;
            let (ifb, address) = make_ifb(socket, name, self.link.mtu)?;
            undo.push(Change::DeleteLink { index: ifb });
            mac = Some(address);
            if !alias.is_empty() {
                let set = SetLink { alias: Some(alias), ..SetLink::default() };
                socket.apply(&Change::SetLink { index: ifb, set })?;
            }
            socket.apply(&Change::AddQdisc(Qdisc::tbf(ifb, tbf)))?;
            socket.apply(&Change::AddQdisc(Qdisc::ingress(index)))?;
            undo.push(Change::DeleteQdisc(Qdisc::ingress(index)));
            socket.apply(&Change::AddFilter(Filter::redirect_ingress(index, ifb)))?;
        }
        if let Some(tbf) = self.sends {
            socket.apply(&Change::AddQdisc(Qdisc::tbf(index, tbf)))?;
        }
        self.warn_of_small_bursts();
        Ok(mac)
    }

    /// A packet larger than the burst never gets its tokens: the kernel drops it. The reference is silent about it.
    fn warn_of_small_bursts(&self) {
        let frame = self.link.mtu.saturating_add(14);
        for tbf in [self.sends, self.receives].into_iter().flatten().filter(|tbf| tbf.burst_bytes < frame) {
            let (burst, name) = (tbf.burst_bytes, &self.link.name);
            let text = format!(
                "a burst of {burst} bytes is less than a full frame of {name} ({frame} bytes): such frames will be dropped"
            );
            warn("bandwidth", text);
        }
    }

    /// Whether the limits are as they were set. `names` are those the ifb may have.
    pub(crate) fn check(&self, socket: &mut Netlink, names: &[String]) -> Result<()> {
        if let Some(tbf) = &self.sends {
            check_tbf(socket, self.link, tbf)?;
        }
        let Some(tbf) = &self.receives else { return Ok(()) };
        let mut found = None;
        for name in names {
            found = found.or(socket.link_by_name(name)?);
        }
        let ifb = found
            .ok_or_else(|| Error::Mismatch(format!("get ifb device: no link {}", names.join(" or "))))?;
        check_tbf(socket, &ifb, tbf)?;
        let filters = socket.filters(self.link.index, TC_INGRESS_HANDLE)?;
        if !filters.iter().any(|filter| filter.redirect_to == Some(ifb.index)) {
            let text = format!("what {} receives is not sent through {}", self.link.name, ifb.name);
            return Err(Error::Mismatch(text));
        }
        Ok(())
    }

    /// Takes the token bucket and the way to the ifb off the link; what is not ours or not there stays so.
    pub(crate) fn remove(&self, socket: &mut Netlink) -> Result<()> {
        for qdisc in socket.qdiscs(Some(self.link.index))? {
            let ours = match qdisc.kind {
                QdiscKind::Tbf(_) => self.sends.is_some() && is_root(&qdisc),
                QdiscKind::Ingress => self.receives.is_some(),
                _ => false,
            };
            if ours {
                match socket.apply(&Change::DeleteQdisc(qdisc)) {
                    Err(error) if !error.is_not_found() => return Err(error.into()),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Makes an ifb that is up; returns its index and MAC.
fn make_ifb(socket: &mut Netlink, name: &str, mtu: u32) -> Result<(u32, MacAddr)> {
    // Given, so that udev does not change it after we have told it.
    let mac = MacAddr::random()?;
    let add = Change::AddLink(NewLink {
        mtu: Some(mtu),
        mac: Some(mac),
        tx_queue_len: Some(0),
        up: true,
        ..NewLink::new(name, LinkKind::Ifb)
    });
    match socket.apply(&add) {
        // The name is this attachment's alone: an ADD that was killed left it.
        Err(error) if error.is_exists() => {
            delete_link(socket, name)?;
            socket.apply(&add)?;
        }
        other => other?,
    }
    match socket.index_of(name)? {
        Some(index) => Ok((index, mac)),
        None => Err(Error::Mismatch(format!("the ifb {name} vanished"))),
    }
}

/// Deletes a link by its name; absent is fine.
pub(crate) fn delete_link(socket: &mut Netlink, name: &str) -> Result<()> {
    match socket.apply(&Change::DeleteLinkByName(name.to_owned())) {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

fn is_root(qdisc: &Qdisc) -> bool {
    qdisc.parent == TC_H_ROOT && qdisc.handle == 0x1_0000
}

fn check_tbf(socket: &mut Netlink, link: &Link, wanted: &Tbf) -> Result<()> {
    let differs = |what: &str| Err(Error::Mismatch(format!("{what} of {}", link.name)));
    let qdiscs = socket.qdiscs(Some(link.index))?;
    let tbf = qdiscs.iter().find_map(|qdisc| match &qdisc.kind {
        QdiscKind::Tbf(tbf) if qdisc.parent == TC_H_ROOT => Some(tbf),
        _ => None,
    });
    let Some(found) = tbf else { return differs("Failed to find qdisc: no tbf at the root") };
    if found.rate_bytes != wanted.rate_bytes {
        let text =
            format!("Rate doesn't match: {} bytes/s instead of {}", found.rate_bytes, wanted.rate_bytes);
        return differs(&text);
    }
    if found.limit_bytes != wanted.limit_bytes {
        let text =
            format!("Limit doesn't match: {} bytes instead of {}", found.limit_bytes, wanted.limit_bytes);
        return differs(&text);
    }
    if is_told_in_full(wanted) && !wanted.agrees(found) {
        let text =
            format!("Buffer doesn't match: {} bytes instead of {}", found.burst_bytes, wanted.burst_bytes);
        return differs(&text);
    }
    Ok(())
}

/// Whether the kernel can tell the burst: it does so as a number of 32 bits in ticks of 64 ns at the rate, which a large
/// burst at a low rate overflows.
fn is_told_in_full(tbf: &Tbf) -> bool {
    let ns = u128::from(tbf.burst_bytes) * 1_000_000_000 / u128::from(tbf.rate_bytes.max(1));
    ns / 64 < u128::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_references_and_ours() {
        let env = |ifname: &str| {
            let text = r#"{"cniVersion":"1.0.0","name":"net"}"#;
            let env = [
                ("CNI_COMMAND", "DEL"),
                ("CNI_CONTAINERID", "c1"),
                ("CNI_IFNAME", ifname),
                ("CNI_PATH", "/x"),
            ];
            cni::Request::from_texts(&env, text).unwrap().env
        };
        // sha512("netc1")
        assert_eq!(reference_ifb_name("net", &env("eth0")), "bwp623e1c388032");
        assert_eq!(ifb_name("net", &env("eth0")), "bwpdd6ccc806f76");
        assert_ne!(ifb_name("net", &env("eth0")), ifb_name("net", &env("net1")));
    }

    #[test]
    fn a_burst_that_overflows_the_kernels_ticks_is_known() {
        assert!(is_told_in_full(&Tbf::with_latency(1_000_000, 100_000, 25_000)));
        // What Kubernetes' bandwidth annotations give: 2^31 - 1 bits of burst.
        assert!(!is_told_in_full(&Tbf::with_latency(125_000, 268_435_455, 25_000)));
    }
}
