use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use crate::error::{Error, Result};

/// A run of addresses of one subnet, as host-local's `Range` after `Canonicalize`: start and end are in
/// the subnet and start ≤ end; the gateway may be anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    subnet: IpNet,
    start: IpAddr,
    end: IpAddr,
    gateway: IpAddr,
}

impl Range {
    /// A range of `subnet`. What is not given becomes: `start` and `gateway` the first address after the
    /// network's, `end` the last one (IPv4: the one before the broadcast address).
    ///
    /// # Errors
    /// The subnet has host bits, or fewer than four addresses; `start` or `end` is outside it.
    pub fn new(
        subnet: IpNet,
        start: Option<IpAddr>,
        end: Option<IpAddr>,
        gateway: Option<IpAddr>,
    ) -> Result<Range> {
        if let IpNet::V6(net) = subnet
            && net.addr().to_ipv4_mapped().is_some()
        {
            return Err(Error::MappedSubnet(subnet));
        }
        if subnet.prefix_len() + 2 > subnet.max_prefix_len() {
            return Err(Error::TooSmall(subnet));
        }
        if subnet.addr() != subnet.network() {
            return Err(Error::HostBits(subnet));
        }
        let v4 = subnet.addr().is_ipv4();
        let first = address_of(number_of(subnet.addr()) + 1, v4);
        let broadcast = number_of(subnet.broadcast());
        let last = address_of(if v4 { broadcast - 1 } else { broadcast }, v4);

        let (start, end) = (start.map(|ip| ip.to_canonical()), end.map(|ip| ip.to_canonical()));
        if let Some(start) = start
            && (!subnet.contains(&start) || end.is_some_and(|end| start > end))
        {
            return Err(Error::StartOutside { start, subnet });
        }
        if let Some(end) = end
            && (!subnet.contains(&end) || end < start.unwrap_or(first))
        {
            return Err(Error::EndOutside { end, subnet });
        }
        let (start, end) = (start.unwrap_or(first), end.unwrap_or(last));
        if start > end {
            // host-local lets the IPv4 broadcast address start a range that then never meets its end.
            return Err(Error::StartOutside { start, subnet });
        }
        let gateway = gateway.map_or(first, |ip| ip.to_canonical());
        Ok(Range { subnet, start, end, gateway })
    }

    /// The subnet, without host bits.
    pub fn subnet(&self) -> IpNet {
        self.subnet
    }

    /// The first address to give.
    pub fn start(&self) -> IpAddr {
        self.start
    }

    /// The last address to give.
    pub fn end(&self) -> IpAddr {
        self.end
    }

    /// The gateway, never given away; it may lie outside the range and the subnet.
    pub fn gateway(&self) -> IpAddr {
        self.gateway
    }

    /// Whether the range is of IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.start.is_ipv4()
    }

    /// Whether the address is from start to end, gateway or not.
    pub fn contains(&self, address: IpAddr) -> bool {
        // A wide IPv6 subnet such as ::/80 has addresses that would become IPv4 ones.
        let address = if self.is_ipv4() { address.to_canonical() } else { address };
        address.is_ipv4() == self.is_ipv4() && self.start <= address && address <= self.end
    }

    /// Whether the two share an address.
    pub fn overlaps(&self, other: &Range) -> bool {
        self.is_ipv4() == other.is_ipv4() && self.start <= other.end && other.start <= self.end
    }

    /// How many addresses it can give: all but the gateway. Saturates at 2¹²⁸ − 1.
    pub fn size(&self) -> u128 {
        let all = (number_of(self.end) - number_of(self.start)).saturating_add(1);
        if self.contains(self.gateway) { all - 1 } else { all }
    }
}

/// `start-end`, as host-local prints a range.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.end)
    }
}

/// The one number of an address in both families: IPv4 in its place in IPv6 (`::ffff:0:0/96`), which no
/// IPv6 address of a network uses. Order and distance inside a family are the addresses'.
pub(crate) fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_ipv6_mapped()),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// The address of a number that `number_of` gave for a family, or of a neighbour of it.
pub(crate) fn address_of(number: u128, v4: bool) -> IpAddr {
    let address = Ipv6Addr::from(number);
    if v4 { IpAddr::V6(address).to_canonical() } else { IpAddr::V6(address) }
}
