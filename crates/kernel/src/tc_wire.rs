//! Queueing disciplines and filters on the wire: `struct tcmsg` and the `TCA_*` attributes.

use crate::uapi::*;
use crate::wire::{Attrs, Writer, u32_at, u64_at};
use crate::{Error, Filter, Qdisc, QdiscKind, Result, Tbf};

/// Length of `struct tcmsg`.
const HEADER: usize = 20;

fn header(w: &mut Writer, index: u32, handle: u32, parent: u32, info: u32) {
    w.u32(0);
    w.u32(index);
    w.u32(handle);
    w.u32(parent);
    w.u32(info);
}

impl QdiscKind {
    /// The kernel's word.
    pub fn name(&self) -> &str {
        match self {
            Self::Tbf(_) => "tbf",
            Self::Ingress => "ingress",
            Self::Clsact => "clsact",
            Self::Other(name) => name,
        }
    }
}

impl Qdisc {
    pub(crate) fn encode(&self, kind: u16, flags: u16, w: &mut Writer) -> Result<()> {
        w.begin(kind, NLM_F_ACK | flags);
        header(w, self.index, self.handle, self.parent, 0);
        w.attr_str(TCA_KIND, self.kind.name());
        if let QdiscKind::Tbf(tbf) = self.kind
            && kind == RTM_NEWQDISC
        {
            let at = w.nest(TCA_OPTIONS);
            tbf.encode(w)?;
            w.close(at);
        }
        w.end()
    }

    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        let (mut kind, mut options) = (None, Attrs(&[]));
        for attr in Attrs::after(body, HEADER) {
            match attr.kind {
                TCA_KIND => kind = Some(attr.string()),
                TCA_OPTIONS => options = attr.attrs(),
                _ => {}
            }
        }
        let kind = kind?;
        let kind = match kind.as_str() {
            "tbf" => QdiscKind::Tbf(Tbf::decode(options)?),
            "ingress" => QdiscKind::Ingress,
            "clsact" => QdiscKind::Clsact,
            _ => QdiscKind::Other(kind),
        };
        Some(Self { index: u32_at(body, 4)?, handle: u32_at(body, 8)?, parent: u32_at(body, 12)?, kind })
    }
}

/// Nanoseconds of one tick of the scheduler's clock (`PSCHED_SHIFT`).
const TICK: u64 = 64;
const SECOND: u64 = 1_000_000_000;

impl Tbf {
    /// How long sending a burst takes, in ticks.
    fn ticks(self) -> u32 {
        let ns = u128::from(self.burst_bytes) * u128::from(SECOND) / u128::from(self.rate_bytes.max(1));
        u32::try_from(ns / u128::from(TICK)).unwrap_or(u32::MAX)
    }

    /// `struct tc_tbf_qopt` and the exact numbers beside it.
    fn encode(self, w: &mut Writer) -> Result<()> {
        if self.rate_bytes == 0 || self.burst_bytes == 0 {
            return Err(Error::Invalid {
                object: "token bucket",
                value: format!("rate {} burst {}", self.rate_bytes, self.burst_bytes),
                allowed: "more than 0 bytes of each",
            });
        }
        let at = w.open(TCA_TBF_PARMS);
        // struct tc_ratespec: cell_log, linklayer, overhead, cell_align, mpu, rate.
        w.raw(&[0, TC_LINKLAYER_ETHERNET, 0, 0, 0, 0, 0, 0]);
        w.u32(u32::try_from(self.rate_bytes).unwrap_or(u32::MAX));
        // No peak rate.
        w.raw(&[0; 12]);
        w.u32(self.limit_bytes);
        w.u32(self.ticks());
        w.u32(0);
        w.close(at);
        if self.rate_bytes > u64::from(u32::MAX) {
            w.attr(TCA_TBF_RATE64, &self.rate_bytes.to_ne_bytes());
        }
        w.attr_u32(TCA_TBF_BURST, self.burst_bytes);
        Ok(())
    }

