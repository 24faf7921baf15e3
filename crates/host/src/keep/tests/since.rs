//! A change is taken back, not the time since.

use kernel::uapi::{RTPROT_KERNEL, RTPROT_STATIC};
use kernel::{Address, Family, Rule};

use super::*;
use crate::Route;

fn address(net: &str, valid: Option<u32>) -> Address {
    let mut address = Address::new(0, net.parse().unwrap()).with_broadcast();
    (address.valid, address.preferred) = (valid, valid);
    address
}

fn route(to: &str, via: Option<&str>, src: Option<&str>) -> Route {
    let mut route = kernel::Route::to(to.parse().unwrap());
    route.gateway = via.map(|via| via.parse().unwrap());
    route.src = src.map(|src| src.parse().unwrap());
    route.protocol = RTPROT_STATIC;
    Route { dev: Some("eth0".to_owned()), hops: Vec::new(), route }
}

/// The route that comes with an address.
fn connected(to: &str, src: &str) -> Route {
    let mut route = route(to, None, Some(src));
    route.route.protocol = RTPROT_KERNEL;
    route
}

/// `eth0` with an address for ever and one for a hundred seconds, and the routes of both.
fn leased() -> Network {
    let mut network = network(OLD);
    let link = network.links.get_mut("eth0").unwrap();
    link.addresses = vec![address("10.9.0.1/24", None), address("10.4.0.1/24", Some(100))];
    network.routes = vec![
        connected("10.9.0.0/24", "10.9.0.1"),
        connected("10.4.0.0/24", "10.4.0.1"),
        route("0.0.0.0/0", Some("10.4.0.254"), None),
        route("10.70.0.0/16", None, Some("10.4.0.1")),
        route("10.80.0.0/16", Some("10.9.0.254"), None),
    ];
    network
}

/// As the kernel lets the address go: with its route and those from it.
fn without_lease(network: &mut Network) {
    network.links.get_mut("eth0").unwrap().addresses.truncate(1);
    network.routes.retain(|route| route.route.src != Some("10.4.0.1".parse().unwrap()));
}

/// A change of the MTU, and the network after it.
fn smaller(before: &Network) -> (Wanted, Network) {
    let mut after = before.clone();
    after.links.get_mut("eth0").unwrap().mtu = 1400;
    (Wanted::back_to(after.clone(), ["eth0".to_owned()].into(), false), after)
}

fn steps(current: &Network, wanted: &Wanted) -> Vec<String> {
    crate::Plan::new(current, wanted).unwrap().steps.iter().map(ToString::to_string).collect()
}

fn addresses(wanted: &Wanted) -> Vec<(String, Option<u32>)> {
    let list = &wanted.network.links["eth0"].addresses;
    list.iter().map(|address| (address.net.to_string(), address.valid)).collect()
}

const MTU: &[&str] = &["change eth0: mtu 1500"];

#[test]
fn an_address_whose_time_is_over_does_not_keep_the_rest_from_coming_back() {
    let before = leased();
    let (change, mut current) = smaller(&before);
    without_lease(&mut current);
    let wanted = restored(&current, &before, &change, Duration::from_secs(100));
    assert_eq!(addresses(&wanted), [("10.9.0.1/24".to_owned(), None)]);
    let to: Vec<_> = wanted.network.routes.iter().map(ToString::to_string).collect();
    assert_eq!(to, ["10.9.0.0/24 dev eth0 src 10.9.0.1", "10.80.0.0/16 via 10.9.0.254 dev eth0"]);
    // The router went with the address: nothing leads there any more.
    assert_eq!(steps(&current, &wanted), [MTU, &["delete route default via 10.4.0.254 dev eth0"]].concat());
}

#[test]
fn an_address_that_was_renewed_stays_renewed() {
    let before = leased();
    let (change, mut current) = smaller(&before);
    current.links.get_mut("eth0").unwrap().addresses[1] = address("10.4.0.1/24", Some(3600));
    let wanted = restored(&current, &before, &change, Duration::from_secs(100));
    assert_eq!(addresses(&wanted)[1], ("10.4.0.1/24".to_owned(), Some(3600)));
    assert_eq!(wanted.network.routes, before.routes);
    assert_eq!(steps(&current, &wanted), MTU);

    // Also where the change has moved it, and been cut short.
    let mut moved = current.clone();
    let lent = moved.links.get_mut("eth0").unwrap().addresses.pop().unwrap();
    moved.links.get_mut("eth1").unwrap().addresses.push(address("10.4.0.1/24", None));
    let change = Wanted::back_to(moved.clone(), ["eth0", "eth1"].map(str::to_owned).into(), false);
    moved.links.get_mut("eth1").unwrap().addresses = vec![lent];
    let wanted = restored(&moved, &before, &change, Duration::from_secs(100));
    assert_eq!(addresses(&wanted)[1], ("10.4.0.1/24".to_owned(), Some(3600)));
    assert!(wanted.network.links["eth1"].addresses.is_empty());

    // What the change itself has altered is altered back.
    let mut longer = before.clone();
    longer.links.get_mut("eth0").unwrap().addresses[1] = address("10.4.0.1/24", Some(3600));
    let change = Wanted::back_to(longer.clone(), ["eth0".to_owned()].into(), false);
    let wanted = restored(&longer, &before, &change, Duration::from_secs(40));
    assert_eq!(addresses(&wanted)[1], ("10.4.0.1/24".to_owned(), Some(60)));
}

