//! What is asked of the API server and written there. Each is one request; who asks knows what to do when it fails.

use std::time::Duration;

use api::NetworkRef;
use api::kinds::{MacvlanIP, MacvlanReservation};
use apiserver::{is_not_found, within};
use claims::{Claim, Version};
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Request;
use kube::{Client, Error, Resource};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::objects::{PodObject, StatefulSet, StatefulSetObject};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// Who tells an event.
const COMPONENT: &str = "llano-controller";

pub(crate) const CLAIMS: &str = "/apis/llano.dev/v1alpha1/macvlanips";
pub(crate) const NETWORKS: &str = "/apis/llano.dev/v1alpha1/macvlannetworks";
pub(crate) const SUBNETS: &str = "/apis/llano.dev/v1alpha1/macvlansubnets";

/// The answer, or why there is none.
pub(crate) type Answer<T> = Result<T, Error>;

/// The API server.
pub(crate) struct Server {
    client: Client,
    /// Which controller: for events.
    identity: String,
}

/// The path of the reservations of a namespace.
pub(crate) fn reservations(namespace: &str) -> String {
    format!("/apis/llano.dev/v1alpha1/namespaces/{namespace}/macvlanreservations")
}

/// The path of the definitions of a namespace.
pub(crate) fn definitions(namespace: &str) -> String {
    format!("/apis/k8s.cni.cncf.io/v1/namespaces/{namespace}/network-attachment-definitions")
}

/// The version of an object is not the one that was seen, or there is one of this name already.
pub(crate) fn is_conflict(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 409)
}

/// There is no object of this name, of a kind that the API server knows.
fn is_missing(error: &Error, name: &str) -> bool {
    let Error::Api(status) = error else { return false };
    status.code == 404 && status.details.as_ref().is_some_and(|details| details.name == name)
}

/// The API server may say something else the next time.
pub(crate) fn may_pass(error: &Error) -> bool {
    match error {
        Error::Api(status) => !(400..500).contains(&status.code) || matches!(status.code, 401 | 408 | 429),
        Error::BuildRequest(_) | Error::SerdeError(_) => false,
        _ => true,
    }
}

impl Server {
    pub(crate) fn new(client: Client, identity: String) -> Server {
        Server { client, identity }
    }

    async fn ask<T: DeserializeOwned>(&self, asked: http::Request<Vec<u8>>) -> Answer<T> {
        within(ANSWER, self.client.request::<T>(asked)).await
    }

