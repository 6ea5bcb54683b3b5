//! What each action of the registry does at Brevo, for whoever has to answer for it:
//! `docs/brevo-actions.md` is printed from here, from the rate windows and from the table of
//! Brevo's answers.
//!
//! A name of the registry without a row fails a test, and so does a call that no row has.

use std::collections::BTreeSet;

use crate::brevo::errors::{Kind, Remedy, SIGNS, Sign};
use crate::brevo::events::{BATCH_BYTES, BATCH_MAX, PROPERTIES_BYTES};
use crate::brevo::lists::ROWS;
use crate::brevo::windows::Family;
use crate::config::Plan;
use crate::delivery::Policy;
use crate::store::dead_letters::Actor;
use crate::store::lists::{GONE, NAMED_TWICE};
use crate::store::outbox::{CONTACT_GONE, OUTCOME_UNPROVEN};

/// A call, as the logs name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallRow {
    /// Method and path, without values.
    pub call: &'static str,
    /// Its windows, and what stops with it.
    pub family: Family,
    /// Why it is made.
    pub purpose: &'static str,
}

const fn call(call: &'static str, family: Family, purpose: &'static str) -> CallRow {
    CallRow { call, family, purpose }
}

const CHECK: CallRow = call("GET /account", Family::Other, "checks a key; only `harness check` asks");
const ATTRIBUTES: CallRow =
    call("GET /contacts/attributes", Family::Contacts, "which attributes there are, and of which type");
const MAKE_ATTRIBUTE: CallRow = call(
    "POST /contacts/attributes/normal/{name}",
    Family::Contacts,
    "makes one that the connector declares, where the settings allow it",
);
const CONTACT: CallRow = call("GET /contacts/{id}", Family::Contacts, "finds a contact, and reads it back");
const MAKE_CONTACT: CallRow =
    call("POST /contacts", Family::Contacts, "makes a contact; one that exists is an error");
const CHANGE_CONTACT: CallRow =
    call("PUT /contacts/{id}", Family::Contacts, "changes a contact by Brevo's number");
const FOLDERS: CallRow = call("GET /contacts/folders", Family::Contacts, "finds a folder by its name");
const MAKE_FOLDER: CallRow =
    call("POST /contacts/folders", Family::Contacts, "makes a folder that is not there");
const LISTS: CallRow = call("GET /contacts/lists", Family::Contacts, "finds a list by its name and folder");
const MAKE_LIST: CallRow = call("POST /contacts/lists", Family::Contacts, "makes a list that is not there");
const LIST: CallRow = call("GET /contacts/lists/{id}", Family::Contacts, "whether a list is still there");
const ADD: CallRow =
    call("POST /contacts/lists/{id}/contacts/add", Family::Contacts, "puts contacts into a list");
const REMOVE: CallRow =
    call("POST /contacts/lists/{id}/contacts/remove", Family::Contacts, "takes contacts out of a list");
const EVENT: CallRow = call("POST /events", Family::Events, "one event");
const EVENTS: CallRow = call("POST /events/batch", Family::EventsBatch, "many events");
const READ_EVENTS: CallRow =
    call("GET /events", Family::ReadBack, "looks for events whose outcome is unknown");

/// Calls that no action makes.
pub const OF_THE_HOST: &[CallRow] = &[CHECK];

/// What becomes of an action whose call left and was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It is made again: twice is the same as once.
    Safe,
    /// Brevo is looked at before it is made again.
    AfterALook,
    /// It is parked, read back after a time, and made again only where it is proven absent.
    ReadBack,
}

impl Repeat {
    fn words(self) -> String {
        let policy = Policy::default();
        let minutes = policy.settle.as_secs() / 60;
        match self {
            Self::Safe => "again".to_owned(),
            Self::AfterALook => "looked at, then again".to_owned(),
            Self::ReadBack => format!(
                "parked, read back after {minutes} minutes, again only where it is proven absent, at most {} times",
                policy.resends
            ),
        }
    }
}

