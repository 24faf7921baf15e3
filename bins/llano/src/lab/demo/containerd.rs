//! Real containers: a containerd of its own on each host, `ctr run --cni`, an image made of busybox.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use kernel::NetNs;
use lab::Host;

use super::pod::{Facts, Pod};

const IMAGE: &str = "demo.llano.dev/busybox:latest";
const BUSYBOX: &str = "/bin/busybox";
const LOG: &str = "/run/containerd/log";
/// How long containerd may take to answer, and a container to start.
const PATIENCE: Duration = Duration::from_secs(15);

/// State and content in the host's own /run; only what `ctr run` needs.
const CONFIG: &str = r#"version = 2
root = "/run/containerd/root"
state = "/run/containerd/state"
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt",
]
[grpc]
  address = "/run/containerd/containerd.sock"
"#;

/// Builds an image archive out of the one static binary (the layout of `docker save`).
const BUILD_IMAGE: &str = r#"set -e
cd /run/containerd/image
mkdir -p root/bin root/etc root/proc root/sys root/dev root/tmp
cp "$BUSYBOX" root/bin/busybox
for name in sh sleep ping ip cat ls; do ln -s busybox root/bin/$name; done
tar -C root -cf layer.tar .
sum=$(sha256sum layer.tar | cut -d' ' -f1)
printf '{"architecture":"%s","os":"linux","config":{"Cmd":["/bin/sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$ARCH" "$sum" > config.json
printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$IMAGE" > manifest.json
tar -cf image.tar manifest.json config.json layer.tar
"#;

/// Starts containerd on a host.
pub(super) fn begin(host: &Host) -> anyhow::Result<()> {
    for (program, package) in
        [("containerd", "containerd"), ("ctr", "containerd"), ("runc", "runc"), ("busybox", "busybox-static")]
    {
        let found =
            Command::new("sh").args(["-c", "command -v \"$0\"", program]).stdout(Stdio::null()).status()?;
        if !found.success() {
            bail!("--runtime containerd needs {program}: apt-get install {package}");
        }
    }
    let log = host.run_in(|| -> std::io::Result<fs::File> {
        fs::create_dir_all("/run/containerd/image")?;
        fs::write("/run/containerd/config.toml", CONFIG)?;
        fs::File::create(LOG)
    })?;
    let log = log.with_context(|| format!("cannot prepare containerd on {}", host.name()))?;
    host.command("containerd")?
        .args(["--config", "/run/containerd/config.toml"])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot run containerd")?;
    Ok(())
}

/// Waits for containerd and gives it the image.
pub(super) fn ready(host: &Host) -> anyhow::Result<()> {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let build = host
        .command("sh")?
        .args(["-c", BUILD_IMAGE])
        .envs([("BUSYBOX", BUSYBOX), ("ARCH", arch), ("IMAGE", IMAGE)])
        .output()?;
    if !build.status.success() {
        bail!("cannot make an image on {}: {}", host.name(), String::from_utf8_lossy(&build.stderr).trim());
    }
    let end = Instant::now() + PATIENCE;
    while host.run_in(|| !Path::new("/run/containerd/containerd.sock").exists())? {
        if Instant::now() > end {
            bail!("containerd on {} does not answer:\n{}", host.name(), log(host));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    ctr(host, &["image", "import", "/run/containerd/image/image.tar"]).map(drop)
}

pub(super) fn start(host: &Host, name: &str) -> anyhow::Result<Pod> {
    let begin = Instant::now();
    let messages = host.run_in(|| fs::File::create(format!("/run/containerd/{name}.log")))??;
    // Without cgroups: the machine's are shared, and containerd would leave a directory in them.
    let mut process = host
        .command("ctr")?
        .args(["run", "--rm", "--cni", "--cgroup", "", IMAGE, name, "/bin/sleep", "1000000"])
        .stdin(Stdio::null())
        .stdout(messages.try_clone()?)
        .stderr(messages)
        .spawn()
        .context("cannot run ctr")?;
    let pid = loop {
        if let Some(pid) = running(host, name)? {
            break pid;
        }
        let late = begin.elapsed() > PATIENCE;
        if late || process.try_wait()?.is_some() {
            let text = host.run_in(|| fs::read_to_string(format!("/run/containerd/{name}.log")))??;
            bail!("container {name} on {} does not start: {}", host.name(), text.trim());
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let took = begin.elapsed();
    let net = NetNs::open(Path::new(&format!("/proc/{pid}/ns/net")))?;
    let facts = Facts::read(&net).with_context(|| format!("container {name}"))?;
    Ok(Pod { name: name.to_owned(), host: host.name().to_owned(), net, facts, took, process })
}

/// Ends the container; `ctr run --rm` then calls DEL and deletes it.
pub(super) fn stop(host: &Host, mut pod: Pod) -> anyhow::Result<()> {
    ctr(host, &["task", "kill", "--signal", "SIGKILL", &pod.name])?;
    pod.process.wait()?;
    Ok(())
}

/// The process of a container whose task runs: ctr starts it only when the network is complete.
fn running(host: &Host, name: &str) -> anyhow::Result<Option<u32>> {
    let list = ctr(host, &["task", "ls"])?;
    let line = list.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let mut found = line.filter_map(|words| match words.as_slice() {
        [task, pid, "RUNNING"] if *task == name => pid.parse().ok(),
        _ => None,
    });
    Ok(found.next())
}

fn ctr(host: &Host, args: &[&str]) -> anyhow::Result<String> {
    let output = host.command("ctr")?.args(args).stdin(Stdio::null()).output().context("cannot run ctr")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        bail!("ctr {} on {}: {text}", args.join(" "), host.name());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn log(host: &Host) -> String {
    host.run_in(|| fs::read_to_string(LOG).unwrap_or_default()).unwrap_or_default()
}
