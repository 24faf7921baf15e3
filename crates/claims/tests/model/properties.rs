use stateright::Property;

use crate::controller::overlaps;
use crate::settle::settles_well;
use crate::world::{Node, Scenario, World};

pub(crate) const ONE_POD: &str = "no second pod has an address while the first one exists";
pub(crate) const ONLY_WHILE_AWAY: &str =
    "two pods have an address only while the first one's agent, dead or cut off before, cannot know it";
pub(crate) const BY_THE_RULES: &str =
    "every step of a plan is allowed, no living pod is fenced, and who stays keeps its address";
pub(crate) const NOTHING_LOST: &str = "in the end the claims are what pods have and holds need";

pub(crate) fn all() -> Vec<Property<Scenario>> {
    vec![
        Property::always(ONE_POD, |_: &Scenario, world: &World| {
            overlaps(world).all(|(_, first)| !world.exists(first.pod, first.lives))
        }),
        Property::always(ONLY_WHILE_AWAY, |_: &Scenario, world: &World| {
            let knows = |node: &Node| node.works() && node.queue.is_empty();
            overlaps(world).all(|(node, first)| first.away && !knows(node))
        }),
        Property::always(BY_THE_RULES, |_: &Scenario, world: &World| world.wrong.is_none()),
        Property::always(NOTHING_LOST, |scenario: &Scenario, world: &World| {
            world.wrong.is_some() || settles_well(scenario, world)
        }),
    ]
}
