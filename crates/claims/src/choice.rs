use std::net::IpAddr;

use crate::run::{Run, next, run_size, step};
use crate::taken::Network;

/// How many creates an agent should have under way at once in one network. More is hardly faster (an API server makes some
/// thousand a second for all nodes), and each one is an address that the other nodes do not know to be taken. Simulated
/// with 10 nodes on a full range: 1.03 writes a claim with 1, 1.1 with 2, 1.2 with 4, 1.5 with 16.
pub const CREATES_AT_ONCE: usize = 2;

/// Where a node is in a subnet: it begins at a place of its own and goes on in sequence. When the next address is taken, or
/// another node was faster (`refused`), it begins at another place of its own: two that went on side by side would be in each other's
/// way at every step. That place is in the second half of one of the long gaps: where a gap begins, another
/// node may just be at work.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    seed: u64,
    /// How often it has begun.
    begun: u64,
    last: Option<IpAddr>,
}

impl Place {
    /// The place of the node of this name.
    pub fn of(node: &str) -> Place {
        Place { seed: hash(node), begun: 0, last: None }
    }

    /// The next address of the runs that is not taken, and the place moves there; `None` when all are. The runs are in
    /// order and apart. Takes as long as there are runs, taken or usable, however many addresses they have.
    pub fn next(&mut self, usable: &[Run], network: &Network) -> Option<IpAddr> {
        let found = self.following(usable, network).or_else(|| self.begin(usable, network))?;
        self.last = Some(found);
        Some(found)
    }

    /// Another node was faster: a create of an address that this place gave was refused.
    pub fn refused(&mut self) {
        self.last = None;
    }

    fn following(&self, usable: &[Run], network: &Network) -> Option<IpAddr> {
        let following = self.last.and_then(next)?;
        let usable = usable.iter().any(|run| run.0 <= following && following <= run.1);
        (usable && !network.is_taken(following)).then_some(following)
    }

    fn begin(&mut self, usable: &[Run], network: &Network) -> Option<IpAddr> {
        let free = network.free(usable);
        let longest = free.iter().copied().map(run_size).max()?;
        let long: Vec<Run> = free.into_iter().filter(|gap| run_size(*gap) >= longest.div_ceil(2)).collect();
        let dice = mix(self.seed.wrapping_add(self.begun));
        self.begun = self.begun.wrapping_add(1);
        let which = u128::from(dice).checked_rem(u128::try_from(long.len()).ok()?)?;
        let gap = *long.get(usize::try_from(which).ok()?)?;
        let size = run_size(gap);
        // A gap that is a whole range has nobody at its beginning.
        let skip = if usable.contains(&gap) { 0 } else { size / 2 };
        Some(step(gap.0, skip + u128::from(mix(dice)) % (size - skip)))
    }
}

/// FNV-1a.
fn hash(name: &str) -> u64 {
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The last step of splitmix64: neighbours come to lie far apart.
fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
