//! How a resource of the inventory is described.

use crate::settings::{KeySlot, Settings};
use crate::source::Method;

/// A list that MoEngage can be asked for.
pub struct Item {
    /// Name of the resource.
    pub name: &'static str,
    /// The key under `sync`: the name with underscores.
    pub switch: &'static str,
    /// Kind of its records.
    pub kind: &'static str,
    /// What a record is, for its schema.
    pub about: &'static str,
    /// Fields of the body that make up MoEngage's key.
    pub key: &'static [&'static str],
    /// Whom a record is about.
    pub subject: Whom,
    /// Whether it is read where the settings say nothing.
    pub by_default: bool,
    /// Endpoint of the manifest.
    pub endpoint: &'static str,
    /// Slot of the key that opens it, where the settings name no other.
    pub slot: KeySlot,
    /// The call.
    pub ask: Ask,
    /// Where the rows stand in the answer; empty where the answer is the list itself.
    pub rows: &'static [&'static str],
    /// Whether that is one object and not a list.
    pub single: bool,
    /// How the list goes on.
    pub paging: Paging,
    /// Whether it is one list, or one for each of something.
    pub each: Each,
    /// What is kept of a row.
    pub columns: &'static [Column],
    /// What stands before the key of each row in plugin storage, where another resource reads one
    /// list for each of them.
    pub remembered_as: Option<&'static str>,
    /// Seconds between two runs.
    pub cadence: u32,
    /// The documented limits: calls and seconds, sliding.
    pub windows: &'static [(u32, u32)],
    /// What can be missed or is special, in words, for the profile.
    pub remark: &'static str,
}

/// Whom a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The thing itself.
    Thing,
    /// The person whose customer id the list was asked for.
    Person,
}

/// A call.
pub struct Ask {
    /// How.
    pub method: Method,
    /// Segments. `{0}` and so on are the ids of what the list is asked for.
    pub path: &'static [&'static str],
    /// Fixed pairs; a value `{0}` is an id of what the list is asked for.
    pub query: &'static [(&'static str, &'static str)],
    /// The body, where there is one.
    pub body: Body,
    /// Times that the call wants.
    pub dates: Dates,
    /// Whether a portfolio's project has to be named, in the header `MOE-PROJECT-CODE`.
    pub project: bool,
}

/// What stands in the body beside the members of the paging and of what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is no body.
    None,
    /// These members of an object, as JSON; may be empty.
    Members(&'static str),
    /// As `Members("")`, with a `request_id`.
    RequestId,
}

/// Times that a call wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dates {
    /// None.
    None,
    /// The 30 days up to now, in the body, as `DD/MM/YYYY`.
    LastMonth,
    /// From three days before the latest run, at first 89 days, in the query.
    Activity,
}

/// How a list goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// One answer is all there is.
    Whole,
    /// By page and a limit that can be chosen, both in the body.
    Walk {
        /// Name of the limit.
        limit: &'static str,
        /// Largest limit.
        largest: u64,
    },
    /// By page of a fixed size, with what the vendor counts.
    Numbered {
        /// Name of the page.
        page: &'static str,
        /// Where it stands and how it is written.
        place: Place,
        /// Rows of a page, for the profile.
        size: u32,
        /// Where the answer counts the rows.
        total: &'static [&'static str],
        /// Where the answer says that there is more.
        more: &'static [&'static str],
    },
    /// By an opaque cursor, named `cursor`, and a `limit`.
    Tokens {
        /// Where they stand.
        place: Place,
        /// Limit that is asked for.
        limit: u32,
        /// The object of the answer that holds `has_more` and `next_cursor`.
        onward: &'static [&'static str],
    },
}

/// Where the paging stands in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the query.
    Query,
    /// In the body, as numbers and texts.
    Body,
    /// In the body, as texts.
    BodyAsText,
}

/// Whether it is one list.
#[derive(Clone, Copy)]
pub enum Each {
    /// One list.
    Once,
    /// One for each id that is kept in plugin storage behind this text.
    Known(&'static str),
    /// One for each that the settings name, in an order that stays the same.
    Named(fn(&Settings) -> Vec<Parent>),
}

/// What one list is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parent {
    /// Tells it from the others and gives their order.
    pub name: String,
    /// Its ids, for the path and the columns.
    pub ids: Vec<String>,
    /// Members of the body, as JSON.
    pub members: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
}

/// A field of a row and what it becomes.
pub struct Column {
    /// Path in the row, keys joined by dots; several are separated by `|`, and the first that is
    /// there counts. `{0}` is an id of what the list was asked for.
    pub from: &'static str,
    /// Name in the body.
    pub to: &'static str,
    /// What it is.
    pub shape: Shape,
    /// For the schema; empty where the name says it.
    pub about: &'static str,
}

/// What a field is. Null stays null whatever it is.
#[derive(Clone, Copy)]
pub enum Shape {
    /// A text as it came.
    Text,
    /// An id: a text, also where it came as a number.
    Id,
    /// A word of a closed list, `lower-kebab-case`, in whichever case it came.
    Word,
    /// A date and time as text, in milliseconds since 1970.
    Time,
    /// A date, or a date and time, as text; the first instant of the day where there is no time.
    Day,
    /// A number of seconds since 1970, in milliseconds.
    Seconds,
    /// True or false.
    Flag,
    /// A whole number, from 0.
    Count,
    /// A number as it was written.
    Number,
    /// A list of texts.
    Texts,
    /// A list of objects.
    Rows(&'static [Column]),
    /// Whatever the row has of its own beside these names, as far as it is one word each.
    Others(&'static [&'static str]),
    /// Always this text.
    Fixed(&'static str),
}

/// A column that is kept under its own name.
pub const fn same(name: &'static str, shape: Shape) -> Column {
    Column { from: name, to: name, shape, about: "" }
}

/// A column that is kept under another name.
pub const fn renamed(from: &'static str, to: &'static str, shape: Shape) -> Column {
    Column { from, to, shape, about: "" }
}

impl Column {
    /// The same, with a description.
    pub const fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }
}

impl Item {
    /// The ids that a kept name stands for. The watch list keeps ids as they are.
    pub fn ids(&self, name: &str) -> Vec<String> {
        match self.subject {
            Whom::Person => vec![name.to_owned()],
            Whom::Thing => super::row::parts(name),
        }
    }

    /// Largest number of records of a page.
    pub fn page_limit(&self) -> u32 {
        match self.paging {
            // None is documented. A page above the contract's limit is refused with a code.
            Paging::Whole => super::MOST_ROWS as u32,
            Paging::Walk { largest, .. } => largest as u32,
            Paging::Numbered { size, .. } => size,
            Paging::Tokens { limit, .. } => limit,
        }
    }
}
