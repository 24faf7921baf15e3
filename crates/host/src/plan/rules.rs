//! Rules of one family: their order among those of one priority is the order in which they were added.
//!
//! The kernel adds a rule behind those of its priority, and deletes the first that agrees with what is given: a rule
//! from everywhere agrees with one from a network. [`remove`] is that behaviour.

use std::collections::BTreeSet;

use kernel::{Family, Rule};

/// What rules need, in order.
#[derive(Debug, PartialEq)]
pub(crate) enum Change {
    /// Behind those of its priority.
    Add(Rule),
    /// The first that agrees.
    Delete(Rule),
}

/// Plans the rules of both families: what is new is there before what it replaces goes.
pub(crate) fn plan(current: &[Rule], wanted: &[Rule]) -> Vec<Change> {
    let mut changes = Vec::new();
    for family in Family::ALL {
        let all = current.iter().chain(wanted).filter(|rule| rule.family == family);
        let priorities: BTreeSet<u32> = all.map(priority).collect();
        for at in priorities {
            let of = |all: &[Rule]| -> Vec<Rule> {
                all.iter().filter(|rule| rule.family == family && priority(rule) == at).cloned().collect()
            };
            changes.extend(plan_priority(&of(current), &of(wanted)));
        }
    }
    changes
}

fn priority(rule: &Rule) -> u32 {
    rule.priority.unwrap_or(0)
}

fn plan_priority(current: &[Rule], wanted: &[Rule]) -> Vec<Change> {
    if current == wanted {
        return Vec::new();
    }
    let kept: Vec<&Rule> = current.iter().filter(|rule| wanted.contains(rule)).collect();
    if wanted.iter().zip(&kept).all(|(a, b)| a == *b) {
        let new = wanted.iter().skip(kept.len()).cloned().map(Change::Add);
        let old = by_detail(current.iter().filter(|rule| !wanted.contains(rule)));
        let changes: Vec<Change> = new.chain(old).collect();
        if play(current, &changes).as_deref() == Some(wanted) {
            return changes;
        }
    }
    let new = wanted.iter().cloned().map(Change::Add);
    by_detail(current.iter()).chain(new).collect()
}

/// Deletes the rules with most conditions first, so that none goes in another's place.
fn by_detail<'a>(rules: impl Iterator<Item = &'a Rule>) -> impl Iterator<Item = Change> {
    let mut rules: Vec<Rule> = rules.cloned().collect();
    rules.sort_by_key(|rule| std::cmp::Reverse(conditions(rule)));
    rules.into_iter().map(Change::Delete)
}

fn conditions(rule: &Rule) -> usize {
    let some = [
        rule.src.is_some(),
        rule.dst.is_some(),
        rule.iif.is_some(),
        rule.oif.is_some(),
        rule.mark.is_some(),
        rule.mask.is_some(),
        rule.suppress_prefix_len.is_some(),
        rule.protocol != 0,
        rule.tos != 0,
        rule.table != 0,
    ];
    some.into_iter().filter(|some| *some).count() + rule.attributes.len()
}

/// The rules after the changes; `None` when one could not be made.
fn play(current: &[Rule], changes: &[Change]) -> Option<Vec<Rule>> {
    let mut list = current.to_vec();
    for change in changes {
        match change {
            Change::Add(rule) if list.contains(rule) => return None,
            Change::Add(rule) => list.push(rule.clone()),
            Change::Delete(rule) => remove(&mut list, rule)?,
        }
    }
    Some(list)
}

/// Deletes as the kernel does; `None` when no rule agrees.
pub(crate) fn remove(list: &mut Vec<Rule>, rule: &Rule) -> Option<()> {
    fn given<T: PartialEq>(asked: &Option<T>, has: &Option<T>) -> bool {
        asked.is_none() || asked == has
    }
    let agrees = |a: &Rule| {
        a.family == rule.family
            && given(&rule.src, &a.src)
            && given(&rule.dst, &a.dst)
            && given(&rule.iif, &a.iif)
            && given(&rule.oif, &a.oif)
            && given(&rule.mark, &a.mark)
            && given(&rule.mask, &a.mask)
            && given(&rule.suppress_prefix_len, &a.suppress_prefix_len)
            && priority(rule) == priority(a)
            && (rule.protocol == 0 || rule.protocol == a.protocol)
            && (rule.tos == 0 || rule.tos == a.tos)
            && (rule.table == 0 || rule.table == a.table)
            && rule.action == a.action
            && rule.attributes.iter().all(|attribute| a.attributes.contains(attribute))
    };
    let at = list.iter().position(agrees)?;
    list.remove(at);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::subsequence;

    fn pool() -> Vec<Rule> {
        let mut pool = Vec::new();
        for family in [Family::V4, Family::V6] {
            for (priority, table) in [(100, 77), (100, 78), (200, 77)] {
                let plain = Rule { priority: Some(priority), ..Rule::new(family, table) };
                let src = if family == Family::V4 { "10.1.0.0/16" } else { "fd01::/64" };
                pool.push(Rule { src: src.parse().ok(), ..plain.clone() });
                pool.push(Rule { iif: Some("eth0".to_owned()), ..plain.clone() });
                pool.push(Rule { attributes: vec![(22, vec![6])], ..plain.clone() });
                pool.push(plain);
            }
        }
        pool
    }

    fn rules() -> impl Strategy<Value = Vec<Rule>> {
        let pool = pool();
        let len = pool.len();
        subsequence(pool, 0..=len).prop_shuffle().prop_map(|mut rules| {
            rules.sort_by_key(|rule| (rule.family, rule.priority));
            rules
        })
    }

    proptest! {
        #[test]
        fn any_rules_become_any_others_in_their_order(current in rules(), wanted in rules()) {
            let mut end = play(&current, &plan(&current, &wanted)).expect("every change can be made");
            end.sort_by_key(|rule| (rule.family, rule.priority));
            prop_assert_eq!(&end, &wanted);
            prop_assert_eq!(plan(&end, &wanted), vec![]);
        }
    }
}