/// A row of the table.
pub struct ActionRow {
    /// In the registry.
    pub name: &'static str,
    /// In the order in which they may come.
    pub calls: &'static [CallRow],
    /// Beside the rate windows.
    pub limits: fn() -> String,
    /// Where no answer came.
    pub repeat: Repeat,
    /// Why a repeat does no harm, or how the outcome is proven.
    pub proof: &'static str,
    /// Answers that mean something of their own here; every other leads to what its row says.
    pub answers: &'static [Kind],
    /// Codes of this host's own, beside those of the answers, and who must act.
    pub own: &'static [(&'static str, Actor)],
}

/// Codes of this host's own that any action may end with.
pub const OF_ANY: &[(&str, Actor)] = &[
    ("brevo-unreachable", Actor::Operator),
    ("brevo-key-missing", Actor::Tenant),
    ("brevo-address-denied", Actor::Operator),
    ("delivery-interrupted", Actor::Operator),
    ("bad-action", Actor::ConnectorAuthor),
];

const JOINED: &[(&str, Actor)] = &[
    (GONE, Actor::Operator),
    ("list-forbidden", Actor::Tenant),
    ("list-refused", Actor::Operator),
    (NAMED_TWICE, Actor::Tenant),
    ("list-change-refused", Actor::Operator),
    (OUTCOME_UNPROVEN, Actor::Operator),
];

const LEFT: &[(&str, Actor)] = &[
    (GONE, Actor::Operator),
    ("list-forbidden", Actor::Tenant),
    ("list-refused", Actor::Operator),
    (NAMED_TWICE, Actor::Tenant),
    ("list-change-refused", Actor::Operator),
];

/// One for each name of the registry, in its order.
pub const ACTIONS: &[ActionRow] = &[
    ActionRow {
        name: "brevo/upsert-contact",
        calls: &[ATTRIBUTES, MAKE_ATTRIBUTE, CONTACT, MAKE_CONTACT, CHANGE_CONTACT],
        limits: || "texts of 10,000 characters; 200 attributes an account".to_owned(),
        repeat: Repeat::Safe,
        proof: "The same values again change nothing; a change of address is read back first, with its blocks.",
        answers: &[Kind::NotFound, Kind::Duplicate(Vec::new()), Kind::InvalidPhone, Kind::TooEarly],
        own: &[
            ("address-shared", Actor::Operator),
            ("address-unproven", Actor::Operator),
            ("attribute-missing", Actor::Operator),
            ("attribute-type", Actor::Operator),
            ("attribute-not-cleared", Actor::Operator),
            (CONTACT_GONE, Actor::Operator),
        ],
    },
    ActionRow {
        name: "brevo/set-consent",
        calls: &[CONTACT, CHANGE_CONTACT],
        limits: || "a block is lifted by a call that does nothing else".to_owned(),
        repeat: Repeat::AfterALook,
        proof: "A block that is set twice is one block; before one is lifted the contact is read, each time.",
        answers: &[Kind::NotFound],
        own: &[
            ("suppressed", Actor::Operator),
            ("block-not-ours", Actor::Operator),
            ("address-shared", Actor::Operator),
            (CONTACT_GONE, Actor::Operator),
        ],
    },
    ActionRow {
        name: "brevo/set-suppression",
        calls: &[CONTACT, CHANGE_CONTACT],
        limits: || "none".to_owned(),
        repeat: Repeat::Safe,
        proof: "A block that is set twice is one block.",
        answers: &[Kind::NotFound],
        own: &[("address-shared", Actor::Operator), (CONTACT_GONE, Actor::Operator)],
    },
    ActionRow {
        name: "brevo/track-event",
        calls: &[CONTACT, EVENT, EVENTS, READ_EVENTS],
        limits: || {
            format!(
                "{} KB of properties; {BATCH_MAX} events and {} KB a batch",
                PROPERTIES_BYTES / 1_000,
                BATCH_BYTES / 1_000
            )
        },
        repeat: Repeat::ReadBack,
        proof: "Brevo knows no key and deduplicates nothing: each event carries the host's, and is looked for by it.",
        answers: &[Kind::NotFound],
        own: &[
            ("event-refused", Actor::ConnectorAuthor),
            ("event-too-large", Actor::ConnectorAuthor),
            ("event-without-date", Actor::ConnectorAuthor),
            (OUTCOME_UNPROVEN, Actor::Operator),
            ("address-shared", Actor::Operator),
            (CONTACT_GONE, Actor::Operator),
        ],
    },
    ActionRow {
        name: "brevo/join-list",
        calls: &[FOLDERS, MAKE_FOLDER, LISTS, MAKE_LIST, LIST, CONTACT, ADD],
        limits: || format!("{ROWS} contacts a call; 300 lists an account, 600 on Enterprise"),
        repeat: Repeat::ReadBack,
        proof: "The contact's lists say whether it is in; a join of a list that is marked inert is made again at once.",
        answers: &[Kind::NotFound, Kind::Forbidden, Kind::Refused],
        own: JOINED,
    },
    ActionRow {
        name: "brevo/leave-list",
        calls: &[FOLDERS, MAKE_FOLDER, LISTS, MAKE_LIST, LIST, CONTACT, REMOVE],
        limits: || format!("{ROWS} contacts a call"),
        repeat: Repeat::Safe,
        proof: "Who is out is out.",
        answers: &[Kind::NotFound, Kind::Forbidden, Kind::Refused],
        own: LEFT,
    },
];

