//! `llano status --kubeconfig`: the cluster.

use std::path::Path;
use std::process::ExitCode;

use agent::kube::{NodeSummary, Overview};
use apiserver::Access;
use serde_json::json;

use crate::output::{Colour, Out, Text, head};

pub(super) fn print(kubeconfig: &Path, out: &mut Out) -> anyhow::Result<ExitCode> {
    let overview = Overview::read(&Access::Kubeconfig(kubeconfig.to_owned()))?;
    let problems = problems(&overview);
    out.json(&json!({
        "nodes": overview.nodes, "refused": overview.refused, "definitions": overview.definitions, "problems": problems,
    }))?;
    nodes(&overview, out)?;
    definitions(&overview, out)?;
    if !problems.is_empty() {
        out.line("")?;
    }
    for problem in &problems {
        out.painted(Colour::Bad, &format!("! {problem}"))?;
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn nodes(overview: &Overview, out: &mut Out) -> anyhow::Result<()> {
    let state = |well: bool| match well {
        true => Text::new("ready").colour(Colour::Good),
        false => Text::new("not ready").colour(Colour::Bad),
    };
    let mut rows = vec![head(&["NODE", "STATE", "AGENT", "VERSION", "PODS", "INTERFACES"])];
    for node in &overview.nodes {
        let agent = node.agent.as_ref();
        rows.push(vec![
            Text::new(&*node.name),
            state(node.ready),
            agent.map_or(Text::new("no pod"), |agent| state(agent.ready)),
            Text::new(agent.map_or("", |agent| &agent.version)),
            Text::new(node.pods.to_string()),
            Text::new(node.attachments.to_string()),
        ]);
    }
    out.table(0, &rows)
}

fn definitions(overview: &Overview, out: &mut Out) -> anyhow::Result<()> {
    if overview.definitions.is_empty() {
        return Ok(());
    }
    let mut rows = vec![head(&["DEFINITION", "ROLE", "PLUGIN", "PODS", "NOTE"])];
    for one in &overview.definitions {
        let note = match (&one.problem, one.pods) {
            (Some(_), _) => Text::new("cannot be used").colour(Colour::Bad),
            (None, 0) => Text::new("unused").colour(Colour::Faint),
            (None, _) => Text::new(""),
        };
        rows.push(vec![
            Text::new(&*one.name),
            Text::new(one.role.unwrap_or("none")),
            Text::new(one.plugin.as_deref().unwrap_or("on the nodes")),
            Text::new(one.pods.to_string()),
            note,
        ]);
    }
    out.line("")?;
    out.table(0, &rows)
}

/// What is wrong, a line each.
fn problems(overview: &Overview) -> Vec<String> {
    // Where no agent has a pod, they are the nodes' services, of which the API server knows nothing.
    let by_pods = overview.nodes.iter().any(|node| node.agent.is_some());
    let of_node = |node: &NodeSummary| match &node.agent {
        Some(agent) if !agent.ready => {
            Some(format!("{}: its agent {} is not ready: pods wait for it", node.name, agent.pod))
        }
        None if by_pods => {
            Some(format!("{}: no agent: pods get the primary network only, or wait", node.name))
        }
        _ => None,
    };
    let of_nodes = overview.nodes.iter().filter_map(of_node);
    let of_pods = overview
        .refused
        .iter()
        .map(|pod| format!("{} on {} does not start: {}: {}", pod.pod, pod.node, pod.reason, pod.message));
    let of_definitions = overview.definitions.iter().filter_map(|one| one.problem.clone());
    of_nodes.chain(of_pods).chain(of_definitions).collect()
}

#[cfg(test)]
mod tests {
    use agent::kube::{AgentSummary, RefusedPod};

    use super::*;

    fn node(name: &str, agent: Option<bool>) -> NodeSummary {
        let agent = agent.map(|ready| AgentSummary { pod: "llano/a".into(), ready, version: "1".into() });
        NodeSummary { name: name.into(), ready: true, agent, pods: 0, attachments: 0 }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let overview =
            |nodes: Vec<NodeSummary>| Overview { nodes, refused: Vec::new(), definitions: Vec::new() };
        // Agents that are services are not missed.
        assert_eq!(problems(&overview(vec![node("n1", None), node("n2", None)])), Vec::<String>::new());
        let said =
            problems(&overview(vec![node("n1", Some(true)), node("n2", Some(false)), node("n3", None)]));
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said[0].starts_with("n2: its agent llano/a") && said[1].starts_with("n3: no agent"),
            "{said:?}"
        );
        let refused = RefusedPod {
            pod: "a/b".into(),
            node: "n1".into(),
            reason: "NetworkRefused".into(),
            message: "no".into(),
        };
        let said = problems(&Overview { refused: vec![refused], ..overview(Vec::new()) });
        assert_eq!(said, ["a/b on n1 does not start: NetworkRefused: no"]);
    }
}
