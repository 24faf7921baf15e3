//! The socket against a kernel that is played by the test: answers that are cut, late, interrupted or lost.

use std::os::unix::net::UnixDatagram;

use rustix::io::Errno;

use crate::netlink::Netlink;
use crate::uapi::*;
use crate::{Change, LinkKind, MacAddr, Neighbour, NewLink};

/// A socket and the end that plays the kernel. What is sent to it waits until it is asked for.
fn pair() -> (Netlink, UnixDatagram) {
    let (ours, kernel) = UnixDatagram::pair().unwrap();
    (Netlink::over(ours.into(), 256), kernel)
}

fn message(kind: u16, flags: u16, seq: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(16 + body.len()).unwrap().to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&seq.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(body);
    bytes
}

fn ack(seq: u32, errno: Option<Errno>) -> Vec<u8> {
    let number = -errno.map_or(0, Errno::raw_os_error);
    let mut body = number.to_ne_bytes().to_vec();
    body.extend_from_slice(&message(0, 0, seq, &[]));
    message(NLMSG_ERROR, NLM_F_CAPPED, seq, &body)
}

fn done(seq: u32) -> Vec<u8> {
    message(NLMSG_DONE, 0, seq, &0u32.to_ne_bytes())
}

fn neighbour(seq: u32, flags: u16, last: u8) -> Vec<u8> {
    let neighbour = Neighbour::permanent(4, [10, 0, 0, last].into(), MacAddr([2, 0, 0, 0, 0, last]));
    let sent = crate::message::encode(&Change::SetNeighbour(neighbour), seq).unwrap();
    message(RTM_NEWNEIGH, flags, seq, &sent[16..])
}

fn read(nl: &mut Netlink) -> Vec<String> {
    nl.neighbours(None).unwrap().iter().map(|n| n.address.to_string()).collect()
}

#[test]
fn an_interrupted_list_is_asked_for_again() {
    let (mut nl, kernel) = pair();
    for answer in [
        neighbour(1, NLM_F_DUMP_INTR, 1),
        neighbour(1, 0, 2),
        done(1),
        neighbour(2, 0, 3),
        // Another request's: not ours.
        neighbour(77, 0, 99),
        [neighbour(2, 0, 4), done(2)].concat(),
    ] {
        kernel.send(&answer).unwrap();
    }
    assert_eq!(read(&mut nl), ["10.0.0.3", "10.0.0.4"]);
}

#[test]
fn a_list_that_always_changes_is_given_up() {
    let (mut nl, kernel) = pair();
    // The queue of the pair does not hold the answers to all tries at once.
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut request = [0; 256];
            for seq in 1..=20 {
                kernel.recv(&mut request).unwrap();
                kernel.send(&[neighbour(seq, NLM_F_DUMP_INTR, 1), done(seq)].concat()).unwrap();
            }
        });
        nl.neighbours(None).unwrap_err()
    });
    assert_eq!(error.errno(), Some(Errno::INTR), "{error}");
}

#[test]
fn a_cut_answer_is_asked_for_again_with_a_bigger_buffer() {
    let (mut nl, kernel) = pair();
    let big = |seq| (0..200u8).flat_map(|n| neighbour(seq, 0, n)).collect::<Vec<u8>>();
    for answer in [big(1), done(1), big(2), done(2)] {
        kernel.send(&answer).unwrap();
    }
    assert_eq!(read(&mut nl).len(), 200);
}

#[test]
fn a_list_may_end_with_an_error() {
    let (mut nl, kernel) = pair();
    let refused = (-Errno::NODEV.raw_os_error()).to_ne_bytes();
    kernel.send(&message(NLMSG_DONE, 0, 1, &refused)).unwrap();
    assert_eq!(nl.neighbours(None).unwrap_err().errno(), Some(Errno::NODEV));
    kernel.send(&ack(2, Some(Errno::PERM))).unwrap();
    let error = nl.neighbours(None).unwrap_err();
    assert_eq!(error.to_string(), "cannot read neighbours: Operation not permitted (EPERM)");
}

#[test]
fn acknowledgements_are_matched_by_number() {
    let (mut nl, kernel) = pair();
    let change = |name: &str| Change::AddLink(NewLink::new(name, LinkKind::Bridge));
    let changes = [change("a"), change("b"), change("c")];
    for answer in [ack(99, Some(Errno::IO)), ack(1, None), ack(3, Some(Errno::EXIST)), ack(2, None)] {
        kernel.send(&answer).unwrap();
    }
    let (place, error) = nl.apply_all(&changes).unwrap_err();
    assert_eq!((place, error.errno()), (2, Some(Errno::EXIST)));
    assert!(error.to_string().starts_with("cannot add link c of kind bridge: "), "{error}");
    // All three went in one send.
    let mut sent = [0; 1024];
    let len = kernel.recv(&mut sent).unwrap();
    let one = crate::message::encode(&changes[0], 1).unwrap().len();
    assert_eq!(len, 3 * one);
}

#[test]
fn a_change_that_cannot_be_encoded_sends_nothing() {
    let (mut nl, kernel) = pair();
    kernel.set_nonblocking(true).unwrap();
    let good = Change::AddLink(NewLink::new("a", LinkKind::Bridge));
    let (place, error) = nl.apply_all(&[good, Change::DeleteGroup(0)]).unwrap_err();
    assert_eq!((place, error.errno()), (1, None));
    assert!(kernel.recv(&mut [0; 16]).is_err());
}

#[test]
fn a_closed_socket_is_an_error() {
    let (mut nl, kernel) = pair();
    drop(kernel);
    assert!(nl.apply(&Change::DeleteGroup(5)).is_err());
    assert!(nl.links().is_err());
    assert!(nl.link_by_index(1).is_err());
}