/// The page's tables, by name.
pub fn tables() -> Vec<(&'static str, String)> {
    vec![
        ("actions", actions()),
        ("limits", limits()),
        ("calls", calls()),
        ("rates", rates()),
        ("failures", failures()),
        ("answers", answers()),
        ("remedies", remedies()),
    ]
}

fn actions() -> String {
    let row = |action: &ActionRow| {
        let calls: Vec<String> = action.calls.iter().map(|row| code(row.call)).collect();
        vec![code(action.name), calls.join(", "), action.repeat.words(), action.proof.to_owned()]
    };
    table(&["action", "calls", "no answer came", "why that is safe"], ACTIONS.iter().map(row))
}

fn limits() -> String {
    table(&["action", "limits"], ACTIONS.iter().map(|action| vec![code(action.name), (action.limits)()]))
}

fn calls() -> String {
    let used = ACTIONS.iter().flat_map(|action| action.calls).chain(OF_THE_HOST);
    let distinct: BTreeSet<&CallRow> = used.collect();
    let row = |row: &CallRow| vec![code(row.call), code(row.family.as_str()), row.purpose.to_owned()];
    table(&["call", "family", "what for"], distinct.into_iter().map(row))
}

fn rates() -> String {
    let windows = |family: Family, plan| {
        let all = family.limits(plan).into_iter().map(|(calls, seconds)| match seconds {
            1 => format!("{calls} a second"),
            3_600 => format!("{calls} an hour"),
            seconds => format!("{calls} in {seconds} s"),
        });
        all.collect::<Vec<_>>().join(", ")
    };
    let row = |family: Family| {
        let others = family.counted_in().iter().filter(|other| **other != family);
        let others: Vec<String> = others.map(|other| code(other.as_str())).collect();
        let others = if others.is_empty() { "nothing else".to_owned() } else { others.join(", ") };
        let mut cells = vec![code(family.as_str())];
        cells.extend([Plan::General, Plan::Advanced, Plan::Extended].map(|plan| windows(family, plan)));
        cells.push(others);
        cells
    };
    let header = ["family", "General", "Advanced", "Extended", "counted in as well"];
    table(&header, Family::ALL.into_iter().map(row))
}

fn failures() -> String {
    let rows = ACTIONS.iter().flat_map(|action| {
        let answers = action.answers.iter().map(|kind| (kind.rule().code, kind.rule().actor));
        let all = answers.chain(action.own.iter().copied());
        all.map(|(name, actor)| vec![code(action.name), code(name), actor.as_str().to_owned()])
    });
    let any =
        OF_ANY.iter().map(|(name, actor)| vec!["any".to_owned(), code(name), actor.as_str().to_owned()]);
    table(&["action", "code", "who must act"], rows.chain(any))
}

