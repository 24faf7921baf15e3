//! The records of this node against its claims: an interface whose address is not its own any more goes at once, and a claim that
//! nothing stands behind is let go of.

use std::net::IpAddr;
use std::time::Instant;

use api::Event;

use super::{Arc, Engine, claimed};
use crate::claims::{Claims, Owned};
use crate::{Attachment, PodKey, Record};

impl Engine {
    /// Somebody else has changed claims of this node, or they have been listed.
    pub fn claims_changed(self: &Arc<Engine>) {
        let Some(claims) = self.cluster.claims() else { return };
        let Some(owned) = claims.owned() else { return };
        let records: Vec<Record> = match self.store.all() {
            Ok(records) => records.into_iter().flatten().collect(),
            Err(error) => return tracing::error!(error = %error, "store not read, no claim compared"),
        };
        for record in &records {
            if record.attachments.iter().any(|attachment| is_lost(claims, record, attachment)) {
                self.fence(claims, &record.pod.container_id);
            }
        }
        // What they belong to may have changed since: that is looked at with the container's turn.
        let stands = |claim: &Owned| records.iter().any(|record| is_behind(record, claim));
        for claim in owned.iter().filter(|claim| !stands(claim)) {
            self.let_go(claims, claim);
        }
    }

    fn fence(self: &Arc<Engine>, claims: &dyn Claims, id: &str) {
        // Whoever has the turn may be deleting it.
        let Some(turn) = self.locks.try_take(id) else {
            return self.later.look_after(self.setup.limits.retry);
        };
        let Ok(Some(record)) = self.read(id) else { return };
        let lost: Vec<&Attachment> =
            record.attachments.iter().filter(|attachment| is_lost(claims, &record, attachment)).collect();
        if lost.is_empty() {
            return;
        }
        let positions: Vec<usize> = lost.iter().map(|attachment| attachment.call.position).collect();
        if let Err(error) =
            self.store.doom(id, Some(&positions), "its address is not this interface's any more")
        {
            tracing::error!(container = id, error = %error, "not written, the interface goes all the same");
        }
        let key = PodKey {
            namespace: record.pod.namespace.clone(),
            name: record.pod.name.clone(),
            uid: record.pod.uid.clone(),
        };
        for attachment in &lost {
            let call = &attachment.call;
            let text = format!(
                "interface {} of network {} was taken away: its address was given up while this node did not answer, and may be \
                 another pod's; delete the pod to get a new one",
                call.ifname, call.network
            );
            tracing::warn!(container = id, interface = call.ifname.as_str(), "fenced");
            claims.fenced();
            self.cluster.event(&key, Event::warning(api::event::ADDRESS_LOST, text));
        }
        if let Ok(Some(record)) = self.read(id)
            && !self.delete_doomed(&record, &turn)
            && record.doomed.is_none()
        {
            self.later.push(id, self.setup.limits);
        }
    }

    fn let_go(self: &Arc<Engine>, claims: &dyn Claims, claim: &Owned) {
        let id = claim.container_id.as_str();
        // A call that goes on takes over, or lets go of, what it finds.
        let Some(_turn) = self.locks.try_take(id) else {
            return self.later.look_after(self.setup.limits.retry);
        };
        if self.read(id).is_ok_and(|record| record.is_some_and(|record| is_behind(&record, claim))) {
            return;
        }
        tracing::info!(container = id, address = %claim.address, network = claim.network, "claim without an interface");
        if let Err(error) = claims.let_go(claim, Instant::now() + self.setup.limits.del) {
            tracing::warn!(address = %claim.address, error = %error, "not let go of yet");
            self.later.look_after(self.setup.limits.slowest);
        }
    }
}

/// Whether an address that the interface was made with is not its own any more. Those of one network come from its claims alone.
fn is_lost(claims: &dyn Claims, record: &Record, attachment: &Attachment) -> bool {
    let Some(result) = attachment.result.as_ref().filter(|_| attachment.doomed.is_none()) else {
        return false;
    };
    let Some(network) = claimed::network(&attachment.call) else { return false };
    let owned = |address: IpAddr| Owned {
        network: network.clone(),
        address,
        container_id: record.pod.container_id.clone(),
        interface: attachment.call.ifname.as_str().to_owned(),
    };
    record.doomed.is_none()
        && result.ips.iter().any(|ip| claims.has(&owned(ip.address.addr())) == Some(false))
}

/// Whether the record stands behind the claim: the interface was made with it, or is still to be undone.
fn is_behind(record: &Record, claim: &Owned) -> bool {
    let made_with = |attachment: &Attachment| match &attachment.result {
        Some(result) => result.ips.iter().any(|ip| ip.address.addr() == claim.address),
        None => true,
    };
    record.pod.container_id == claim.container_id
        && record.attachments.iter().any(|attachment| {
            attachment.call.ifname.as_str() == claim.interface
                && claimed::network(&attachment.call).as_deref() == Some(claim.network.as_str())
                && made_with(attachment)
        })
}
