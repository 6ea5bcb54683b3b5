//! What each action of the registry does at Brevo, for whoever has to answer for it:
//! `docs/brevo-actions.md` is printed from here, from the rate windows and from the table of
//! Brevo's answers.
//!
//! A name of the registry without a row fails a test, and so does a call that no row has.

use std::collections::BTreeSet;

use crate::brevo::errors::{Kind, Remedy, SIGNS, Sign};
use crate::brevo::events::{BATCH_BYTES, BATCH_MAX, PROPERTIES_BYTES};
use crate::brevo::lists::ROWS;
use crate::brevo::windows::{EVERYTHING_ELSE, Family};
use crate::brevo::{imports, mails, objects};
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
const CENSUS: CallRow =
    call("GET /contacts", Family::Contacts, "who is there before an import, and what became of its rows");
const IMPORT: CallRow =
    call("POST /contacts/import", Family::Contacts, "makes and changes many contacts of a backfill");
const ERASE: CallRow =
    call("DELETE /contacts/{id}", Family::Contacts, "deletes a contact by Brevo's number, for good");
const PROCESSES: CallRow =
    call("GET /processes", Family::Processes, "whether an import without an answer is under way");
const PROCESS: CallRow =
    call("GET /processes/{id}", Family::Processes, "how far Brevo is with an import or a batch of records");
const MAIL: CallRow = call("POST /smtp/email", Family::Mails, "one mail to one address, by a template");
const READ_MAILS: CallRow =
    call("GET /smtp/emails", Family::MailList, "looks for a mail whose outcome is unknown");
const ERASE_MAILS: CallRow = call(
    "DELETE /smtp/log/{email}",
    Family::MailOther,
    "deletes the logs of mails to somebody who is erased",
);
const TEXT: CallRow = call("POST /transactionalSMS/send", Family::Texts, "one text to one number");
const READ_TEXTS: CallRow = call(
    "GET /transactionalSMS/statistics/events",
    Family::TextReport,
    "looks for a text whose outcome is unknown",
);
const CAMPAIGN: CallRow = call("GET /emailCampaigns/{id}", Family::Campaigns, "where a campaign stands");
const SEND_CAMPAIGN: CallRow =
    call("POST /emailCampaigns/{id}/sendNow", Family::Campaigns, "sends a campaign that is a draft");
const PRODUCT: CallRow =
    call("POST /products", Family::Products, "makes or changes a product by the shop's own id");
const RECORDS: CallRow = call(
    "POST /objects/{type}/batch/upsert",
    Family::Objects,
    "makes or changes records of one type by their own ids",
);
const READ_RECORDS: CallRow =
    call("GET /objects/{type}/records", Family::Other, "which attributes Brevo dropped");
const NOTE: CallRow = call("POST /crm/notes", Family::Crm, "one note");
const READ_NOTES: CallRow =
    call("GET /crm/notes", Family::Other, "looks for a note whose outcome is unknown");
const TASK: CallRow = call("POST /crm/tasks", Family::Crm, "one task");
const READ_TASKS: CallRow =
    call("GET /crm/tasks", Family::Other, "looks for a task whose outcome is unknown");
const TASK_TYPES: CallRow = call("GET /crm/tasktypes", Family::Other, "finds a task type by its name");

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
    /// It is made again under its key as long as Brevo knows the key; then it is only looked for.
    UnderItsKey,
    /// It is parked and looked for after a time; what is not found is an operator's.
    LookedFor,
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
            Self::UnderItsKey => format!(
                "again with its key for {} minutes; then parked, and looked for after {minutes} minutes; what is not found is an operator's",
                mails::KEY_WINDOW / 60_000
            ),
            Self::LookedFor => {
                format!("parked, and looked for after {minutes} minutes; what is not found is an operator's")
            }
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

const MADE_ONCE: &[(&str, Actor)] = &[
    (OUTCOME_UNPROVEN, Actor::Operator),
    ("address-shared", Actor::Operator),
    (CONTACT_GONE, Actor::Operator),
];

