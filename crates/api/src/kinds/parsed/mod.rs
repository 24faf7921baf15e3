//! What programs work with: the kinds with their invariants.

mod claim;
mod network;
mod object;
mod reservation;
mod subnet;

pub use claim::{Claim, Holder, PodOn};
pub use network::Network;
pub use reservation::{Pair, Reservation, What, Who, ordinal_of};
pub use subnet::{Subnet, SubnetRoute};
