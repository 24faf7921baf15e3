//! The host's side of `cargo xtask bench host`: boots the userland, has the guest measure, prints medians.

// A command-line tool: standard output is where its answer goes.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::vm::{Nic, Userland, Vm, VmSpec};
use vm_tests::machine::{initramfs, programs_in};

fn main() -> Result<()> {
    let runs: u32 = std::env::args().nth(1).unwrap_or_else(|| "30".to_owned()).parse().context("RUNS")?;
    let dir = std::env::temp_dir().join(format!("llano-vm-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let measured = measure(&dir, runs);
    let _ = std::fs::remove_dir_all(&dir);
    let mut samples: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for line in measured? {
        if let Some((name, value)) = line.split_once(": ") {
            samples.entry(name.to_owned()).or_default().push(value.parse().context(line.clone())?);
        }
    }
    let median = |name: &str| -> Result<f64> {
        let mut values = samples.get(name).context("not measured")?.clone();
        values.sort_by(f64::total_cmp);
        Ok(values.get(values.len() / 2).copied().unwrap_or(f64::NAN))
    };
    println!("bond, 2 VLANs, 2 macvlans; median of {runs}, in a virtual machine without KVM");
    let base = median("ip -batch")?;
    for name in ["ip -batch", "llano", "llano, nothing to do"] {
        let value = median(name)?;
        println!("{name:<22} {value:>8.1} ms  {:>5.2} x", value / base);
    }
    Ok(())
}

fn measure(dir: &std::path::Path, runs: u32) -> Result<Vec<String>> {
    let disk = Userland::prepare()?.disk(&dir.join("disk"))?;
    let image = programs_in(initramfs(&[])?, "/usr/local/bin", &["llano"])?.userland().build()?;
    let mut spec = VmSpec::new(image);
    spec.disks = vec![disk];
    spec.nics = vec![Nic::default(), Nic { cable: 1, ..Nic::default() }];
    (spec.timeout, spec.boot_limit) = (Duration::from_secs(1200), Duration::from_secs(300));
    let mut vm = Vm::boot(&spec)?;
    vm.run("systemctl is-system-running --wait")?;
    let answer = vm.run(&format!("/bin/vm-guest bench {runs}"))?;
    ensure!(answer.status == 0, "{}", answer.text());
    Ok(answer.lines)
}
