//! HTTP in: webhooks. Verified, made durable raw, answered; in that order and nothing else.
//!
//! The connector is not on this path: a delivery costs one verification and one append, whatever
//! the connector, Brevo or another tenant does. Every answer of 2xx means that the body survives
//! a power cut. Refusals say as little as HTTP allows.
//!
//! The listener speaks plain HTTP/1.1 and belongs behind a proxy that ends TLS.

mod answer;
mod head_guard;
mod senders;
mod server;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use sha2::{Digest as _, Sha256};

use crate::contract::StaticAnswer;
use crate::quotas::Quotas;
use crate::store::installations::InstallationId;
use crate::store::journal::Journal;
use crate::world::Clock;

pub use senders::AllowedSenders;
pub use server::Intake;
#[doc(hidden)]
pub use server::converse;

/// What a verification needs to look at, and how it is done.
pub struct Verifier {
    /// Whether the body takes part. If not, a request is refused before its body is read.
    pub needs_body: bool,
    /// Value of `www-authenticate` with a refusal, where the scheme has one.
    pub challenge: Option<&'static str>,
    /// The check, in constant time with regard to the secret.
    pub check: Check,
}

/// Takes all headers and the raw body (empty where it takes no part).
pub type Check = Box<dyn Fn(&HeaderMap, &[u8]) -> Result<Verified, Refused> + Send + Sync>;

/// The request carries a live credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Lower-case name of the header that carried it. It goes no further.
    pub credential: Option<String>,
}

/// The request doesn't prove where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Stable; for counters and the operator, never for the sender.
    pub code: &'static str,
}

/// One surface of one installation.
pub struct Route {
    /// Whose it is.
    pub installation: InstallationId,
    /// For logs.
    pub tenant: String,
    /// Name of the surface: the last part of the address.
    pub surface: String,
    /// How a request proves where it comes from.
    pub verifier: Verifier,
    /// Addresses that it may come from, beside its credential; none: from anywhere.
    pub senders: Option<AllowedSenders>,
    /// Given once the body is durable.
    pub answer: StaticAnswer,
    /// Largest body in bytes.
    pub body_cap: usize,
    /// Lower-case names of the headers that are kept.
    pub headers: Vec<String>,
}

/// All surfaces, by the token in their address: 128 random bits, which can't be guessed and don't
/// name the tenant.
///
/// They are kept under the digest of the token, so that the time of a look-up tells nothing
/// about a token.
#[derive(Default)]
pub struct Routes(HashMap<([u8; 32], String), Arc<Route>>);

impl Routes {
    /// Nothing is routed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a surface under an installation's token.
    pub fn add(&mut self, token: &str, route: Route) {
        self.0.insert((digest(token), route.surface.clone()), Arc::new(route));
    }

    fn installations(&self) -> impl Iterator<Item = InstallationId> {
        self.0.values().map(|route| route.installation)
    }

    fn find(&self, token: &str, surface: &str) -> Option<Arc<Route>> {
        self.0.get(&(digest(token), surface.to_owned())).cloned()
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Path of a surface's address.
pub fn path(token: &str, surface: &str) -> String {
    format!("/in/{token}/{surface}")
}

/// Limits. Times are real: they guard sockets.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Open connections; further ones wait in the kernel's queue.
    pub connections: usize,
    /// From the first byte of a connection, or from the last answer, to the end of a head.
    pub head_deadline: Duration,
    /// From the end of a head to the last byte of its body.
    pub body_deadline: Duration,
    /// Appends at once. One more waits at most `append_patience`, then gets 503.
    pub appends: usize,
    /// How long a request waits for its turn to append.
    pub append_patience: Duration,
    /// Bytes of all bodies in memory together; beyond, 503.
    pub body_budget: usize,
    /// Requests of one installation that are answered at once; one more gets 503.
    pub requests_of_one: usize,
    /// Bytes of all bodies of one installation in memory together; beyond, 503.
    pub body_budget_of_one: usize,
    /// What a refused sender is asked to wait.
    pub retry_after: Duration,
    /// How long open requests may take once the host stops.
    pub stop_patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 1024,
            head_deadline: Duration::from_secs(5),
            body_deadline: Duration::from_secs(15),
            appends: 64,
            append_patience: Duration::from_secs(2),
            body_budget: 256 * 1024 * 1024,
            requests_of_one: Quotas::DEFAULT.requests,
            body_budget_of_one: Quotas::DEFAULT.request_bytes,
            retry_after: Duration::from_secs(5),
            stop_patience: Duration::from_secs(20),
        }
    }
}

/// How often each thing happened since the start.
#[derive(Default)]
pub struct Counts(Mutex<BTreeMap<(String, String, &'static str), u64>>);

impl Counts {
    /// Counts one more and returns the sum.
    fn add(&self, route: Option<&Route>, code: &'static str) -> u64 {
        let (tenant, surface) =
            route.map_or_else(Default::default, |route| (route.tenant.clone(), route.surface.clone()));
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry((tenant, surface, code)).or_default();
        *count += 1;
        *count
    }

    /// (tenant, surface, code) to count; tenant and surface are empty where none was found.
    pub fn all(&self) -> BTreeMap<(String, String, &'static str), u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Everything that the intake needs.
pub struct Parts {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// What is listened for.
    pub routes: Routes,
    /// Where deliveries are kept.
    pub journal: Arc<dyn Journal>,
    /// Host time.
    pub clock: Arc<dyn Clock>,
    /// Limits.
    pub options: Options,
}

impl Intake {
    /// Binds, and serves on threads of its own until [`Intake::stop`] or drop.
    pub fn start(parts: Parts) -> io::Result<Self> {
        server::start(parts)
    }
}
