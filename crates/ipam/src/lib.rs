//! Addresses of a host: sets and ranges, the choice of the next one, and the directory in which the
//! reference plugin host-local keeps its leases, shared with it byte for byte.
//!
//! The crate knows neither CNI nor the kernel's interfaces. `Range` and `RangeSet` hold the invariants of
//! host-local's configuration; `LeaseDir` is the locked directory, and every change goes through it.

mod addresses;
mod allocate;
mod disk;
mod error;
mod index;
mod index_header;
mod index_page;
mod known;
mod lease;
mod lease_dir;
mod quarantine;
mod range;
mod range_set;
#[cfg(test)]
mod tests;

pub use addresses::Addresses;
pub use error::{Error, Exhausted, Result};
pub use lease::{Claim, Lease, Owner, Record, parse_cursor, parse_record};
pub use lease_dir::LeaseDir;
pub use quarantine::{Quarantine, Quarantined, parse_quarantined};
pub use range::Range;
pub use range_set::RangeSet;
