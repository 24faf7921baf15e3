//! `sbr`: routes packets by their source. Each address of the interface gets a rule and a table of its own, so that
//! an answer leaves by the interface that the question came in by.

mod config;
mod plan;

use std::net::IpAddr;

use cni::{CniResult, Plugin, Request};
use ipnet::IpNet;
use kernel::{Change, NetNs, Netlink, Route, RouteFilter, Rule};
use rustix::fs::FlockOperation;

use self::config::{Config, addresses_of};
use self::plan::Plan;
use crate::link::open_netns;
use crate::warning::warn;
use crate::{Error, Result};

/// The plugin type `sbr`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sbr;

const NOT_CHAINED: &str = "This plugin must be called as chained plugin";

impl Plugin for Sbr {
    fn about(&self) -> String {
        concat!("CNI sbr plugin llano-cni ", env!("CARGO_PKG_VERSION")).to_owned()
    }

    fn add(&self, request: &Request) -> cni::Result<CniResult> {
        let config = Config::read(&request.root())?;
        let result = request.required_prev_result(NOT_CHAINED)?;
        let ifname = &request.env.ifname;
        let ips = addresses_of(&result, ifname)?;
        let netns = open_netns(&request.env)?;
        let mut socket = lock(&netns)?;
        if let Some(table) = config.table {
            add_rules(&mut socket, plan::rules_only(&ips, table))?;
        } else {
            let index = socket
                .index_of(ifname)
                .map_err(Error::from)?
                .ok_or_else(|| Error::Mismatch(format!("Cannot find network interface {ifname}")))?;
            let rules = socket.rules().map_err(Error::from)?;
            let routes = socket.routes(&RouteFilter::default()).map_err(Error::from)?;
            apply(&mut socket, &plan::plan(&ips, &config, index, &rules, &routes))?;
        }
        drop(ips);
        Ok(result)
    }

    fn del(&self, request: &Request) -> cni::Result<()> {
        // What ADD refused has left nothing, so a configuration that has gone bad must not stop the chain's DEL.
        let table = Config::read(&request.root()).ok().and_then(|config| config.table);
        let promised = request.prev_result().ok().flatten().unwrap_or_default();
        let Some(path) = request.env.netns.as_deref() else { return Ok(()) };
        // Not only an absent file: the reference plugin leaves an empty one where the namespace was.
        let Ok(netns) = NetNs::open(path) else { return Ok(()) };
        let mut socket = lock(&netns)?;
        let addresses = addresses_of(&promised, &request.env.ifname).unwrap_or_default();
        let addresses: Vec<IpAddr> = addresses.iter().map(|ip| ip.address.addr()).collect();
        Ok(tidy(&mut socket, &request.env.ifname, table, addresses)?)
    }

    fn check(&self, request: &Request) -> cni::Result<()> {
        let config = Config::read(&request.root())?;
        let result = request.required_prev_result(NOT_CHAINED)?;
        let netns = open_netns(&request.env)?;
        let mut socket = Netlink::open_in(&netns).map_err(Error::from)?;
        Ok(check(&mut socket, &config, &result, &request.env.ifname)?)
    }

    fn status(&self, request: &Request) -> cni::Result<()> {
        Config::read(&request.root()).map(|_| ())
    }
}

/// A socket to the namespace, once no other call chooses a table there. The lock is on the namespace itself, as the
/// reference's, and ends with the process.
fn lock(netns: &NetNs) -> Result<Netlink> {
    rustix::io::retry_on_intr(|| rustix::fs::flock(netns, FlockOperation::LockExclusive)).map_err(
        |errno| {
            Error::Cni(cni::Error::io(format!(
                "cannot lock the network namespace: {}",
                std::io::Error::from(errno)
            )))
        },
    )?;
    Ok(Netlink::open_in(netns)?)
}

/// Does all of the plan or nothing.
fn apply(socket: &mut Netlink, plan: &Plan) -> Result<()> {
    let rules = plan.rules.iter().cloned().map(Change::AddRule);
    // Replacing: the main table may have the default route that we add ourselves.
    let routes = plan.routes.iter().cloned().map(Change::ReplaceRoute);
    let fresh: Vec<Change> = rules.chain(routes).collect();
    let done = socket.apply_all(&fresh).map_err(|(_, error)| error).and_then(|()| {
        for hint in &plan.hints {
            if let Err(error) = socket.apply(&Change::ReplaceRoute(hint.clone())) {
                // As in the reference: a subnet that cannot be hinted is still reached by its source.
                warn("sbr", error);
            }
        }
        plan.remove
            .iter()
            .try_for_each(|route| unless_gone(socket.apply(&Change::DeleteRoute(route.clone()))))
    });
    if done.is_err() {
        undo(socket, plan);
    }
    Ok(done?)
}

