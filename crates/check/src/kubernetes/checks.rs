//! The checks of a node.

use std::fs;
use std::path::Path;

use serde_yaml_ng::Value;

use super::Node;
use crate::conf;
use crate::context::{BIN_DIR, CONF_DIR, Context};
use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::fix::{Action, Fix};

fn no_node() -> Vec<Finding> {
    vec![Finding::skip("no kubelet here")]
}

pub(crate) fn swap(context: &Context) -> Result<Vec<Finding>> {
    let Some(node) = &context.kubernetes else { return Ok(no_node()) };
    let swaps = fs::read_to_string("/proc/swaps").map_err(Error::file("read", "/proc/swaps"))?;
    let on: Vec<&str> =
        swaps.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().next()).collect();
    if on.is_empty() {
        return Ok(vec![Finding::ok("there is no swap")]);
    }
    let tolerated = node.config.get("failSwapOn").and_then(Value::as_bool) == Some(false)
        || node.flags.get("fail-swap-on").is_some_and(|value| value == "false");
    let on = on.join(", ");
    Ok(vec![if tolerated {
        Finding::ok(format!("swap on {on}, and the kubelet was told to accept it (failSwapOn: false)"))
    } else {
        Finding::fail(
            format!("swap is on ({on}): the kubelet does not start"),
            "swapoff -a and take the swap out of /etc/fstab (llano check --fix --swap-off), or failSwapOn: false",
        )
        .fix(Fix::one(Action::SwapOff))
    }])
}

/// A directory that someone was told to use for configurations.
fn conf_dir(who: &str, dir: &str) -> Finding {
    let count = conf::read(Path::new(dir)).map(|files| files.len());
    let here = conf::read(Path::new(CONF_DIR)).map_or(0, |files| files.len());
    match count {
        None => Finding::fail(
            format!("{who} looks for configurations in {dir}, which is not there"),
            format!("make it, or set it to {CONF_DIR}"),
        ),
        Some(_) if Path::new(dir) == Path::new(CONF_DIR) => {
            Finding::ok(format!("{who} looks for configurations in {dir}"))
        }
        Some(count) if here > 0 => Finding::bad(
            count == 0,
            format!(
                "{who} looks for configurations in {dir} ({count} files), not in {CONF_DIR} ({here} files)"
            ),
            format!("move the configurations to {dir}, or set it to {CONF_DIR}"),
        ),
        Some(count) => Finding::ok(format!("{who} looks for configurations in {dir} ({count} files)")),
    }
}

fn bin_dir(who: &str, dir: &str) -> Finding {
    if Path::new(dir).is_dir() {
        Finding::ok(format!("{who} looks for plugins in {dir}"))
    } else {
        Finding::fail(
            format!("{who} looks for plugins in {dir}, which is not there"),
            format!("make it and install the plugins there, or set it to {BIN_DIR}"),
        )
    }
}

pub(crate) fn kubelet(context: &Context) -> Result<Vec<Finding>> {
    let Some(Node { flags, .. }) = &context.kubernetes else { return Ok(no_node()) };
    let mut findings = Vec::new();
    findings.extend(flags.get("cni-conf-dir").map(|dir| conf_dir("the kubelet", dir).of("cni-conf-dir")));
    for dir in flags.get("cni-bin-dir").into_iter().flat_map(|dirs| dirs.split(',')) {
        findings.push(bin_dir("the kubelet", dir).of("cni-bin-dir"));
    }
    if let Some(plugin) = flags.get("network-plugin").filter(|plugin| *plugin != "cni") {
        findings.push(
            Finding::fail(
                format!("the kubelet has --network-plugin={plugin}: it asks no CNI plugin"),
                "--network-plugin=cni; from Kubernetes 1.24 on without the flag",
            )
            .of("network-plugin"),
        );
    }
    if findings.is_empty() {
        findings.push(Finding::ok("the kubelet leaves CNI to the container runtime"));
    }
    Ok(findings)
}

pub(crate) fn containerd(context: &Context) -> Result<Vec<Finding>> {
    let Some(node) = &context.kubernetes else { return Ok(no_node()) };
    let Some(cni) = &node.containerd else {
        return Ok(vec![Finding::skip(
            "containerd has no configuration file: it takes the usual directories",
        )]);
    };
    let mut findings =
        vec![conf_dir("containerd", cni.conf_dir.as_deref().unwrap_or(CONF_DIR)).of("conf_dir")];
    let usual = [BIN_DIR.to_owned()];
    let bins = if cni.bin_dirs.is_empty() { &usual[..] } else { &cni.bin_dirs };
    findings.extend(bins.iter().map(|dir| bin_dir("containerd", dir).of(dir)));
    Ok(findings)
}

pub(crate) fn order(context: &Context) -> Result<Vec<Finding>> {
    let Some(node) = &context.kubernetes else { return Ok(no_node()) };
    let told = node.containerd.as_ref().and_then(|cni| cni.conf_dir.clone());
    let dir = told.or_else(|| node.flags.get("cni-conf-dir").cloned()).unwrap_or_else(|| CONF_DIR.to_owned());
    let files = conf::read(Path::new(&dir)).unwrap_or_default();
    let Some(first) = files.first() else {
        return Ok(vec![Finding::fail(
            format!("no configuration in {dir}: the node stays NotReady, no pod gets a network"),
            "install the cluster's CNI plugin",
        )]);
    };
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let shown = name(&first.path);
    let kind = |file: &conf::ConfFile| {
        let network = file.network.as_ref().ok()?;
        Some(network.main()?.kind.clone())
    };
    let multus = files.iter().skip(1).find(|file| {
        kind(file).is_some_and(|kind| kind.starts_with("multus")) || name(&file.path).contains("multus")
    });
    Ok(vec![match (&first.network, multus) {
        (Err(error), _) => Finding::fail(
            format!("{shown} comes first and cannot be used: {error}"),
            format!("correct or remove {}", first.path.display()),
        ),
        (Ok(network), Some(multus)) => Finding::fail(
            format!(
                "{shown} (network {}) comes before {}: multus is never asked, pods have one interface",
                network.name,
                name(&multus.path)
            ),
            format!("rename {shown} so that it sorts after {}, or remove it", name(&multus.path)),
        ),
        (Ok(network), None) => {
            let others = files.len() - 1;
            let also = if others > 0 {
                format!("; {others} more files are not used by the runtime")
            } else {
                String::new()
            };
            Finding::ok(format!("{shown} comes first: every pod is on network {}{also}", network.name))
        }
    }])
}
