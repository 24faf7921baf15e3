//! A network with subnets, and workloads whose pods have addresses of it.

use std::net::Ipv4Addr;
use std::time::Duration;

use cluster::Cluster;
use serde_json::{Value, json};

use crate::networks::{DEFAULT_NETWORK, NETWORKS, PARENT};
use crate::pods::template;
use crate::{PATIENCE, Pod, addresses, controller, pod, pods_of, wait_for};

/// The network. Pods have it beside the primary one as `lan`, and alone as `lan-alone`.
pub const NETWORK: &str = "lan";
/// How all its addresses begin. Nobody else in the cluster has such.
pub const PREFIX: &str = "10.62.";
/// What a pod asks for, by the annotation.
pub const ADDRESSES: &str = "llano.dev/addresses";
/// A pod's start or end on two cores, times a hundred.
pub const LONG: Duration = Duration::from_secs(900);

/// The annotations of a pod with `net1` on the network, beside the primary one.
pub const BESIDE: (&str, &str) = (NETWORKS, "default/lan");
/// The annotations of a pod whose `eth0` is on the network.
pub const ALONE: (&str, &str) = (DEFAULT_NETWORK, "default/lan-alone");

/// Llano with its controller, and the network.
///
/// # Panics
/// When something of it does not become ready.
pub fn ready(cluster: &Cluster) {
    controller::apply(cluster);
    let attach = |name: &str, role: &str| json!({"name": name, "namespace": "default", "role": role});
    let spec =
        json!({"parent": PARENT, "attachAs": [attach("lan", "overlay"), attach("lan-alone", "standalone")]});
    apply(cluster, &object("MacvlanNetwork", NETWORK, &spec));
    wait_for(cluster, &["macvlannetwork", NETWORK], "condition=Ready", PATIENCE);
}

/// A subnet of the network, with more in its `spec`; waits until it is ready.
///
/// # Panics
/// When it does not become so.
pub fn subnet(cluster: &Cluster, name: &str, cidr: &str, more: &Value) {
    let object = addresses::subnet(name, NETWORK, cidr, more);
    cluster.apply(&object).unwrap_or_else(|error| panic!("{error}"));
    wait_for(cluster, &["macvlansubnet", name], "condition=Ready", PATIENCE);
}

/// A reservation; waits until it has its addresses.
///
/// # Panics
/// When it does not get them.
pub fn reservation(cluster: &Cluster, name: &str, spec: &Value) {
    apply(cluster, &object("MacvlanReservation", name, spec));
    wait_for(cluster, &["macvlanreservation", name], "condition=Ready", PATIENCE);
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "llano.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// A Deployment, or a StatefulSet that starts its pods all at once. Without probes: a hundred pods share the machine.
pub fn workload(kind: &str, name: &str, replicas: usize, annotations: &[(&str, &str)]) -> Value {
    let template = without_token(template(name, annotations));
    let mut workload = json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    });
    if kind == "StatefulSet" {
        workload["spec"]["podManagementPolicy"] = json!("Parallel");
        workload["spec"]["serviceName"] = json!(name);
    } else {
        workload["spec"]["progressDeadlineSeconds"] = json!(1800);
    }
    workload
}

/// A bare pod for whichever node.
pub fn bare(name: &str, app: &str, annotations: &[(&str, &str)]) -> Value {
    without_token(pod(name, app, annotations))
}

/// Nobody reads it: a volume and a token less for each pod.
fn without_token(mut pod: Value) -> Value {
    pod["spec"]["automountServiceAccountToken"] = json!(false);
    pod
}

/// Applies an object.
///
/// # Panics
/// When it is refused.
pub fn apply(cluster: &Cluster, object: &Value) {
    cluster.apply(&object.to_string()).unwrap_or_else(|error| panic!("{error}: {object:#}"));
}

/// `kubectl`, which must succeed.
///
/// # Panics
/// When it does not.
pub fn kubectl(cluster: &Cluster, args: &[&str]) -> String {
    cluster.kubectl_output(args).unwrap_or_else(|error| panic!("kubectl {}: {error}", args.join(" ")))
}

/// Changes an object by a merge patch.
///
/// # Panics
/// When it is refused.
pub fn patch(cluster: &Cluster, object: &str, patch: &Value) {
    kubectl(cluster, &["patch", object, "--type=merge", "-p", &patch.to_string()]);
}

/// Waits until a workload (`deployment/NAME`) has what its template says.
///
/// # Panics
/// When it has not in time.
pub fn rolled_out(cluster: &Cluster, workload: &str) {
    let timeout = format!("--timeout={}s", LONG.as_secs());
    kubectl(cluster, &["rollout", "status", workload, &timeout]);
}

/// Waits until there are exactly so many pods of that label, all ready and none of them on `away`.
///
/// # Panics
/// When there are not in time.
pub fn running(cluster: &Cluster, app: &str, count: usize, away: Option<&str>) -> Vec<Pod> {
    let is_fine = |pod: &Pod| pod.ready && Some(&*pod.node) != away;
    let look = || {
        let pods = pods_of(cluster, app);
        Ok((pods.len() == count && pods.iter().all(is_fine)).then_some(pods))
    };
    Cluster::wait(&format!("{count} pods of {app} ready"), LONG, look)
        .unwrap_or_else(|error| panic!("{error}: {:#?}", pods_of(cluster, app)))
}

/// Deletes a workload or a pod, and waits until its pods are gone.
///
/// # Panics
/// When they do not end.
pub fn delete(cluster: &Cluster, object: &str, app: &str) {
    kubectl(cluster, &["delete", object, "--cascade=foreground", "--timeout=600s"]);
    let gone = || Ok(pods_of(cluster, app).is_empty().then_some(()));
    Cluster::wait(&format!("the pods of {app} to go"), LONG, gone)
        .unwrap_or_else(|error| panic!("{error}: {:#?}", pods_of(cluster, app)));
}

/// The claims of a subnet for which `look` is true.
pub fn claims_of(cluster: &Cluster, subnet: &str, look: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut claims = addresses::claims(cluster);
    claims.retain(|claim| claim["spec"]["subnet"] == subnet && look(&claim["spec"]));
    claims
}

/// Waits until a subnet has exactly so many claims for which `look` is true.
///
/// # Panics
/// When it has not in time; says what it has.
pub fn until_claims(
    cluster: &Cluster,
    subnet: &str,
    count: usize,
    look: impl Fn(&Value) -> bool,
) -> Vec<Value> {
    let wait = || Ok(Some(claims_of(cluster, subnet, &look)).filter(|claims| claims.len() == count));
    Cluster::wait(&format!("{count} such claims of subnet {subnet}"), LONG, wait)
        .unwrap_or_else(|error| panic!("{error}: {:#?}", claims_of(cluster, subnet, |_| true)))
}

/// The addresses `first` to `last` of 10.62.`net`.0/24.
pub fn range(net: u8, first: u8, last: u8) -> Vec<Ipv4Addr> {
    (first..=last).map(|number| Ipv4Addr::new(10, 62, net, number)).collect()
}
