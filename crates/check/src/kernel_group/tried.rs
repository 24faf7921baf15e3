//! Links of each kind, made.

use kernel::{
    Bond, Change, Errno, LinkKind, MacAddr, Macvlan, MacvlanMode, NetNs, Netlink, NewLink, VethPeer, Vlan,
};

use crate::context::Context;
use crate::error::Result;
use crate::finding::Finding;
use crate::fix::{Action, Fix};

/// What macvlan needs at all, and the oldest kernel that we know to work (docs/check.md).
const MACVLAN: (u32, u32) = (3, 9);
const TRIED: (u32, u32) = (4, 20);

pub(crate) fn version(_: &Context) -> Result<Vec<Finding>> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let Some(version) = parse_release(&release) else {
        return Ok(vec![Finding::skip(format!("{release:?} is no kernel version that can be compared"))]);
    };
    Ok(vec![if version < MACVLAN {
        Finding::fail(
            format!("Linux {release}: macvlan needs 3.9"),
            "install a kernel of your distribution that is supported today",
        )
    } else if version < TRIED {
        Finding::warn(
            format!("Linux {release}: older than 4.20, whose netlink we rely on for clear errors"),
            "install a kernel of your distribution that is supported today",
        )
    } else {
        Finding::ok(format!("Linux {release}"))
    }])
}

fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// A namespace with a parent for what is tried; it ends with this value.
struct Scratch {
    netlink: Netlink,
    parent: u32,
}

impl Scratch {
    fn new() -> Result<Self> {
        let mut netlink = Netlink::open_in(&NetNs::scratch()?)?;
        let veth = NewLink::new("parent", LinkKind::Veth(VethPeer::default()));
        if netlink.apply(&Change::AddLink(veth)).is_err() {
            netlink.apply(&Change::AddLink(NewLink::new("parent", LinkKind::Dummy)))?;
        }
        let parent = netlink.link_by_name("parent")?.map_or(0, |link| link.index);
        Ok(Self { netlink, parent })
    }

    /// Makes a link, reads it back and deletes it. The kernel's refusal is the answer, not an error.
    fn try_link(&mut self, kind: LinkKind, on_parent: bool) -> std::result::Result<LinkKind, kernel::Error> {
        let mut link = NewLink::new("try", kind);
        link.parent = on_parent.then_some(self.parent);
        self.netlink.apply(&Change::AddLink(link))?;
        let made = self.netlink.link_by_name("try")?;
        self.netlink.apply(&Change::DeleteLinkByName("try".to_owned()))?;
        made.map(|link| link.kind).ok_or(kernel::Error::Refused {
            op: "find link",
            object: "try".to_owned(),
            errno: Errno::NODEV,
            text: None,
        })
    }
}

/// A refusal that says nothing of the kernel, only of who asks.
fn is_no_right(error: &kernel::Error) -> bool {
    matches!(error.errno(), Some(Errno::PERM | Errno::ACCESS))
}

/// A kind that does not work: its module may not be loaded. Only what is needed is repaired.
fn without_module(needed: bool, summary: String, module: &'static str) -> Finding {
    let advice = format!("modprobe {module}; where that fails, install the modules package of this kernel");
    let finding = Finding::bad(needed, summary, advice);
    if needed { finding.fix(Fix::one(Action::Module { name: module })) } else { finding }
}

pub(crate) fn modes(context: &Context) -> Result<Vec<Finding>> {
    let mut scratch = Scratch::new()?;
    let mut findings = Vec::new();
    for mode in MacvlanMode::ALL {
        let mut macvlan = Macvlan::new(mode);
        if mode == MacvlanMode::Source {
            macvlan.source_macs.push(MacAddr([2, 0, 0, 0, 0, 1]));
        }
        let used = mode == MacvlanMode::Bridge
            || context.uses().any(|(_, plugin, _)| {
                plugin.kind == "macvlan" && plugin.mode.as_deref() == Some(mode.name())
            });
        let finding = match scratch.try_link(LinkKind::Macvlan(macvlan.clone()), true) {
            Ok(LinkKind::Macvlan(made)) if made.mode == mode && made.source_macs == macvlan.source_macs => {
                Finding::ok(format!("macvlan mode {mode} works"))
            }
            Ok(made) => Finding::bad(
                used,
                format!("macvlan mode {mode}: the kernel made something else: {made:?}"),
                "use another mode or another kernel",
            ),
            Err(error) if is_no_right(&error) => {
                Finding::skip(format!("macvlan mode {mode}: {error}; run as root"))
            }
            Err(error) => {
                without_module(used, format!("macvlan mode {mode} does not work: {error}"), "macvlan")
            }
        };
        findings.push(finding.of(mode.name()));
    }
    Ok(findings)
}

/// One kind that is made for a while.
fn tried(
    name: &str,
    needed: Option<&str>,
    kind: LinkKind,
    on_parent: bool,
    without: &str,
) -> Result<Vec<Finding>> {
    let finding = match Scratch::new()?.try_link(kind, on_parent) {
        Ok(_) => Finding::ok(format!("{name} works")),
        Err(error) if is_no_right(&error) => Finding::skip(format!("{name}: {error}; run as root")),
        Err(error) => {
            let why = needed.unwrap_or(without);
            let module = match name {
                "802.1Q" => "8021q",
                "bonding" => "bonding",
                _ => "macvtap",
            };
            without_module(needed.is_some(), format!("{name} does not work: {error}; {why}"), module)
        }
    };
    Ok(vec![finding])
}

pub(crate) fn macvtap(_: &Context) -> Result<Vec<Finding>> {
    let kind = LinkKind::Macvtap(Macvlan::new(MacvlanMode::Bridge));
    tried("macvtap", None, kind, true, "only virtual machines need it")
}

pub(crate) fn vlan(context: &Context) -> Result<Vec<Finding>> {
    let declared = context.declared.needs("vlan").then(|| "the declared state has VLANs".to_owned());
    let mut uses = context.uses();
    let used = || {
        let (network, _, _) = uses.find(|(_, plugin, _)| plugin.kind == "vlan")?;
        Some(format!("network {} is one", network.name))
    };
    let kind = LinkKind::Vlan(Vlan::new(1));
    tried("802.1Q", declared.or_else(used).as_deref(), kind, true, "nothing declared here needs it")
}

pub(crate) fn bonding(context: &Context) -> Result<Vec<Finding>> {
    let needed = context.declared.needs("bond").then_some("the declared state has bonds");
    let kind = LinkKind::Bond(Bond::default());
    tried("bonding", needed, kind, false, "nothing declared here needs it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_compare() {
        assert_eq!(parse_release("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(parse_release("2.6.78"), Some((2, 6)));
        assert_eq!(parse_release("next"), None);
        assert!(parse_release("3.10.0-1160.el7") > Some(MACVLAN));
    }
}
