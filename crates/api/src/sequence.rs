//! A plan against the world: ADD in order, everything undone at the first failure, DEL in reverse and to the end. The world
//! is a [`Delegate`]: the agent's makes ours in-process and executes others, a test's writes down what it is asked.

use cni::json::Value;
use cni::{CniResult, Verb};

use crate::status::{DeviceInfo, Statuses};
use crate::{DelegateCall, Device, Event, Plan, Pod, RouteChange, default_routes};

/// One plugin to run.
#[derive(Debug, Clone)]
pub struct PluginCall<'a> {
    /// ADD, DEL, CHECK, STATUS or GC.
    pub verb: Verb,
    /// The attachment: `CNI_IFNAME`, network, options.
    pub call: &'a DelegateCall,
    /// Which plugin of the chain.
    pub index: usize,
    /// Its type: a file name, no path.
    pub kind: &'a str,
    /// `CNI_ARGS`.
    pub args: String,
    /// Standard input.
    pub config: String,
}

/// Who makes attachments.
pub trait Delegate {
    /// Runs one plugin. The result of ADD; `None` for other verbs.
    ///
    /// # Errors
    /// The plugin's own.
    fn run(&mut self, plugin: &PluginCall<'_>) -> cni::Result<Option<CniResult>>;

    /// Changes the default routes of one interface of the pod.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn change_default_route(&mut self, change: &RouteChange) -> cni::Result<()>;

    /// What the plugin told of a device; `None` when it wrote no file.
    fn device_info(&mut self, device: &Device) -> Option<DeviceInfo>;
}

/// A pod's networks, made.
#[derive(Debug, Clone, PartialEq)]
pub struct Added {
    /// A result for each call of the plan, as the interfaces now are. The first is the runtime's answer.
    pub results: Vec<CniResult>,
    /// The annotation to write.
    pub statuses: Statuses,
    /// The events to send.
    pub events: Vec<Event>,
}

/// A pod's networks, not made, and as far as could be undone.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The runtime's answer.
    pub error: cni::Error,
    /// The place in the plan that failed.
    pub position: usize,
    /// What undoing it did not manage: deletions to try again, with the reason.
    pub left: Vec<(usize, cni::Error)>,
}

/// Makes everything in the plan, in order.
///
/// # Errors
/// The first failure, after everything up to and with the failed call has been deleted again.
pub fn add(plan: &Plan, pod: &Pod<'_>, delegate: &mut dyn Delegate) -> Result<Added, Box<Failure>> {
    let mut results: Vec<CniResult> = Vec::with_capacity(plan.calls.len());
    let failed = |at: usize, error: cni::Error, results: &[CniResult], delegate: &mut dyn Delegate| {
        let left = delete_from(plan, at, results, delegate);
        let name = plan.calls.get(at).map_or("", |call| call.config.name());
        let (namespace, pod, uid) = (pod.namespace, pod.name, pod.uid);
        // Multus's words: people search logs for them.
        let context = format!("[{namespace}/{pod}/{uid}:{name}]: error adding container to network {name:?}");
        Box::new(Failure { error: error.context(&context), position: at, left })
    };
    for (at, call) in plan.calls.iter().enumerate() {
        let added = add_one(call, delegate)
            .and_then(|result| call.verify(&result).map_err(|error| error.to_cni()).map(|()| result));
        match added {
            Ok(result) => results.push(result),
            Err(error) => return Err(failed(at, error, &results, delegate)),
        }
    }
    let mut statuses = Statuses::default();
    let mut events = plan.events.clone();
    for (call, result) in plan.calls.iter().zip(&results) {
        let network = call.network.to_string();
        let info = call.device.as_ref().and_then(|device| delegate.device_info(device));
        statuses.add(result, &network, call.position == 0, info.as_ref());
        events.extend(Event::added(&call.ifname, result, &network));
    }
    let attached: Vec<(&DelegateCall, &CniResult)> = plan.calls.iter().zip(&results).collect();
    let last = plan.calls.len().saturating_sub(1);
    let changes = match default_routes(&attached) {
        Ok(changes) => changes,
        Err(error) => return Err(failed(last, error.to_cni(), &results, delegate)),
    };
    for change in &changes {
        if let Err(error) = delegate.change_default_route(change) {
            return Err(failed(last, error, &results, delegate));
        }
        let at = plan.calls.iter().position(|call| call.position == change.position);
        if let Some(result) = at.and_then(|at| results.get_mut(at)) {
            change.amend(result);
        }
    }
    Ok(Added { results, statuses, events })
}

