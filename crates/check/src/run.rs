//! Running checks side by side.

use crate::context::Context;
use crate::finding::Finding;
use crate::table::Check;

/// Runs the checks that `chosen` picks, each on a thread of its own, and gives what they found in the order of `checks`.
/// `done` is told of each check when it is through. Every check has a bound of its own; the longest is some seconds.
pub fn run(checks: &[Check], context: &Context, done: &(dyn Fn(&Check) + Sync)) -> Vec<Finding> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = checks
            .iter()
            .map(|check| {
                let work = move || {
                    let found = (check.run)(context);
                    done(check);
                    found
                };
                (check, scope.spawn(work))
            })
            .collect();
        threads.into_iter().flat_map(|(check, thread)| stamp(check, thread.join())).collect()
    })
}

fn stamp(check: &Check, found: std::thread::Result<crate::Result<Vec<Finding>>>) -> Vec<Finding> {
    let mut findings = match found {
        Ok(Ok(findings)) => findings,
        Ok(Err(error)) => vec![Finding::skip(format!("could not be looked at: {error}"))],
        Err(_) => {
            vec![Finding::fail("the check itself broke off", "this is a bug of llano: please report it")]
        }
    };
    for finding in &mut findings {
        finding.group = check.group;
        finding.id = check.id;
    }
    findings
}
