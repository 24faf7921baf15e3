//! What a configuration asks `bandwidth` for.

use cni::json::Object;
use cni::{Error, Request, Result};
use kernel::Tbf;

/// How long a byte may wait for its token, in microseconds, as the reference plugin has it.
const LATENCY_US: u64 = 25_000;
const KEYS: [&str; 4] = ["ingressRate", "ingressBurst", "egressRate", "egressBurst"];

/// The limits of an attachment, seen from the pod; a way without one is not shaped.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// What the pod receives.
    pub(crate) ingress: Option<Tbf>,
    /// What the pod sends.
    pub(crate) egress: Option<Tbf>,
}

impl Limits {
    /// The configuration's own keys if one of them is there, else those that the runtime filled in.
    ///
    /// # Errors
    /// Code 7 naming the key.
    pub(crate) fn read(request: &Request) -> Result<Self> {
        let root = request.root();
        if KEYS.iter().any(|key| root.has(key)) {
            return Self::of(&root);
        }
        match request.runtime_config()? {
            Some(runtime) => {
                runtime.object("bandwidth")?.map_or(Ok(Self::default()), |object| Self::of(&object))
            }
            None => Ok(Self::default()),
        }
    }

    fn of(object: &Object<'_>) -> Result<Self> {
        let [ingress_rate, ingress_burst, egress_rate, egress_burst] = KEYS;
        Ok(Self {
            ingress: limit(object, ingress_rate, ingress_burst)?,
            egress: limit(object, egress_rate, egress_burst)?,
        })
    }

    /// Whether there is nothing to shape.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// A rate in bits per second and a burst in bits: both or neither.
fn limit(object: &Object<'_>, rate_key: &str, burst_key: &str) -> Result<Option<Tbf>> {
    let rate = object.u64(rate_key)?.unwrap_or(0);
    let burst = object.u64(burst_key)?.unwrap_or(0);
    let refuse = |key, value: u64, allowed| Err(Error::config(&object.path_of(key), value, allowed));
    match (rate, burst) {
        (0, 0) => return Ok(None),
        (_, 0) => return refuse(burst_key, 0, "bits above 0: if rate is set, burst must also be set"),
        (0, _) => {
            return refuse(rate_key, 0, "bits per second above 0: if burst is set, rate must also be set");
        }
        (1..8, _) => return refuse(rate_key, rate, "at least 8 bits per second"),
        (_, 1..8) => return refuse(burst_key, burst, "at least 8 bits"),
        _ => {}
    }
    match u32::try_from(burst / 8) {
        Ok(bytes) if bytes != u32::MAX => Ok(Some(Tbf::with_latency(rate / 8, bytes, LATENCY_US))),
        _ => refuse(burst_key, burst, "at most 34359738359 bits: burst cannot be more than 4GB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(keys: &str) -> Result<Limits> {
        let conf = format!(r#"{{"cniVersion":"1.0.0","name":"n","type":"bandwidth"{keys}}}"#);
        let env = [
            ("CNI_COMMAND", "ADD"),
            ("CNI_CONTAINERID", "c"),
            ("CNI_NETNS", "/run/netns/x"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/x"),
        ];
        Limits::read(&Request::from_texts(&env, &conf)?)
    }

    #[test]
    fn bits_become_a_token_bucket() {
        assert!(read("").unwrap().is_none());
        assert!(read(r#","ingressRate":0,"ingressBurst":0"#).unwrap().is_none());
        let limits = read(r#","ingressRate":8000000,"ingressBurst":800000"#).unwrap();
        assert_eq!(limits.egress, None);
        // 25 ms of the rate and the burst.
        assert_eq!(
            limits.ingress,
            Some(Tbf { rate_bytes: 1_000_000, burst_bytes: 100_000, limit_bytes: 125_000 })
        );
        let largest = read(r#","egressRate":80,"egressBurst":34359738359"#).unwrap().egress.unwrap();
        assert_eq!(largest.burst_bytes, u32::MAX - 1);
    }

    #[test]
    fn the_static_configuration_wins() {
        let runtime = r#","runtimeConfig":{"bandwidth":{"egressRate":800,"egressBurst":800}}"#;
        assert_eq!(read(runtime).unwrap().egress.unwrap().rate_bytes, 100);
        let both = read(&format!(r#","ingressRate":80,"ingressBurst":80{runtime}"#)).unwrap();
        assert_eq!((both.ingress.unwrap().rate_bytes, both.egress), (10, None));
        assert!(read(&format!(r#","ingressRate":0{runtime}"#)).unwrap().is_none());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (keys, words) in [
            (r#","ingressRate":8000"#, "if rate is set, burst must also be set"),
            (r#","egressBurst":8000"#, "if burst is set, rate must also be set"),
            (r#","egressRate":8,"egressBurst":34359738360"#, "burst cannot be more than 4GB"),
            (r#","egressRate":8,"egressBurst":18446744073709551615"#, "burst cannot be more than 4GB"),
            (r#","egressRate":7,"egressBurst":8"#, "egressRate"),
            (r#","egressRate":8,"egressBurst":7"#, "egressBurst"),
            (r#","ingressRate":-1,"ingressBurst":8"#, "ingressRate"),
            (r#","ingressRate":"1M","ingressBurst":8"#, "ingressRate"),
            (r#","ingressRate":1e6,"ingressBurst":8"#, "ingressRate"),
            (r#","runtimeConfig":{"bandwidth":{"ingressRate":8}}"#, "runtimeConfig.bandwidth.ingressBurst"),
            (r#","runtimeConfig":{"bandwidth":8}"#, "runtimeConfig.bandwidth"),
        ] {
            let error = read(keys).unwrap_err();
            assert_eq!(error.code(), 7, "{keys}");
            assert!(error.to_string().contains(words), "{keys}: {error}");
        }
    }
}
