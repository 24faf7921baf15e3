//! What comes back, and what does not keep it from coming.

use super::*;

#[test]
fn lifetimes_are_less_by_what_has_passed() {
    let mut before = network(OLD);
    let mut addresses = Vec::new();
    for (net, valid, preferred) in [
        ("10.0.0.1/24", None, None),
        ("10.0.0.2/24", Some(100), Some(50)),
        ("10.0.0.3/24", Some(70), Some(10)),
        ("10.0.0.4/24", Some(60), Some(60)),
    ] {
        let mut address = kernel::Address::new(0, net.parse().unwrap());
        (address.valid, address.preferred) = (valid, preferred);
        addresses.push(address);
    }
    before.links.get_mut("eth0").unwrap().addresses = addresses;
    let current = network(NEW);
    let change = Wanted::back_to(current.clone(), ["eth0".to_owned()].into(), true);
    let restored = restored(&current, &before, &change, Duration::from_secs(60)).network;
    let left: Vec<_> = restored.links["eth0"].addresses.iter().map(|a| (a.valid, a.preferred)).collect();
    assert_eq!(left, [(None, None), (Some(40), Some(0)), (Some(10), Some(0))]);
    assert_eq!(restored.links["new0"], current.links["new0"], "what is not affected is left alone");
}

#[test]
fn routes_and_rules_of_others_stay_and_ours_come_back_in_their_order() {
    let route = |dev: &str, net: &str| crate::Route {
        dev: Some(dev.to_owned()),
        hops: Vec::new(),
        route: kernel::Route::to(net.parse().unwrap()),
    };
    let rule = |table| kernel::Rule { priority: Some(table), ..kernel::Rule::new(kernel::Family::V4, table) };
    let mut before = network(OLD);
    before.routes =
        vec![route("eth0", "10.1.0.0/16"), route("eth1", "10.2.0.0/16"), route("eth0", "10.3.0.0/16")];
    before.rules = vec![rule(1), rule(2)];
    let mut wanted = before.clone();
    wanted.routes = vec![route("eth1", "10.2.0.0/16"), route("new0", "10.3.0.0/16")];
    wanted.rules = vec![rule(2), rule(3)];
    let mut current = wanted.clone();
    current.routes.push(route("eth1", "10.9.0.0/16"));
    current.rules.push(rule(9));
    let affected = ["eth0", "new0"].map(str::to_owned).into();
    let mut change = Wanted::back_to(wanted, affected, true);
    let restored = super::restored(&current, &before, &change, Duration::ZERO).network;
    change.rules = false;
    assert_eq!(super::restored(&current, &before, &change, Duration::ZERO).network.rules, current.rules);
    before.routes.push(route("eth1", "10.9.0.0/16"));
    before.rules.push(rule(9));
    assert_eq!((restored.routes, restored.rules), (before.routes, before.rules));
}

/// What is declared in steps can be brought up at once: what a later step ended is not declared any more.
#[test]
fn what_is_kept_of_many_changes_can_be_booted() {
    let site = Site::new();
    let declared = |yaml: &str| {
        let mut keeper = site.open();
        let planned = crate::keep::plan(&mut keeper, &State::parse(yaml).unwrap())?;
        assert!(planned.other.is_empty(), "{:?}", planned.other);
        *site.model.network.borrow_mut() = planned.wanted.network;
        durable::write(&site.places().declared(), planned.text.as_bytes()).unwrap();
        Ok::<_, Error>(planned.declared)
    };
    declared("interfaces: [ { name: bond0, type: bond, state: up, link-aggregation: { mode: active-backup, port: [eth0, eth1], options: { primary: eth1 } } } ]").unwrap();
    declared("interfaces: [ { name: bond0.5, type: vlan, state: up, vlan: { base-iface: bond0, id: 5 } } ]")
        .unwrap();
    declared("routes: { config: [ { destination: 10.88.0.0/16, next-hop-interface: bond0.5 } ] }").unwrap();
    // The primary is not among the ports any more, and then it is another.
    let bond0 = |ports| {
        format!("interfaces: [ {{ name: bond0, type: bond, link-aggregation: {{ port: {ports} }} }} ]")
    };
    declared(&bond0("[eth0]")).unwrap();
    declared(&bond0("[eth0, eth1], options: { primary: eth1 }")).unwrap();
    let taken = declared(
        "interfaces: [ { name: bond1, type: bond, state: up, link-aggregation: { mode: active-backup, port: [eth1] } } ]",
    );
    assert_eq!(taken.unwrap().interface("bond0").unwrap().ports(), Some(&vec!["eth0".to_owned()]));
    // The VLAN goes along, and its route.
    let without = declared("interfaces: [ { name: bond0, state: absent } ]").unwrap();
    let names: Vec<&str> = without.interfaces.iter().map(|interface| interface.name.as_str()).collect();
    assert_eq!((names, without.routes.config.len()), (vec!["bond0", "bond1"], 0));
    assert!(matches!(
        declared("routes: { config: [ { destination: 10.88.0.0/16, next-hop-interface: bond0.5 } ] }"),
        Err(Error::Key { .. })
    ));
}

