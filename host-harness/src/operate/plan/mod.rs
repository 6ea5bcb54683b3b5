//! What would happen: units and deliveries run on a copy of the store, against the vendor's real
//! answers to reads and Brevo's. Nothing is written anywhere but into the copy, which is deleted, and
//! that the reads were made into the host's rate windows.
//!
//! | step | where |
//! |---|---|
//! | the store is copied | `copy` |
//! | due resources, a window, queued webhooks are read and mapped as always | [`crate::pipeline`] |
//! | what they call for is delivered as always, to something that only reads Brevo | [`crate::delivery`], `shadow` |
//! | what became of it is a verdict | `verdict` |
//!
//! Every decision is the pipeline's and the delivery's own, so that a plan can't say something else
//! than they would do.

mod copy;
mod drive;
mod shadow;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use crate::config::HostConfig;
use crate::connectors::Connector;
use crate::host::StartError;
use crate::store::StoreError;
use crate::world::Millis;

/// Percent of every rate window that a plan uses where nothing else is asked for.
pub const SHARE: u32 = 25;

/// What is to be planned.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Only this tenant.
    pub tenant: Option<String>,
    /// Only connectors of this name.
    pub connector: Option<String>,
    /// These resources, due or not; none: whatever is due.
    pub resources: Vec<String>,
    /// A backfill of the resources, of what happened from the first instant up to the second.
    pub window: Option<(Millis, Millis)>,
    /// Mapping everything again, as `harness remap` would.
    pub remap: bool,
    /// Percent of every rate window that may be used: of Brevo's by the plan itself, of a vendor's by
    /// everybody together.
    pub share: u32,
    /// Ids that are kept as samples of each row.
    pub samples: usize,
    /// Where the copy lies; the system's directory for temporary files where nothing is given.
    pub scratch: Option<PathBuf>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            tenant: None,
            connector: None,
            resources: Vec::new(),
            window: None,
            remap: false,
            share: SHARE,
            samples: 3,
            scratch: None,
        }
    }
}

/// What would become of an action, or of a record that calls for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Something new at Brevo: a contact, an event, a note.
    Create,
    /// A change of something that is there, a soft deletion too.
    Update,
    /// A product or a record of an object: Brevo makes it or changes it, by its key, and is not asked
    /// beforehand which of the two.
    Upsert,
    /// A mail, a text or a campaign goes out to people.
    Send,
    /// Something at Brevo goes.
    Delete,
    /// Nothing: it holds already, or something newer is known.
    Leave,
    /// It is not for Brevo, or can't be done.
    Drop,
    /// It is too old to be done.
    Expire,
    /// It waits for something to become known, for its time, or for a person.
    Hold,
    /// It depends on what can't be known without writing, or could not be read.
    CannotPreview,
}

impl Verdict {
    /// As shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Upsert => "upsert",
            Self::Send => "send",
            Self::Delete => "delete",
            Self::Leave => "leave",
            Self::Drop => "drop",
            Self::Expire => "expire",
            Self::Hold => "hold",
            Self::CannotPreview => "cannot preview",
        }
    }
}

/// Records of one kind and their actions of one name that would end alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Kind of the record; `unreadable` where it became none.
    pub kind: String,
    /// Name in the registry; nothing where the record calls for none.
    pub action: Option<String>,
    /// What would happen.
    pub verdict: Verdict,
    /// Why, where there is a reason.
    pub code: Option<String>,
    /// How many.
    pub count: u64,
    /// Ids of some of them: the record's, or its digest where the id names a person.
    pub samples: Vec<String>,
}

/// How the reading of a resource ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // as in `runs::Run`
pub struct Reading {
    pub tenant: String,
    pub connector: String,
    pub resource: String,
    /// `complete`, `truncated`, `more` or `failed`.
    pub result: String,
    pub code: Option<String>,
    pub pages: i64,
    pub records: i64,
    pub rejects: i64,
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Host time of the copy.
    pub at: Millis,
    /// What was read.
    pub readings: Vec<Reading>,
    /// Queued webhooks that were worked on.
    pub webhooks: i64,
    /// What the input would come to.
    pub rows: Vec<Row>,
    /// What waits in the outbox already would come to.
    pub outbox: Vec<Row>,
    /// How many of each verdict, of both.
    pub totals: BTreeMap<Verdict, u64>,
    /// Calls that would change something at Brevo, by method and path. Events are counted one by one;
    /// a host sends many in one call.
    pub writes: BTreeMap<String, u64>,
    /// How often Brevo was read for it.
    pub brevo_reads: u64,
    /// Whether the reads were counted in the host's rate windows. Not so where no host of this release
    /// has kept any; the plan alone kept to its share then.
    pub counted: bool,
}

impl Report {
    /// True where everything was read and everything can be said.
    pub fn is_whole(&self) -> bool {
        self.readings.iter().all(|reading| reading.result == "complete")
            && !self.totals.contains_key(&Verdict::CannotPreview)
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// There is no place for the copy.
    #[error("no directory for a copy of the store can be made in {0}: {1}")]
    Scratch(PathBuf, std::io::Error),
    /// The store can't be copied.
    #[error("the store can't be copied: {0}")]
    Copy(StoreError),
    /// A host can't be set up on the copy.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The copy failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No installation is meant.
    #[error("the configuration has no such tenant or connector")]
    Nobody,
    /// No installation that is meant has the resource.
    #[error("there is no resource `{0}` to read; known are: {names}", names = .1.iter().cloned().collect::<Vec<_>>().join(", "))]
    NoResource(String, BTreeSet<String>),
    /// A backfill of it is not over.
    #[error("a backfill of `{0}` is not over")]
    UnderWay(String),
}

impl PlanError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Scratch(..) => "no-scratch",
            Self::Copy(_) => "store-not-copied",
            Self::Start(error) => error.code(),
            Self::Store(_) => "store-failed",
            Self::Nobody => "unknown-tenant",
            Self::NoResource(..) => "unknown-resource",
            Self::UnderWay(_) => "backfill-under-way",
        }
    }

    /// What to do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Scratch(..) => "Name a directory with --scratch.".into(),
            Self::Copy(_) | Self::Store(_) => {
                "Look whether the directory for the copy (--scratch) has room for the whole store.".into()
            }
            Self::Start(error) => error.remedy(),
            Self::Nobody => "Leave --tenant and --connector out to plan for all.".into(),
            Self::NoResource(..) => "`harness discover` shows what can be read.".into(),
            Self::UnderWay(_) => "Plan its rest without --from, or give it up first.".into(),
        }
    }
}

/// Makes a plan for a host with this configuration. `tell` hears now and then how far it is.
///
/// # Errors
/// Where there is no plan at all. What could not be read or said is in the report.
pub fn plan(
    config: &HostConfig,
    connectors: &[Connector],
    asked: &Asked,
    tell: &mut dyn FnMut(&str),
) -> Result<Report, PlanError> {
    drive::drive(config, connectors, asked, tell)
}
