//! What an older kernel does differently from the one the other tests run on.

use anyhow::{Context, Result, ensure};
use kernel::{Change, Errno, LinkKind, MacAddr, Macvlan, MacvlanMode, Netlink, NewLink};

use super::Check;
use crate::site::{CABLE, Site, link, network, with};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "kernel/five modes are made and read back", run: five_modes },
    Check { name: "kernel/a second child beside passthru is refused", run: passthru_is_alone },
    Check { name: "kernel/host and pod both have an eth0", run: same_name },
    Check { name: "kernel/the plugin's five modes", run: plugin_modes },
];

const LISTED: MacAddr = MacAddr([2, 0, 0, 0, 0, 7]);

/// A macvlan with all that its mode needs.
fn macvlan(mode: MacvlanMode) -> Macvlan {
    let mut macvlan = Macvlan::new(mode);
    if mode == MacvlanMode::Source {
        macvlan.source_macs = vec![LISTED];
    }
    macvlan
}

fn five_modes() -> Result<()> {
    for mode in MacvlanMode::ALL {
        let site = Site::new(CABLE)?;
        let (host, pod) = (site.host()?.net(), site.pod("a")?);
        let parent = link(host, "eth0")?.index;
        let mut new = NewLink::new("child0", LinkKind::Macvlan(macvlan(mode)));
        (new.parent, new.netns) = (Some(parent), Some(pod.net().clone()));
        Netlink::open_in(host)?.apply(&Change::AddLink(new)).with_context(|| format!("mode {mode}"))?;
        let child = link(pod.net(), "child0")?;
        let Some(read) = child.kind.as_macvlan() else { anyhow::bail!("not a macvlan: {child:?}") };
        ensure!(read.mode == mode, "made as {mode}, read as {}", read.mode);
        ensure!(read.source_macs == macvlan(mode).source_macs, "{mode}: sources {:?}", read.source_macs);
        ensure!(child.parent == Some(parent), "{mode}: parent {:?}, not {parent}", child.parent);
    }
    Ok(())
}

fn passthru_is_alone() -> Result<()> {
    let site = Site::new(CABLE)?;
    let host = site.host()?.net();
    let parent = link(host, "eth0")?.index;
    let make = |name: &str, mode| {
        let mut new = NewLink::new(name, LinkKind::Macvlan(macvlan(mode)));
        new.parent = Some(parent);
        Netlink::open_in(host)?.apply(&Change::AddLink(new))
    };
    make("first", MacvlanMode::Passthru)?;
    for mode in [MacvlanMode::Passthru, MacvlanMode::Bridge] {
        let refused =
            make("second", mode).err().with_context(|| format!("{mode} beside passthru was made"))?;
        ensure!(refused.errno() == Some(Errno::INVAL), "{mode}: {refused}");
    }
    // The plugin explains the kernel's bare word.
    site.pod("a")?.add_is_refused(&network("macvlan", "n", "eth0", "10.8.0.0/24"), &["passthru", "eth0"])
}

fn same_name() -> Result<()> {
    let site = Site::new(CABLE)?;
    let host = site.host()?.net();
    let before = link(host, "eth0")?;
    let config = network("macvlan", "n", "eth0", "10.8.0.0/24");
    let pod = site.pod("a")?;
    let answer = pod.add(&config)?;
    ensure!(pod.eth0()?.parent == Some(before.index), "{:?}", pod.eth0()?);
    let after = link(host, "eth0")?;
    ensure!(
        (after.index, after.mac) == (before.index, before.mac),
        "the host's eth0 was {before:?}, is {after:?}"
    );
    let links = Netlink::open_in(host)?.links()?;
    ensure!(
        links.iter().all(|link| ["lo", "eth0"].contains(&link.name.as_str())),
        "left on the host: {links:?}"
    );
    pod.check(&config, &answer)?;
    pod.del(&config, &answer)?;
    ensure!(pod.eth0().is_err(), "DEL left the link");
    link(host, "eth0").map(drop)
}

fn plugin_modes() -> Result<()> {
    for mode in MacvlanMode::ALL {
        let site = Site::new(CABLE)?;
        let mut config = with(network("macvlan", "n", "eth0", "10.8.0.0/24"), "mode", mode.name());
        if mode == MacvlanMode::Source {
            config = with(config, "sourceMacs", vec![LISTED.to_string()]);
        }
        let pod = site.pod("a")?;
        let answer = pod.add(&config).with_context(|| format!("mode {mode}"))?;
        let eth0 = pod.eth0()?;
        ensure!(eth0.kind.as_macvlan().is_some_and(|read| read.mode == mode), "{mode}: {eth0:?}");
        pod.check(&config, &answer).with_context(|| format!("mode {mode}"))?;
        pod.del(&config, &answer)?;
    }
    Ok(())
}
