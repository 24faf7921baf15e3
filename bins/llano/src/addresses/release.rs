//! `llano ip release`.

use std::time::SystemTime;

use anyhow::{anyhow, bail};
use api::kinds::{HoldReason, Holder, PodOn};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use super::cluster::Cluster;
use super::entry::Entry;
use super::names::{Asked, name};
use super::who::{claims_on, sentence};
use crate::output::Out;

/// The annotation of a static pod's mirror in the API server, whose UID is not the pod's.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Give an address free that no pod has.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
An address of a pod that exists is refused: delete the pod, and its node gives the address back.
What rests or is quarantined is released at once. What is kept for a StatefulSet or a
MacvlanReservation, and what a pod left behind that is gone, needs --yes: somebody may count on
it, or still use it on a node that is cut off. When an agent takes the address in the same
moment, nothing happens.

Examples:
  llano ip release 10.20.0.57 --dry-run
  llano ip release 10.20.0.57
  llano ip release 10.20.0.57 --network lan --yes")]
pub(super) struct Release {
    /// The address, or the name of its MacvlanIP
    address: Asked,
    /// On this MacvlanNetwork, where several have the address
    #[arg(long, value_parser = name, value_name = "NAME")]
    network: Option<String>,
    /// Also what is kept for a StatefulSet or a MacvlanReservation, or was left behind by a pod that is gone
    #[arg(long, short)]
    yes: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Release, cluster: &Cluster, out: &mut Out) -> anyhow::Result<()> {
    let asked = args.address.on(args.network.as_ref())?;
    let entries = claims_on(cluster, &asked)?;
    let entry = only(&entries, &asked)?;
    if let Holder::Active(pod) = &entry.claim.holder {
        let found = cluster.pod(&pod.namespace, &pod.pod)?;
        if found.is_some_and(|found| is_pod(&found, pod)) {
            bail!(
                "{}: it {}, and that pod exists; delete the pod, and its node gives the address back",
                asked,
                sentence(entry, SystemTime::now())
            );
        }
    }
    let was = was(entry, SystemTime::now());
    if args.dry_run {
        let would = format!("would release {was}");
        out.json(&json!({"dryRun": true, "would": would, "claim": entry.record()}))?;
        return out.line(&would);
    }
    if !args.yes && needs_yes(entry) {
        bail!("{was} (--yes releases it)");
    }
    cluster.delete(&entry.object)?;
    out.json(&json!({"released": entry.record()}))?;
    out.line(&format!("released {was}"))
}

/// The one claim that is meant.
fn only<'a>(entries: &'a [Entry], asked: &Asked) -> anyhow::Result<&'a Entry> {
    match entries {
        [] => Err(anyhow!("{asked} is neither in use nor held; what it is: llano ip who {}", asked.address)),
        [entry] => Ok(entry),
        several => {
            let networks: Vec<_> = several.iter().map(|entry| &*entry.claim.network).collect();
            Err(anyhow!("{asked} is taken on networks {}: say which with --network", networks.join(", ")))
        }
    }
}

/// Whether the pod that was found is the one that has the address, and not a later one of the same name.
fn is_pod(found: &ObjectMeta, owner: &PodOn) -> bool {
    let is_mirror = found.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MIRROR));
    is_mirror || found.uid.as_ref() == Some(&owner.uid)
}

/// Whether somebody may count on it.
fn needs_yes(entry: &Entry) -> bool {
    match &entry.claim.holder {
        Holder::Active(_) => true,
        Holder::Held { reason, .. } => matches!(reason, HoldReason::StatefulSet | HoldReason::Reservation),
    }
}

