//! What the demo shows, step by step. Each step checks what it claims.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use lab::Matrix;
use serde_json::{Value, json};

use super::stage::{HOSTS, Stage};
use super::{conf, lan, report};
use crate::lab::matrix;
use crate::output::{Colour, Out, trip};

/// Patience of a ping. An answer comes within a millisecond; a failure takes this long.
const PATIENCE: Duration = Duration::from_secs(1);

const PICTURE: &str = "   host1 .101   host2 .102   node3 .103
       |            |            |
   ----+------------+------------+-----+---- lan, 172.16.129.0/24
                                       |
                                 gateway .254 ---- outside, 192.168.5.229";

pub(super) fn tell(mut stage: Stage, out: &mut Out) -> anyhow::Result<ExitCode> {
    let begin = Instant::now();
    let mut found = serde_json::Map::new();
    the_lab(&stage, out)?;
    found.insert("verbatim".into(), one_host(&mut stage, out)?);
    found.insert("sameFileOnBothHosts".into(), two_hosts(&mut stage, out)?);
    found.insert("probe".into(), probe(&mut stage, out)?);
    found.insert("withoutHostAccess".into(), connectivity(&stage, false, out)?);
    found.insert("withHostAccess".into(), host_access(&mut stage, out)?);
    farewell(stage, begin, out)?;
    out.json(&found)?;
    Ok(ExitCode::SUCCESS)
}

fn title(number: usize, text: &str, out: &mut Out) -> anyhow::Result<()> {
    out.line("")?;
    out.painted(Colour::Strong, &format!("{number}. {text}"))?;
    out.flush()
}

fn the_lab(stage: &Stage, out: &mut Out) -> anyhow::Result<()> {
    out.painted(Colour::Strong, "1. Two hosts, one more node and a gateway on a switch, made of namespaces")?;
    out.painted(Colour::Faint, PICTURE)?;
    out.line(&format!("   up in {}", trip(stage.took)))?;
    out.flush()
}

fn one_host(stage: &mut Stage, out: &mut Out) -> anyhow::Result<Value> {
    title(2, "host1 gets the handbook's macvlan.conf as it is, and two containers", out)?;
    stage.configure("host1", &conf::verbatim())?;
    stage.start("host1", "web1")?;
    stage.start("host1", "web2")?;
    report::print_pods(stage.pods.iter(), out)?;
    out.line(
        "   Each has its own MAC and an address of the LAN. The file routes the subnet through the gateway;",
    )?;
    out.line("   llano delivers inside it directly.")?;
    Ok(stage.pods.iter().map(|pod| json!({"name": pod.name, "host": pod.host, "eth0": pod.facts})).collect())
}

fn two_hosts(stage: &mut Stage, out: &mut Out) -> anyhow::Result<Value> {
    title(3, "host2 gets the same file: not enough, host-local knows only its own host", out)?;
    stage.configure("host2", &conf::verbatim())?;
    let pod = stage.start("host2", "db1")?;
    let address = pod.facts.address;
    let taken = stage.pods.iter().filter(|pod| pod.facts.address == address).count();
    ensure!(taken == 2, "{address} should have been given twice, by each host");
    report::print_pods(stage.pods.iter().filter(|pod| pod.facts.address == address), out)?;
    let answers = lan::who_has(stage.lab.host("node3")?, address)?;
    let macs: Vec<String> = answers.iter().map(ToString::to_string).collect();
    ensure!(macs.len() == 2, "two MACs should answer for {address}, got {macs:?}");
    out.painted(
        Colour::Bad,
        &format!("   node3 asks who has {address}: {} both answer", macs.join(" and ")),
    )?;
    stage.stop("db1")?;
    Ok(json!({"address": address, "answers": macs}))
}

