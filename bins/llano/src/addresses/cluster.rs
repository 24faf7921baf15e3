//! The API server, asked once for each thing: lists in pages, one pod, one deletion.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::Driver;
use anyhow::{Context, anyhow, bail};
use api::kinds::{MacvlanIP, MacvlanSubnet};
use apiserver::{Access, is_not_found, within};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, ListParams, Preconditions};
use kube::{Client, Error, Resource};
use serde::de::DeserializeOwned;

use super::reach::Reach;
use super::refusal::{self, IPS, PODS, SUBNETS};

/// Objects of one page.
const PAGE: u32 = 500;
/// How long one page, one object or one deletion may take.
const ANSWER: Duration = Duration::from_secs(30);
/// How long all pages may take.
const ALL: Duration = Duration::from_secs(300);

/// A cluster.
pub(super) struct Cluster {
    driver: Driver,
    client: Client,
    /// How it is reached, for errors that are not the API server's own words.
    by: String,
}

/// A selectable field of a kind, and its value.
pub(super) type Field<'a> = (&'static str, &'a str);

impl Cluster {
    /// Reads what is needed to ask; asks nothing yet.
    pub(super) fn open(reach: &Reach) -> anyhow::Result<Cluster> {
        let access = reach.access()?;
        let by = match &access {
            Access::Pod => "the API server, as a pod".to_owned(),
            Access::Kubeconfig(file) => format!("the API server, by kubeconfig {}", file.display()),
        };
        let driver = Driver::start().context("cannot start a thread for the API server")?;
        let client = wait(&driver, async move { access.client(Arc::default()).await })??;
        Ok(Cluster { driver, client, by })
    }

