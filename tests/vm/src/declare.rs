//! Declared states applied and taken back, each time with what must hold of every one.

use anyhow::{Context, Result, ensure};
use host::{Difference, Network, Plan, State, Wanted, converge};
use kernel::{LinkKind, Netlink, NewLink, VethPeer};

/// What an applied state changed, so that it can be taken back.
#[derive(Debug)]
pub struct Applied {
    /// The network before.
    pub before: Network,
    /// What was asked for.
    pub wanted: Wanted,
}

/// Applies a file. Read again the network is as wanted, a second time there is nothing to do, and what `show` prints
/// is what is.
///
/// # Errors
/// When the file is refused, a step fails, or one of these does not hold.
pub fn apply(netlink: &mut Netlink, yaml: &str) -> Result<Applied> {
    let before = Network::read(netlink)?;
    let state = State::parse(yaml).context("parse")?;
    let wanted = state.wanted(&before).context("merge")?;
    turn(netlink, &wanted).context("apply")?;
    let after = Network::read(netlink)?;
    same(&Difference::of(&after, &wanted), "after it was applied")?;
    let again = state.wanted(&after)?;
    same(&Difference::of(&after, &again), "a second time")?;
    let plan = Plan::new(&after, &again)?;
    let steps: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
    ensure!(steps.is_empty(), "a second time something is done: {}", steps.join("; "));
    let shown = State::of(&after).to_yaml();
    let again = State::parse(&shown).with_context(|| format!("what show prints: {shown}"))?;
    let again = again.wanted(&after).with_context(|| format!("what show prints: {shown}"))?;
    same(&Difference::of(&after, &again), "what show prints")?;
    Ok(Applied { before, wanted })
}

/// Takes back what was applied: all is as before, of every link.
///
/// # Errors
/// When a step fails or something is not as it was.
pub fn undo(netlink: &mut Netlink, applied: &Applied) -> Result<()> {
    let wanted = &applied.wanted;
    let back = Wanted::back_to(applied.before.clone(), wanted.affected.clone(), wanted.rules);
    turn(netlink, &back).context("undo")?;
    as_it_was(&Network::read(netlink)?, &applied.before)
}

/// That nothing is different, of any link.
///
/// # Errors
/// What is different.
pub fn as_it_was(now: &Network, before: &Network) -> Result<()> {
    let all = now.links.keys().chain(before.links.keys()).cloned().collect();
    same(&Difference::of(now, &Wanted::back_to(before.clone(), all, true)), "it is not as it was")
}

fn turn(netlink: &mut Netlink, wanted: &Wanted) -> Result<()> {
    let mut steps = Vec::new();
    let result = converge(netlink, wanted, &mut |step| steps.push(step.to_string()));
    result.map(drop).with_context(|| format!("steps: {}", steps.join("; ")))
}

fn same(difference: &Difference, when: &str) -> Result<()> {
    ensure!(difference.is_empty(), "{when}:\n{difference}");
    Ok(())
}

/// Makes network cards to declare things of: pairs with both ends here, the other end of `n0` is `p0`.
///
/// # Errors
/// When one cannot be made.
pub fn cards(netlink: &mut Netlink, count: usize) -> Result<()> {
    // Nobody else is there to have an address, and asking takes a second each.
    kernel::sysctl::write("net/ipv6/conf/default/accept_dad", "0")?;
    kernel::sysctl::write("net/ipv6/conf/all/accept_dad", "0")?;
    for at in 0..count {
        let peer = VethPeer { name: Some(format!("p{at}")), ..VethPeer::default() };
        netlink.apply(&kernel::Change::AddLink(NewLink::new(format!("n{at}"), LinkKind::Veth(peer))))?;
        for name in [format!("p{at}"), format!("n{at}")] {
            let index = netlink.link_by_name(&name)?.context("it was just made")?.index;
            netlink.apply(&kernel::Change::SetLink { index, set: kernel::SetLink::up() })?;
        }
    }
    Ok(())
}
