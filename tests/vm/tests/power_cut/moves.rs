//! Moving the host's address onto a macvlan, and undoing that.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::vm::{Disk, Nic, Snapshot};
use vm_tests::guest::Guest;
use vm_tests::machine::{BOOT_ID, resume, snapshot};
use vm_tests::random::Random;
use vm_tests::size;

/// When hardly a cut came before the command's end, there are more.
const MOST_CUTS: u32 = 120;

const DECLARED: &str = "interfaces:
- name: eth0
  type: ethernet
  state: up
  ipv4:
    enabled: true
    dhcp: false
    address:
    - { ip: 10.8.0.2, prefix-length: 24 }
    - { ip: 10.8.0.3, prefix-length: 24 }
  ipv6:
    enabled: true
    dhcp: false
    autoconf: false
    address:
    - { ip: \"fd00:8::2\", prefix-length: 64 }
routes:
  config:
  - { destination: 0.0.0.0/0, next-hop-address: 10.8.0.1, next-hop-interface: eth0 }
  - { destination: 10.99.0.0/16, next-hop-address: 10.8.0.1, next-hop-interface: eth0, metric: 5 }
";

const MOVE: &str = "llano host access on eth0 --move";
const UNDO: &str = "llano host undo";

/// Where the addresses are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Parent,
    Child,
}

/// `eth0` is the host's; `eth1`, the other end of its cable, is a neighbour's in a namespace.
fn boot(snapshot: &Snapshot, disk: &Disk, seed: u64) -> Result<Guest> {
    let mut guest = resume(snapshot, disk.clone().at_risk(seed))?;
    guest.ok("vm-guest neighbour eth1 10.8.0.1/24 fd00:8::1/64")?;
    Ok(guest)
}

/// The host is reachable by all its addresses, its routes are there, and everything is in one place.
fn place(guest: &mut Guest) -> Result<Place> {
    let addresses = guest.ok("ip -o addr show scope global")?;
    let place_of = |address: &str| -> Result<&str> {
        let mut lines = addresses.lines().filter(|line| line.contains(address));
        let (first, second) = (lines.next(), lines.next());
        ensure!(first.is_some() && second.is_none(), "{address} is not there exactly once:\n{addresses}");
        first.and_then(|line| line.split_whitespace().nth(1)).context("no name")
    };
    let name = place_of("10.8.0.2/24")?.to_owned();
    for address in ["10.8.0.3/24", "fd00:8::2/64"] {
        ensure!(place_of(address)? == name, "the addresses are in two places:\n{addresses}");
    }
    let routes = guest.ok("ip route")?;
    for route in ["default via 10.8.0.1", "10.99.0.0/16 via 10.8.0.1"] {
        ensure!(
            routes.lines().any(|line| line.starts_with(&format!("{route} dev {name}"))),
            "{route}:\n{routes}"
        );
    }
    for address in ["10.8.0.2", "10.8.0.3", "fd00:8::2"] {
        let ping = if address.contains(':') { "ping -6" } else { "ping" };
        guest
            .wait_for(&format!("nsenter --net=/run/netns/neighbour {ping} -c 1 -W 1 {address} >/dev/null"))?;
    }
    Ok(if name == "eth0" { Place::Parent } else { Place::Child })
}

#[test]
fn power_cuts_while_the_address_is_moved_leave_a_host_that_is_reached() -> Result<()> {
    let mut random = Random::of_test("moves");
    let dir = tempfile::tempdir()?;
    let disk = Disk::create(&dir.path().join("disk"), 64, None)?;
    let snapshot = snapshot(vec![Nic::default(), Nic::default()], &disk)?;

    // Once without a cut: both ways work, and how long they take.
    let mut guest = boot(&snapshot, &disk, random.number())?;
    guest.write("/tmp/state.yaml", DECLARED)?;
    guest.ok("llano host apply /tmp/state.yaml")?;
    let mut whole = [(Duration::ZERO, 0); 2];
    for ((command, wanted), whole) in
        [(MOVE, Place::Child), (UNDO, Place::Parent)].into_iter().zip(&mut whole)
    {
        let started = Instant::now();
        let said = guest.ok(command)?;
        *whole = (started.elapsed(), said.lines().count() as u64);
        let found = place(&mut guest)?;
        ensure!(found == wanted, "after `{command}` the addresses are on the {found:?}");
    }
    guest.ok("sync")?;
    guest.power_cut()?;

    let mut expected = vec![Place::Parent];
    let (mut boots, mut cuts) = (BTreeSet::new(), 0);
    let (mut cut_short, mut old, mut new, mut lost) = (0, 0, 0, 0);
    let (enough, enough_short) = size((16, 4), (40, 10));
    for round in 0..=MOST_CUTS {
        let mut guest = boot(&snapshot, &disk, random.number())?;
        let id = guest.ok(BOOT_ID)?;
        ensure!(boots.insert(id), "round {round} is the boot of an earlier one");
        let context = || format!("round {round}, expected {expected:?}");
        guest.ok("llano host boot").with_context(context)?;
        let found = place(&mut guest).with_context(context)?;
        ensure!(expected.contains(&found), "round {round}: {found:?}, expected {expected:?}");
        if let [before, _] = expected.as_slice() {
            if *before == found { old += 1 } else { new += 1 }
        }
        if round >= enough && cut_short >= enough_short {
            break;
        }
        let (command, wanted, (takes, lines)) = match found {
            Place::Parent => (MOVE, Place::Child, whole[0]),
            Place::Child => (UNDO, Place::Parent, whole[1]),
        };
        guest.start(&format!("{command} && echo done."))?;
        // A third of the cuts at any moment; the others when so much was said, so that a slow machine is cut within the
        // steps as well, and between the last of them and the end.
        let (wait_for, share) = match random.below(3) {
            0 => (0, random.below(1100)),
            1 => (1 + random.below(lines), random.below(30)),
            _ => (lines - 1 - random.below(lines.min(4)), random.below(150)),
        };
        let mut said = Vec::new();
        while (said.len() as u64) < wait_for
            && let Some(line) = guest.line()?
        {
            said.push(line);
        }
        let moment = takes.mul_f64(share as f64 / 1000.0);
        sleep(moment);
        let cut = guest.power_cut()?;
        cuts += 1;
        lost += cut.lost_writes;
        said.extend(cut.lines);
        let done = said.iter().any(|line| line == "done.");
        cut_short += u32::from(!done);
        expected = if done { vec![wanted] } else { vec![found, wanted] };
        let after = said.last().map_or("nothing", String::as_str);
        eprintln!("round {round}: `{command}` cut after {after:?}");
    }
    eprintln!(
        "{cuts} cuts, {cut_short} within a command: {old} in the old state, {new} in the new; {lost} writes lost"
    );
    if cut_short < enough_short {
        bail!("hardly a command was cut short");
    }
    Ok(())
}
