//! The plugin configuration: as published, and with our keys added.

use lab::SEED_002_CONF;

/// Where a runtime looks for it.
pub(super) const PATH: &str = "/etc/cni/net.d/macvlan.conf";

/// The line behind which keys are added.
const ANCHOR: &str = "\"master\":\"eth0\",\n";

/// As published.
pub(super) fn verbatim() -> String {
    SEED_002_CONF.to_owned()
}

/// As published, with these lines more.
pub(super) fn with(keys: &[&str]) -> String {
    let more: String = keys.iter().map(|key| format!("    {key},\n")).collect();
    SEED_002_CONF.replacen(ANCHOR, &format!("{ANCHOR}{more}"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_added_and_nothing_else_changes() {
        let text = with(&["\"probe\": true", "\"hostAccess\": true"]);
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let object = json.as_object_mut().unwrap();
        assert_eq!(object.remove("probe"), Some(true.into()));
        assert_eq!(object.remove("hostAccess"), Some(true.into()));
        assert_eq!(json, serde_json::from_str::<serde_json::Value>(&verbatim()).unwrap());
    }
}
