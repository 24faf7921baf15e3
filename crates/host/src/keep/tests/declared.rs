//! What is written into host.yaml.

use super::*;

fn declared(site: &Site, yaml: &str) -> Result<crate::keep::Planned> {
    let planned = crate::keep::plan(&mut site.open(), &State::parse(yaml).unwrap())?;
    assert!(planned.other.is_empty(), "{:?}", planned.other);
    *site.model.network.borrow_mut() = planned.wanted.network.clone();
    durable::write(&site.places().declared(), planned.text.as_bytes()).unwrap();
    Ok(planned)
}

fn address(net: &str, valid: Option<u32>) -> kernel::Address {
    let mut address = kernel::Address::new(0, net.parse().unwrap());
    (address.valid, address.preferred) = (valid, valid);
    address
}

/// Nobody lends it at the moment of the boot: a file that asks for it would bring up nothing.
#[test]
fn what_is_lent_is_not_written_down() {
    let site = Site::new();
    let mut leased = site.now();
    leased.links.get_mut("eth0").unwrap().addresses =
        vec![address("10.4.0.1/24", Some(300)), address("10.9.0.1/24", None)];
    *site.model.network.borrow_mut() = leased.clone();
    // As `llano host show eth0` prints it.
    let mut shown = State::of(&leased);
    shown.interfaces.retain(|interface| interface.name == "eth0");
    assert!(shown.to_yaml().contains("dhcp: true"));
    let shown = format!(
        "{}routes: {{config: [{{destination: 0.0.0.0/0, next-hop-interface: eth0, next-hop-address: 10.4.0.254}}, {{destination: 10.80.0.0/16, next-hop-interface: eth0, next-hop-address: 10.9.0.254}}]}}\n",
        shown.to_yaml()
    );
    let planned = declared(&site, &shown).unwrap();
    assert!(!planned.text.contains("dhcp") && !planned.text.contains("10.4.0"), "{}", planned.text);
    let kept = planned.declared.interface("eth0").unwrap().ipv4.clone().unwrap();
    assert_eq!((kept.enabled, kept.address.unwrap().len()), (Some(true), 1));
    assert_eq!(planned.declared.routes.config.len(), 1);
    assert!(planned.wanted.notes.iter().any(|note| note.starts_with("what is lent to eth0")));
    assert!(declared(&site, &shown).unwrap().is_declared);
    // And as it is at boot.
    *site.model.network.borrow_mut() = network(OLD);
    let at_boot = planned.declared.wanted(&site.now()).unwrap().network;
    assert_eq!(at_boot.links["eth0"].addresses.len(), 1);
}

/// A file that an older program has written.
#[test]
fn what_was_lent_and_written_down_does_not_stop_the_boot() {
    let site = Site::new();
    let old = "
interfaces:
- name: eth0
  type: ethernet
  mtu: 1400
  ipv4: { enabled: true, dhcp: true, address: [ { ip: 10.4.0.1, prefix-length: 24, valid-life-time: 300sec } ] }
  ipv6: { enabled: true, autoconf: true }
routes: { config: [ { destination: 0.0.0.0/0, next-hop-interface: eth0, next-hop-address: 10.4.0.254 } ] }
";
    durable::write(&site.places().declared(), old.as_bytes()).unwrap();
    let state = crate::keep::declared_state(&site.places()).unwrap().unwrap();
    let wanted = state.wanted(&site.now()).unwrap().network;
    assert_eq!((wanted.links["eth0"].mtu, wanted.links["eth0"].addresses.len()), (1400, 0));
    *site.model.network.borrow_mut() = wanted;
    declared(&site, "interfaces: [ { name: eth1, type: ethernet, mtu: 1400 } ]").unwrap();
}

