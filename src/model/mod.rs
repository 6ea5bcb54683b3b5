//! What the connector hands over: Tajo objects with stable ids, and the actions they call for.

pub mod alert;
pub mod campaign;
pub mod campaign_stats;
pub mod contact;
pub mod event;
pub mod ids;
pub mod membership;
pub mod report_row;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = i64;

/// Largest body of a record, in bytes (contract, default limits).
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// Kind of the record that holds a person's profile. A state.
pub const CONTACT: &str = "contact";
/// Kind of the record that holds something that happened. An event.
pub const EVENT: &str = "event";

/// Kind of the record that holds a campaign. A state.
pub const CAMPAIGN: &str = "campaign";

/// Kind of the record that holds the figures of a campaign on one day. A state.
pub const CAMPAIGN_STATS: &str = "campaign-stats";

/// Kind of the record that holds what a person subscribed to. A state.
pub const SUBSCRIPTION: &str = "subscription";
/// Kind of the record that says whether a person is in a segment. A state.
pub const MEMBERSHIP: &str = "membership";
/// Kind of the record that holds a row of a campaign report. A state.
pub const REPORT_ROW: &str = "report-row";
/// Kind of the record that holds a flow. A state.
pub const FLOW: &str = "flow";
/// Kind of the record that holds an item of a catalog. A state.
pub const CATALOG_ITEM: &str = "catalog-item";
/// Kind of the record that holds an alert. An event.
pub const ALERT: &str = "alert";

/// Whether a record happened once or can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Happened once.
    Event,
    /// The newest content counts.
    State,
}

/// Where a record came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// Pushed when it happened.
    Live,
    /// Read later, on purpose.
    Backfill,
    /// Found by looking.
    Poll,
}

/// How a time became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeTrust {
    /// The vendor's own stamp.
    Vendor,
    /// Only the time of arrival is known.
    Arrival,
    /// The vendor's stamp is missing or unreadable.
    Unknown,
}

/// When something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// Missing where it isn't known.
    pub at: Option<Millis>,
    /// How far to trust it.
    pub trust: TimeTrust,
}

impl Occurrence {
    /// From the vendor's stamp, if it could be read.
    pub fn stamped(at: Option<Millis>) -> Self {
        let trust = if at.is_some() { TimeTrust::Vendor } else { TimeTrust::Unknown };
        Self { at, trust }
    }

    /// The vendor's own time.
    pub fn vendor_time(&self) -> Option<Millis> {
        self.at.filter(|_| self.trust == TimeTrust::Vendor)
    }
}

/// Another name of a person at the vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// `lower-kebab-case`.
    pub kind: String,
    /// The name.
    pub value: String,
}

/// A person, by every name that a record gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The customer's own id.
    pub external_id: Option<String>,
    /// The address as the vendor has it.
    pub email: Option<String>,
    /// E.164 with a plus sign.
    pub phone: Option<String>,
    /// Names that only the vendor uses.
    pub aliases: Vec<Alias>,
}

impl Person {
    /// True where nothing names the person outside of MoEngage. The MoEngage id alone doesn't:
    /// every anonymous visitor has one.
    pub fn is_anonymous(&self) -> bool {
        self.external_id.is_none() && self.email.is_none() && self.phone.is_none()
    }
}

/// Whom or what a record or action is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A person.
    Person(Person),
    /// A thing, by its record kind and vendor key.
    Object(String, String),
}

/// What made a record known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Unique for (record id, time of knowing).
    pub id: String,
    /// Decides between two observations of a state with equal time; the higher wins.
    pub rank: u8,
}

/// One Tajo object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// See `ids`.
    pub id: String,
    /// [`CONTACT`], [`EVENT`], [`CAMPAIGN`], [`MEMBERSHIP`] or [`ALERT`].
    pub kind: String,
    /// Whether it happened once or can change.
    pub nature: Nature,
    /// Whom it is about.
    pub subject: Subject,
    /// What made it known.
    pub observation: Observation,
    /// When it happened.
    pub occurred: Occurrence,
    /// JSON by the schema in the profile.
    pub body: String,
    /// Where it came in.
    pub provenance: Provenance,
}

/// Something that should become true at Brevo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Unique within its record; part of the effect's identity, so it is never renamed.
    pub slot: String,
    /// From the host's registry.
    pub name: String,
    /// Whom it is about.
    pub subject: Subject,
    /// JSON by the registry's schema.
    pub payload: String,
    /// Past this instant it is never done.
    pub not_after: Option<Millis>,
    /// Not before this instant.
    pub not_before: Option<Millis>,
    /// A waiting action with the same key is replaced.
    pub coalesce: Option<String>,
}

/// What a record calls for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// In the order in which they must happen.
    Actions(Vec<Action>),
    /// Nothing; why, as a stable code.
    Nothing(String),
}
