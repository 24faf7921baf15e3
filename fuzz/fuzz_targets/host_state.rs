//! A declared state: any text is read or refused with one line of reasons; what is read survives its own text, over
//! itself is itself, and is merged or refused on a host that has nothing, and on one that has what it declares.
#![no_main]

use host::{Difference, Network, Plan, State};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(state) = State::parse(text) else { return };
    let again = State::parse(&state.to_yaml()).expect("its own text is read");
    assert_eq!(again, state);
    let mut twice = state.clone();
    twice.overlay(&state);
    State::parse(&twice.to_yaml()).expect("a state over itself is one");
    let nothing = Network::default();
    let Ok(wanted) = state.wanted(&nothing) else { return };
    let plan = Plan::new(&nothing, &wanted);
    assert!(plan.is_ok() || !wanted.network.links.is_empty());
    let shown = State::of(&wanted.network);
    State::parse(&shown.to_yaml()).expect("what is shown is read");
    assert!(Difference::of(&wanted.network, &wanted).is_empty());
});