fn answers() -> String {
    let status = |sign: &Sign| match sign.statuses {
        (from, to) if from == to => from.to_string(),
        (400, 499) => "any 4xx".to_owned(),
        (from, _) => format!("{from} and above"),
    };
    let list = |all: &[&str]| match all {
        [] => "any".to_owned(),
        all => all.iter().map(|one| code(one)).collect::<Vec<_>>().join(", "),
    };
    let row =
        |sign: &Sign| vec![status(sign), list(sign.codes), list(sign.words), code(sign.kind.rule().code)];
    let rest = Kind::Unexpected.rule().code;
    let rest = ["any other", "any", "any"].map(str::to_owned).into_iter().chain([code(rest)]).collect();
    table(&["status", "Brevo's code", "Brevo's words", "is"], SIGNS.iter().map(row).chain([rest]))
}

fn remedies() -> String {
    let pause = Policy::default().pause.as_secs() / 60;
    let attempts = Policy::default().attempts;
    let does = |remedy| match remedy {
        Remedy::PauseAccount => format!("the account waits, one call in {pause} minutes finds out"),
        Remedy::PauseFamily => format!("this family of calls waits, one call in {pause} minutes finds out"),
        Remedy::Retry => format!("tried again, {attempts} times"),
        Remedy::Wait => "waits as long as Brevo says; no attempt is counted".to_owned(),
        Remedy::ReadBack => "as where no answer came".to_owned(),
        Remedy::GiveUp => "ends as failed, with a dead letter".to_owned(),
    };
    let mut kinds: Vec<&Kind> = Vec::new();
    for kind in SIGNS.iter().map(|sign| &sign.kind) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let rows = kinds.into_iter().map(|kind| {
        let rule = kind.rule();
        let words = [rule.actor.as_str().to_owned(), does(rule.remedy), rule.message.to_owned()];
        [code(rule.code)].into_iter().chain(words).chain([rule.action.to_owned()]).collect()
    });
    table(&["code", "who must act", "what the host does", "what happened", "what to do"], rows)
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let header: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    let under: Vec<String> = header.iter().map(|_| "---".to_owned()).collect();
    let body: String = rows.map(|row| line(&row)).collect();
    format!("{}{}{body}", line(&header), line(&under)).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;
    use crate::brevo::account::{self, Call};
    use crate::brevo::contacts::{self, Change, Name, NewContact};
    use crate::brevo::events::{self, NewEvent, Query};
    use crate::brevo::{attributes, lists};
    use crate::contract::AttributeType;
    use crate::registry::{Channel, names};
    use crate::store::Digest;

    #[test]
    fn every_name_of_the_registry_has_its_row() {
        let rows: Vec<&str> = ACTIONS.iter().map(|action| action.name).collect();
        assert_eq!(rows, names::ALL);
        for action in ACTIONS {
            assert!(!action.calls.is_empty() && !action.proof.is_empty(), "{}", action.name);
            assert!(!(action.limits)().is_empty(), "{}", action.name);
        }
    }

    #[test]
    fn every_call_has_its_row_and_family_and_every_row_a_call() {
        let event = NewEvent::new("e", 0, 1, &serde_json::Map::new(), Digest([0; 16])).unwrap();
        let made: Vec<Call> = vec![
            account::check(),
            attributes::list(),
            attributes::create("A", AttributeType::Text),
            contacts::get(Name::Id(1)),
            contacts::create(&NewContact::default()),
            contacts::update(1, &Change::default()),
            contacts::lift_block(1, Channel::Email),
            lists::folders(0),
            lists::lists(0),
            lists::create_folder("f"),
            lists::create_list("l", 1),
            lists::list(1),
            lists::change(1, true, &[1]),
            lists::change(1, false, &[1]),
            events::track(&event),
            events::track_batch(&[&event]),
            events::list(&Query::default(), 0).unwrap(),
        ];
        let made: BTreeSet<(String, Family)> =
            made.iter().map(|call| (format!("{} {}", call.method, call.label), call.family)).collect();
        let used = ACTIONS.iter().flat_map(|action| action.calls).chain(OF_THE_HOST);
        let rows: BTreeSet<(String, Family)> = used.map(|row| (row.call.to_owned(), row.family)).collect();
        assert_eq!(made, rows);
    }
}
