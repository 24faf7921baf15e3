//! The kinds of group `llano.dev`: networks, subnets, addresses and reservations as objects of the API server.
//!
//! Each kind is here twice. Its *object*, such as [`MacvlanSubnet`], is what the API server has: texts and numbers with a schema, defaults
//! and CEL rules, from which [`definitions`] makes `deploy/crds.yaml`. Its *parsed form*, such as [`Subnet`], is what a program works
//! with: made from the object by `parse`, and its invariants hold. Whatever the API server accepts is parsed, but for the few things
//! that CEL cannot say (which of two addresses comes first, what two lists have in common); those are refused here, in the same words.

// KubeSchema copies each struct into a function, where its `pub` reaches nobody; columns of one type repeat it.
#![allow(unreachable_pub, clippy::duplicated_attributes)]

mod claim;
mod definition;
mod network;
mod parsed;
mod reservation;
mod schema;
mod subnet;

pub use claim::{
    ClaimHold, ClaimKeeper, ClaimOwner, HoldReason, KeeperKind, MacvlanIP, MacvlanIPSpec, claim_name,
    parse_claim_name,
};
pub use definition::definitions;
pub use network::{
    AttachAs, MacvlanFlag, MacvlanMode, MacvlanNetwork, MacvlanNetworkSpec, MacvlanNetworkStatus, ParentOn,
};
pub use parsed::{
    Claim, Holder, Network, Pair, PodOn, Reservation, Subnet, SubnetRoute, What, Who, ordinal_of,
};
pub use reservation::{
    MacvlanReservation, MacvlanReservationSpec, MacvlanReservationStatus, ReservedAddress, ReservedOrdinal,
    ReservedWorkload, TakenAddress, WorkloadKind,
};
pub use subnet::{MacvlanSubnet, MacvlanSubnetSpec, MacvlanSubnetStatus, RouteVia, SubnetDns};

/// The group of all kinds.
pub const GROUP: &str = "llano.dev";
/// Their version.
pub const VERSION: &str = "v1alpha1";

/// The label of a [`MacvlanIP`] with its network: what a watch of one network's addresses selects by.
pub const NETWORK_LABEL: &str = "llano.dev/network";
/// The label of a [`MacvlanIP`] with its subnet.
pub const SUBNET_LABEL: &str = "llano.dev/subnet";

/// Most addresses of one reservation.
pub const MOST_RESERVED: usize = 4096;
