//! Default routes: what changes, and what the results say afterwards.

use api::{DelegateCall, Families, default_routes};
use cni::json;
use cni::{CniResult, Version};

use crate::support::Cluster;

fn result(ips: &str, routes: &str) -> CniResult {
    let text = format!(r#"{{"cniVersion":"1.0.0","ips":[{ips}],"routes":[{routes}]}}"#);
    CniResult::parse(&json::parse(text.as_bytes()).unwrap(), Version::V100).unwrap()
}

fn cluster() -> Cluster {
    Cluster::of(&[("a", r#"{"type":"macvlan"}"#), ("b", r#"{"type":"macvlan"}"#)])
}

const V4: &str = r#"{"dst":"0.0.0.0/0","gw":"10.0.0.1"}"#;
const V6: &str = r#"{"dst":"::/0","gw":"2001:db8::1"}"#;

fn changes(networks: &str, results: &[CniResult]) -> api::Result<Vec<api::RouteChange>> {
    let plan = cluster().plan(networks).unwrap();
    let attached: Vec<(&DelegateCall, &CniResult)> = plan.calls.iter().zip(results).collect();
    default_routes(&attached)
}

#[test]
fn nobody_asked_nothing_changes() {
    let both = result(r#"{"address":"10.0.0.9/24"}"#, &format!("{V4},{V6}"));
    assert_eq!(changes("a,b", &[both.clone(), both.clone(), both]).unwrap(), []);
}

#[test]
fn results_say_what_is_there_afterwards() {
    let first = result(r#"{"address":"10.244.0.9/24"}"#, &format!("{V4},{V6},{{\"dst\":\"10.96.0.0/12\"}}"));
    let lan = result(r#"{"address":"192.168.1.5/24"}"#, V4);
    let mut results = [first, lan];
    let changes = changes(r#"[{"name":"a","default-route":["192.168.1.1"]}]"#, &results).unwrap();
    assert_eq!(changes.len(), 3);
    assert!(changes.iter().all(|change| !change.remove.v6));
    for change in &changes {
        change.amend(&mut results[change.position]);
        // Done twice, for a process that was killed between.
        if change.add.is_empty() {
            change.amend(&mut results[change.position]);
        }
    }
    let routes = |at: usize| -> Vec<String> {
        results[at].routes.iter().map(|r| format!("{} {:?}", r.dst, r.gw.map(|gw| gw.to_string()))).collect()
    };
    assert_eq!(routes(0), [r#"::/0 Some("2001:db8::1")"#, "10.96.0.0/12 None"]);
    assert_eq!(routes(1), [r#"0.0.0.0/0 Some("192.168.1.1")"#]);
}

#[test]
fn removals_come_before_every_addition() {
    let any = result("", "");
    let networks =
        r#"[{"name":"a","default-route":["10.0.0.1"]},{"name":"b","default-route":["2001:db8::1"]}]"#;
    let changes = changes(networks, &[any.clone(), any.clone(), any]).unwrap();
    let first_addition = changes.iter().position(|change| !change.add.is_empty()).unwrap();
    assert!(changes[first_addition..].iter().all(|change| change.remove == Families::default()));
    assert_eq!((first_addition, changes.len()), (3, 5));
}

#[test]
fn a_gateway_is_reached_by_a_subnet_a_route_or_the_link() {
    let ask = |gateway: &str, ips: &str, routes: &str| {
        let networks = format!(r#"[{{"name":"a","default-route":["{gateway}"]}}]"#);
        changes(&networks, &[result("", ""), result(ips, routes)]).is_ok()
    };
    let v4 = r#"{"address":"10.0.0.9/24"}"#;
    assert!(ask("10.0.0.1", v4, ""));
    assert!(!ask("10.0.1.1", v4, ""));
    assert!(!ask("10.0.1.1", v4, V4));
    assert!(ask("10.0.1.1", v4, r#"{"dst":"10.0.1.1/32"}"#));
    assert!(ask("fe80::1", v4, ""));
    assert!(!ask("2001:db8::1", v4, ""));
    // Without addresses in the result only the kernel knows.
    assert!(ask("10.0.1.1", "", ""));
}

#[test]
fn an_empty_list_moves_the_families_that_the_network_has() {
    let both = result("", &format!("{V4},{V6}"));
    let networks = r#"[{"name":"a","default-route":[]}]"#;
    let only = |routes: &str| changes(networks, &[both.clone(), result("", routes)]).unwrap();
    assert_eq!(only(V6)[0].remove, Families { v4: false, v6: true });
    assert_eq!(only(V4)[0].remove, Families { v4: true, v6: false });
    assert_eq!(only(V4).len(), 1);
    assert!(changes(networks, &[both.clone(), result("", "")]).is_err());
}