    fn decode(options: Attrs<'_>) -> Option<Self> {
        let (mut parms, mut rate64, mut burst) = (None, None, None);
        for attr in options {
            match attr.kind {
                TCA_TBF_PARMS => parms = Some(attr.value),
                TCA_TBF_RATE64 => rate64 = u64_at(attr.value, 0),
                TCA_TBF_BURST => burst = attr.u32(),
                _ => {}
            }
        }
        let parms = parms?;
        let rate_bytes = match rate64 {
            Some(rate) => rate,
            None => u64::from(u32_at(parms, 8)?),
        };
        let ticks = u64::from(u32_at(parms, 28)?);
        let bytes = u128::from(ticks * TICK) * u128::from(rate_bytes) / u128::from(SECOND);
        let burst_bytes = burst.unwrap_or_else(|| u32::try_from(bytes).unwrap_or(u32::MAX));
        Some(Self { rate_bytes, burst_bytes, limit_bytes: u32_at(parms, 24)? })
    }
}

impl Filter {
    fn info(&self) -> u32 {
        u32::from(self.priority) << 16 | u32::from(self.protocol.to_be())
    }

    pub(crate) fn encode(&self, kind: u16, flags: u16, w: &mut Writer) -> Result<()> {
        w.begin(kind, NLM_F_ACK | flags);
        header(w, self.index, 0, self.parent, self.info());
        w.attr_str(TCA_KIND, "u32");
        if kind == RTM_NEWTFILTER {
            let Some(to) = self.redirect_to else {
                return Err(Error::Invalid {
                    object: "filter",
                    value: "without a target".to_owned(),
                    allowed: "an interface to redirect to",
                });
            };
            let options = w.nest(TCA_OPTIONS);
            // struct tc_u32_sel: flags, offshift, nkeys, ...; one key that compares no bit.
            let at = w.open(TCA_U32_SEL);
            w.raw(&[TC_U32_TERMINAL, 0, 1, 0]);
            w.raw(&[0; 12]);
            w.raw(&[0; 16]);
            w.close(at);
            let actions = w.nest(TCA_U32_ACT);
            let first = w.nest(1);
            w.attr_str(TCA_ACT_KIND, "mirred");
            let options_of_action = w.nest(TCA_ACT_OPTIONS);
            // struct tc_mirred: index, capab, action, refcnt, bindcnt, eaction, ifindex.
            let at = w.open(TCA_MIRRED_PARMS);
            for number in [0, 0, TC_ACT_STOLEN, 0, 0, TCA_EGRESS_REDIR, to] {
                w.u32(number);
            }
            w.close(at);
            w.close(options_of_action);
            w.close(first);
            w.close(actions);
            w.close(options);
        }
        w.end()
    }

    #[allow(clippy::cast_possible_truncation)] // Two halves of one number.
    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        let info = u32_at(body, 16)?;
        let (mut kind, mut options) = (None, Attrs(&[]));
        for attr in Attrs::after(body, HEADER) {
            match attr.kind {
                TCA_KIND => kind = Some(attr),
                TCA_OPTIONS => options = attr.attrs(),
                _ => {}
            }
        }
        let kind = kind?;
        // A hash table of u32, not a filter: the node's part of its handle is zero.
        if kind.is("u32") && u32_at(body, 8)? & 0xfff == 0 {
            return None;
        }
        let redirect_to = if kind.is("u32") { decode_redirect(options) } else { None };
        Some(Self {
            index: u32_at(body, 4)?,
            parent: u32_at(body, 12)?,
            priority: (info >> 16) as u16,
            protocol: u16::from_be(info as u16),
            redirect_to,
        })
    }
}

/// The target of the first action, when it is a redirection.
fn decode_redirect(mut options: Attrs<'_>) -> Option<u32> {
    let mut action = options.find(|attr| attr.kind == TCA_U32_ACT)?.attrs().next()?.attrs();
    let mut rest = action.clone();
    if !action.find(|attr| attr.kind == TCA_ACT_KIND)?.is("mirred") {
        return None;
    }
    let mut options = rest.find(|attr| attr.kind == TCA_ACT_OPTIONS)?.attrs();
    let parms = options.find(|attr| attr.kind == TCA_MIRRED_PARMS)?.value;
    if u32_at(parms, 20)? != TCA_EGRESS_REDIR {
        return None;
    }
    u32_at(parms, 24)
}

/// Asks for queueing disciplines (index 0: of all interfaces), or for the filters of an interface at a place.
pub(crate) fn encode_dump(w: &mut Writer, kind: u16, index: u32, parent: u32) -> Result<()> {
    w.begin(kind, NLM_F_DUMP);
    header(w, index, 0, parent, 0);
    w.end()
}
