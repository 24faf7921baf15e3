//! The records against a network that is only a value, and files as a crash leaves them.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::pending::parse;
use super::{
    Change, Entry, Fate, History, Keeper, Machinery, Outcome, Pending, Places, Recovered, Stage, Told,
};
use super::{clock, durable, restored};
use crate::files::{Before, File};
use crate::{Error, Link, Network, Result, State, Wanted};

/// A kernel that is a value.
#[derive(Clone, Default)]
struct Model {
    network: Rc<RefCell<Network>>,
    /// So many times it refuses, having done half.
    refuses: Rc<RefCell<usize>>,
    /// This link it refuses always.
    never: Rc<RefCell<Option<String>>>,
}

impl Machinery for Model {
    fn namespace(&self) -> Result<(u64, u64)> {
        Ok((4, 1))
    }

    fn read(&mut self) -> Result<Network> {
        Ok(self.network.borrow().clone())
    }

    fn converge(&mut self, wanted: &Wanted) -> Result<()> {
        let mut network = self.network.borrow_mut();
        for name in &wanted.affected {
            if self.never.borrow().as_ref() == Some(name) {
                return Err(Error::NothingToUndo);
            }
            match wanted.network.links.get(name) {
                Some(link) => network.links.insert(name.clone(), link.clone()),
                None => network.links.remove(name),
            };
            let mut refuses = self.refuses.borrow_mut();
            if *refuses > 0 {
                *refuses -= 1;
                return Err(Error::NothingToUndo);
            }
        }
        Ok(())
    }
}

fn link(mtu: u32) -> Link {
    // By its record, so that a link that learns to hold more needs no change here.
    let text = r#"{"kind":"physical","parent":null,"controller":null,"mac":null,"permanent_mac":null,"mtu":0,"up":true,
        "promiscuous":false,"all_multicast":false,"arp":true,"tx_queue_len":1000,"addr_gen_mode":null,
        "addresses":[],"neighbours":[]}"#;
    Link { mtu, ..serde_json::from_str(text).unwrap() }
}

fn network(links: &[(&str, u32)]) -> Network {
    Network {
        links: links.iter().map(|(name, mtu)| ((*name).to_owned(), link(*mtu))).collect(),
        ..Network::default()
    }
}

struct Site {
    dir: tempfile::TempDir,
    model: Model,
}

impl Site {
    fn new() -> Self {
        let model = Model::default();
        *model.network.borrow_mut() = network(&[("eth0", 1500), ("eth1", 1500)]);
        Self { dir: tempfile::tempdir().unwrap(), model }
    }

    fn places(&self) -> Places {
        Places::below(self.dir.path())
    }

    fn open_telling(&self) -> Result<(Keeper<Model>, Vec<Told>)> {
        let mut told = Vec::new();
        let keeper = Keeper::open(self.places(), self.model.clone(), &mut |what| told.push(what))?;
        Ok((keeper, told))
    }

    fn undo(&self, number: Option<u32>) -> Result<(u32, Outcome)> {
        let mut keeper = self.open();
        let undoing = keeper.plan_undo(number)?;
        let number = undoing.number;
        keeper.undo(undoing, None, None).map(|outcome| (number, outcome))
    }

    fn open(&self) -> Keeper<Model> {
        self.open_telling().unwrap().0
    }

    fn now(&self) -> Network {
        self.model.network.borrow().clone()
    }

    fn declared(&self) -> Option<String> {
        std::fs::read_to_string(self.places().declared()).ok()
    }

    fn fates(&self) -> Vec<Fate> {
        let places = self.places();
        let entries = History::of(&places).entries().unwrap();
        entries.into_iter().filter_map(|numbered| Some(numbered.entry.ok()?.fate)).collect()
    }
}

fn change(before: Network, mtu: u32, declared: &str) -> Change {
    let mut network = before.clone();
    network.links.insert("eth0".to_owned(), link(mtu));
    network.links.insert("new0".to_owned(), link(mtu));
    Change {
        what: format!("apply {declared}"),
        before,
        wanted: Wanted::back_to(network, ["eth0", "new0"].map(str::to_owned).into(), true),
        declared: Some(declared.to_owned()),
        confirm: None,
        files: Vec::new(),
    }
}

const NEW: &[(&str, u32)] = &[("eth0", 9000), ("eth1", 1500), ("new0", 9000)];
const OLD: &[(&str, u32)] = &[("eth0", 1500), ("eth1", 1500)];

