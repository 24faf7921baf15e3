//! Why the API server said no, in one line with the way out.

use anyhow::anyhow;
use apiserver::plain;
use kube::Error;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resource {
    /// As objects call it.
    pub(super) kind: &'static str,
    /// As RBAC calls it.
    pub(super) plural: &'static str,
    /// Who may, in a cluster with the roles that Llano ships.
    role: &'static str,
}

pub(super) const IPS: Resource = Resource {
    kind: "MacvlanIP",
    plural: "macvlanips.llano.dev",
    role: "llano-admin, bound cluster-wide, has it",
};
pub(super) const SUBNETS: Resource = Resource {
    kind: "MacvlanSubnet",
    plural: "macvlansubnets.llano.dev",
    role: "llano-view, bound cluster-wide, has it",
};
pub(super) const PODS: Resource = Resource { kind: "Pod", plural: "pods", role: "view has it" };

/// The error of a request that was to do `verb`.
pub(super) fn explained(error: &Error, verb: &str, resource: Resource) -> anyhow::Error {
    let Resource { kind, plural, role } = resource;
    let said = plain(error);
    match error {
        Error::Api(status) if status.code == 401 => {
            anyhow!(
                "the API server does not know who asks ({said}): these credentials have ended, or are another cluster's"
            )
        }
        Error::Api(status) if status.code == 403 => {
            anyhow!("the right to {verb} {plural} is missing; the ClusterRole {role}: {said}")
        }
        Error::Api(status) if status.code == 404 => {
            anyhow!("the cluster has no kind {kind} of llano.dev/v1alpha1: kubectl apply -f deploy/crds.yaml")
        }
        _ => anyhow!("cannot {verb} {plural}: {said}"),
    }
}

/// Whether it is for want of a right.
pub(super) fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 403)
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn refusals_say_the_way_out() {
        let api = |code, message: &str| Error::Api(Box::new(Status::failure(message, "").with_code(code)));
        let said = |code, message: &str| explained(&api(code, message), "list", IPS).to_string();
        assert_eq!(
            said(404, "404 page not found"),
            "the cluster has no kind MacvlanIP of llano.dev/v1alpha1: kubectl apply -f deploy/crds.yaml"
        );
        assert_eq!(
            said(403, "macvlanips.llano.dev is forbidden: User \"ada\" cannot list"),
            "the right to list macvlanips.llano.dev is missing; the ClusterRole llano-admin, bound cluster-wide, has it: \
             macvlanips.llano.dev is forbidden: User \"ada\" cannot list"
        );
        assert_eq!(
            said(401, "Unauthorized"),
            "the API server does not know who asks (Unauthorized): these credentials have ended, or are another cluster's"
        );
        assert_eq!(said(500, "etcd\nis away"), "cannot list macvlanips.llano.dev: etcd is away");
    }
}
