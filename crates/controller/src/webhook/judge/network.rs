//! `MacvlanNetwork`.

use api::kinds::{MacvlanNetwork, Network};

use super::words::refuse;
use super::{Change, Judged};
use crate::webhook::World;

pub(super) fn judge(change: &Change<MacvlanNetwork>, world: &dyn World) -> Judged {
    let network = Network::parse(&change.after).map_err(|error| error.to_string())?;
    for definition in network.attach_as.keys() {
        let mut others = world.networks().filter(|other| other.name != network.name);
        if let Some(other) = others.find(|other| other.attach_as.contains_key(definition)) {
            let problem =
                format!("{definition} is made for network {} already; choose another name", other.name);
            return Err(refuse("MacvlanNetwork", network.name, "spec.attachAs", problem));
        }
    }
    let mut warnings = Vec::new();
    if let Some(before) = &change.before {
        let (was, is) = (&before.spec, &change.after.spec);
        let moves = was.parent != is.parent || was.parents != is.parents || was.vlan != is.vlan;
        let pods = world.claims(&network.name).filter(|claim| claim.hold.is_none()).count();
        if moves && pods > 0 {
            warnings.push(format!(
                "spec.parent, spec.parents and spec.vlan count for new pods: {pods} addresses of this network are in use, and their \
                 pods stay on the LAN they are on until they are made anew"
            ));
        }
    }
    Ok(warnings)
}
