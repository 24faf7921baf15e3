//! Storms of ADD and DEL.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::vm::{Disk, Nic};
use vm_tests::machine::{BOOT_ID, resume, snapshot};
use vm_tests::random::Random;
use vm_tests::size;
use vm_tests::storm::Told;

/// A storm in which nothing happened to be lost, or a machine that answers little, is given more cuts.
const MOST_CUTS: u32 = 120;

/// What was promised to the callers.
#[derive(Debug, Default)]
struct Truth {
    /// ADD was answered, and no DEL was begun.
    alive: BTreeMap<String, IpAddr>,
    adds: usize,
    dels: usize,
}

impl Truth {
    fn hear(&mut self, line: &str) {
        match Told::parse(line) {
            Some(Told::Added(id, address)) => {
                let holder = self.alive.iter().find(|(_, held)| **held == address);
                assert!(holder.is_none(), "{address} was given to {id} while {holder:?} has it");
                self.alive.insert(id, address);
                self.adds += 1;
            }
            Some(Told::Deleting(id)) => {
                self.alive.remove(&id);
            }
            Some(Told::Deleted(_)) => self.dels += 1,
            None => {}
        }
    }

    /// Enough was answered to be called a storm.
    fn is_enough(&self) -> bool {
        self.adds > 40 && self.dels > 20
    }

    fn ids(&self) -> String {
        self.alive.keys().cloned().collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn power_cuts_in_storms_of_add_and_del_leak_nothing() -> Result<()> {
    let mut random = Random::of_test("storms");
    let dir = tempfile::tempdir()?;
    let disk = Disk::create(&dir.path().join("disk"), 64, None)?;
    let snapshot = snapshot(vec![Nic::default()], &disk)?;
    let (mut truth, mut lost, mut surplus) = (Truth::default(), 0, 0);
    let (mut boots, mut cuts) = (BTreeSet::new(), 0);
    let cuts_enough = size(16, 40);
    for round in 0..=MOST_CUTS {
        let mut machine = resume(&snapshot, disk.clone().at_risk(random.number()))?;
        let boot = machine.ok(BOOT_ID)?;
        assert!(boots.insert(boot), "round {round} is the boot of an earlier one");

        // What a runtime does when it starts: it tells which attachments it knows.
        let before = machine.ok("ls /disk/leases/lan 2>/dev/null | grep -c '^10' || true")?;
        let leases = machine
            .ok(&format!("ip link set eth0 up; vm-guest collect {}", truth.ids()))
            .with_context(|| format!("round {round}"))?;
        let expected: BTreeSet<String> =
            truth.alive.iter().map(|(id, address)| format!("{address} {id}")).collect();
        let found: BTreeSet<String> = leases.lines().map(str::to_owned).collect();
        assert_eq!(found, expected, "round {round}: leases after the collection");
        surplus += before.trim().parse().unwrap_or(0) - found.len();
        machine.fails("dmesg | grep -i 'ext4-fs error'")?;
        if round >= cuts_enough && truth.is_enough() && surplus > 0 {
            break;
        }

        machine.start(&format!("vm-guest storm {round} {} {}", random.number(), truth.ids()))?;
        // So many answers and then some time, so that a slow machine has a storm as well.
        for _ in 0..=random.below(12) {
            truth.hear(&machine.line()?.with_context(|| format!("round {round}: the storm ended"))?);
        }
        sleep(Duration::from_millis(random.below(300)));
        let cut = machine.power_cut()?;
        cuts += 1;
        lost += cut.lost_writes;
        for line in &cut.lines {
            assert!(!line.starts_with("vm-guest: "), "round {round}: {line}");
            truth.hear(line);
        }
        eprintln!("round {round}: {} alive, {} writes lost", truth.alive.len(), cut.lost_writes);
    }
    eprintln!(
        "{cuts} cuts: {} ADDs and {} DELs answered, {lost} unflushed writes lost, {surplus} leases collected",
        truth.adds, truth.dels
    );
    assert!(truth.is_enough() && surplus > 0, "this was no storm");
    Ok(())
}
