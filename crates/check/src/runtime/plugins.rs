//! `/opt/cni/bin`: asked for real, as a runtime does.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::context::Context;
use crate::error::Result;
use crate::finding::Finding;
use crate::fix::{Action, Fix};

/// A plugin answers VERSION in milliseconds; one that hangs, hangs every pod.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn plugins(context: &Context) -> Result<Vec<Finding>> {
    let mut wanted: BTreeMap<&str, &str> = BTreeMap::new();
    for (_, network) in context.networks() {
        for plugin in &network.plugins {
            for kind in [Some(plugin.kind.as_str()), plugin.ipam.as_deref()].into_iter().flatten() {
                // A plugin of ours serves its IPAM inside, but the runtime's GC and other plugins ask the binary.
                wanted.entry(kind).or_insert(&network.name);
            }
        }
    }
    if wanted.is_empty() {
        return Ok(vec![Finding::skip("no configuration names a plugin")]);
    }
    let dirs: Vec<PathBuf> = context.bin_dirs().into_iter().collect();
    let all = wanted.into_iter().map(|(kind, network)| of_plugin(kind, network, &dirs).of(kind));
    Ok(all.collect())
}

fn of_plugin(kind: &str, network: &str, dirs: &[PathBuf]) -> Finding {
    let shown = || dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ");
    let Some(path) = dirs.iter().map(|dir| dir.join(kind)).find(|path| path.exists()) else {
        return Finding::fail(
            format!("plugin {kind} of network {network} is not in {}", shown()),
            format!("install it there; {kind} may be a link to llano-cni where that has the type"),
        );
    };
    let mode = fs::metadata(&path).map_or(0, |meta| meta.permissions().mode() & 0o7777);
    if mode & 0o111 == 0 {
        let action = Action::Executable { path: path.clone(), before: mode };
        return Finding::fail(
            format!("{} is not executable", path.display()),
            format!("chmod +x {}", path.display()),
        )
        .fix(Fix::one(action));
    }
    match version(&path) {
        Ok((versions, ours)) => {
            let who = if ours { "llano-cni" } else { "another's" };
            Finding::ok(format!(
                "{kind} ({who}) answers VERSION: {}",
                versions.last().map_or("", String::as_str)
            ))
            .detail(format!("{}: {}", path.display(), versions.join(" ")))
        }
        Err(reason) => Finding::fail(
            format!("{} does not answer VERSION: {reason}", path.display()),
            "install the plugin again, for this machine's architecture",
        ),
    }
}

/// The versions that a plugin says it has, and whether it is ours.
fn version(path: &Path) -> std::result::Result<(Vec<String>, bool), String> {
    let mut child = Command::new(path)
        .env_clear()
        .env("CNI_COMMAND", "VERSION")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    if let Some(mut input) = child.stdin.take() {
        // A plugin that reads nothing has closed it.
        let _ = input.write_all(br#"{"cniVersion":"1.0.0"}"#);
    }
    let output = finish(&mut child)?;
    let answer: Value = serde_json::from_slice(&output).map_err(|_| {
        format!("it said {:?}", String::from_utf8_lossy(&output).chars().take(80).collect::<String>())
    })?;
    let versions = answer.get("supportedVersions").and_then(Value::as_array);
    let versions: Vec<String> =
        versions.into_iter().flatten().filter_map(|version| Some(version.as_str()?.to_owned())).collect();
    if versions.is_empty() {
        return Err("supportedVersions is missing".to_owned());
    }
    let target = fs::canonicalize(path).unwrap_or_default();
    let ours = target.file_name().is_some_and(|name| name == "llano-cni");
    Ok((versions, ours))
}

/// What a child writes until it ends; it is ended when it takes too long.
fn finish(child: &mut Child) -> std::result::Result<Vec<u8>, String> {
    let mut stdout = child.stdout.take().ok_or("no output")?;
    let (sender, output) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut output = Vec::new();
        let _ = stdout.by_ref().take(64 << 10).read_to_end(&mut output);
        let _ = sender.send(output);
    });
    let end = Instant::now() + PATIENCE;
    loop {
        match child.try_wait() {
            // A child of its own may hold the output open for ever.
            Ok(Some(_)) => {
                let left = end.saturating_duration_since(Instant::now());
                return output.recv_timeout(left).map_err(|_| "its output does not end".to_owned());
            }
            Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(2)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("no answer in {} s", PATIENCE.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Our plugin starts the daemon with the first container; the reference's needs one that runs.
pub(crate) fn dhcp_daemon(context: &Context) -> Result<Vec<Finding>> {
    const SOCKET: &str = "/run/cni/dhcp.sock";
    let network = context
        .networks()
        .find(|(_, network)| network.plugins.iter().any(|plugin| plugin.ipam.as_deref() == Some("dhcp")));
    let Some((_, network)) = network else { return Ok(vec![Finding::skip("no configuration uses DHCP")]) };
    let binary = context.bin_dirs().iter().find_map(|dir| fs::canonicalize(dir.join("dhcp")).ok());
    if binary.is_some_and(|path| path.file_name().is_some_and(|name| name == "llano-cni")) {
        return Ok(vec![Finding::ok("the plugin dhcp is ours: it starts the daemon when it is needed")]);
    }
    Ok(vec![match UnixStream::connect(SOCKET) {
        Ok(_) => Finding::ok(format!("the DHCP daemon listens on {SOCKET}")),
        Err(error) => Finding::fail(
            format!("network {} uses DHCP, and nothing listens on {SOCKET}: {error}", network.name),
            "start the reference plugin's `dhcp daemon`, or link dhcp to llano-cni, which starts its own",
        ),
    }])
}