#[test]
fn a_change_is_kept_and_undone() {
    let site = Site::new();
    let outcome = site.open().make(change(site.now(), 9000, "first"), None).unwrap();
    assert_eq!(outcome, Outcome::Confirmed(1));
    assert_eq!((site.now(), site.declared().as_deref()), (network(NEW), Some("first")));
    let outcome = site.open().make(change(site.now(), 1400, "second"), None).unwrap();
    assert_eq!(outcome, Outcome::Confirmed(2));
    assert_eq!(site.undo(None).unwrap(), (2, Outcome::Confirmed(2)));
    assert_eq!((site.now(), site.declared().as_deref()), (network(NEW), Some("first")));
    assert!(matches!(site.undo(Some(2)), Err(Error::NotHeld { number: 2, .. })));
    assert_eq!(site.undo(None).unwrap().0, 1);
    assert_eq!((site.now(), site.declared()), (network(OLD), None));
    assert!(matches!(site.undo(None), Err(Error::NothingToUndo)));
    assert!(matches!(site.undo(Some(7)), Err(Error::NoSuchChange { number: 7, newest: Some(2) })));
    assert_eq!(site.fates(), [Fate::Undone, Fate::Undone]);
}

#[test]
fn an_older_change_is_undone_with_all_after_it() {
    let site = Site::new();
    for (mtu, name) in [(9000, "first"), (1400, "second"), (1300, "third")] {
        site.open().make(change(site.now(), mtu, name), None).unwrap();
    }
    site.undo(Some(1)).unwrap();
    assert_eq!((site.now(), site.declared()), (network(OLD), None));
    assert_eq!(site.fates(), [Fate::Undone, Fate::Undone, Fate::Undone]);
}

#[test]
fn what_fails_leaves_the_network_and_the_files_as_they_were() {
    let site = Site::new();
    let foreign = site.dir.path().join("foreign.conf");
    std::fs::write(&foreign, "theirs").unwrap();
    *site.model.refuses.borrow_mut() = 1;
    let mut wanted = change(site.now(), 9000, "first");
    wanted.files = vec![File::text(&foreign, "ours"), File::text(site.dir.path().join("new.conf"), "ours")];
    let error = site.open().make(wanted, None).unwrap_err();
    assert!(matches!(error, Error::RolledBack { .. }), "{error}");
    assert!(error.to_string().ends_with("the network is as it was before"), "{error}");
    assert_eq!((site.now(), site.declared()), (network(OLD), None));
    assert_eq!(std::fs::read_to_string(&foreign).unwrap(), "theirs");
    assert!(!site.dir.path().join("new.conf").exists());
    assert!(matches!(site.fates().as_slice(), [Fate::RolledBack { .. }]));
    assert!(!site.places().pending().exists());
}

#[test]
fn what_cannot_be_taken_back_stays_written_down_and_is_tried_again() {
    let site = Site::new();
    *site.model.refuses.borrow_mut() = 20;
    let error = site.open().make(change(site.now(), 9000, "first"), None).unwrap_err();
    assert!(matches!(error, Error::NotRolledBack { .. }), "{error}");
    *site.model.refuses.borrow_mut() = 0;
    let (_, told) = site.open_telling().unwrap();
    assert!(matches!(told.as_slice(), [Told::Recovered(Recovered::RolledBack { .. })]), "{told:?}");
    assert_eq!(site.now(), network(OLD));
}

#[test]
fn a_change_waits_and_is_confirmed_or_taken_back() {
    let site = Site::new();
    let waiting = |seconds| {
        let confirm = Some(Duration::from_secs(seconds));
        Change { confirm, ..change(site.now(), 9000, "first") }
    };
    assert_eq!(site.open().make(waiting(60), None).unwrap(), Outcome::Waiting(60));
    assert_eq!((site.now(), site.declared()), (network(NEW), None));
    let refused = site.open().make(change(site.now(), 1400, "second"), None).unwrap_err();
    assert!(matches!(refused, Error::Waits { .. }), "{refused}");
    assert_eq!(site.open().take_back("asked to").unwrap().as_deref(), Some("apply first"));
    assert_eq!(site.now(), network(OLD));
    let nothing = site.open().confirm().unwrap_err();
    assert!(nothing.to_string().contains("apply first was rolled back, asked to"), "{nothing}");

    site.open().make(waiting(60), None).unwrap();
    assert_eq!(site.open().confirm().unwrap().1, 2);
    assert_eq!((site.now(), site.declared().as_deref()), (network(NEW), Some("first")));

    // Its time is over at once: whoever comes next takes it back.
    site.open()
        .make(Change { confirm: Some(Duration::ZERO), ..change(site.now(), 1400, "second") }, None)
        .unwrap();
    let (mut keeper, told) = site.open_telling().unwrap();
    let [Told::Recovered(Recovered::RolledBack { what, why })] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((what.as_str(), why.as_str()), ("apply second", "not confirmed in 0 s"));
    assert_eq!((keeper.read().unwrap(), site.declared().as_deref()), (network(NEW), Some("first")));
}

