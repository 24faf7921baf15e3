//! The tree of many links in many namespaces.

use super::process::Prepared;
use super::report::{Budget, Figure, Limit, Scenario, Unit};
use super::samples::Samples;
use super::site::{PARENT, Site, ip};
use anyhow::{Context, Result, bail};
use std::fmt::Write;
use std::path::Path;

/// Namespaces, and macvlans in each.
const NAMESPACES: usize = 200;
const MACVLANS: usize = 5;

const LLANO: &str = "llano link tree";
const EXEC: &str = "for … ip netns exec N ip -d -j address";
const DIRECT: &str = "for … ip -n N -d -j address";

/// Everyone reads the links and addresses of every namespace, in turn. The loops do less: they know the names of the
/// namespaces, and find neither parents nor owners.
pub(super) fn measure(site: &Site, llano: &Path, rounds: usize) -> Result<Scenario> {
    populate(site)?;
    let llano = format!("exec {} link tree --output json", llano.display());
    let each = |command: &str| {
        format!("for n in $(ip netns list | cut -d' ' -f1); do {command} -d -j address || exit 1; done")
    };
    let scripts = [(LLANO, llano), (EXEC, each("ip netns exec $n ip")), (DIRECT, each("ip -n $n"))];
    let path = std::env::var("PATH").unwrap_or_default();
    // Through a shell to nowhere each: a pipe would fill.
    let prepare = |script: &str| {
        let script = format!("exec >/dev/null; {script}");
        Prepared::new(Path::new("/bin/sh"), &["-c".into(), script], &[("PATH", path.clone())], "")
    };
    let programs = scripts.iter().map(|(_, script)| prepare(script)).collect::<Result<Vec<_>>>()?;
    complete(&scripts[0].1)?;
    let mut samples = vec![Samples::default(); programs.len()];
    for round in 0..rounds {
        for turn in 0..programs.len() {
            let who = (round + turn) % programs.len();
            samples[who].push(programs[who].run()?.time);
        }
    }
    let figure = |((who, _), samples): (&(&str, String), Samples)| Figure {
        who: (*who).into(),
        unit: Unit::Micros,
        samples,
    };
    let mut scenario = Scenario {
        name: "tree".into(),
        title: format!("{} macvlans in {NAMESPACES} namespaces", NAMESPACES * MACVLANS),
        figures: scripts.iter().zip(samples).map(figure).collect(),
        budgets: vec![],
    };
    let (ours, exec, direct) = (scenario.median(LLANO), scenario.median(EXEC), scenario.median(DIRECT));
    let budget = |what, value, limit| Budget { what, value, limit };
    scenario.budgets = vec![
        budget("seconds", ours / 1e6, Limit::AtMost(1.0)),
        budget("times as fast as the loop over ip netns exec", exec / ours, Limit::AtLeast(1.0)),
        budget("times as fast as the loop over ip -n", direct / ours, Limit::AtLeast(1.0)),
    ];
    Ok(scenario)
}

fn populate(site: &Site) -> Result<()> {
    let mut batch = String::new();
    for pod in 0..NAMESPACES {
        site.pod(&format!("pod{pod}"))?;
        for link in 0..MACVLANS {
            writeln!(batch, "link add link {PARENT} name net{link} netns pod{pod} type macvlan mode bridge")?;
        }
    }
    let file = "/run/tree.batch";
    std::fs::write(file, batch).with_context(|| format!("cannot write {file}"))?;
    ip(&["-batch", file])
}

/// Whether the tree has all of them: a fast answer that lacks some would be worth nothing.
fn complete(llano: &str) -> Result<()> {
    let output =
        std::process::Command::new("/bin/sh").args(["-c", llano]).output().context("cannot run sh")?;
    let tree: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{llano}: {}", String::from_utf8_lossy(&output.stderr).trim()))?;
    let links = tree["links"].as_array().context("the tree has no links")?;
    let found =
        links.iter().filter(|link| link["kind"] == "macvlan" && link["parent"]["name"] == PARENT).count();
    if found != NAMESPACES * MACVLANS {
        bail!("the tree has {found} macvlans on {PARENT}, made were {}", NAMESPACES * MACVLANS);
    }
    Ok(())
}
