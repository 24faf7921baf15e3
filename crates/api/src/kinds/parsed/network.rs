//! `MacvlanNetwork`, parsed.

use std::collections::BTreeMap;

use kube::core::{Selector, SelectorExt};

use super::object::Object;
use crate::kinds::{AttachAs, MacvlanFlag, MacvlanMode, MacvlanNetwork};
use crate::{IfName, Mac, NetworkRef, Result, Role};

/// A network whose settings fit together.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Its name, a DNS label.
    pub name: String,
    /// Parents by the labels of nodes, the first match counts.
    parents: Vec<(Selector, IfName)>,
    /// 1 to 4094, or none for the untagged LAN.
    pub vlan: Option<u16>,
    /// How siblings reach each other.
    pub mode: MacvlanMode,
    /// `MACVLAN_FLAG_NOPROMISC`, in mode passthru only.
    pub nopromisc: bool,
    /// `MACVLAN_FLAG_NODST`, in mode source only.
    pub nodst: bool,
    /// Whose frames pass: some in mode source, none in every other mode.
    pub source_macs: Vec<Mac>,
    /// In bytes, 68 to 65535; none for the parent's.
    pub mtu: Option<u32>,
    /// Whether node and pod reach each other; in mode bridge only.
    pub host_access: bool,
    /// Whether the LAN is asked before an address is used.
    pub probe: bool,
    /// Whether pods may send with their own addresses only.
    pub anti_spoof: bool,
    /// The definitions to be made, each with its role; no name is twice.
    pub attach_as: BTreeMap<NetworkRef, Role>,
}

impl Network {
    /// Reads the object.
    ///
    /// # Errors
    /// [`crate::Error::Object`] with the field, its value and what is allowed.
    pub fn parse(object: &MacvlanNetwork) -> Result<Network> {
        let spec = &object.spec;
        let at = Object::new("MacvlanNetwork", &object.metadata);
        let name = at.label("metadata.name", at.name())?;
        let parents = match (&spec.parent, &spec.parents) {
            (Some(parent), None) => vec![(Selector::default(), at.interface("spec.parent", parent)?)],
            (None, Some(parents)) if !parents.is_empty() => {
                let read = |(n, on): (usize, &crate::kinds::ParentOn)| {
                    let path = format!("spec.parents[{n}]");
                    let selector = at.selector(format!("{path}.nodeSelector"), &on.node_selector)?;
                    Ok((selector, at.interface(format!("{path}.parent"), &on.parent)?))
                };
                parents.iter().enumerate().map(read).collect::<Result<Vec<_>>>()?
            }
            _ => {
                return Err(
                    at.refuse("spec.parent", "exactly one of spec.parent and spec.parents must be given")
                );
            }
        };
        if spec.vlan > 4094 {
            return Err(at.refuse("spec.vlan", format!("{} must be 0 to 4094", spec.vlan)));
        }
        if let Some(mtu) = spec.mtu.filter(|mtu| !(68..=65535).contains(mtu)) {
            return Err(at.refuse("spec.mtu", format!("{mtu} must be 68 to 65535")));
        }
        let only = |flag, mode| match spec.flags.contains(&flag) {
            true if spec.mode != mode => {
                Err(at.refuse("spec.flags", format!("{flag:?} counts in mode {mode:?} alone")))
            }
            given => Ok(given),
        };
        let mut source_macs = Vec::with_capacity(spec.source_macs.len());
        for (n, text) in spec.source_macs.iter().enumerate() {
            source_macs.push(at.mac(format!("spec.sourceMacs[{n}]"), text)?);
        }
        if (spec.mode == MacvlanMode::Source) == source_macs.is_empty() {
            let problem = "must be given in mode source, and left out in every other mode";
            return Err(at.refuse("spec.sourceMacs", problem));
        }
        let bridge = spec.mode == MacvlanMode::Bridge;
        if spec.host_access == Some(true) && !bridge {
            return Err(at.refuse("spec.hostAccess", "true works in mode bridge alone"));
        }
        Ok(Network {
            name,
            parents,
            vlan: Some(spec.vlan).filter(|vlan| *vlan != 0),
            mode: spec.mode,
            nopromisc: only(MacvlanFlag::Nopromisc, MacvlanMode::Passthru)?,
            nodst: only(MacvlanFlag::Nodst, MacvlanMode::Source)?,
            source_macs,
            mtu: spec.mtu,
            host_access: spec.host_access.unwrap_or(bridge),
            probe: spec.probe,
            anti_spoof: spec.anti_spoof,
            attach_as: read_attach_as(at, &spec.attach_as)?,
        })
    }

    /// The parent on a node with these labels; `None` where the network is not.
    pub fn parent_on(&self, node: &BTreeMap<String, String>) -> Option<&IfName> {
        self.parents.iter().find(|(selector, _)| selector.matches(node)).map(|(_, parent)| parent)
    }
}

fn read_attach_as(at: Object<'_>, entries: &[AttachAs]) -> Result<BTreeMap<NetworkRef, Role>> {
    let mut read = BTreeMap::new();
    for (n, entry) in entries.iter().enumerate() {
        let path = format!("spec.attachAs[{n}]");
        let network = NetworkRef::new(&entry.namespace, &entry.name).ok_or_else(|| {
            at.refuse(&path, format!("{:?} in namespace {:?} is no name", entry.name, entry.namespace))
        })?;
        if read.insert(network.clone(), entry.role).is_some() {
            return Err(at.refuse(path, format!("{network} is there twice")));
        }
    }
    Ok(read)
}
