//! Names of an attachment: its key, and who it is to DHCPv6 servers.

use crate::settings::ClientId;

/// `containerID/network/ifname`, as the reference plugin writes it. None of the three may hold a slash.
pub fn key(container_id: &str, network: &str, ifname: &str) -> String {
    format!("{container_id}/{network}/{ifname}")
}

/// The DUID: of the container, the same after its link was made anew (DUID-UUID, RFC 6355, the UUID made from
/// container and network), or of the MAC (DUID-LL).
pub fn duid(kind: ClientId, container_id: &str, network: &str, mac: [u8; 6]) -> Vec<u8> {
    match kind {
        ClientId::Mac => [0, 3, 0, 1].into_iter().chain(mac).collect(),
        ClientId::Container => {
            let name = format!("{container_id}/{network}");
            let mut uuid = [fnv(name.as_bytes(), 0), fnv(name.as_bytes(), 1)].map(u64::to_be_bytes).concat();
            // Version 8 and variant of RFC 9562: made by a rule of our own.
            uuid[6] = uuid[6] & 0x0f | 0x80;
            uuid[8] = uuid[8] & 0x3f | 0x80;
            [0, 4].into_iter().chain(uuid).collect()
        }
    }
}

/// The IAID: the same for the same interface name, different for the interfaces of one container.
pub fn iaid(ifname: &str) -> u32 {
    let hash = fnv(ifname.as_bytes(), 0);
    u32::try_from((hash >> 32) ^ (hash & 0xffff_ffff)).unwrap_or(1)
}

/// FNV-1a of 64 bits, with a start that `seed` moves. Must never change: identities are made of it.
pub fn fnv(bytes: &[u8], seed: u64) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_stable_and_differ() {
        let a = duid(ClientId::Container, "c1", "n", [2; 6]);
        assert_eq!(a, duid(ClientId::Container, "c1", "n", [3; 6]));
        assert_ne!(a, duid(ClientId::Container, "c2", "n", [2; 6]));
        assert_eq!((a.len(), &a[..2]), (18, [0, 4].as_slice()));
        assert_eq!(duid(ClientId::Mac, "c1", "n", [2; 6]), [0, 3, 0, 1, 2, 2, 2, 2, 2, 2]);
        assert_ne!(iaid("eth0"), iaid("net1"));
        assert_eq!(fnv(b"a", 0), 0xaf63_dc4c_8601_ec8c);
    }
}
