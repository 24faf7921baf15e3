//! The admission webhook: what CEL cannot say of an object, since it needs others. The rules of the kinds and the admission policies
//! come first; claims never come here, nor does anything that an agent or the controller writes.
//!
//! [`judge`] decides, over what exists ([`World`]), without effects. [`Server`] answers the API server over TLS, with a certificate
//! that [`Keeper`] makes, renews and tells the API server of. Any replica serves; the one that leads renews.

mod certificate;
mod judge;
mod keeper;
mod known;
mod review;
mod server;
mod world;

pub use certificate::{Certificates, LIFETIME, Pair, RENEW_BEFORE, SETTLE};
pub use judge::judge;
pub use keeper::{Keeper, Places};
pub use review::{Answer, Kind, Operation, Request, Verdict, answer, read};
pub use server::{BODY_LIMIT, PATH, Server, Tls};
pub use world::{Attachment, ClusterNetworks, PodNetworks, Taken, World};
