//! `host-local`: addresses of this host's own ranges, from the directory that the reference plugin uses too.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use cni::json::{Node, Object};
use cni::{Args, CniResult, Dns, IpConfig, Plugin, Request, Route, ValidAttachment, Version};
use ipam::{Claim, LeaseDir, Owner, Quarantine, Range, RangeSet};
use kernel::MacAddr;

use super::resolv_conf::read_resolv_conf;
use crate::paths::Paths;
use crate::{Error, Result};

const DATA_DIR: &str = "/var/lib/cni/networks";

/// The plugin type `host-local`.
#[derive(Debug)]
pub struct HostLocalPlugin {
    /// Where quarantine and index are.
    pub paths: Paths,
}

/// A network's addresses on this host.
#[derive(Debug)]
pub struct HostLocal {
    network: String,
    data_dir: PathBuf,
    run: PathBuf,
    /// One address of each is claimed. Empty when parsed for a removal, which needs none.
    sets: Vec<RangeSet>,
    requested: Vec<IpAddr>,
    routes: Vec<Route>,
    resolv_conf: Option<PathBuf>,
}

impl HostLocal {
    /// Reads `ipam`, `args.cni.ips`, `runtimeConfig.ipRanges`, `runtimeConfig.ips` and `IP` of `CNI_ARGS`.
    ///
    /// # Errors
    /// Code 7, in the reference's words where it has some; code 4 for `CNI_ARGS`.
    pub fn parse(request: &Request, paths: &Paths) -> cni::Result<Self> {
        let mut host_local = Self::parse_for_removal(request, paths)?;
        let ipam = section(request)?;
        host_local.requested = requested(request)?;
        host_local.sets = range_sets(request, &ipam)?;
        host_local.resolv_conf = ipam.text("resolvConf")?.map(PathBuf::from);
        for route in ipam.objects("routes")? {
            host_local.routes.push(Route::parse(&route)?);
        }
        Ok(host_local)
    }

    /// Reads only where the leases are, so that they are given back whatever became of the ranges.
    ///
    /// # Errors
    /// Code 7: no `ipam`, or a `dataDir` that is no text.
    pub fn parse_for_removal(request: &Request, paths: &Paths) -> cni::Result<Self> {
        let data_dir = section(request)?.text("dataDir")?.unwrap_or(DATA_DIR);
        Ok(Self {
            network: request.name.clone(),
            data_dir: PathBuf::from(data_dir),
            run: paths.run.clone(),
            sets: Vec::new(),
            requested: Vec::new(),
            routes: Vec::new(),
            resolv_conf: None,
        })
    }

    /// The sets of ranges; one address of each is claimed.
    pub fn sets(&self) -> &[RangeSet] {
        &self.sets
    }

    /// Where the leases are, a file for each address.
    pub fn directory(&self) -> PathBuf {
        self.data_dir.join(&self.network)
    }

    fn lock(&self) -> Result<LeaseDir> {
        Ok(LeaseDir::open(&self.data_dir, &self.network, Some(&self.run.join("ipam")))?)
    }

    /// The same without making the directory: `None` when the network never had a lease here.
    fn lock_existing(&self) -> Result<Option<LeaseDir>> {
        match self.data_dir.join(&self.network).try_exists() {
            Ok(false) => Ok(None),
            // What cannot be looked at is told by the opening.
            _ => self.lock().map(Some),
        }
    }

    fn quarantine(&self) -> Result<Quarantine> {
        Ok(Quarantine::open(&self.run, &self.network)?)
    }

    /// Claims one address of each set, or none.
    ///
    /// # Errors
    /// [`Error::Ipam`]; [`Error::Cni`] when `resolvConf` cannot be read.
    pub fn claim(&self, request: &Request) -> Result<CniResult> {
        let dns = match &self.resolv_conf {
            Some(path) => read_resolv_conf(path)?,
            None => Dns::default(),
        };
        // Known before anything is written; a requested address that is taken shows under the lock.
        let in_no_set = |address: &IpAddr| !self.sets.iter().any(|set| set.contains(*address));
        let outside: Vec<IpAddr> = self.requested.iter().copied().filter(in_no_set).collect();
        if !outside.is_empty() {
            return Err(ipam::Error::Unfulfilled(outside).into());
        }
        let quarantine = self.quarantine()?;
        let claims = self.lock()?.allocate(&owner(request), &self.sets, &self.requested, &|address| {
            quarantine.contains(address)
        })?;
        let ips = claims.iter().map(ip_config).collect();
        Ok(CniResult { interfaces: Vec::new(), ips, routes: self.routes.clone(), dns })
    }

