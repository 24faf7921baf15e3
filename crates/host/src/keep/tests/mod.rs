//! The records against a network that is only a value, and files as a crash leaves them.

mod declared;
mod records;
mod restore;
mod since;

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
