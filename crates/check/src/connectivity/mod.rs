//! Who reaches whom: containers, the host, gateways, peers. A pair that fails is pinged once more with captures on its way,
//! so that the cell says where the frame was lost.

mod endpoint;
mod measure;
mod trace;

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use serde::ser::SerializeStruct;
use topology::Topology;

use crate::context::Context;
use crate::error::Result;

pub use endpoint::{Endpoint, Role};
use measure::measure;
use trace::trace;

/// One try of a ping; a first packet may wait for ARP, so there are two.
const PATIENCE: Duration = Duration::from_millis(600);
const TRIES: u16 = 2;
/// Most containers of a matrix: it grows with their square.
pub const MOST_CONTAINERS: usize = 24;

/// Where a frame can be lost: stable words, explained in docs/check.md.
pub const PLACES: [&str; 8] =
    ["sender", "receiver", "parent", "isolation", "lan", "gateway", "peer", "route"];

/// The matrix of a host.
#[derive(Debug, Serialize)]
pub struct Matrix {
    /// Everyone: rows ping where they can, columns are pinged.
    pub endpoints: Vec<Endpoint>,
    /// Every pair, row by row.
    pub cells: Vec<Cell>,
    /// Containers that were left out, because there are more than [`MOST_CONTAINERS`].
    pub left_out: usize,
}

/// A pair and a family.
#[derive(Debug, Clone)]
pub struct Cell {
    /// Who pings.
    pub from: String,
    /// Who is pinged.
    pub to: String,
    /// At which address.
    pub address: IpAddr,
    /// What came of it.
    pub result: std::result::Result<Reached, Lost>,
}

/// A cell that works.
#[derive(Debug, Clone, Copy)]
pub struct Reached {
    /// The shortest round trip.
    pub trip: Duration,
    /// The largest packet that passes whole, in bytes.
    pub mtu: u32,
    /// What the sender's interface carries.
    pub link_mtu: u32,
}

/// A cell that does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Where: one of [`PLACES`].
    pub place: &'static str,
    /// Where and why, one line.
    pub summary: String,
    /// What was seen at each place, in order.
    pub trace: Vec<String>,
}

impl Serialize for Cell {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Cell", 7)?;
        out.serialize_field("from", &self.from)?;
        out.serialize_field("to", &self.to)?;
        out.serialize_field("address", &self.address)?;
        match &self.result {
            Ok(reached) => {
                out.serialize_field("status", "ok")?;
                let micros = u64::try_from(reached.trip.as_micros()).unwrap_or(u64::MAX);
                out.serialize_field("rttMicroseconds", &micros)?;
                out.serialize_field("mtu", &reached.mtu)?;
                out.serialize_field("linkMtu", &reached.link_mtu)?;
            }
            Err(lost) => {
                out.serialize_field("status", "lost")?;
                out.serialize_field("place", lost.place)?;
                out.serialize_field("summary", &lost.summary)?;
                out.serialize_field("trace", &lost.trace)?;
            }
        }
        out.end()
    }
}

impl Matrix {
    /// Reads who there is and pings every pair. `done` is told of each row's end.
    ///
    /// # Errors
    /// When the namespaces of this host cannot be read.
    pub fn read(context: &Context, peers: &[IpAddr], done: &(dyn Fn(&str) + Sync)) -> Result<Self> {
        let topology = Topology::read().map_err(crate::Error::Topology)?;
        let (endpoints, left_out) = endpoint::all(context, &topology, peers);
        let row = |from: &Endpoint| -> Vec<Cell> {
            let cells = pairs(from, &endpoints).map(|(to, address)| Cell {
                from: from.name.clone(),
                to: to.name.clone(),
                address,
                result: measure(from, address).map_err(|error| Lost {
                    place: "",
                    summary: error.to_string(),
                    trace: Vec::new(),
                }),
            });
            let cells = cells.collect();
            done(&from.name);
            cells
        };
        let mut cells: Vec<Cell> = std::thread::scope(|scope| {
            let senders = endpoints.iter().filter(|from| from.netns.is_some());
            let rows: Vec<_> = senders.map(|from| scope.spawn(move || row(from))).collect();
            // A row that broke off is no row of silence.
            let joined = |row: std::thread::ScopedJoinHandle<'_, Vec<Cell>>| {
                row.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            rows.into_iter().flat_map(joined).collect()
        });
        // One after the other: captures of two pairs would see each other's frames.
        for at in 0..cells.len() {
            let cell = &cells[at];
            if let Err(lost) = &cell.result
                && let (Some(from), Some(to)) = (find(&endpoints, &cell.from), find(&endpoints, &cell.to))
            {
                let others = others(&cells, cell);
                let traced = trace(from, to, cell.address, &lost.summary, others);
                cells[at].result = Err(traced);
            }
        }
        Ok(Self { endpoints, cells, left_out })
    }

    /// The cell of a pair.
    #[must_use]
    pub fn get(&self, from: &str, to: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.from == from && cell.to == to)
    }
}

/// Whom an endpoint pings: everyone else, at the first address of each family that both have.
fn pairs<'a>(from: &'a Endpoint, all: &'a [Endpoint]) -> impl Iterator<Item = (&'a Endpoint, IpAddr)> {
    let others = all.iter().filter(|to| to.name != from.name);
    others.flat_map(move |to| {
        let same = |address: &&IpAddr| from.addresses.iter().any(|own| own.is_ipv4() == address.is_ipv4());
        to.addresses.iter().filter(same).map(move |address| (to, *address))
    })
}

fn find<'a>(all: &'a [Endpoint], name: &str) -> Option<&'a Endpoint> {
    all.iter().find(|endpoint| endpoint.name == name)
}

/// Whether anyone else on this host reaches the same address.
fn others(cells: &[Cell], cell: &Cell) -> bool {
    cells.iter().any(|other| other.address == cell.address && other.from != cell.from && other.result.is_ok())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::PLACES;

    #[test]
    fn the_page_tells_every_place_and_no_other() {
        let page = include_str!("../../../../docs/check.md");
        let rows = page.lines().skip_while(|line| !line.starts_with("| place |")).skip(2);
        let rows = rows.take_while(|line| line.starts_with('|'));
        let told: BTreeSet<&str> =
            rows.flat_map(|row| row.split('|').nth(1).unwrap().trim().split(", ")).collect();
        assert_eq!(told, BTreeSet::from(PLACES));
    }
}
