//! What Brevo has to hold in the end.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::history::Moment;

/// What only the playing of a history shows.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// Host time at which each phase begins, in seconds.
    pub begins: Vec<i64>,
    /// Who unsubscribed at Brevo itself.
    pub clicks: Vec<Click>,
}

impl Course {
    /// Host time in seconds.
    pub fn second(&self, at: Moment) -> i64 {
        self.begins[at.phase] + at.second
    }
}

/// Somebody clicked the link in a mail of Brevo's.
#[derive(Clone, Copy, Debug)]
pub struct Click {
    pub person: usize,
    /// Host time in milliseconds.
    pub at: i64,
    /// Number of the last request that Brevo had got by then.
    pub seq: u64,
}

/// Whether a person is at Brevo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Due,
    /// Deleted before anything was certain to have reached Brevo, and nothing newer is known.
    Perhaps,
    /// Nobody knows whether they may be written to, and Brevo did not have them.
    Unknown,
    Erased,
}

#[derive(Clone, Debug)]
pub struct Contact {
    pub presence: Presence,
    pub email: String,
    pub blocked: bool,
    pub sms_blocked: bool,
    /// Explicitly opted in at some time: a block may have been lifted on the way.
    pub opted_in: bool,
    /// No request that is later than this one may lift the block: the person unsubscribed at Brevo.
    pub clicked: Option<u64>,
    /// The address changed: Brevo drops a block for a moment.
    pub moved: bool,
    /// Deleted softly: nothing older counts any more.
    pub deleted: bool,
    /// Days that the mark of a soft deletion may show.
    pub marks: BTreeSet<String>,
    /// One of them has to be there.
    pub marked: bool,
    /// By Brevo's name; none is cleared, or never was told.
    pub attributes: BTreeMap<&'static str, Option<Value>>,
    /// Nothing newer than a soft deletion says where the person is reached.
    pub loose_email: bool,
    /// Told up to a soft deletion and not since: delivered or not, and any value that was told.
    pub loose: BTreeSet<&'static str>,
    /// Numbers that may stand there, in digits.
    pub phones: BTreeSet<Option<String>>,
    /// Every value that was ever told.
    pub told: BTreeMap<&'static str, BTreeSet<String>>,
    pub emails: BTreeSet<String>,
    /// In digits.
    pub numbers: BTreeSet<String>,
}

/// Why something is never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Never {
    /// Old news has no effect.
    Old,
    /// What a visitor did whom nobody knows.
    Nobodys,
    /// It happened before the person was deleted, and was told afterwards.
    Deleted,
}

/// An event, a mail, a text, a note or a task.
#[derive(Clone, Debug)]
pub struct Due {
    pub person: usize,
    pub at: Moment,
    pub never: Option<Never>,
    /// Whether it is sent at all depends on what was known when it was to be sent.
    pub perhaps: bool,
}

/// What comes of one kind of news, by its key.
pub type Dues = BTreeMap<String, Due>;

#[derive(Clone, Debug, Default)]
pub struct Expected {
    pub contacts: Vec<Contact>,
    /// By the source's id.
    pub events: Dues,
    pub mails: Dues,
    pub texts: Dues,
    pub notes: Dues,
    pub tasks: Dues,
    /// Members by list, of those who are at Brevo.
    pub lists: BTreeMap<&'static str, BTreeSet<usize>>,
    /// Whoever was ever to be in a list, or to leave it.
    pub words: BTreeMap<&'static str, [BTreeSet<usize>; 2]>,
    pub alerts: BTreeSet<usize>,
    /// Name and price by id.
    pub products: BTreeMap<String, (String, Option<u64>)>,
    /// Name and status by number.
    pub campaigns: BTreeMap<usize, (String, &'static str)>,
}