    /// Every claim with these values.
    pub(super) fn claims(&self, fields: &[Field<'_>]) -> anyhow::Result<Vec<MacvlanIP>> {
        self.list(fields)?.map_err(|error| self.explained(&error, "list", IPS))
    }

    /// As [`Cluster::claims`]; none, and why, where the right is missing.
    pub(super) fn claims_if_allowed(
        &self,
        fields: &[Field<'_>],
    ) -> anyhow::Result<Result<Vec<MacvlanIP>, String>> {
        match self.list(fields)? {
            Ok(claims) => Ok(Ok(claims)),
            Err(error) => match self.explained(&error, "list", IPS) {
                why if refusal::is_forbidden(&error) => Ok(Err(why.to_string())),
                why => Err(why),
            },
        }
    }

    /// Every subnet.
    pub(super) fn subnets(&self) -> anyhow::Result<Vec<MacvlanSubnet>> {
        self.list(&[])?.map_err(|error| self.explained(&error, "list", SUBNETS))
    }

    /// One pod's metadata, if the pod is there.
    pub(super) fn pod(&self, namespace: &str, name: &str) -> anyhow::Result<Option<ObjectMeta>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let name = name.to_owned();
        let answer = wait(&self.driver, async move { within(ANSWER, pods.get_metadata(&name)).await })?;
        match answer {
            Ok(pod) => Ok(Some(pod.metadata)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(self.explained(&error, "get", PODS)),
        }
    }

    /// Deletes a claim that is still as it was read.
    pub(super) fn delete(&self, claim: &MacvlanIP) -> anyhow::Result<()> {
        let claims: Api<MacvlanIP> = Api::all(self.client.clone());
        let name = claim.metadata.name.clone().unwrap_or_default();
        let as_read = Preconditions {
            uid: claim.metadata.uid.clone(),
            resource_version: claim.metadata.resource_version.clone(),
        };
        let how = DeleteParams { preconditions: Some(as_read), ..DeleteParams::default() };
        let asked = name.clone();
        let answer = wait(&self.driver, async move { within(ANSWER, claims.delete(&asked, &how)).await })?;
        match answer {
            Ok(_) => Ok(()),
            Err(Error::Api(status)) if matches!(status.code, 404 | 409) => {
                bail!(
                    "MacvlanIP {name} has changed or gone meanwhile, and nothing was done; look again: llano ip who {name}"
                )
            }
            Err(error) => Err(self.explained(&error, "delete", IPS)),
        }
    }

    fn explained(&self, error: &Error, verb: &str, resource: refusal::Resource) -> anyhow::Error {
        let why = refusal::explained(error, verb, resource);
        if matches!(error, Error::Api(_)) { why } else { why.context(self.by.clone()) }
    }

    fn list<K>(&self, fields: &[Field<'_>]) -> anyhow::Result<Result<Vec<K>, Error>>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + 'static,
    {
        let selector: Vec<String> = fields.iter().map(|(field, value)| format!("{field}={value}")).collect();
        let mut params = ListParams::default().limit(PAGE);
        params.field_selector = (!selector.is_empty()).then(|| selector.join(","));
        wait(&self.driver, pages(Api::all(self.client.clone()), params))
    }
}

async fn pages<K>(api: Api<K>, mut params: ListParams) -> Result<Vec<K>, Error>
where
    K: DeserializeOwned + Clone + Debug,
{
    let mut all = Vec::new();
    loop {
        let page = within(ANSWER, api.list(&params)).await?;
        all.extend(page.items);
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            return Ok(all);
        }
    }
}

fn wait<T: Send + 'static>(
    driver: &Driver,
    task: impl Future<Output = T> + Send + 'static,
) -> anyhow::Result<T> {
    let answer = driver.wait(Instant::now() + ALL, task);
    answer.ok_or_else(|| anyhow!("the API server did not answer within {} s", ALL.as_secs()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples;
    use super::super::server::Server;
    use super::*;

    #[test]
    fn lists_come_in_pages() {
        let pages = [
            json!({"metadata": {"continue": "more"}, "items": [samples::active("10.20.0.5", "web-0")]}),
            json!({"metadata": {}, "items": [samples::active("10.20.0.6", "web-1")]}),
        ];
        let server = Server::answering(pages.into_iter().map(|page| (200, page)));
        let cluster = Cluster::open(&server.reach()).unwrap();
        let claims = cluster.claims(&[("spec.network", "lan"), ("spec.subnet", "lan4")]).unwrap();
        let names: Vec<_> = claims.iter().map(|claim| claim.spec.address.as_str()).collect();
        assert_eq!(names, ["10.20.0.5", "10.20.0.6"]);
        let asked = server.asked();
        assert!(asked[0].line.contains("limit=500"), "{asked:?}");
        assert!(asked[0].line.contains("fieldSelector=spec.network%3Dlan%2Cspec.subnet%3Dlan4"), "{asked:?}");
        assert!(asked[1].line.contains("continue=more"), "{asked:?}");
    }

    #[test]
    fn kubeconfigs_are_merged() {
        let server = Server::answering([(200, json!({"metadata": {}, "items": []}))]);
        // The first has no cluster: without the second it would lead nowhere.
        let first = std::env::temp_dir().join(format!("llano-addresses-{}-first.yaml", std::process::id()));
        std::fs::write(&first, "{apiVersion: v1, kind: Config, current-context: a}").unwrap();
        let both = std::env::join_paths([&first, server.kubeconfig()]).unwrap();
        let cluster = Cluster::open(&Reach::by(both.into()));
        std::fs::remove_file(&first).unwrap();
        assert_eq!(cluster.unwrap().subnets().unwrap().len(), 0);
        assert_eq!(server.asked().len(), 1);
    }

    #[test]
    fn a_claim_is_deleted_only_as_it_was_read() {
        let conflict = json!({"kind": "Status", "status": "Failure", "code": 409, "message": "changed"});
        let done = json!({"kind": "Status", "status": "Success"});
        let server = Server::answering([(200, done), (409, conflict)]);
        let cluster = Cluster::open(&server.reach()).unwrap();
        let claim: MacvlanIP = serde_json::from_value(samples::active("10.20.0.5", "web-0")).unwrap();
        cluster.delete(&claim).unwrap();
        let error = cluster.delete(&claim).unwrap_err().to_string();
        assert!(error.starts_with("MacvlanIP lan.10.20.0.5 has changed or gone meanwhile"), "{error}");
        let asked = server.asked();
        assert!(asked[0].line.starts_with("DELETE /apis/llano.dev/v1alpha1/macvlanips/lan.10.20.0.5"));
        assert_eq!(asked[0].body["preconditions"], json!({"uid": "u-10.20.0.5", "resourceVersion": "7"}));
    }

    #[test]
    fn what_may_not_be_listed_is_told_apart_from_what_cannot() {
        let no = |code| (code, json!({"kind": "Status", "status": "Failure", "code": code, "message": "no"}));
        let server = Server::answering([no(403), no(404), no(404)]);
        let cluster = Cluster::open(&server.reach()).unwrap();
        let why = cluster.claims_if_allowed(&[]).unwrap().unwrap_err();
        assert!(why.starts_with("the right to list macvlanips.llano.dev is missing"), "{why}");
        assert!(cluster.claims_if_allowed(&[]).is_err());
        assert_eq!(cluster.pod("shop", "web-0").unwrap(), None);
    }
}
