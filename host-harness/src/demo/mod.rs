//! The demo: a day of two customers in under a minute, with everything that goes wrong in one.
//!
//! MoEngage's stand-in pushes live Streams batches to both tenants, with duplicates, disorder and
//! malformed events among them. Brevo's stand-in answers some calls with 429 and 500, and some,
//! after it did what was asked, not at all. In the middle the host is killed and started again.
//! In the end the two vendors are compared, and the host's own sums have to agree.

pub mod stage;
pub mod verdict;

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use stand_ins::faults::{Fault, Rule};
use stand_ins::moengage::generator::Generator;

use crate::operate::accounting::Sums;
use stage::{Stage, StageError};
use verdict::Verdict;

/// Real time over which the pushes are spread, so that the host dies in the middle of them.
const PUSHING: Duration = Duration::from_secs(8);

/// Real time for which the host stays dead: long enough for a few pushes to fail, and well within
/// the three and a half minutes (of host time) after which MoEngage gives a batch up.
const DOWN: Duration = Duration::from_millis(500);

/// How large the demo is.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Distinct events over both tenants.
    pub events: usize,
    /// Draws people, events and disorder.
    pub seed: u64,
    /// Host seconds in a real second.
    pub factor: f64,
    /// Real time that the host may take to come to rest after the last push.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { events: 10_000, seed: 1, factor: 80.0, patience: Duration::from_secs(120) }
    }
}

/// What the audience hears while it plays.
#[derive(Clone, Debug)]
pub enum Scene {
    /// A sentence about what happens now.
    Says(String),
    /// Acknowledged events, events that arrived at Brevo, and all events that will be pushed.
    Moves {
        /// Acknowledged by the host.
        acknowledged: u64,
        /// Seen by Brevo.
        arrived: u64,
        /// All event objects that are pushed.
        pushed: u64,
    },
}

/// How it ended.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Real seconds.
    pub seconds: f64,
    /// How often the host was killed.
    pub kills: u32,
    /// By tenant.
    pub tenants: Vec<TenantReport>,
}

impl Report {
    /// True where the host's sums agree and nothing is lost, doubled or re-subscribed.
    pub fn is_clean(&self) -> bool {
        self.tenants.iter().all(|tenant| tenant.sums.agree() && tenant.verdict.is_clean())
    }
}

/// One tenant's end.
#[derive(Clone, Debug, Serialize)]
pub struct TenantReport {
    /// Name.
    pub name: String,
    /// Event objects that MoEngage pushed, repeats within the stream included.
    pub pushed: usize,
    /// Batches that MoEngage had to send again.
    pub retried_batches: u64,
    /// The host's own sums.
    pub sums: Sums,
    /// Contacts at Brevo.
    pub contacts: usize,
    /// Of them blocked.
    pub blocked: usize,
    /// Events at Brevo.
    pub events: usize,
    /// Requests that Brevo got.
    pub requests: u64,
    /// Faults that were met.
    pub faults: u64,
    /// What is wrong.
    pub verdict: Verdict,
}

/// Plays the demo with the given `harness` program.
pub fn play(binary: &Path, options: &Options, audience: &mut dyn FnMut(Scene)) -> Result<Report, StageError> {
    let started = Instant::now();
    audience(Scene::Says(
        "Two stand-ins take the vendors' places; the host is configured for two tenants.".into(),
    ));
    let mut stage = Stage::set(binary, &["north", "south"], options.factor)?;
    let faults = plant(&stage);
    stage.start_host(None)?;
    let events = options.events;
    audience(Scene::Says(format!(
        "MoEngage pushes {events} live events, some twice, out of order, a few malformed."
    )));
    for tenant in 0..2 {
        let share = options.events / 2 + (options.events % 2) * tenant;
        let generator = Generator {
            seed: options.seed + tenant as u64,
            people: (share / 20).max(10),
            events: share,
            poison: 3,
            non_utf8_batches: 1,
            ..Generator::default()
        };
        let batches = share as f64 / generator.batch_size.max(1) as f64;
        stage.push(tenant, &generator, Some((batches / PUSHING.as_secs_f64()).max(1.0)))?;
    }
    let (_, pushed) = stage.pushed();
    let deadline = Instant::now() + options.patience;
    let mut kills = 0;
    loop {
        let (acknowledged, _) = stage.pushed();
        let arrived = stage.arrived();
        audience(Scene::Moves { acknowledged, arrived, pushed });
        if kills == 0 && arrived > 0 && acknowledged * 2 > pushed {
            audience(Scene::Says(
                "kill -9 while both sides flow; then the host is started again. MoEngage repeats what it could not hand over.".into(),
            ));
            stage.kill_host();
            kills += 1;
            std::thread::sleep(DOWN);
            stage.start_host(None)?;
        } else if stage.at_rest()? {
            // A minute of MoEngage's patience is a second here, less than a slow machine needs.
            let again = stage.push_given_up();
            if again == 0 {
                break;
            }
            audience(Scene::Says(format!(
                "MoEngage gave up {again} batches before the host was back; it is asked to push them again."
            )));
        } else if Instant::now() > deadline {
            return Err(StageError::Restless("the host", options.patience));
        } else {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    audience(Scene::Says(
        "Everything has come to rest; the host is stopped and the two sides are compared.".into(),
    ));
    let sums = stage.sums()?;
    stage.stop_host()?;
    let tenants = stage
        .tenants
        .iter()
        .enumerate()
        .map(|(n, tenant)| {
            let contacts = tenant.brevo.contacts();
            let rules = &faults[n];
            TenantReport {
                name: tenant.name.clone(),
                pushed: tenant.truth.objects,
                retried_batches: stage.retried(n),
                sums: sums[&tenant.name].clone(),
                blocked: contacts.iter().filter(|contact| contact.email_blacklisted).count(),
                contacts: contacts.len(),
                events: tenant.brevo.events().iter().filter(|event| event.contact_id.is_some()).count(),
                requests: tenant.brevo.journal().received(),
                faults: rules.iter().map(|rule| tenant.brevo.faults().fired(*rule)).sum(),
                verdict: stage.verdict(n),
            }
        })
        .collect();
    Ok(Report { seconds: started.elapsed().as_secs_f64(), kills, tenants })
}

/// A 429, a 500 and answers that never come, at calls that differ in what a repeat would do.
fn plant(stage: &Stage) -> Vec<Vec<u64>> {
    let rules = || {
        [
            Rule::on("POST", "/v3/contacts", Fault::rate_limited(true)).nth(3),
            Rule::on("POST", "/v3/contacts", Fault::status(500, "<html>oops</html>")).nth(9),
            Rule::on("POST", "/v3/contacts", Fault::close_after_effect()).nth(20),
            Rule::on("POST", "/v3/events/batch", Fault::rate_limited(false)).nth(2),
            Rule::on("POST", "/v3/events/batch", Fault::close_after_effect()).nth(4),
            Rule::on("POST", "/v3/events/batch", Fault::status(502, "bad gateway")).nth(6),
            Rule::on("PUT", "/v3/contacts/{identifier}", Fault::close_after_effect()).nth(2),
        ]
    };
    let plant = |tenant: &stage::Tenant| {
        // A rule of this list is never refused: it has a method, a path and a count.
        rules().into_iter().filter_map(|rule| tenant.brevo.faults().add(rule).ok()).collect()
    };
    stage.tenants.iter().map(plant).collect()
}
