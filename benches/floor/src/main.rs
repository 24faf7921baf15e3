//! What an attachment costs without us: the plugin's kernel calls, hard-coded, from an otherwise empty static process.
//!
//! What has to be done, in the plugin's order, as `strace -f` shows it; without JSON, configuration, the choice of an
//! address, or a look at what is there already. It is what `cargo xtask bench cni` compares the plugin with.

// The plugin's own: a general allocator would make the floor higher than it is.
#[path = "../../../bins/llano-cni/src/alloc.rs"]
mod alloc;
mod leases;
mod message;
mod sys;

use message::{Family, Message};
use std::ffi::CString;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;
use sys::{Namespace, Netlink};

#[global_allocator]
static ALLOCATOR: alloc::Bump = alloc::Bump;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);
const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 0x64, 0, 0, 0, 0, 1);

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let mut next =
        |what: &str| args.next().ok_or_else(|| Error::new(ErrorKind::InvalidInput, what.to_string()));
    match next("empty | add | del | rss")?.as_str() {
        "empty" => Ok(()),
        "rss" => {
            let kib = sys::most_memory(&CString::new(next("program")?)?)?;
            writeln!(std::io::stdout(), "{kib}")
        }
        verb @ ("add" | "del") => {
            read_input()?;
            let args: Vec<String> = args.collect();
            for one in args.split(|arg| arg == ",") {
                let attachment = Attachment::parse(one)?;
                if verb == "add" { attachment.add()? } else { attachment.del()? }
            }
            Ok(())
        }
        other => Err(invalid(other)),
    }
}

fn invalid(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidInput, what.to_string())
}

struct Attachment {
    netns: CString,
    ifname: String,
    container: String,
    leases: String,
    parent: String,
    address: Ipv4Addr,
    address6: Option<Ipv6Addr>,
}

impl Attachment {
    /// `NETNS IFNAME CONTAINER LEASES PARENT ADDRESS [ADDRESS6]`; several are told apart by a word `,`.
    fn parse(args: &[String]) -> Result<Self> {
        let next = |at: usize, what: &str| args.get(at).cloned().ok_or_else(|| invalid(what));
        Ok(Attachment {
            netns: CString::new(next(0, "network namespace")?)?,
            ifname: next(1, "interface")?,
            container: next(2, "container")?,
            leases: next(3, "lease directory")?,
            parent: next(4, "parent")?,
            address: next(5, "address")?.parse().map_err(invalid)?,
            address6: args.get(6).map(|text| text.parse().map_err(invalid)).transpose()?,
        })
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        [Some(IpAddr::V4(self.address)), self.address6.map(IpAddr::V6)].into_iter().flatten()
    }

    fn add(&self) -> Result<()> {
        let pod = Namespace::open(&self.netns)?;
        let mut host = Netlink::open()?;
        let parent = host.get_link(&self.parent)?;
        let mac = sys::random_mac()?;

        let home = Namespace::open(c"/proc/thread-self/ns/net")?;
        pod.enter()?;
        let mut inside = Netlink::open()?;
        host.send(&[Message::new_macvlan(&self.ifname, parent, &mac, pod.descriptor())])?;
        let index = inside.index_of(&self.ifname)?;
        for (family, name, value) in
            [("ipv6", "accept_ra", b"0"), ("ipv4", "arp_notify", b"1"), ("ipv6", "ndisc_notify", b"1")]
        {
            self.sysctl(family, name, *value)?;
        }
        home.enter()?;

        leases::claim(&self.leases, &self.container, &self.ifname, self.addresses())?;

        let mut messages = vec![Message::new_address(Family::V4, index, &self.address.octets(), 16)];
        if let Some(address) = self.address6 {
            let home = Namespace::open(c"/proc/thread-self/ns/net")?;
            pod.enter()?;
            for name in ["keep_addr_on_down", "optimistic_dad", "use_optimistic"] {
                self.sysctl("ipv6", name, *b"1")?;
            }
            home.enter()?;
            messages.push(Message::new_address(Family::V6, index, &address.octets(), 64));
        }
        messages.push(Message::up(index));
        // Only the pod's first network has one.
        if self.address.octets()[..2] == GATEWAY.octets()[..2] {
            messages.push(Message::default_route(Family::V4, index, &GATEWAY.octets()));
        }
        if self.address6.is_some() {
            messages.push(Message::default_route(Family::V6, index, &GATEWAY6.octets()));
        }
        inside.send(&messages)?;
        // The length of a result.
        std::io::stdout().write_all(&[b' '; 423])
    }

    fn sysctl(&self, family: &str, name: &str, value: [u8; 1]) -> Result<()> {
        sys::write_file(&format!("/proc/sys/net/{family}/conf/{}/{name}", self.ifname), &value)
    }

    /// Prints how many microseconds the kernel took from the request to its answer.
    fn del(&self) -> Result<()> {
        let pod = Namespace::open(&self.netns)?;
        let home = Namespace::open(c"/proc/thread-self/ns/net")?;
        pod.enter()?;
        let mut inside = Netlink::open()?;
        home.enter()?;
        let index = inside.get_link(&self.ifname)?;
        let started = Instant::now();
        inside.send(&[Message::delete_link(index)])?;
        let took = started.elapsed();
        leases::release(&self.leases, self.addresses())?;
        writeln!(std::io::stdout(), "{}", took.as_nanos() as f64 / 1000.0)
    }
}

fn read_input() -> Result<()> {
    let mut buffer = [0; 4096];
    while std::io::stdin().read(&mut buffer)? > 0 {}
    Ok(())
}
