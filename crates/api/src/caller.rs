//! Whose call it is: the pod in `CNI_ARGS`.

use cni::Args;

/// Bytes of a name that the API server would allow.
const LONGEST: usize = 253;

/// The pod that a runtime names. Its texts are made of letters, digits, `-`, `.` and `_`, and none is `.` or `..`: they can
/// be asked for, and stand in a log or a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// `K8S_POD_NAMESPACE`; not empty.
    pub namespace: String,
    /// `K8S_POD_NAME`; not empty.
    pub name: String,
    /// `K8S_POD_UID`; empty when the runtime does not say.
    pub uid: String,
}

impl Caller {
    /// Reads `CNI_ARGS`; `None` for a caller that is not Kubernetes, such as cnitool.
    ///
    /// # Errors
    /// Code 4, naming the key.
    pub fn from_args(args: &str) -> cni::Result<Option<Caller>> {
        let args = Args::lenient(args);
        let text = |key: &str| -> cni::Result<String> {
            let text = args.get(key).unwrap_or_default();
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if text.len() > LONGEST || !text.bytes().all(allowed) || matches!(text, "." | "..") {
                return Err(cni::Error::env(format!("CNI_ARGS: {key} is no name of Kubernetes")));
            }
            Ok(text.to_owned())
        };
        let caller = Caller {
            namespace: text("K8S_POD_NAMESPACE")?,
            name: text("K8S_POD_NAME")?,
            uid: text("K8S_POD_UID")?,
        };
        match (caller.namespace.is_empty(), caller.name.is_empty()) {
            (true, true) => Ok(None),
            (false, false) => Ok(Some(caller)),
            _ => Err(cni::Error::env("CNI_ARGS: K8S_POD_NAMESPACE and K8S_POD_NAME are expected together")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_named_or_not_there_or_refused() {
        let read = |args: &str| Caller::from_args(args).map_err(|error| error.to_string());
        let full = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=c;K8S_POD_UID=u-1";
        let caller = Caller { namespace: "shop".into(), name: "web-0".into(), uid: "u-1".into() };
        assert_eq!(read(full), Ok(Some(caller)));
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("IP=10.0.0.1"), Ok(None));
        let long = format!("K8S_POD_NAMESPACE=a;K8S_POD_NAME={}", "x".repeat(254));
        for bad in [
            "K8S_POD_NAME=web",
            "K8S_POD_NAMESPACE=shop",
            "K8S_POD_NAMESPACE=..;K8S_POD_NAME=web",
            "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=../web",
            "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=a/b",
            "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=w eb",
            &long,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
