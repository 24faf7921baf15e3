//! One pair: round trip and the largest packet that passes whole.

use std::net::IpAddr;

use wire::{Ping, PingError};

use super::{Endpoint, PATIENCE, Reached, TRIES};

/// Every IPv6 link carries 1280, every IPv4 host takes 576.
const LEAST: u32 = 576;

pub(super) fn measure(from: &Endpoint, to: IpAddr) -> Result<Reached, PingError> {
    let Some(netns) = &from.netns else { return Err(PingError::NoRoute) };
    let source = from.addresses.iter().find(|own| own.is_ipv4() == to.is_ipv4()).copied();
    let ping = |ping: Ping| source.map_or(ping, |source| ping.from(source)).timeout(PATIENCE);
    let echo = ping(Ping::new(to)).count(TRIES).run(netns)?;
    let passes = |size: u32| ping(Ping::new(to).whole(size)).count(TRIES).run(netns).is_ok();
    let link_mtu = from.mtu;
    let mtu = if passes(link_mtu) { link_mtu } else { largest(LEAST, link_mtu, passes) };
    Ok(Reached { trip: echo.best, mtu, link_mtu })
}

/// The largest that passes, by halves, where `low` does and `high` does not.
fn largest(mut low: u32, mut high: u32, passes: impl Fn(u32) -> bool) -> u32 {
    while low + 1 < high {
        let middle = low.midpoint(high);
        if passes(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    proptest::proptest! {
        #[test]
        fn the_largest_is_found(limit in 576u32..9000) {
            proptest::prop_assert_eq!(super::largest(576, 9001, |size| size <= limit), limit);
        }
    }
}