/// A pending change of which this process has written everything up to some moment, and then died.
fn cut_short(site: &Site, stage: Stage) -> Pending {
    let places = site.places();
    site.open().make(change(site.now(), 9000, "first"), None).unwrap();
    let entry = History::of(&places).entry(1).unwrap();
    let waiting = Change { confirm: Some(Duration::from_secs(60)), ..change(site.now(), 1400, "second") };
    site.open().make(waiting, None).unwrap();
    let mut pending = Pending::read(&places).unwrap().unwrap();
    assert_ne!(entry.id, pending.id);
    pending.stage = stage;
    pending.write(&places).unwrap();
    pending
}

const SECOND: &[(&str, u32)] = &[("eth0", 1400), ("eth1", 1500), ("new0", 1400)];

#[test]
fn whenever_its_author_died_the_network_and_the_declared_state_agree() {
    let until = clock::since_boot() + Duration::from_secs(100);
    for stage in [Stage::Applying { until }, Stage::Confirmed] {
        for written in 0..3 {
            let site = Site::new();
            let pending = cut_short(&site, stage);
            let places = site.places();
            if written > 0 && stage == Stage::Confirmed {
                durable::write(&places.declared(), b"second").unwrap();
            }
            if written > 1 && stage == Stage::Confirmed {
                History::of(&places).add(&Entry::of(&pending, Fate::Confirmed)).unwrap();
            }
            let (_, told) = site.open_telling().unwrap();
            assert_eq!(told.len(), 1, "{told:?}");
            let (links, declared) =
                if stage == Stage::Confirmed { (SECOND, "second") } else { (NEW, "first") };
            assert_eq!((site.now(), site.declared().as_deref()), (network(links), Some(declared)));
            assert_eq!(site.fates().len(), 2, "one entry for each change");
            assert!(!places.pending().exists());
        }
    }
}

#[test]
fn the_next_boot_drops_what_was_not_confirmed_and_finishes_what_was() {
    let until = clock::since_boot() + Duration::from_secs(100);
    for (stage, declared) in [
        (Stage::Applying { until }, "first"),
        (Stage::Waiting { until }, "first"),
        (Stage::Confirmed, "second"),
    ] {
        let site = Site::new();
        let mut pending = cut_short(&site, stage);
        pending.boot = "another".to_owned();
        pending.write(&site.places()).unwrap();
        *site.model.network.borrow_mut() = network(OLD);
        site.open();
        assert_eq!((site.now(), site.declared().as_deref()), (network(OLD), Some(declared)), "{stage:?}");
        assert!(!site.places().pending().exists());
    }
}

#[test]
fn another_namespace_is_left_alone() {
    let site = Site::new();
    let mut pending = cut_short(&site, Stage::Applying { until: Duration::ZERO });
    pending.namespace = (4, 2);
    pending.write(&site.places()).unwrap();
    assert!(matches!(site.open_telling(), Err(Error::OtherNamespace { .. })));
    assert_eq!(site.now(), network(SECOND));
}

#[test]
fn a_record_cut_at_any_byte_is_put_aside_with_a_word() {
    let site = Site::new();
    cut_short(&site, Stage::Applying { until: Duration::ZERO });
    let path = site.places().pending();
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        let torn = parse(&path, &whole[..cut]);
        let error = torn.expect_err("a part is no record");
        assert!(error.to_string().contains("pending.json is not a record"), "{error}");
        // Blocks that never came to the disk read as zeros.
        let mut zeroed = whole.clone();
        zeroed[cut..].fill(0);
        parse(&path, &zeroed).expect_err("zeros are no record");
    }
    for content in [&whole[..whole.len() / 2], b"", b"{}", br#"{"version":2}"#, b"[]", b"null", b"\xff\xfe"] {
        std::fs::write(&path, content).unwrap();
        let (keeper, told) = site.open_telling().unwrap();
        let [Told::Recovered(Recovered::Unreadable { aside, .. })] = told.as_slice() else {
            panic!("{told:?}")
        };
        assert_eq!(std::fs::read(aside).unwrap(), content);
        assert!(!path.exists());
        drop(keeper);
    }
    // The network stays as it is, and can be changed.
    assert_eq!(site.now(), network(SECOND));
    site.open().make(change(site.now(), 1300, "third"), None).unwrap();
}

