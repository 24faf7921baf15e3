//! The API server behind the claims.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::kinds::{SUBNET_LABEL, claim_name};
use apiserver::watch::List;
use apiserver::{Backoff, is_not_found, plain, within};
use claims::Claim;
use kube::core::Request;
use kube::core::params::{DeleteParams, GetParams, ListParams, PostParams, Preconditions};
use kube::{Client, Error};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::claimer::{Claimer, HasEnded, Limits};
use super::object::{ClaimObject, PAGE, PATH, now};
use super::view::View;
use super::watches::{self, Changed};
use super::write::{Failure, Objects, Page};
use crate::Driver;

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// The claims as objects of the API server.
struct Server {
    driver: Arc<Driver>,
    client: Client,
}

/// Who claims by this client. `changed` is called on the watches' thread, when a claim of this node
/// has been changed by somebody else, and when networks have.
pub(crate) fn connect(
    driver: &Arc<Driver>,
    client: &Client,
    node: &str,
    backoff: Backoff,
    has_ended: HasEnded,
    changed: Changed,
) -> Claimer {
    let view = Arc::new(View::new(node));
    watches::start(driver, client, node, backoff, &view, changed);
    let server = Server { driver: Arc::clone(driver), client: client.clone() };
    Claimer::new(node, view, Box::new(server), has_ended, now, Limits::default())
}

impl Server {
    fn send<T: DeserializeOwned + Send + 'static>(
        &self,
        asked: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
        until: Instant,
    ) -> Result<T, Failure> {
        let asked = asked.map_err(|error| Failure::Refused(error.to_string()))?;
        let client = self.client.clone();
        let answer = self.driver.wait(until, async move { within(ANSWER, client.request::<T>(asked)).await });
        match answer {
            Some(answer) => answer.map_err(|error| failure(&error)),
            None => Err(Failure::Unknown("no answer from the API server".to_owned())),
        }
    }

    /// A write that is answered with the object.
    fn put(
        &self,
        claim: &Claim,
        until: Instant,
        request: impl FnOnce(&str, Vec<u8>) -> Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Claim, Failure> {
        let refused = |why: String| Failure::Refused(why);
        let object = claim
            .to_object()
            .ok_or_else(|| refused(format!("{:?} is no interface's name", claim.owner.interface)))?;
        let body = serde_json::to_vec(&object).map_err(|error| refused(error.to_string()))?;
        let name = claim_name(&claim.network, claim.address);
        let answer: ClaimObject = self.send(request(&name, body), until)?;
        answer.claim().ok_or_else(|| Failure::Unknown(format!("the API server's answer is no claim {name}")))
    }
}

impl Objects for Server {
    fn create(&self, claim: &Claim, until: Instant) -> Result<Claim, Failure> {
        let request = |_: &str, body| Request::new(PATH).create(&PostParams::default(), body);
        self.put(claim, until, request)
    }

    fn update(&self, claim: &Claim, until: Instant) -> Result<Claim, Failure> {
        let request = |name: &str, body| Request::new(PATH).replace(name, &PostParams::default(), body);
        self.put(claim, until, request).map_err(gone_is_conflict)
    }

    fn delete(&self, claim: &Claim, until: Instant) -> Result<(), Failure> {
        // A resourceVersion is one object's and one life's: no UID is needed beside it.
        let resource_version = Some(claim.version.0.to_string());
        let only = Preconditions { resource_version, uid: None };
        let name = claim_name(&claim.network, claim.address);
        let asked = Request::new(PATH).delete(&name, &DeleteParams::default().preconditions(only));
        self.send::<IgnoredAny>(asked, until).map(drop).map_err(gone_is_conflict)
    }

    fn read(&self, network: &str, address: IpAddr, until: Instant) -> Result<Option<Claim>, Failure> {
        let asked = Request::new(PATH).get(&claim_name(network, address), &GetParams::default());
        match self.send::<ClaimObject>(asked, until).map_err(gone_is_conflict) {
            Ok(object) => Ok(object.claim()),
            Err(Failure::Conflict) => Ok(None),
            Err(other) => Err(other),
        }
    }

    fn list(&self, subnets: &[String], until: Instant) -> Result<Page, Failure> {
        let labels = format!("{SUBNET_LABEL} in ({})", subnets.join(","));
        let asked = Request::new(PATH).list(&ListParams::default().labels(&labels).limit(PAGE));
        let mut list: List<ClaimObject> = self.send(asked, until)?;
        let more = list.next_page().is_some();
        Ok(Page { claims: list.items.into_iter().filter_map(ClaimObject::claim).collect(), more })
    }
}

/// What is not there is not there as that version.
fn gone_is_conflict(failure: Failure) -> Failure {
    match failure {
        Failure::Gone(_) => Failure::Conflict,
        other => other,
    }
}

fn failure(error: &Error) -> Failure {
    let reason = plain(error);
    match error {
        Error::Api(status) if status.code == 409 => Failure::Conflict,
        _ if is_not_found(error) => Failure::Gone(reason),
        // An expired token is exchanged soon; too many requests, and everything of the server's own, may pass.
        Error::Api(status)
            if (400..500).contains(&status.code) && !matches!(status.code, 401 | 408 | 429) =>
        {
            Failure::Refused(reason)
        }
        Error::BuildRequest(_) => Failure::Refused(reason),
        _ => Failure::Unknown(reason),
    }
}
