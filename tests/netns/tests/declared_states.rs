//! Random states of network cards and macvlans, one after the other, on this very kernel. With bonds and VLANs the same
//! is done in the machine of `tests/vm`.

use anyhow::{Context, Result, ensure};
use kernel::{NetNs, Netlink};
use vm_tests::declare::cards;
use vm_tests::random::{Random, seed};
use vm_tests::states::{Kinds, Seen, two};

const CASES: u64 = 30;

#[test]
fn what_is_declared_is_and_what_is_undone_is_as_it_was() -> Result<()> {
    let seed = seed("declared states");
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("ns");
    let namespace = NetNs::create_at(&path)?;
    let result = namespace.run(|| -> Result<Seen> {
        let netlink = &mut Netlink::open()?;
        cards(netlink, 3)?;
        let mut seen = Seen::default();
        for case in 0..CASES {
            let mut random = Random::new(seed.wrapping_add(case));
            two(&mut random, netlink, Kinds { bonds_and_vlans: false }, case % 3 > 0, &mut seen)
                .with_context(|| format!("LLANO_SEED={seed}, case {case}"))?;
        }
        Ok(seen)
    });
    NetNs::delete(&path)?;
    let seen = result??;
    eprintln!("{seen:?}");
    ensure!(seen.applied >= 20 && seen.cut > 0, "{seen:?}");
    Ok(())
}