/// One for each name of the registry, in its order.
pub const ACTIONS: &[ActionRow] = &[
    ActionRow {
        name: "brevo/upsert-contact",
        calls: &[
            ATTRIBUTES,
            MAKE_ATTRIBUTE,
            CONTACT,
            MAKE_CONTACT,
            CHANGE_CONTACT,
            FOLDERS,
            MAKE_FOLDER,
            LISTS,
            MAKE_LIST,
            CENSUS,
            IMPORT,
            PROCESSES,
            PROCESS,
        ],
        limits: || {
            format!(
                "texts of 10,000 characters; 200 attributes an account; {} MB an import, one import at a time",
                imports::BYTES / 1_000_000
            )
        },
        repeat: Repeat::Safe,
        proof: "The same values again change nothing; a change of address is read back first, with its blocks. Each row of an import is read back, and what can't be seen goes alone.",
        answers: &[Kind::NotFound, Kind::Duplicate(Vec::new()), Kind::InvalidPhone, Kind::TooEarly],
        own: &[
            ("address-shared", Actor::Operator),
            ("address-unproven", Actor::Operator),
            ("attribute-missing", Actor::Operator),
            ("attribute-type", Actor::Operator),
            ("attribute-not-cleared", Actor::Operator),
            (CONTACT_GONE, Actor::Operator),
            ("import-row-refused", Actor::Tenant),
            ("import-came-to-nothing", Actor::Operator),
            ("import-never-ends", Actor::Operator),
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
            ("opt-in-in-doubt", Actor::Operator),
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
    ActionRow {
        name: "brevo/send-email",
        calls: &[CONTACT, CHANGE_CONTACT, MAIL, READ_MAILS],
        limits: || "100 KB of parameters; 10 tags of 50 characters, beside the host's own".to_owned(),
        repeat: Repeat::UnderItsKey,
        proof: "Brevo takes a repeat under the same `idempotencyKey` for one; later the mail is looked for by its tag, and that it is not in the log proves nothing.",
        answers: &[Kind::NotFound, Kind::Duplicate(Vec::new()), Kind::Refused],
        own: &[
            ("template-unknown", Actor::Tenant),
            ("address-refused", Actor::Tenant),
            ("mail-refused", Actor::ConnectorAuthor),
            ("blocked-at-brevo", Actor::Tenant),
            (OUTCOME_UNPROVEN, Actor::Operator),
            ("address-shared", Actor::Operator),
            (CONTACT_GONE, Actor::Operator),
        ],
    },
    ActionRow {
        name: "brevo/send-sms",
        calls: &[CONTACT, CHANGE_CONTACT, TEXT, READ_TEXTS],
        limits: || "1,000 characters; a sender of 11 letters and digits, or of 15 digits".to_owned(),
        repeat: Repeat::LookedFor,
        proof: "Brevo knows no key: the text is looked for by its number and tag, and never sent a second time without a person's word.",
        answers: &[Kind::NotFound, Kind::InvalidPhone, Kind::Refused],
        own: &[
            ("number-refused", Actor::Tenant),
            ("text-refused", Actor::Tenant),
            ("blocked-at-brevo", Actor::Tenant),
            (OUTCOME_UNPROVEN, Actor::Operator),
            ("address-shared", Actor::Operator),
            (CONTACT_GONE, Actor::Operator),
        ],
    },
    ActionRow {
        name: "brevo/trigger-campaign",
        calls: &[CAMPAIGN, SEND_CAMPAIGN],
        limits: || "once in a campaign's life".to_owned(),
        repeat: Repeat::ReadBack,
        proof: "Only a draft can be sent: a campaign that is still one was not sent, any other was.",
        answers: &[Kind::NotFound, Kind::CampaignUnderWay, Kind::Refused],
        own: &[
            ("campaign-unknown", Actor::Tenant),
            ("campaign-not-a-draft", Actor::Tenant),
            ("campaign-refused", Actor::Tenant),
            (OUTCOME_UNPROVEN, Actor::Operator),
        ],
    },
    ActionRow {
        name: "brevo/delete-contact",
        calls: &[ATTRIBUTES, MAKE_ATTRIBUTE, CONTACT, CHANGE_CONTACT, ERASE, ERASE_MAILS],
        limits: || "none".to_owned(),
        repeat: Repeat::Safe,
        proof: "By Brevo's number nobody else is ever meant, and who is gone is gone; what is left to be done outlives a crash.",
        answers: &[Kind::NotFound, Kind::Forbidden],
        own: &[
            ("deletion-not-taken", Actor::Operator),
            ("deletion-not-marked", Actor::Tenant),
            ("attribute-missing", Actor::Operator),
            ("attribute-type", Actor::Operator),
            ("contact-somebody-elses", Actor::Operator),
            ("contact-undeletable", Actor::Tenant),
            ("mail-log-kept", Actor::Tenant),
        ],
    },
    ActionRow {
        name: "brevo/upsert-product",
        calls: &[PRODUCT],
        limits: || "20 keys of meta information, 1,000 KB in all; e-commerce has to be activated".to_owned(),
        repeat: Repeat::Safe,
        proof: "By the shop's own id the same product again changes nothing, and revisions keep their order.",
        answers: &[],
        own: &[("ecommerce-not-activated", Actor::Tenant)],
    },
    ActionRow {
        name: "brevo/upsert-object",
        calls: &[RECORDS, PROCESS, READ_RECORDS],
        limits: || {
            format!(
                "{} records and 1 MB a call; 500 attributes a record; in Enterprise plans only",
                objects::BATCH_MAX
            )
        },
        repeat: Repeat::Safe,
        proof: "By its own id the same record again changes nothing; a record is delivered once Brevo says that its work is done.",
        answers: &[Kind::NotFound, Kind::Refused],
        own: &[
            ("object-type-unknown", Actor::Tenant),
            ("object-attribute-missing", Actor::Tenant),
            ("object-too-large", Actor::ConnectorAuthor),
            ("object-process-failed", Actor::Operator),
            ("object-process-stuck", Actor::Operator),
        ],
    },
    ActionRow {
        name: "brevo/add-note",
        calls: &[CONTACT, CHANGE_CONTACT, NOTE, READ_NOTES],
        limits: || "3,000 characters, the host's mark among them".to_owned(),
        repeat: Repeat::ReadBack,
        proof: "Brevo knows no key: each note ends with the host's mark, and is looked for by it.",
        answers: &[],
        own: MADE_ONCE,
    },
    ActionRow {
        name: "brevo/create-task",
        calls: &[CONTACT, CHANGE_CONTACT, TASK_TYPES, TASK, READ_TASKS],
        limits: || "none".to_owned(),
        repeat: Repeat::ReadBack,
        proof: "Brevo knows no key: the name of each task ends with the host's mark, and is looked for by it.",
        answers: &[],
        own: &[
            ("task-type-unknown", Actor::Tenant),
            ("task-without-date", Actor::ConnectorAuthor),
            (OUTCOME_UNPROVEN, Actor::Operator),
            ("address-shared", Actor::Operator),
            (CONTACT_GONE, Actor::Operator),
        ],
    },
];

/// The page's tables, by name.
pub fn tables() -> Vec<(&'static str, String)> {
    vec![
        ("actions", actions()),
        ("limits", limits()),
        ("calls", calls()),
        ("rates", rates()),
        ("split", split()),
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
        let others = family.counted_in().filter(|other| *other != family);
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

/// Who may use how much of what Brevo counts together.
fn split() -> String {
    let row = |part: &crate::brevo::windows::Part| {
        let often = part.every.map(|seconds| format!(", one call in {seconds} s")).unwrap_or_default();
        let most = format!("{} %{often}", part.tenths * 10);
        vec![code(part.family.as_str()), most, part.calls.to_owned(), part.why.to_owned()]
    };
    table(&["family", "at most", "calls", "why"], EVERYTHING_ELSE.iter().map(row))
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
    use crate::brevo::objects::Record;
    use crate::brevo::{attributes, campaigns, crm, lists, mail_log, products, texts};
    use crate::contract::AttributeType;
    use crate::registry::{Channel, Payload, names};
    use crate::store::Digest;
    use serde_json::{Value, json};

    fn payload(name: &str, payload: Value) -> Payload {
        Payload::parse(name, &payload.to_string()).unwrap()
    }

    /// The calls of what is sent, made or looked for.
    fn calls_of_payloads() -> Vec<Call> {
        let effect = Digest([0; 16]);
        let parse = |name, body| payload(name, body);
        let all = [
            parse(names::SEND_EMAIL, json!({ "template_id": 1 })),
            parse(names::SEND_SMS, json!({ "content": "c", "sender": "s" })),
            parse(names::UPSERT_PRODUCT, json!({ "id": "1", "name": "n" })),
            parse(names::UPSERT_OBJECT, json!({ "type": "t", "ext_id": "e", "attributes": { "a": 1 } })),
            parse(names::ADD_NOTE, json!({ "text": "t" })),
            parse(names::CREATE_TASK, json!({ "name": "n", "type": "t", "due_in": 1 })),
        ];
        let call = |payload: &Payload| match payload {
            Payload::SendEmail(mail) => mails::send(mail, "a@x.org", effect),
            Payload::SendSms(text) => texts::send(text, "1", effect),
            Payload::UpsertProduct(product) => products::upsert(product),
            Payload::UpsertObject(object) => objects::upsert("t", &[Record::new(object)]),
            Payload::AddNote(note) => crm::add_note(note, "m", None),
            Payload::CreateTask(task) => crm::create_task(task, "t", 0, "m", None).unwrap(),
            other => panic!("{other:?}"),
        };
        all.iter().map(call).collect()
    }

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
        let mut made = calls_of_payloads();
        made.extend([
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
            contacts::delete(1),
            imports::import(&[], 1, false, false),
            imports::contacts(None, 0),
            imports::processes(),
            imports::process(1),
            mails::list("a@x.org", 0),
            mail_log::delete("a@x.org"),
            texts::list("1", 2, 0),
            campaigns::get(1),
            campaigns::send_now(1),
            objects::process(1),
            objects::records("t"),
            crm::Shelf::Notes(None).page(0),
            crm::Shelf::Tasks(None).page(0),
            crm::task_types(),
        ]);
        let made: BTreeSet<(String, Family)> =
            made.iter().map(|call| (format!("{} {}", call.method, call.label), call.family)).collect();
        let used = ACTIONS.iter().flat_map(|action| action.calls).chain(OF_THE_HOST);
        let rows: BTreeSet<(String, Family)> = used.map(|row| (row.call.to_owned(), row.family)).collect();
        assert_eq!(made, rows);
    }
}