fn delete_from(
    plan: &Plan,
    last: usize,
    results: &[CniResult],
    delegate: &mut dyn Delegate,
) -> Vec<(usize, cni::Error)> {
    let mut left = Vec::new();
    for (at, call) in plan.calls.iter().enumerate().take(last + 1).rev() {
        if let Err(error) = del_one(call, results.get(at), delegate) {
            left.push((at, error));
        }
    }
    left
}

/// Runs the chain of one call: each plugin is given the result of the one before it.
///
/// # Errors
/// The first plugin's that fails; the caller deletes.
pub fn add_one(call: &DelegateCall, delegate: &mut dyn Delegate) -> cni::Result<CniResult> {
    let mut result: Option<CniResult> = None;
    for index in 0..call.config.plugins().len() {
        let answer = run(call, Verb::Add, index, result.as_ref(), delegate)?;
        result = answer.or(result);
    }
    Ok(result.unwrap_or_default())
}

/// Undoes one call, last plugin first, with the result of its ADD where its version has that. Differs: libcni stops at the
/// first plugin that fails, and what the others hold is lost.
///
/// # Errors
/// The first plugin's that failed, after all have been asked.
pub fn del_one(
    call: &DelegateCall,
    result: Option<&CniResult>,
    delegate: &mut dyn Delegate,
) -> cni::Result<()> {
    let prev = result.filter(|_| call.config.version() >= cni::Version::V040);
    let mut first = Ok(());
    for index in (0..call.config.plugins().len()).rev() {
        let done = run(call, Verb::Del, index, prev, delegate).map(|_| ());
        first = first.and(done);
    }
    first
}

/// Compares one call with what was promised; success where its version has no CHECK, or it is switched off.
///
/// # Errors
/// The first plugin's that fails.
pub fn check_one(call: &DelegateCall, result: &CniResult, delegate: &mut dyn Delegate) -> cni::Result<()> {
    if !call.config.can_check() {
        return Ok(());
    }
    for index in 0..call.config.plugins().len() {
        run(call, Verb::Check, index, Some(result), delegate)?;
    }
    Ok(())
}

/// Asks the plugins of one call whether ADD could be served; success where its version has no STATUS.
///
/// # Errors
/// The first plugin's that fails.
pub fn status_one(call: &DelegateCall, delegate: &mut dyn Delegate) -> cni::Result<()> {
    if !call.config.can_tell_status() {
        return Ok(());
    }
    for index in 0..call.config.plugins().len() {
        run(call, Verb::Status, index, None, delegate)?;
    }
    Ok(())
}

/// Hands GC's list of valid attachments to the plugins of one call; success where its version has no GC, or it is switched
/// off.
///
/// # Errors
/// The first plugin's that failed, after all have been asked.
pub fn gc_one(call: &DelegateCall, valid: &Value, delegate: &mut dyn Delegate) -> cni::Result<()> {
    let mut first = Ok(());
    if !call.config.can_collect() {
        return first;
    }
    for (index, plugin) in call.config.plugins().iter().enumerate() {
        let Some(config) = call.config.stdin(index, None, &call.runtime)? else { continue };
        let mut config = cni::json::parse(config.as_bytes())?;
        config.set("cni.dev/valid-attachments", valid.clone());
        let (verb, kind, config) = (Verb::Gc, plugin.kind(), config.to_compact());
        let done = delegate.run(&PluginCall { verb, call, index, kind, args: String::new(), config });
        first = first.and(done.map(|_| ()));
    }
    first
}

/// Undoes calls in reverse, to the end whatever fails. What is left, by place.
pub fn del(
    calls: &[(DelegateCall, Option<CniResult>)],
    delegate: &mut dyn Delegate,
) -> Vec<(usize, cni::Error)> {
    let mut left = Vec::new();
    for (at, (call, result)) in calls.iter().enumerate().rev() {
        if let Err(error) = del_one(call, result.as_ref(), delegate) {
            left.push((at, error));
        }
    }
    left
}

fn run(
    call: &DelegateCall,
    verb: Verb,
    index: usize,
    prev: Option<&CniResult>,
    delegate: &mut dyn Delegate,
) -> cni::Result<Option<CniResult>> {
    let (Some(plugin), Some(config)) =
        (call.config.plugins().get(index), call.config.stdin(index, prev, &call.runtime)?)
    else {
        return Ok(None);
    };
    delegate.run(&PluginCall { verb, call, index, kind: plugin.kind(), args: call.cni_args(), config })
}
