//! Programs of classic BPF that choose which frames a packet socket gets.

use crate::uapi::{ETH_P_ARP, ETH_P_IPV6};

/// One instruction of classic BPF (`struct sock_filter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BpfInsn {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when true.
    pub jump_true: u8,
    /// Instructions to skip when false.
    pub jump_false: u8,
    /// Operand.
    pub value: u32,
}

impl BpfInsn {
    const fn new(code: u16, jump_true: u8, jump_false: u8, value: u32) -> Self {
        Self { code, jump_true, jump_false, value }
    }

    const fn load_half(at: u32) -> Self {
        Self::new(0x28, 0, 0, at)
    }

    const fn load_byte(at: u32) -> Self {
        Self::new(0x30, 0, 0, at)
    }

    const fn if_equal(value: u32, jump_true: u8, jump_false: u8) -> Self {
        Self::new(0x15, jump_true, jump_false, value)
    }

    const fn accept() -> Self {
        Self::new(0x06, 0, 0, 0x4_0000)
    }

    const fn drop() -> Self {
        Self::new(0x06, 0, 0, 0)
    }

    /// Only ARP over Ethernet for IPv4.
    pub const ARP: [Self; 4] =
        [Self::load_half(12), Self::if_equal(ETH_P_ARP as u32, 0, 1), Self::accept(), Self::drop()];

    /// Only ICMPv6 neighbour solicitations and advertisements without extension headers (RFC 4861 sends none).
    pub const NEIGHBOUR_DISCOVERY: [Self; 9] = [
        Self::load_half(12),
        Self::if_equal(ETH_P_IPV6 as u32, 0, 6),
        Self::load_byte(20),
        Self::if_equal(58, 0, 4),
        Self::load_byte(54),
        Self::if_equal(135, 1, 0),
        Self::if_equal(136, 0, 1),
        Self::accept(),
        Self::drop(),
    ];

    /// Both of the above.
    pub const ARP_AND_NEIGHBOUR_DISCOVERY: [Self; 10] = [
        Self::load_half(12),
        Self::if_equal(ETH_P_ARP as u32, 6, 0),
        Self::if_equal(ETH_P_IPV6 as u32, 0, 6),
        Self::load_byte(20),
        Self::if_equal(58, 0, 4),
        Self::load_byte(54),
        Self::if_equal(135, 1, 0),
        Self::if_equal(136, 0, 1),
        Self::accept(),
        Self::drop(),
    ];
}
