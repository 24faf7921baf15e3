//! What is measured inside the machine: a bond, two VLANs and two macvlans, by `llano host apply` and by `ip -batch`.

use std::io::Write;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail, ensure};

/// The state, in nmstate's words.
pub const STATE: &str = "interfaces:
- name: bond0
  type: bond
  state: up
  link-aggregation:
    mode: active-backup
    options: { miimon: 100 }
    port: [eth0, eth1]
- { name: bond0.100, type: vlan, state: up, vlan: { base-iface: bond0, id: 100 } }
- { name: bond0.200, type: vlan, state: up, vlan: { base-iface: bond0, id: 200 } }
- { name: mv100, type: mac-vlan, state: up, mac-vlan: { base-iface: bond0.100, mode: bridge, promiscuous: true } }
- { name: mv200, type: mac-vlan, state: up, mac-vlan: { base-iface: bond0.200, mode: bridge, promiscuous: true } }
";

/// The same by hand.
pub const BATCH: &str = "link set eth0 down
link set eth1 down
link add bond0 type bond mode active-backup miimon 100
link set eth0 master bond0
link set eth1 master bond0
link set eth0 up
link set eth1 up
link set bond0 up
link add link bond0 name bond0.100 type vlan id 100
link add link bond0 name bond0.200 type vlan id 200
link set bond0.100 up
link set bond0.200 up
link add link bond0.100 name mv100 type macvlan mode bridge
link add link bond0.200 name mv200 type macvlan mode bridge
link set mv100 up
link set mv200 up
";

const RESET: &str = "link del mv100
link del mv200
link del bond0.100
link del bond0.200
link del bond0
link set eth0 down
link set eth1 down
";

/// Who is measured, by the words of the command.
const PEERS: [(&str, &[&str]); 3] = [
    ("llano", &["llano", "host", "apply", "/tmp/state.yaml"]),
    ("llano, nothing to do", &["llano", "host", "apply", "/tmp/state.yaml"]),
    ("ip -batch", &["ip", "-batch", "/tmp/batch"]),
];

/// `bench RUNS`: they take turns; a line `NAME: MILLISECONDS` for each, from the start of the process to its end.
///
/// # Errors
/// When one fails.
pub fn run(words: &[String]) -> Result<()> {
    let [runs] = words else { bail!("bench RUNS") };
    let runs: u32 = runs.parse()?;
    std::fs::write("/tmp/state.yaml", STATE)?;
    std::fs::write("/tmp/batch", BATCH)?;
    std::fs::write("/tmp/reset", RESET)?;
    for _ in 0..runs {
        for (name, words) in PEERS {
            if !name.ends_with("nothing to do") {
                // The first time there is nothing to reset.
                Command::new("ip").args(["-force", "-batch", "/tmp/reset"]).output()?;
            }
            let started = Instant::now();
            let output = Command::new(words[0]).args(&words[1..]).output()?;
            let took = started.elapsed();
            let stderr = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{name}: {stderr}");
            writeln!(std::io::stdout(), "{name}: {:.3}", took.as_secs_f64() * 1000.0)?;
        }
    }
    Ok(())
}
