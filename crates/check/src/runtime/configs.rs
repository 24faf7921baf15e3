//! `/etc/cni/net.d`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::context::{CONF_DIR, Context};
use crate::error::Result;
use crate::finding::Finding;
use crate::fix::{Action, Fix};

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

pub(crate) fn directories(context: &Context) -> Result<Vec<Finding>> {
    let configured = context.networks().next().is_some();
    let bins = context.bin_dirs();
    let bins = bins.iter().map(|path| (path.as_path(), configured, "plugins"));
    let all = [(Path::new(CONF_DIR), false, "configurations")].into_iter().chain(bins);
    Ok(all
        .map(|(path, needed, what)| {
            let shown = path.display();
            let finding = match std::fs::read_dir(path) {
                Ok(_) => Finding::ok(format!("{shown} is there")),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Finding::bad(
                    needed,
                    format!("{shown} is missing: there are no {what}"),
                    format!("mkdir -p {shown}, then put the {what} there"),
                )
                .fix(Fix::one(Action::Directory { path: path.to_owned() })),
                Err(error) => Finding::fail(
                    format!("{shown} cannot be read: {error}"),
                    "make it a directory that root can read",
                ),
            };
            finding.of(shown.to_string())
        })
        .collect())
}

fn none(context: &Context) -> Option<Vec<Finding>> {
    match &context.configs {
        None => Some(vec![Finding::skip(format!("{CONF_DIR} cannot be read"))]),
        Some(files) if files.is_empty() => {
            Some(vec![Finding::skip(format!("no configuration in {CONF_DIR}"))])
        }
        Some(_) => None,
    }
}

pub(crate) fn configs(context: &Context) -> Result<Vec<Finding>> {
    if let Some(skip) = none(context) {
        return Ok(skip);
    }
    let of = |file: &crate::conf::ConfFile| {
        let name = file_name(&file.path);
        match &file.network {
            Ok(network) => {
                let chain: Vec<&str> = network.plugins.iter().map(|plugin| plugin.kind.as_str()).collect();
                Finding::ok(format!("{name}: network {}: {}", network.name, chain.join(", ")))
            }
            Err(error) => Finding::fail(
                format!("{name} cannot be used: {error}"),
                format!("correct {}; until then its network does not exist, or no network at all if it is the first", file.path.display()),
            ),
        }
        .of(name)
    };
    Ok(context.configs.iter().flatten().map(of).collect())
}

pub(crate) fn names(context: &Context) -> Result<Vec<Finding>> {
    if let Some(skip) = none(context) {
        return Ok(skip);
    }
    let mut by_name: BTreeMap<&str, Vec<&PathBuf>> = BTreeMap::new();
    for (file, network) in context.networks() {
        by_name.entry(&network.name).or_default().push(&file.path);
    }
    let count = by_name.len();
    let shared = by_name.into_iter().filter(|(_, files)| files.len() > 1).map(|(name, files)| {
        let files: Vec<String> = files.iter().map(|path| file_name(path)).collect();
        Finding::fail(
            format!(
                "network name {name} in {}: they share leases, and a runtime uses only one of them",
                files.join(", ")
            ),
            "give each network a name of its own, or remove the file that is not meant",
        )
        .of(name)
    });
    let mut findings: Vec<Finding> = shared.collect();
    if findings.is_empty() {
        findings.push(Finding::ok(format!("{count} network names, each in one file")));
    }
    Ok(findings)
}

pub(crate) fn masters(context: &Context) -> Result<Vec<Finding>> {
    if let Some(skip) = none(context) {
        return Ok(skip);
    }
    let mut findings = Vec::new();
    for (_, network) in context.networks() {
        for plugin in network.plugins.iter().filter(|plugin| plugin.stands_on_parent()) {
            let name = &network.name;
            let finding = match &plugin.master {
                Some(master) => match context.link(master) {
                    Some(_) => Finding::ok(format!("network {name} stands on {master}")),
                    None => Finding::fail(
                        format!("network {name} stands on {master}, which is not there"),
                        format!(
                            "correct master, or make {master} with llano host apply; there are {}",
                            known(context)
                        ),
                    ),
                },
                None => match context.default_link() {
                    Some(link) => {
                        Finding::ok(format!("network {name} stands on the default route's {}", link.name))
                    }
                    None => Finding::fail(
                        format!("network {name} names no master, and there is no default route to tell one"),
                        "name the interface in master",
                    ),
                },
            };
            findings.push(finding.of(name));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::skip("no configuration stands on an interface"));
    }
    Ok(findings)
}

fn known(context: &Context) -> String {
    let links = context.links.iter().filter(|link| !link.is_loopback());
    let names: Vec<&str> = links.take(12).map(|link| link.name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
