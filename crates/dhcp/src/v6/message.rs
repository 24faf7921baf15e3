//! The client's messages.

use super::{Config, Lease};
use crate::clock::Millis;
use crate::wire::v6::{IaAddr, IaNa, Message, MessageType, Options, option};

/// A message with what its type needs (RFC 8415, 18.2): `lease` for its addresses, `to_server` when it is for the
/// lease's server only.
pub(super) fn build(
    config: &Config,
    kind: MessageType,
    xid: u32,
    lease: Option<&Lease>,
    to_server: bool,
    elapsed: Millis,
) -> Message {
    let mut options = Options::default();
    options.push(option::CLIENT_ID, config.duid.clone());
    if let (true, Some(lease)) = (to_server, lease) {
        options.push(option::SERVER_ID, lease.server.clone());
    }
    let mut ia = IaNa { iaid: config.iaid, t1: 0, t2: 0, options: Options::default() };
    for address in lease.map(|l| l.addresses.as_slice()).unwrap_or_default() {
        ia.options.push(option::IA_ADDR, IaAddr::encode(address.address));
    }
    options.push(option::IA_NA, ia.encode());
    let hundredths = u16::try_from(elapsed / 10).unwrap_or(u16::MAX);
    options.push(option::ELAPSED_TIME, hundredths.to_be_bytes());
    if matches!(kind, MessageType::Solicit | MessageType::Request | MessageType::Renew | MessageType::Rebind)
    {
        let wanted = [option::DNS_SERVERS, option::DOMAIN_LIST, option::SOL_MAX_RT];
        options.push(option::ORO, wanted.iter().flat_map(|o| o.to_be_bytes()).collect::<Vec<_>>());
    }
    if kind == MessageType::Solicit && config.rapid_commit {
        options.push(option::RAPID_COMMIT, []);
    }
    Message { kind, xid, options }
}