fn probe(stage: &mut Stage, out: &mut Out) -> anyhow::Result<Value> {
    title(4, "host2 with one more line, \"probe\": true", out)?;
    stage.configure("host2", &conf::with(&["\"probe\": true"]))?;
    let pod = stage.start("host2", "db1")?;
    let (address, took) = (pod.facts.address, pod.took);
    report::print_pods(stage.pods.iter().filter(|pod| pod.name == "db1"), out)?;
    let answers = lan::who_has(stage.lab.host("node3")?, address)?;
    ensure!(answers.len() == 1, "{address} should have one owner, it has {answers:?}");
    let mut others = stage.pods.iter().filter(|pod| pod.name != "db1");
    ensure!(others.all(|pod| pod.facts.address != address), "{address} is taken on host1");
    let avoided = stage.quarantined("host2")?;
    ensure!(!avoided.is_empty(), "host2 should have met an address of host1");
    let asked = format!("it asked the LAN before it took an address: {} answered", avoided.join(" and "));
    out.painted(Colour::Good, &format!("   {asked}, {address} is free"))?;
    Ok(json!({"address": address, "milliseconds": took.as_millis(), "avoided": avoided}))
}

fn connectivity(stage: &Stage, host_access: bool, out: &mut Out) -> anyhow::Result<Value> {
    if !host_access {
        title(5, "Who reaches whom: a ping for each cell, row to column", out)?;
    }
    stage.go_on()?;
    let measured = Matrix::ping(&stage.endpoints(), 1, PATIENCE);
    matrix::print(&measured, 3, out)?;
    out.line("")?;
    let verdicts = report::verdicts(&measured, host_access);
    report::print_table(&measured, &verdicts, out)?;
    for verdict in &verdicts {
        ensure!(verdict.works == verdict.expected, "{}: expected {}", verdict.about, verdict.expected);
    }
    if host_access {
        ensure!(measured.failures().next().is_none(), "a ping failed with host access on");
    } else {
        out.line("   As the handbook says: a macvlan and its parent do not see each other.")?;
    }
    Ok(json!({"table": verdicts, "cells": measured.cells}))
}

fn host_access(stage: &mut Stage, out: &mut Out) -> anyhow::Result<Value> {
    title(6, "Host access: \"hostAccess\": true in both files, the containers started anew", out)?;
    for name in ["web1", "web2", "db1"] {
        stage.stop(name)?;
    }
    stage.configure("host1", &conf::with(&["\"hostAccess\": true"]))?;
    stage.configure("host2", &conf::with(&["\"probe\": true", "\"hostAccess\": true"]))?;
    for (host, name) in [("host1", "web1"), ("host1", "web2"), ("host2", "db1")] {
        stage.start(host, name)?;
    }
    let found = connectivity(stage, true, out)?;
    out.painted(
        Colour::Good,
        "   Everyone reaches everyone. The host keeps its address, the LAN hears nothing of it.",
    )?;
    Ok(found)
}

fn farewell(mut stage: Stage, begin: Instant, out: &mut Out) -> anyhow::Result<()> {
    let name = stage.lab.name().to_owned();
    if stage.keep {
        title(7, &format!("Lab {name} stays up"), out)?;
        out.line(&format!("   llano lab exec --name {name} {} -- ip address", HOSTS[0]))?;
        out.line(&format!("   llano lab matrix --name {name}"))?;
        return out.line(&format!("   llano lab down {name}"));
    }
    title(7, "Cleaning up", out)?;
    let pods = stage.pods.len();
    while let Some(pod) = stage.pods.last() {
        let name = pod.name.clone();
        stage.stop(&name)?;
    }
    for host in HOSTS {
        let links =
            kernel::Netlink::open_in(stage.lab.host(host)?.net())?.links().context("cannot list links")?;
        let left: Vec<_> =
            links.iter().filter(|link| !["lo", "eth0"].contains(&link.name.as_str())).collect();
        ensure!(left.is_empty(), "{host} still has {left:?}");
    }
    drop(stage);
    out.line(&format!(
        "   {pods} containers deleted, nothing of them is left on their hosts; lab {name} is down"
    ))?;
    out.painted(Colour::Faint, &format!("   all of it took {}", trip(begin.elapsed())))
}