#[test]
fn an_interface_takes_its_routes_along() {
    let site = Site::new();
    let shop = "
interfaces: [ { name: shop, type: mac-vlan, mac-vlan: { base-iface: eth0, mode: bridge }, ipv4: { enabled: true, address: [ { ip: 10.50.0.1, prefix-length: 24 } ] } } ]
routes: { config: [ { destination: 10.77.0.0/16, next-hop-interface: shop, next-hop-address: 10.50.0.254 }, { destination: 10.78.0.0/16, next-hop-interface: shop } ] }
";
    let left = |newer: &str| {
        declared(&site, shop).unwrap();
        let planned = declared(&site, newer).unwrap();
        let to = planned.declared.routes.config.iter().filter_map(|route| route.destination);
        to.map(|to| to.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(left("interfaces: [ { name: shop, state: absent } ]"), [""; 0]);
    assert_eq!(left("interfaces: [ { name: shop, state: down } ]"), [""; 0]);
    declared(&site, "interfaces: [ { name: shop, state: up } ]").unwrap();
    assert_eq!(left("interfaces: [ { name: shop, ipv4: { enabled: false } } ]"), ["10.78.0.0/16"]);
    // What the file says itself is a mistake.
    let both = "
interfaces: [ { name: shop, state: absent } ]
routes: { config: [ { destination: 10.77.0.0/16, next-hop-interface: shop } ] }
";
    assert!(declared(&site, both).is_err());
}

/// No roll back and no undo makes them again.
#[test]
fn what_llano_cannot_make_is_not_taken_away() {
    let site = Site::new();
    let kinds = [
        ("v", crate::Kind::Veth, "llano makes no veth"),
        ("br", crate::Kind::Bridge, "llano makes no bridge"),
        ("t", crate::Kind::Other("tun".to_owned()), "llano makes no tun"),
    ];
    let mut network = site.now();
    for (name, kind, _) in &kinds {
        network.links.insert((*name).to_owned(), Link { kind: kind.clone(), ..link(1500) });
    }
    let vlan = Link { kind: crate::Kind::Vlan(kernel::Vlan::new(5)), ..link(1500) };
    network.links.insert("far".to_owned(), vlan.clone());
    network.links.insert("near".to_owned(), Link { parent: Some("eth0".to_owned()), ..vlan });
    let ipvlan = Link { kind: crate::Kind::Other("ipvlan".to_owned()), ..link(1500) };
    network.links.insert("on".to_owned(), Link { parent: Some("near".to_owned()), ..ipvlan });
    *site.model.network.borrow_mut() = network;
    let far = ("far", crate::Kind::Dummy, "llano cannot reach its parent in another namespace");
    let near = ("near", crate::Kind::Dummy, "on on it would go too, and llano makes no ipvlan");
    for (name, _, why) in kinds.into_iter().chain([far, near]) {
        let absent = format!("interfaces: [ {{ name: {name}, state: absent }} ]");
        let error = declared(&site, &absent).unwrap_err().to_string();
        assert!(error.starts_with(&format!("interfaces[{name}].state cannot be absent: ")), "{error}");
        assert!(error.contains(why), "{error}");
    }
}

/// It is no link that is declared, but it is what is done.
#[test]
fn a_shim_is_told_when_it_comes_and_when_it_goes() {
    let site = Site::new();
    let way = |way: &str| {
        format!("interfaces: [ {{ name: eth0, type: ethernet, llano: {{ host-access: {way} }} }} ]")
    };
    let told = |planned: &crate::keep::Planned| {
        let steps = planned.plan.steps.iter().map(ToString::to_string).collect::<Vec<_>>();
        (planned.difference.to_string(), steps)
    };
    let planned = declared(&site, &way("shim")).unwrap();
    let (difference, steps) = told(&planned);
    assert_eq!(difference, "eth0            host access  + shim");
    assert_eq!(steps, ["give the containers on eth0 access by a shim"]);
    // It is made when there are containers.
    let again = declared(&site, &way("shim")).unwrap();
    assert!(again.is_nothing());

    let shim = Link { alias: Some("llano host access, network host-access:eth0".to_owned()), ..link(1500) };
    let mut network = site.now();
    network.links.insert("ll0".to_owned(), shim);
    let route = kernel::Route::to("10.9.0.50/32".parse().unwrap());
    network.routes.push(crate::Route { dev: Some("ll0".to_owned()), hops: Vec::new(), route });
    *site.model.network.borrow_mut() = network.clone();
    // What takes the shim away does not look for it afterwards.
    let undone = restored(&network, &planned.before, &planned.wanted, Duration::ZERO);
    assert!(!undone.network.links.contains_key("ll0") && undone.network.routes.is_empty());
    let (difference, steps) = told(&declared(&site, &way("false")).unwrap());
    assert_eq!(difference, "eth0            host access  - shim");
    assert_eq!(steps, ["take the shim of eth0 away"]);
}
