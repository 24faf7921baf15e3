//! What a user is told about an attachment: its leases, or why it has none.

use super::attachment::Attachment;
use super::line4::Line4;
use super::line6::Line6;
use crate::clock::{Millis, SECOND};
use crate::{answer, v4, v6};

impl Attachment {
    /// Why an ADD has no result: which packet was waited for in vain.
    pub(super) fn complaint(&self) -> String {
        let mut reasons = Vec::new();
        if let (Some(line), None) = (&self.v4, &self.held_v4) {
            reasons.push(complaint_v4(line));
        }
        if let (Some(line), None) = (&self.v6, &self.held_v6) {
            reasons.push(complaint_v6(line));
        }
        reasons.join("; ")
    }

    /// One line of `llano dhcp list` per lease.
    pub(super) fn list(&self, now: Millis) -> Vec<serde_json::Value> {
        let env = &self.request.env;
        let seconds = |at: Option<Millis>| at.map(|at| at.saturating_sub(now) / SECOND);
        let row =
            |family: &str, addresses: Vec<String>, server: Option<String>, phase: String, renew, expires| {
                serde_json::json!({
                    "containerID": env.container_id, "network": self.request.name, "ifname": env.ifname,
                    "netns": self.place.netns(), "family": family, "addresses": addresses, "server": server,
                    "state": phase, "renewIn": seconds(renew), "expiresIn": seconds(expires),
                })
            };
        let mut rows = Vec::new();
        if let Some(line) = &self.v4 {
            let held = self.held_v4.as_ref();
            let address = held.and_then(|h| answer::net(&h.lease)).map(|n| n.to_string());
            rows.push(row(
                "ipv4",
                address.into_iter().collect(),
                held.map(|h| h.lease.server.to_string()),
                format!("{:?}", line.client.phase()),
                held.and_then(v4::Held::renew_at),
                held.and_then(v4::Held::expires_at),
            ));
        }
        if let Some(line) = &self.v6 {
            let held = self.held_v6.as_ref();
            let addresses =
                held.map(|h| h.lease.addresses.iter().map(|a| format!("{}/128", a.address)).collect());
            let hex = |d: &[u8]| d.iter().map(|b| format!("{b:02x}")).collect::<String>();
            rows.push(row(
                "ipv6",
                addresses.unwrap_or_default(),
                held.map(|h| hex(&h.lease.server)),
                format!("{:?}", line.client.phase()),
                held.and_then(v6::Held::renew_at),
                held.and_then(v6::Held::expires_at),
            ));
        }
        rows
    }
}

fn complaint_v4(line: &Line4) -> String {
    let c = line.client.counters();
    let mut text = match (c.offers, c.bad_offers, c.naks, c.conflicts) {
        (0, 0, 0, _) => format!("{} DISCOVER sent, no OFFER came", c.discovers.max(1)),
        (0, bad, 0, _) => format!("{bad} OFFERs came, none with a usable address, mask and server"),
        (_, _, _, conflicts) if conflicts > 0 => {
            format!("{conflicts} offered addresses are in use by other hosts")
        }
        (_, _, naks, _) if naks > 0 => format!("the server refused {naks} times (NAK)"),
        _ => format!("OFFER came, {} REQUEST sent, no ACK came", c.requests),
    };
    if c.ignored > 0 {
        text += &format!(", {} foreign packets ignored", c.ignored);
    }
    if let Some(trouble) = &line.trouble {
        text += &format!(", last trouble: {trouble}");
    }
    format!("DHCPv4: {text}")
}

fn complaint_v6(line: &Line6) -> String {
    let c = line.client.counters();
    let mut text = match &c.status {
        Some(status) => format!("the server answered {} {:?}", status.name(), status.text),
        None if c.conflicts > 0 => format!("{} offered addresses are in use by other hosts", c.conflicts),
        None if c.advertises == 0 => format!("{} Solicit sent, no Advertise came", c.solicits),
        None => format!("Advertise came, {} Request sent, no Reply came", c.requests),
    };
    if let Some(trouble) = &line.trouble {
        text += &format!(", last trouble: {trouble}");
    }
    format!("DHCPv6: {text}")
}