    /// An object; none when the API server says that it has none of this name. That it does not know the path is no such answer: a
    /// kind may be away for a moment.
    async fn get<T: DeserializeOwned>(&self, path: &str, name: &str) -> Answer<Option<T>> {
        let asked = Request::new(path).get(name, &GetParams::default()).map_err(Error::BuildRequest)?;
        match self.ask(asked).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if is_missing(&error, name) => Ok(None),
            Err(error) if is_not_found(&error) => {
                Err(Error::Service(format!("the API server does not know {path}").into()))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a pod with this UID exists.
    pub(crate) async fn has_pod(&self, pod: &NetworkRef, uid: &str) -> Answer<bool> {
        let path = format!("/api/v1/namespaces/{}/pods", pod.namespace());
        let found: Option<PodObject> = self.get(&path, pod.name()).await?;
        Ok(found.is_some_and(|found| found.uids().any(|own| own == uid)))
    }

    pub(crate) async fn stateful_set(&self, name: &NetworkRef) -> Answer<Option<StatefulSet>> {
        let path = format!("/apis/apps/v1/namespaces/{}/statefulsets", name.namespace());
        let found: Option<StatefulSetObject> = self.get(&path, name.name()).await?;
        Ok(found.map(|set| set.keep()))
    }

    pub(crate) async fn reservation(&self, name: &NetworkRef) -> Answer<Option<MacvlanReservation>> {
        self.get(&reservations(name.namespace()), name.name()).await
    }

    /// Whether the API server knows the kind, and has no network of this name. A kind that is gone, as when Llano is taken from a
    /// cluster, says nothing about its objects.
    pub(crate) async fn has_lost_network(&self, name: &str) -> Answer<bool> {
        let asked = Request::new(NETWORKS).get(name, &GetParams::default()).map_err(Error::BuildRequest)?;
        match self.ask::<IgnoredAny>(asked).await {
            Ok(_) => Ok(false),
            Err(error) if is_not_found(&error) => Ok(is_missing(&error, name)),
            Err(error) => Err(error),
        }
    }

    /// Whether any address of a subnet is claimed.
    pub(crate) async fn has_claims(&self, subnet: &str) -> Answer<bool> {
        let params = ListParams::default().fields(&format!("spec.subnet={subnet}")).limit(1);
        let asked = Request::new(CLAIMS).list(&params).map_err(Error::BuildRequest)?;
        let page: apiserver::watch::List<IgnoredAny> = self.ask(asked).await?;
        Ok(!page.items.is_empty())
    }

    /// Creates a claim, or replaces the version of it that was seen; gives the claim as it is then.
    pub(crate) async fn write_claim(&self, claim: &Claim) -> Answer<Option<Claim>> {
        let Some(object) = claim.to_object() else { return Ok(None) };
        let body = serde_json::to_vec(&object).map_err(Error::SerdeError)?;
        let (params, request) = (PostParams::default(), Request::new(CLAIMS));
        let asked = if claim.version == Version::default() {
            request.create(&params, body)
        } else {
            request.replace(object.metadata.name.as_deref().unwrap_or_default(), &params, body)
        };
        let written: MacvlanIP = self.ask(asked.map_err(Error::BuildRequest)?).await?;
        Ok(Claim::from_object(&written).ok())
    }

    /// Deletes an object at this version.
    pub(crate) async fn delete(&self, path: &str, name: &str, version: &str) -> Answer<()> {
        let preconditions = Preconditions { resource_version: Some(version.to_owned()), uid: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        let asked = Request::new(path).delete(name, &params).map_err(Error::BuildRequest)?;
        self.ask::<IgnoredAny>(asked).await.map(drop)
    }

    pub(crate) async fn create(&self, path: &str, object: &impl Serialize) -> Answer<()> {
        let body = serde_json::to_vec(object).map_err(Error::SerdeError)?;
        let asked = Request::new(path).create(&PostParams::default(), body).map_err(Error::BuildRequest)?;
        self.ask::<IgnoredAny>(asked).await.map(drop)
    }

    /// A merge patch.
    pub(crate) async fn patch(&self, path: &str, name: &str, change: &Value) -> Answer<()> {
        let patch = Patch::Merge(change);
        let asked =
            Request::new(path).patch(name, &PatchParams::default(), &patch).map_err(Error::BuildRequest)?;
        self.ask::<IgnoredAny>(asked).await.map(drop)
    }

    /// The same of the status.
    pub(crate) async fn patch_status(&self, path: &str, name: &str, change: &Value) -> Answer<()> {
        let patch = Patch::Merge(change);
        let asked = Request::new(path)
            .patch_subresource("status", name, &PatchParams::default(), &patch)
            .map_err(Error::BuildRequest)?;
        self.ask::<IgnoredAny>(asked).await.map(drop)
    }

    /// Tells people of an object. Of the whole cluster's objects it is told in namespace `default`, as Kubernetes itself does.
    pub(crate) async fn tell<K: Resource<DynamicType = ()>>(
        &self,
        about: &K,
        warning: bool,
        reason: &str,
        message: &str,
    ) -> Answer<()> {
        let now = Timestamp::now();
        let object = about.object_ref(&());
        let namespace = object.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let short: String = object.name.iter().flat_map(|name| name.chars()).take(230).collect();
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{short}.{:x}", now.as_nanosecond())),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference { resource_version: None, ..object },
            type_: Some(if warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            count: Some(1),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: None }),
            reporting_component: Some(COMPONENT.to_owned()),
            reporting_instance: Some(self.identity.clone()),
            ..Event::default()
        };
        self.create(&format!("/api/v1/namespaces/{namespace}/events"), &event).await
    }
}
