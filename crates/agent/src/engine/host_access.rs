//! A standalone pod and its node: kubelet's probes come from the node, and the kernel passes nothing between a macvlan and
//! its parent. So the first interface has host access, unless its configuration says otherwise or its mode cannot.

use api::{DelegateCall, Role};

/// Switches host access on where it is left open.
pub(super) fn default_on(call: &mut DelegateCall) {
    if call.position != 0 || call.role == Some(Role::Overlay) {
        return;
    }
    let Some(plugin) = call.config.plugins().first() else { return };
    let conf = plugin.root();
    let bridge = matches!(conf.text("mode"), Ok(None | Some("bridge")));
    let inside = !matches!(conf.bool("linkInContainer"), Ok(None | Some(false)));
    // Without addresses there is nothing that could be reached.
    if plugin.kind() == "macvlan" && bridge && !inside && plugin.ipam().is_some() {
        call.config.put_default(0, "hostAccess", true.into());
    }
}