#[test]
fn a_torn_entry_hides_no_other() {
    let site = Site::new();
    for name in ["first", "second", "third"] {
        site.open().make(change(site.now(), 9000, name), None).unwrap();
    }
    let path = site.places().history().join("0003.json");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 3]).unwrap();
    std::fs::write(site.places().history().join("notes.txt"), "").unwrap();
    let places = site.places();
    let entries = History::of(&places).entries().unwrap();
    assert_eq!(entries.iter().map(|n| n.entry.is_ok()).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(site.undo(None).unwrap().0, 2);
    assert!(matches!(site.undo(Some(3)), Err(Error::Record { .. })));
}

#[test]
fn old_entries_go() {
    let site = Site::new();
    let places = site.places();
    site.open().make(change(site.now(), 9000, "first"), None).unwrap();
    let entry = History::of(&places).entry(1).unwrap();
    for number in 0..120 {
        let mut entry = entry.clone();
        entry.id = format!("{number}");
        History::of(&places).add(&entry).unwrap();
    }
    let numbers: Vec<u32> = History::of(&places).entries().unwrap().iter().map(|n| n.number).collect();
    assert_eq!((numbers.len(), numbers.first(), numbers.last()), (100, Some(&22), Some(&121)));
}

#[test]
fn a_write_is_whole_or_not_there_and_leaves_nothing_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/file");
    durable::write(&path, b"one").unwrap();
    // What a crash left.
    std::fs::write(path.with_file_name(".file.new"), "torn").unwrap();
    durable::write(&path, b"two").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"two");
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    durable::remove(&path).unwrap();
    durable::remove(&path).unwrap();
    assert_eq!(durable::read(&path).unwrap(), None);
    assert!(durable::write(Path::new("/proc/no/such"), b"").is_err());
}

#[test]
fn files_are_put_back_as_they_were() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("secret"), "psk").unwrap();
    std::fs::set_permissions(at("secret"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink("/dev/null", at("masked")).unwrap();
    let files =
        [File::text(at("secret"), "x"), File::link(at("masked"), "/elsewhere"), File::text(at("d/new"), "y")];
    let before: Vec<_> = files.iter().map(|file| file.look().unwrap()).collect();
    files.iter().for_each(|file| file.write().unwrap());
    assert!(files.iter().all(File::is_there));
    before.iter().for_each(|replaced| replaced.put_back().unwrap());
    assert_eq!(std::fs::read_to_string(at("secret")).unwrap(), "psk");
    assert_eq!(at("secret").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_link(at("masked")).unwrap(), Path::new("/dev/null"));
    assert_eq!(before[2].before, Before::Nothing);
    assert!(!at("d/new").exists());
}

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
    let rule = |table| kernel::Rule::new(kernel::Family::V4, table);
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
        let planned = super::plan(&mut keeper, &State::parse(yaml).unwrap())?;
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

/// Taking back is cut short: what is half taken back is not there to be confirmed.
#[test]
fn what_is_half_taken_back_cannot_be_confirmed() {
    let site = Site::new();
    let waiting = Change { confirm: Some(Duration::from_secs(60)), ..change(site.now(), 9000, "first") };
    site.open().make(waiting, None).unwrap();
    *site.model.refuses.borrow_mut() = 20;
    site.open().take_back("asked to").unwrap_err();
    *site.model.refuses.borrow_mut() = 0;
    let (mut keeper, told) = site.open_telling().unwrap();
    assert!(matches!(told.as_slice(), [Told::Recovered(Recovered::RolledBack { .. })]), "{told:?}");
    assert!(matches!(keeper.confirm(), Err(Error::NothingWaits { .. })));
    assert_eq!((site.now(), site.declared()), (network(OLD), None));
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

/// However long it may wait for a word, a program that hangs while it makes a change is ended soon.
#[test]
fn the_time_to_make_a_change_is_not_the_time_to_confirm_it() {
    let site = Site::new();
    let mut pending = cut_short(&site, Stage::Confirmed);
    pending.begin_again(&site.places(), "").unwrap();
    let day = Some(Duration::from_secs(86_400));
    let waits = super::pending::Beginning {
        id: pending.id,
        namespace: pending.namespace,
        what: pending.what,
        undoes: None,
        confirm: day,
        before: pending.before,
        read_at: pending.read_at,
        wanted: pending.wanted,
        declared: [None, None],
        files: Vec::new(),
        gives_back: Vec::new(),
    };
    let Stage::Applying { until } = Pending::begin(waits).stage else { panic!("it is not made yet") };
    assert!(until < clock::since_boot() + Duration::from_secs(3600));
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