/// What the address is until it is released, and what comes of that.
fn was(entry: &Entry, now: SystemTime) -> String {
    let claim = &entry.claim;
    let (on, sentence) = (format!("{} on network {}", claim.address, claim.network), sentence(entry, now));
    match &claim.holder {
        Holder::Active(PodOn { namespace, pod, node, interface, .. }) => format!(
            "{on}: pod {namespace}/{pod} had it, interface {interface} on node {node}, and is gone; the node's agent or the controller \
             gives the address back by itself within minutes, unless they do not run"
        ),
        Holder::Held { reason: HoldReason::Reservation, .. } => format!(
            "{on}: it {sentence}; as long as that MacvlanReservation has it, the controller reserves it again: change that instead"
        ),
        Holder::Held { message: Some(message), .. } => format!("{on}: it {sentence} ({message})"),
        Holder::Held { message: None, .. } => format!("{on}: it {sentence}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::super::samples::{active, entries, held, now};
    use super::super::server::Server;
    use super::*;
    use crate::output::printed;

    /// What is said, and the requests that were sent.
    fn released(yes: bool, answers: Vec<Value>) -> (Result<String, String>, Vec<String>) {
        let server = Server::answering(answers.into_iter().map(|answer| {
            let code = answer["code"].as_u64().and_then(|code| u16::try_from(code).ok());
            (code.unwrap_or(200), answer)
        }));
        let cluster = Cluster::open(&server.reach()).unwrap();
        let args = Release { address: "10.20.0.9".parse().unwrap(), network: None, yes, dry_run: false };
        let mut error = None;
        let text = printed(|out| {
            error = run(&args, &cluster, out).err().map(|error| error.to_string());
            Ok(())
        });
        let line = |line: &str| Path::new(line.split('?').next().unwrap()).display().to_string();
        (error.map_or(Ok(text), Err), server.asked().iter().map(|asked| line(&asked.line)).collect())
    }

    fn list(claims: &[Value]) -> Value {
        json!({"metadata": {}, "items": claims})
    }

    #[test]
    fn an_address_of_a_pod_that_exists_stays() {
        let pod = json!({"metadata": {"name": "web-0", "uid": "uid-of-web-0"}});
        let (said, asked) = released(true, vec![list(&[active("10.20.0.9", "web-0")]), pod]);
        let error = said.unwrap_err();
        assert!(
            error.starts_with("10.20.0.9: it is in use by pod shop/web-0: interface net1 on node n1"),
            "{error}"
        );
        assert!(error.ends_with("delete the pod, and its node gives the address back"), "{error}");
        assert_eq!(asked.len(), 2, "{asked:?}");
    }

    #[test]
    fn a_pod_that_is_gone_left_it_behind() {
        let later = json!({"metadata": {"name": "web-0", "uid": "another"}});
        let claims = || list(&[active("10.20.0.9", "web-0")]);
        let (said, asked) = released(false, vec![claims(), later.clone()]);
        assert!(said.unwrap_err().ends_with("(--yes releases it)"));
        assert_eq!(asked.len(), 2, "{asked:?}");
        let (said, asked) =
            released(true, vec![claims(), later, json!({"kind": "Status", "status": "Success"})]);
        assert!(
            said.unwrap()
                .starts_with("released 10.20.0.9 on network lan: pod shop/web-0 had it, interface net1")
        );
        assert_eq!(asked[2], "DELETE /apis/llano.dev/v1alpha1/macvlanips/lan.10.20.0.9");
    }

    #[test]
    fn what_is_held_for_somebody_needs_a_yes() {
        for (reason, needs) in
            [("StatefulSet", true), ("Reservation", true), ("ReuseDelay", false), ("Quarantine", false)]
        {
            let claims = list(&[held("10.20.0.9", reason, "web-0")]);
            let (said, asked) = released(false, vec![claims, json!({"kind": "Status", "status": "Success"})]);
            assert_eq!(
                (said.is_err(), asked.len()),
                (needs, if needs { 1 } else { 2 }),
                "{reason}: {said:?}"
            );
        }
    }

    #[test]
    fn what_is_released_is_said() {
        let entries = entries(&[held("10.20.0.9", "Reservation", "")]);
        assert_eq!(
            was(&entries[0], now()),
            "10.20.0.9 on network lan: it is reserved by MacvlanReservation shop/web, and no pod has it; as long as that \
             MacvlanReservation has it, the controller reserves it again: change that instead"
        );
        let asked = "10.20.0.9".parse().unwrap();
        let none = only(&[], &asked).unwrap_err().to_string();
        assert_eq!(none, "10.20.0.9 is neither in use nor held; what it is: llano ip who 10.20.0.9");
        let twice = [entries[0].clone(), entries[0].clone()];
        let error = only(&twice, &asked).unwrap_err().to_string();
        assert_eq!(error, "10.20.0.9 is taken on networks lan, lan: say which with --network");
    }
}