#[test]
fn hardware_that_was_pulled_out_does_not_stop_the_rest_from_coming_back() {
    let mut before =
        network(&[("eth0", 1500), ("eth1", 1500), ("bond0", 1500), ("on1", 1500), ("on2", 1500)]);
    let on = |parent: &str| Link {
        kind: crate::Kind::Macvlan(kernel::Macvlan::new(kernel::MacvlanMode::Bridge)),
        parent: Some(parent.to_owned()),
        ..link(1500)
    };
    before.links.insert("on1".to_owned(), on("eth1"));
    before.links.insert("on2".to_owned(), on("bond0"));
    let bond = crate::Bond { primary: Some("eth1".to_owned()), ..crate::Bond::default() };
    let bond = Link { kind: crate::Kind::Bond(Box::new(bond)), ..link(1500) };
    before.links.insert("bond0".to_owned(), bond);
    for port in ["eth0", "eth1"] {
        before.links.get_mut(port).unwrap().controller = Some("bond0".to_owned());
    }
    let route = |dev: &str, net: &str| crate::Route {
        dev: Some(dev.to_owned()),
        hops: Vec::new(),
        route: kernel::Route::to(net.parse().unwrap()),
    };
    before.routes =
        vec![route("eth1", "10.1.0.0/16"), route("on1", "10.2.0.0/16"), route("on2", "10.3.0.0/16")];
    let current = network(&[("eth0", 9000)]);
    let affected = before.links.keys().cloned().collect();
    let change = Wanted::back_to(current.clone(), affected, true);
    let wanted = restored(&current, &before, &change, Duration::ZERO);
    let names: Vec<&str> = wanted.network.links.keys().map(String::as_str).collect();
    assert_eq!(names, ["bond0", "eth0", "on2"]);
    assert!(matches!(&wanted.network.links["bond0"].kind, crate::Kind::Bond(bond) if bond.primary.is_none()));
    assert_eq!(wanted.network.routes, [route("on2", "10.3.0.0/16")]);
    assert!(crate::Plan::new(&current, &wanted).is_ok());
}

/// One link that cannot be as it was does not leave those after it as they are; and it is tried again.
#[test]
fn what_is_refused_does_not_keep_the_rest_from_being_taken_back() {
    let site = Site::new();
    let waiting = Change { confirm: Some(Duration::ZERO), ..change(site.now(), 9000, "first") };
    site.open().make(waiting, None).unwrap();
    *site.model.never.borrow_mut() = Some("eth0".to_owned());
    assert!(site.open_telling().is_err());
    assert_eq!(site.now(), network(&[("eth0", 9000), ("eth1", 1500)]));
    assert!(site.places().pending().exists());
    *site.model.never.borrow_mut() = None;
    let (_, told) = site.open_telling().unwrap();
    let [Told::Recovered(Recovered::RolledBack { why, .. })] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((why.as_str(), site.now()), ("not confirmed in 0 s", network(OLD)));
}

/// A disk without room, stood in for by a directory where the history's files are to be.
#[test]
fn a_full_disk_does_not_keep_a_change_from_being_taken_back() {
    let site = Site::new();
    let places = site.places();
    durable::make_dir(&places.var).unwrap();
    std::fs::write(places.history(), "").unwrap();
    *site.model.refuses.borrow_mut() = 1;
    let error = site.open().make(change(site.now(), 9000, "first"), None).unwrap_err();
    assert!(matches!(error, Error::RolledBack { .. }), "{error}");
    assert_eq!(site.now(), network(OLD));
    assert!(!places.pending().exists());
}