/// Takes back what was done of the plan; what was not done is not there.
fn undo(socket: &mut Netlink, plan: &Plan) {
    // The hints stay: each took the place of a connected route, and says the same.
    let back = plan.remove.iter().cloned().map(Change::AddRoute);
    // The tables were nobody's, so whatever is in them is ours.
    let routes = plan.routes.iter().rev().cloned().map(Change::DeleteRoute);
    let rules = plan.rules.iter().cloned().map(Change::DeleteRule);
    for change in back.chain(routes).chain(rules) {
        let _ = socket.apply(&change);
    }
}

/// Adds rules to a table that is not ours. One that is there already is what was asked for; the kernel would
/// take it a second time.
fn add_rules(socket: &mut Netlink, mut rules: Vec<Rule>) -> Result<()> {
    let present = socket.rules()?;
    rules.retain(|rule| !present.iter().any(|other| other.src == rule.src && other.table == rule.table));
    for (done, rule) in rules.iter().enumerate() {
        if let Err(error) = socket.apply(&Change::AddRule(rule.clone())) {
            for rule in &rules[..done] {
                let _ = socket.apply(&Change::DeleteRule(rule.clone()));
            }
            return Err(error.into());
        }
    }
    Ok(())
}

/// Removes every rule whose source is one of `addresses` or is on the interface, and the routes of their tables.
/// Goes on after a failure and returns the first.
fn tidy(socket: &mut Netlink, ifname: &str, table: Option<u32>, mut addresses: Vec<IpAddr>) -> Result<()> {
    let index = socket.index_of(ifname)?;
    if index.is_some() {
        addresses.extend(socket.addresses(index)?.iter().map(|address| address.net.addr()));
    }
    if addresses.is_empty() {
        return Ok(());
    }
    let is_ours = |rule: &Rule| {
        let source = rule.src.is_some_and(|src| addresses.iter().any(|address| IpNet::from(*address) == src));
        source && table.is_none_or(|table| rule.table == table)
    };
    let rules: Vec<Rule> = socket.rules()?.into_iter().filter(is_ours).collect();
    let mut changes = Vec::new();
    for rule in rules {
        if let (None, Some(_), true) = (table, index, plan::is_own_table(rule.table)) {
            let filter = RouteFilter { table: Some(rule.table), oif: index, ..RouteFilter::default() };
            changes.extend(socket.routes(&filter)?.into_iter().map(Change::DeleteRoute));
        }
        changes.push(Change::DeleteRule(rule));
    }
    let mut first = Ok(());
    for change in changes {
        let done = unless_gone(socket.apply(&change));
        if first.is_ok() {
            first = done;
        }
    }
    Ok(first?)
}

fn unless_gone(done: kernel::Result<()>) -> kernel::Result<()> {
    match done {
        Err(error) if error.is_not_found() => Ok(()),
        done => done,
    }
}

/// Every address has its rule, and the rule's table the default route.
fn check(socket: &mut Netlink, config: &Config, result: &CniResult, ifname: &str) -> Result<()> {
    let ips = addresses_of(result, ifname)?;
    let index = socket.index_of(ifname)?;
    if index.is_none() {
        return Err(Error::Mismatch(format!("Cannot find network interface {ifname}")));
    }
    let rules = socket.rules()?;
    for ip in ips {
        let source = plan::host(ip);
        let wanted = |rule: &&Rule| match config.table {
            Some(table) => rule.table == table,
            None => plan::is_own_table(rule.table),
        };
        let rule = rules.iter().filter(|rule| rule.src == Some(source)).find(wanted).ok_or_else(|| {
            let table =
                config.table.map_or("a table of its own".to_owned(), |table| format!("table {table}"));
            Error::Mismatch(format!("there is no rule from {source} to {table}"))
        })?;
        let (None, Some(gateway)) = (config.table, config.gateway_of(ip)) else { continue };
        let filter = RouteFilter {
            family: Some(rule.family),
            table: Some(rule.table),
            oif: index,
            ..RouteFilter::default()
        };
        let is_default = |route: &Route| route.dst.is_none() && route.gateway == Some(gateway);
        if !socket.routes(&filter)?.iter().any(is_default) {
            let table = rule.table;
            return Err(Error::Mismatch(format!(
                "table {table} has no default route via {gateway} dev {ifname}"
            )));
        }
    }
    Ok(())
}
