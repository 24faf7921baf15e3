//! The credentials of an agent without a DaemonSet, looked at before they are put on the node: only with a token that is bound to its
//! Node may an agent patch the status of that node's pods.

use std::path::Path;

use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_yaml_ng::Value;

/// Whose token the current user of a kubeconfig has.
#[derive(Debug, PartialEq, Eq)]
enum Bound {
    /// A service account's, bound to this Node.
    Node(String),
    /// A service account's, bound to none.
    Nothing,
    /// Something else: a certificate, a program, a token that tells nothing. The API server decides.
    Unknown,
}

/// Refuses a token that the admission policy would refuse. What the user should know otherwise, for credentials of other kinds.
pub(super) fn check(kubeconfig: &Path, node: &str) -> anyhow::Result<Option<String>> {
    let text = std::fs::read_to_string(kubeconfig)
        .with_context(|| format!("cannot read {}", kubeconfig.display()))?;
    let advice = format!(
        "make one with: kubectl -n llano create token llano-agent --bound-object-kind Node --bound-object-name {node}"
    );
    match bound(&text, kubeconfig)? {
        Bound::Node(name) if name == node => Ok(None),
        Bound::Node(name) => Ok(Some(format!(
            "the token in {} is bound to node {name}, and this machine is {node}: if that is not how Kubernetes calls it, {advice}",
            kubeconfig.display()
        ))),
        Bound::Nothing => bail!(
            "the token in {} is bound to no Node, and the policy of deploy/llano.yaml refuses the agent's writes; {advice}",
            kubeconfig.display()
        ),
        Bound::Unknown => Ok(Some(format!(
            "the credentials in {} are no service account's token, so nothing binds the agent to this node; {advice}",
            kubeconfig.display()
        ))),
    }
}

fn bound(text: &str, path: &Path) -> anyhow::Result<Bound> {
    let config: Value =
        serde_yaml_ng::from_str(text).with_context(|| format!("{} is no kubeconfig", path.display()))?;
    let named = |list: &str, name: &str| -> Option<Value> {
        let found = config.get(list)?.as_sequence()?.iter();
        found.clone().find(|item| item.get("name").and_then(Value::as_str) == Some(name)).cloned()
    };
    let context = config.get("current-context").and_then(Value::as_str);
    let context = context.and_then(|name| named("contexts", name));
    let user = context.as_ref().and_then(|context| context.get("context")?.get("user")?.as_str());
    let Some(user) = user.and_then(|name| named("users", name)) else { return Ok(Bound::Unknown) };
    let entry = |key: &str| user.get("user")?.get(key)?.as_str().map(str::to_owned);
    let token = match (entry("tokenFile"), entry("token")) {
        (Some(file), _) => {
            std::fs::read_to_string(&file).with_context(|| format!("cannot read the token {file}"))?
        }
        (None, Some(token)) => token,
        (None, None) => return Ok(Bound::Unknown),
    };
    Ok(claim(token.trim()))
}

/// What a token says of itself. It is not verified: the API server does that.
fn claim(token: &str) -> Bound {
    let payload = token.split('.').nth(1).and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
    let Some(claims) = payload.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
    else {
        return Bound::Unknown;
    };
    match claims.get("kubernetes.io") {
        None => Bound::Unknown,
        Some(claims) => match claims["node"]["name"].as_str() {
            Some(name) => Bound::Node(name.to_owned()),
            None => Bound::Nothing,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // {"iss":"x","kubernetes.io":{"namespace":"llano","node":{"name":"node1","uid":"u"}},"sub":"s?>"}
    const OF_NODE1: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4Iiwia3ViZXJuZXRlcy5pbyI6eyJuYW1lc3BhY2UiOiJsbGFubyIsIm5vZGUiOnsibmFtZSI6Im5vZGUxIiwidWlkIjoidSJ9fSwic3ViIjoicz8-In0.c2ln";
    // {"kubernetes.io":{"namespace":"llano","serviceaccount":{"name":"llano-agent"}}}
    const OF_NOBODY: &str = "eyJhbGciOiJSUzI1NiJ9.eyJrdWJlcm5ldGVzLmlvIjp7Im5hbWVzcGFjZSI6ImxsYW5vIiwic2VydmljZWFjY291bnQiOnsibmFtZSI6ImxsYW5vLWFnZW50In19fQ.c2ln";

    fn kubeconfig(dir: &Path, user: &str) -> std::path::PathBuf {
        let file = dir.join("kubeconfig");
        let text = format!(
            "apiVersion: v1\ncurrent-context: here\nclusters: [{{name: c, cluster: {{server: 'https://10.0.0.1:6443'}}}}]\n\
             contexts: [{{name: here, context: {{cluster: c, user: agent}}}}]\nusers:\n- {{name: other, user: {{token: x}}}}\n\
             - {{name: agent, user: {{{user}}}}}\n"
        );
        std::fs::write(&file, text).unwrap();
        file
    }

    #[test]
    fn a_token_is_bound_to_its_node_or_refused() {
        let dir = std::env::temp_dir().join(format!("llano-token-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let token = |token: &str| kubeconfig(&dir, &format!("token: {token}"));
        assert_eq!(check(&token(OF_NODE1), "node1").unwrap(), None);
        let other = check(&token(OF_NODE1), "node2").unwrap().unwrap();
        assert!(
            other.contains("bound to node node1") && other.contains("--bound-object-name node2"),
            "{other}"
        );
        let refused = check(&token(OF_NOBODY), "node1").unwrap_err().to_string();
        assert!(refused.contains("bound to no Node") && refused.contains("create token"), "{refused}");
        std::fs::write(dir.join("token"), format!("{OF_NOBODY}\n")).unwrap();
        let file = kubeconfig(&dir, &format!("tokenFile: {}", dir.join("token").display()));
        assert!(check(&file, "node1").is_err());
        for other in ["client-certificate: /c", "token: opaque", "token: a.%.c", "token: a.bnVsbA.c"] {
            let said = check(&kubeconfig(&dir, other), "node1").unwrap().unwrap();
            assert!(said.contains("no service account's token"), "{other}: {said}");
        }
        assert!(check(&kubeconfig(&dir, "tokenFile: /nonexistent"), "node1").is_err());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