    /// Puts an address that `holder` uses into quarantine and claims another of its set in its place.
    ///
    /// # Errors
    /// [`Error::AddressInUse`] for an address that was asked for by name; [`Error::Ipam`] when there is no other.
    pub fn replace(
        &self,
        request: &Request,
        conflict: IpAddr,
        holder: MacAddr,
        duration: Duration,
    ) -> Result<IpConfig> {
        let place = self.sets.iter().position(|set| set.contains(conflict));
        let (Some(index), false) = (place, self.requested.contains(&conflict)) else {
            return Err(Error::AddressInUse { address: conflict, holder });
        };
        let owner = owner(request);
        let mut leases = self.lock()?;
        let mut quarantine = self.quarantine()?;
        quarantine.add(conflict, duration, &holder.to_string())?;
        let claim = leases
            .allocate_another(&owner, &self.sets[index], index, &|address| quarantine.contains(address))?;
        leases.release_address(&owner, conflict)?;
        Ok(ip_config(&claim))
    }

    /// Gives back every address of the attachment; none is success.
    ///
    /// # Errors
    /// [`Error::Ipam`].
    pub fn release(&self, request: &Request) -> Result<()> {
        if let Some(mut leases) = self.lock_existing()? {
            leases.release(&owner(request))?;
        }
        Ok(())
    }

    /// The attachment still has a lease, and one for each address of `prevResult` that is of these ranges.
    ///
    /// # Errors
    /// [`Error::Mismatch`].
    pub fn check(&self, request: &Request) -> Result<()> {
        let held = match self.lock_existing()? {
            Some(mut leases) => leases.find(&owner(request))?,
            None => Vec::new(),
        };
        let container_id = &request.env.container_id;
        if held.is_empty() {
            return Err(Error::Mismatch(format!(
                "host-local: Failed to find address added by container {container_id}"
            )));
        }
        let promised = request.prev_result()?.unwrap_or_default();
        let ours = |address: &IpAddr| self.sets.iter().any(|set| set.contains(*address));
        let addresses = promised.ips.iter().map(|ip| ip.address.addr());
        match addresses.filter(ours).find(|address| !held.contains(address)) {
            Some(address) => Err(Error::Mismatch(format!(
                "host-local: address {address} is not leased to container {container_id}"
            ))),
            None => Ok(()),
        }
    }

    /// Every set has an address to give.
    ///
    /// # Errors
    /// [`Error::Cni`] with code 50 and the reference's text for an exhausted set; [`Error::Ipam`].
    pub fn status(&self) -> Result<()> {
        let quarantine = self.quarantine()?;
        let mut leases = self.lock()?;
        for (index, set) in self.sets.iter().enumerate() {
            if !leases.has_free(set, &|address| quarantine.contains(address))? {
                let text = format!("no IP addresses available in range set: {set}");
                let details = format!("range set {index}: {} addresses, none free", set.size());
                return Err(cni::Error::unavailable(text).with_details(details).into());
            }
        }
        Ok(())
    }

    /// Every attachment that has a lease.
    ///
    /// # Errors
    /// [`Error::Ipam`].
    pub fn owners(&self) -> Result<Vec<Owner>> {
        let Some(mut leases) = self.lock_existing()? else { return Ok(Vec::new()) };
        let owner = |lease: ipam::Lease| match lease.record {
            ipam::Record::Owned(owner) => Some(owner),
            _ => None,
        };
        Ok(leases.leases()?.into_iter().filter_map(owner).collect())
    }

    /// Gives back every lease that is of none of these attachments.
    ///
    /// # Errors
    /// [`Error::Ipam`]; what could be given back was.
    pub fn gc(&self, mut valid: Vec<ValidAttachment>) -> Result<()> {
        valid.sort_unstable();
        let is_valid = |owner: &Owner| {
            let key = (owner.container_id.as_str(), owner.ifname.as_str());
            valid.binary_search_by(|a| (a.container_id.as_str(), a.ifname.as_str()).cmp(&key)).is_ok()
        };
        if let Some(mut leases) = self.lock_existing()? {
            leases.retain(&is_valid)?;
        }
        Ok(())
    }
}

impl Plugin for HostLocalPlugin {
    fn about(&self) -> String {
        super::about("host-local")
    }

    fn add(&self, request: &Request) -> cni::Result<CniResult> {
        let host_local = HostLocal::parse(request, &self.paths)?;
        let result = host_local.claim(request)?;
        // The conversion that follows may refuse the result: nobody would know of the addresses.
        if let Err(error) = result.to_json(request.version) {
            host_local.release(request)?;
            return Err(error);
        }
        Ok(result)
    }

    fn del(&self, request: &Request) -> cni::Result<()> {
        Ok(HostLocal::parse_for_removal(request, &self.paths)?.release(request)?)
    }

    fn check(&self, request: &Request) -> cni::Result<()> {
        Ok(HostLocal::parse(request, &self.paths)?.check(request)?)
    }

    fn status(&self, request: &Request) -> cni::Result<()> {
        Ok(HostLocal::parse(request, &self.paths)?.status()?)
    }

    fn gc(&self, request: &Request) -> cni::Result<()> {
        let valid = super::valid_attachments(request)?;
        Ok(HostLocal::parse_for_removal(request, &self.paths)?.gc(valid)?)
    }
}

