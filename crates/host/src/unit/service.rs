//! The systemd unit.

use std::path::Path;

use super::MARK;
use crate::files::File;

/// The unit's name.
const NAME: &str = "llano-host.service";

/// What must find the network as it is declared.
const BEFORE: [&str; 9] = [
    "containerd.service",
    "crio.service",
    "docker.service",
    "podman.service",
    "kubelet.service",
    "k3s.service",
    "k3s-agent.service",
    "rke2-server.service",
    "rke2-agent.service",
];

/// The unit, and the links that `systemctl enable` would make.
pub(super) fn files(root: &Path, program: &Path) -> Vec<File> {
    let dir = root.join("etc/systemd/system");
    let mut files = vec![File::text(dir.join(NAME), unit(program))];
    // Of network-online too: whoever waits for the network waits for us, also in a boot without multi-user.
    for target in ["multi-user.target", "network-online.target"] {
        files.push(File::link(dir.join(format!("{target}.wants")).join(NAME), format!("../{NAME}")));
    }
    files
}

/// As other network services are ordered: after firewalls (network-pre) and what makes devices and their names, before
/// the network is said to be there. After systemd-networkd, whose start takes away rules that it does not know.
fn unit(program: &Path) -> String {
    // A word of a unit file: % begins a specifier, and a space would end it.
    let program = program.display().to_string().replace('%', "%%").replace('\\', "\\\\").replace('"', "\\\"");
    let quoted = if program.contains(' ') { format!("\"{program}\"") } else { program };
    format!(
        "{MARK}[Unit]
Description=Network of this host as declared in /etc/llano/host.yaml
Documentation=man:llano-host-boot(1)
DefaultDependencies=no
# One of them: a change may be confirmed and not yet be in the first file.
ConditionPathExists=|/etc/llano/host.yaml
ConditionPathExists=|/var/lib/llano/host/pending.json
RequiresMountsFor=/etc/llano /var/lib/llano
Wants=network.target
After=local-fs.target network-pre.target systemd-sysctl.service systemd-modules-load.service
After=systemd-udevd.service systemd-udev-trigger.service systemd-networkd.service
Before=network.target network-online.target {before}
Before=shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={quoted} host boot
# Longer than llano waits for NICs itself, so that it is the one to tell which is missing.
TimeoutStartSec=5min

[Install]
WantedBy=multi-user.target network-online.target
",
        before = BEFORE.join(" ")
    )
}
