use std::net::IpAddr;

/// A set of addresses of both families.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    runs: Vec<(u128, u128)>,
}

impl Addresses {
    /// The empty set.
    pub fn new() -> Addresses {
        Addresses::default()
    }

    /// Whether the address is in the set.
    pub fn contains(&self, address: IpAddr) -> bool {
        let n = crate::range::number_of(address);
        self.runs.iter().any(|(a, b)| *a <= n && n <= *b)
    }
}