fn owner(request: &Request) -> Owner {
    Owner::new(&request.env.container_id, &request.env.ifname)
}

fn ip_config(claim: &Claim) -> IpConfig {
    IpConfig { address: claim.address, gateway: claim.gateway, interface: None }
}

fn section(request: &Request) -> cni::Result<Object<'_>> {
    request.ipam()?.ok_or_else(|| cni::Error::invalid_config("IPAM config missing 'ipam' key"))
}

/// Addresses asked for by name: `IP` of `CNI_ARGS`, `args.cni.ips`, `runtimeConfig.ips`, without repetition.
fn requested(request: &Request) -> cni::Result<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    let args = Args::strict(&request.env.args, &["IP", "GATEWAY", "MAC"])?;
    if let Some(text) = args.get("IP").filter(|text| !text.is_empty()) {
        let refused = || cni::Error::env(format!("CNI_ARGS: IP: invalid IP address {text}"));
        addresses.push(parse_address(text).ok_or_else(refused)?);
    }
    let structured = [request.args_cni()?, request.runtime_config()?];
    for object in structured.iter().flatten() {
        for node in object.items("ips")?.iter().filter(|node| !is_empty(node)) {
            let refused = || node.refuse("an IP address, a prefix length after it is ignored");
            addresses.push(parse_address(node.string()?).ok_or_else(refused)?);
        }
    }
    Ok(addresses)
}

fn is_empty(node: &Node<'_>) -> bool {
    node.string().is_ok_and(str::is_empty)
}

/// An address, or one with a prefix length, which is dropped.
fn parse_address(text: &str) -> Option<IpAddr> {
    let address = match text.split_once('/') {
        Some(_) => text.parse::<ipnet::IpNet>().ok()?.addr(),
        None => text.parse().ok()?,
    };
    Some(address.to_canonical())
}

/// The sets in the reference's order: `runtimeConfig.ipRanges`, the one range in `ipam` itself (the form before
/// `ranges`), `ipam.ranges`.
fn range_sets(request: &Request, ipam: &Object<'_>) -> cni::Result<Vec<RangeSet>> {
    let mut sets = Vec::new();
    if let Some(runtime) = request.runtime_config()? {
        for set in runtime.items("ipRanges")? {
            add_set(&mut sets, &set)?;
        }
    }
    if ipam.text("subnet")?.is_some() {
        let index = sets.len();
        sets.push(range(ipam, index).and_then(|range| set_of(vec![range], index, &ipam.path))?);
    }
    for set in ipam.items("ranges")? {
        add_set(&mut sets, &set)?;
    }
    if sets.is_empty() {
        return Err(cni::Error::invalid_config("no IP ranges specified")
            .with_details("ipam.ranges: expected a list of lists of ranges, each with a subnet"));
    }
    check_together(request.version, &sets)?;
    Ok(sets)
}

fn add_set(sets: &mut Vec<RangeSet>, node: &Node<'_>) -> cni::Result<()> {
    let index = sets.len();
    let items = node.items()?;
    let ranges: cni::Result<Vec<Range>> = items.iter().map(|item| range(&item.object()?, index)).collect();
    sets.push(set_of(ranges?, index, &node.path)?);
    Ok(())
}

fn range(object: &Object<'_>, index: usize) -> cni::Result<Range> {
    let Some(subnet) = object.net("subnet")? else {
        let missing = object.missing("subnet", "an address with prefix length, such as 10.1.2.0/24");
        return Err(missing.context(&format!("invalid range set {index}")));
    };
    let (start, end) = (object.address("rangeStart")?, object.address("rangeEnd")?);
    let gateway = object.address("gateway")?;
    Range::new(subnet, start, end, gateway).map_err(|error| invalid_set(index, &object.path, &error))
}

fn set_of(ranges: Vec<Range>, index: usize, path: &str) -> cni::Result<RangeSet> {
    RangeSet::new(ranges).map_err(|error| invalid_set(index, path, &error))
}

fn invalid_set(index: usize, path: &str, error: &ipam::Error) -> cni::Error {
    cni::Error::invalid_config(format!("invalid range set {index}: {error}"))
        .with_details(format!("see {path}"))
}

fn check_together(version: Version, sets: &[RangeSet]) -> cni::Result<()> {
    let v4 = sets.iter().filter(|set| set.is_ipv4()).count();
    if (v4 > 1 || sets.len() - v4 > 1) && version < Version::V030 {
        return Err(super::too_many(version));
    }
    for (n, set) in sets.iter().enumerate() {
        if let Some(other) = (n + 1..sets.len()).find(|other| set.overlaps(&sets[*other])) {
            return Err(cni::Error::invalid_config(format!("range set {n} overlaps with {other}"))
                .with_details(format!("{set} and {}", sets[other])));
        }
    }
    Ok(())
}
