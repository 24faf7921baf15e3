//! Random states one after the other, with bonds, VLANs and macvlans.

use anyhow::{Context, Result, ensure};

use super::Check;
use super::declared_files::in_a_namespace;
use crate::random::{Random, seed};
use crate::states::{Kinds, Seen, two};

pub(super) const CHECKS: &[Check] =
    &[Check { name: "random-states/applied, undone, refused, cut short", run: random }];

const CASES: u64 = 9;

fn random() -> Result<()> {
    let seed = seed("random states");
    let mut seen = Seen::default();
    let mut faults = Vec::new();
    let mut case = 0;
    // After a failure the network is anything: what is left is tried in another namespace.
    while case < CASES && faults.len() < 4 {
        let result = in_a_namespace(|netlink| {
            while case < CASES {
                let mut random = Random::new(seed.wrapping_add(case));
                let whole = case % 3 > 0;
                let now = case;
                case += 1;
                two(&mut random, netlink, Kinds { bonds_and_vlans: true }, whole, &mut seen)
                    .with_context(|| format!("LLANO_SEED={seed}, case {now}"))?;
            }
            Ok(())
        });
        faults.extend(result.err().map(|error| format!("{error:#}")));
    }
    eprintln!("{seen:?}");
    ensure!(faults.is_empty(), "{}", faults.join("\n\n"));
    ensure!(seen.applied > 0 && seen.cut > 0, "nothing was applied");
    Ok(())
}
