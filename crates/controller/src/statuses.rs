//! The worker's part for networks and subnets: definitions, finalizers, status.

use std::sync::Arc;
use std::time::Duration;

use apiserver::{is_not_found, plain};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde_json::json;

use crate::nads::{self, Step};
use crate::queue::Key;
use crate::server::{self, Answer, is_conflict};
use crate::status::{Verdict, first_few, patch};
use crate::subnets::{self, Finalizers};
use crate::work::Worker;

/// A definition that could not be made for a reason that no watch shows is tried again after this.
const FAILED: Duration = Duration::from_secs(60);

impl Worker {
    /// A network's definitions, and its status.
    pub(crate) async fn network(&self, name: &Arc<str>) -> Answer<()> {
        let (object, plan, parsed) = {
            let state = self.shared.state();
            let index = &state.index;
            match index.networks.get(name) {
                None => (None, nads::plan(name, None, &index.definitions), None),
                Some(known) => match &known.parsed {
                    Ok(network) => {
                        let plan = nads::plan(name, Some(network), &index.definitions);
                        (Some(known.object.clone()), plan, Some(Ok(network.clone())))
                    }
                    // What is attached stays as it was when the network could last be understood.
                    Err(error) => {
                        (Some(known.object.clone()), nads::Plan::default(), Some(Err(error.to_string())))
                    }
                },
            }
        };
        if object.is_none() && !plan.steps.is_empty() && !self.server.has_lost_network(name).await? {
            return Ok(());
        }
        let network = match &parsed {
            Some(Ok(network)) => Some(network),
            _ => None,
        };
        let mut failed = plan.taken;
        for step in &plan.steps {
            let (at, done) = match step {
                Step::Create(at, role) => {
                    let Some(network) = network else { continue };
                    let object = nads::object(at, *role, network);
                    (at, self.server.create(&server::definitions(at.namespace()), &object).await)
                }
                Step::Correct(at, role) => {
                    let Some(network) = network else { continue };
                    let change = nads::change(*role, network);
                    (at, self.server.patch(&server::definitions(at.namespace()), at.name(), &change).await)
                }
                Step::Remove(at, version) => {
                    let path = server::definitions(at.namespace());
                    let gone = self.server.delete(&path, at.name(), version).await;
                    (at, if gone.as_ref().is_err_and(is_not_found) { Ok(()) } else { gone })
                }
            };
            match done {
                Ok(()) => tracing::info!(definition = %at, network = %name, ?step, "definition written"),
                Err(error) if server::may_pass(&error) => return Err(error),
                Err(error) => {
                    if !is_conflict(&error) && !is_not_found(&error) {
                        self.again(Key::Network(Arc::clone(name)), FAILED);
                    }
                    failed.push(format!("{at}: {}", plain(&error)));
                }
            }
        }
        let (Some(object), Some(parsed)) = (object, parsed) else { return Ok(()) };
        let verdict = match parsed {
            Err(problem) => Verdict::not("Invalid", problem),
            Ok(_) if !failed.is_empty() => {
                let message =
                    format!("definitions of spec.attachAs are missing: {}", first_few(failed.into_iter()));
                Verdict::not("NotAttached", message)
            }
            Ok(network) if network.attach_as.is_empty() => {
                Verdict::ready("spec.attachAs is empty: pods reach it through no definition of ours")
            }
            Ok(network) => {
                Verdict::ready(format!("its {} definitions are in place", network.attach_as.len()))
            }
        };
        let after = subnets::network_status(&self.shared.state().index, name, &verdict);
        let Some(after) = after else { return Ok(()) };
        let before = object.status.as_ref();
        let news = verdict.is_news(before.map_or(&[][..], |status| &status.conditions));
        self.write_status(&object, server::NETWORKS, before, &after, news.then_some(&verdict)).await
    }

    /// A subnet's finalizer, and its status.
    pub(crate) async fn subnet(&self, name: &str) -> Answer<()> {
        let looked = {
            let state = self.shared.state();
            let object = state.index.subnets.get(name).map(|known| known.object.clone());
            object.zip(subnets::look(&state.index, name))
        };
        let Some((object, look)) = looked else { return Ok(()) };
        if let Some(finalizers) = look.finalizers {
            let released = matches!(finalizers, Finalizers::Release(_));
            if released && self.server.has_claims(name).await? {
                // The watch will show them.
                self.again(Key::Subnet(name.into()), FAILED);
                return Ok(());
            }
            let (Finalizers::Hold(list) | Finalizers::Release(list)) = finalizers;
            let version = object.metadata.resource_version.as_deref();
            let change = json!({ "metadata": { "resourceVersion": version, "finalizers": list } });
            self.server.patch(server::SUBNETS, name, &change).await?;
            if released {
                return Ok(());
            }
        }
        let before = object.status.as_ref();
        let news = look.verdict.is_news(before.map_or(&[][..], |status| &status.conditions));
        self.write_status(&object, server::SUBNETS, before, &look.status, news.then_some(&look.verdict)).await
    }

    /// Writes a status if it has changed, and tells people what is new.
    pub(crate) async fn write_status<K, S>(
        &self,
        object: &K,
        path: &str,
        before: Option<&S>,
        after: &S,
        news: Option<&Verdict>,
    ) -> Answer<()>
    where
        K: Resource<DynamicType = ()>,
        S: Serialize,
    {
        let Some(change) = patch(before, after) else { return Ok(()) };
        self.server.patch_status(path, &object.name_any(), &change).await?;
        if let Some(verdict) = news {
            let told = self.server.tell(object, !verdict.ready, verdict.reason, &verdict.message).await;
            if let Err(error) = told {
                tracing::warn!(object = object.name_any(), reason = verdict.reason, error = %plain(&error), "event not sent");
            }
        }
        Ok(())
    }
}
