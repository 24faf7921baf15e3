//! Who reaches whom: a ping between every pair.

use std::net::IpAddr;
use std::time::Duration;

use kernel::{LinkKind, NetNs, Netlink};
use serde::ser::SerializeStruct;
use wire::{Ping, PingError};

use crate::error::{Error, Result};
use crate::lab::Lab;

/// Something that pings and is pinged.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// What to call it.
    pub name: String,
    /// The namespace it pings from.
    pub net: NetNs,
    /// The address it is pinged at.
    pub address: IpAddr,
}

/// The round trip between two endpoints, or why there is none.
#[derive(Debug, Clone)]
pub struct Cell {
    /// Who pings.
    pub from: String,
    /// Who is pinged.
    pub to: String,
    /// At which address.
    pub address: IpAddr,
    /// The best round trip.
    pub result: std::result::Result<Duration, PingError>,
}

/// A ping between every pair, row by row.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Matrix {
    /// The endpoints' names: rows ping, columns are pinged.
    pub names: Vec<String>,
    /// The endpoints' addresses.
    pub addresses: Vec<IpAddr>,
    /// Every pair of two different endpoints.
    pub cells: Vec<Cell>,
}

impl serde::Serialize for Cell {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Cell", 4)?;
        out.serialize_field("from", &self.from)?;
        out.serialize_field("to", &self.to)?;
        out.serialize_field("address", &self.address)?;
        match &self.result {
            Ok(trip) => {
                out.serialize_field("rttMicroseconds", &u64::try_from(trip.as_micros()).unwrap_or(u64::MAX))
            }
            Err(error) => out.serialize_field("error", &error.to_string()),
        }?;
        out.end()
    }
}

impl Matrix {
    /// Pings every pair, the rows at the same time, each pair `count` times with this much patience for each.
    pub fn ping(endpoints: &[Endpoint], count: u16, timeout: Duration) -> Self {
        let row = |from: &Endpoint| -> Vec<Cell> {
            let others = endpoints.iter().filter(|to| to.name != from.name);
            others.map(|to| cell(from, to, count, timeout)).collect()
        };
        let cells = std::thread::scope(|scope| {
            let rows: Vec<_> = endpoints.iter().map(|from| scope.spawn(move || row(from))).collect();
            rows.into_iter().filter_map(|row| row.join().ok()).flatten().collect()
        });
        Matrix {
            names: endpoints.iter().map(|endpoint| endpoint.name.clone()).collect(),
            addresses: endpoints.iter().map(|endpoint| endpoint.address).collect(),
            cells,
        }
    }

    /// The cell of a pair.
    pub fn get(&self, from: &str, to: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.from == from && cell.to == to)
    }

    /// The pairs without an answer.
    pub fn failures(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| cell.result.is_err())
    }
}

/// One pair.
pub fn cell(from: &Endpoint, to: &Endpoint, count: u16, timeout: Duration) -> Cell {
    let result = Ping::new(to.address).count(count).timeout(timeout).run(&from.net);
    Cell {
        from: from.name.clone(),
        to: to.name.clone(),
        address: to.address,
        result: result.map(|echo| echo.best),
    }
}

impl Lab {
    /// Everything in the lab with an address of this family: hosts, routers, and the containers on them, which are
    /// named HOST/CONTAINER.
    ///
    /// # Errors
    /// When a namespace cannot be read.
    pub fn endpoints(&self, v6: bool) -> Result<Vec<Endpoint>> {
        let mut all = Vec::new();
        for host in self.hosts() {
            let address =
                host.spec().addresses().map(|net| net.addr()).find(|address| address.is_ipv6() == v6);
            if let Some(address) = address {
                all.push(Endpoint { name: host.name().to_owned(), net: host.net().clone(), address });
            }
            for name in host.containers()? {
                let container = host.open_container(&name)?;
                let full = format!("{}/{name}", host.name());
                if let Some(address) = first_address(container.net(), v6).map_err(Error::network(&full))? {
                    all.push(Endpoint { name: full, net: container.net().clone(), address });
                }
            }
        }
        Ok(all)
    }

    /// Pings every pair of [`Lab::endpoints`] of both families.
    ///
    /// # Errors
    /// When a namespace cannot be read. A ping without an answer is none.
    pub fn matrix(&self, count: u16, timeout: Duration) -> Result<Vec<Matrix>> {
        let families = [self.endpoints(false)?, self.endpoints(true)?];
        Ok(families.iter().filter(|all| all.len() > 1).map(|all| Matrix::ping(all, count, timeout)).collect())
    }
}

/// The first global address of a namespace's interfaces.
fn first_address(net: &NetNs, v6: bool) -> kernel::Result<Option<IpAddr>> {
    let mut netlink = Netlink::open_in(net)?;
    let links = netlink.links()?;
    let loopback = |index| links.iter().any(|link| link.index == index && is_loopback(link));
    let addresses = netlink.addresses(None)?;
    let global = addresses
        .into_iter()
        .find(|address| address.net.addr().is_ipv6() == v6 && address.scope == 0 && !loopback(address.index));
    Ok(global.map(|address| address.net.addr()))
}

fn is_loopback(link: &kernel::Link) -> bool {
    link.is_loopback() && link.kind == LinkKind::Physical
}
