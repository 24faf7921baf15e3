//! Whose call it is: the pod in `CNI_ARGS`.

use cni::{Args, Request};

use crate::PodKey;

/// Bytes of a name that the API server would allow.
const LONGEST: usize = 253;

/// The pod that the runtime names; `None` for a caller that is not Kubernetes, such as cnitool.
pub(super) fn pod(request: &Request) -> cni::Result<Option<PodKey>> {
    let args = Args::lenient(&request.env.args);
    let text = |key: &str| -> cni::Result<String> {
        let text = args.get(key).unwrap_or_default();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if text.len() > LONGEST || !text.bytes().all(allowed) {
            return Err(cni::Error::env(format!("CNI_ARGS: {key} is no name of Kubernetes")));
        }
        Ok(text.to_owned())
    };
    let key = PodKey {
        namespace: text("K8S_POD_NAMESPACE")?,
        name: text("K8S_POD_NAME")?,
        uid: text("K8S_POD_UID")?,
    };
    match (key.namespace.is_empty(), key.name.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(key)),
        _ => Err(cni::Error::env("CNI_ARGS: K8S_POD_NAMESPACE and K8S_POD_NAME are expected together")),
    }
}
