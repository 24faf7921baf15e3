//! What the kernel says. Not hostile, but a wrong length must not take the daemon down.
#![no_main]

use kernel::message::{decode, decode_ack, encode};
use kernel::{Change, Message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for message in decode(bytes) {
        // What was read can be asked for.
        let change = match message {
            Message::Address(address) => Change::AddAddress(address),
            Message::Route(route) => Change::AddRoute(route),
            Message::Rule(rule) => Change::AddRule(rule),
            Message::Neighbour(neighbour) => Change::SetNeighbour(neighbour),
            Message::Qdisc(qdisc) => Change::AddQdisc(qdisc),
            Message::Link(link) => Change::DeleteLinkByName(link.name),
            _ => continue,
        };
        let _ = encode(&change, 1);
    }
    for (capped, explained) in [(false, false), (false, true), (true, false), (true, true)] {
        let _ = decode_ack(bytes, capped, explained);
    }
});