#[test]
fn undo_leaves_what_others_have_done_since() {
    let site = Site::new();
    *site.model.network.borrow_mut() = leased();
    let (wanted, mut after) = smaller(&leased());
    let change = Change { before: leased(), wanted, ..change(site.now(), 1400, "smaller") };
    site.open().make(change, None).unwrap();
    // One address is gone, another is there, with routes; one route is away.
    without_lease(&mut after);
    let link = after.links.get_mut("eth0").unwrap();
    link.addresses.push(address("10.5.0.1/24", None));
    link.addresses.push(address("10.6.0.1/24", Some(50)));
    after.routes.retain(|route| route.route.gateway.is_none());
    after.routes.push(connected("10.5.0.0/24", "10.5.0.1"));
    after.routes.push(route("10.90.0.0/16", Some("10.5.0.254"), None));
    *site.model.network.borrow_mut() = after.clone();
    let undoing = site.open().plan_undo(None).unwrap();
    let steps: Vec<String> = undoing.plan.steps.iter().map(ToString::to_string).collect();
    assert_eq!(steps, MTU);
}

/// Of several changes each takes back its own.
#[test]
fn undo_of_many_touches_what_any_of_them_did() {
    let site = Site::new();
    let mut last = leased();
    *site.model.network.borrow_mut() = last.clone();
    for (at, net) in ["10.1.0.1/24", "10.2.0.1/24"].into_iter().enumerate() {
        let mut next = last.clone();
        next.links.get_mut("eth0").unwrap().addresses.push(address(net, None));
        next.routes.push(route(&format!("10.10{at}.0.0/16"), Some("10.9.0.254"), None));
        let wanted = Wanted::back_to(next.clone(), ["eth0".to_owned()].into(), false);
        let change = Change { before: last.clone(), wanted, ..change(site.now(), 1500, net) };
        site.open().make(change, None).unwrap();
        next.links.get_mut("eth0").unwrap().addresses.push(address(&format!("10.{at}.5.5/32"), None));
        last = next;
        *site.model.network.borrow_mut() = last.clone();
    }
    let steps = |number| {
        let undoing = site.open().plan_undo(number).unwrap();
        undoing.plan.steps.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let newest =
        ["delete address 10.2.0.1/24 from eth0", "delete route 10.101.0.0/16 via 10.9.0.254 dev eth0"];
    assert_eq!(steps(None), newest);
    let both = [
        "delete address 10.2.0.1/24 from eth0",
        "delete address 10.1.0.1/24 from eth0",
        "delete route 10.100.0.0/16 via 10.9.0.254 dev eth0",
        "delete route 10.101.0.0/16 via 10.9.0.254 dev eth0",
    ];
    assert_eq!(steps(Some(1)), both);
}

/// The kernel may list what was asked for in other words, and then nobody would know whose it is.
#[test]
fn what_a_failed_change_has_left_in_its_place_goes() {
    let rule = |priority, src: &str| Rule {
        src: src.parse().ok(),
        priority: Some(priority),
        ..Rule::new(Family::V4, 100)
    };
    let before = Network { rules: vec![rule(104, "10.1.0.0/16")], ..network(OLD) };
    let mut wanted = before.clone();
    wanted.rules.push(rule(104, "10.6.0.1/24"));
    let change = Wanted::back_to(wanted, ["eth0".to_owned()].into(), true);
    let mut current = before.clone();
    current.rules.extend([rule(104, "10.6.0.0/24"), rule(105, "10.7.0.0/16")]);
    let back = restored(&current, &before, &change, Duration::ZERO).network.rules;
    assert_eq!(back, [rule(104, "10.1.0.0/16"), rule(105, "10.7.0.0/16")]);
}
