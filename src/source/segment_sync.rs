//! Outbound Segment Sync: chunks of a segment's members that MoEngage pushes.
//!
//! The first execution of a sync sends everyone, each later one the difference to the one before
//! (MD:user-guide/data/exports/segments/outbound-segment-sync.mdx). Nothing on the wire says which
//! of them a chunk belongs to but the id of its execution; see `executions` for their order.
//! *Resync all users* has no mark at all: it looks like one more difference.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::notes::{Notes, Notice};
use super::page::Storage;
use super::refusal::{Refusal, refusal};
use super::surfaces::{Text, WebhookOutcome, WebhookRequest, declared, storage_full, unknown_surface};
use super::watch::watch;
use super::{contact, digest, executions, identity};
use crate::failure::{Failure, FailureKind};
use crate::json::{self, Object, Scalar};
use crate::model::ids::record_id;
use crate::model::membership::{self, MembershipBody};
use crate::model::{
    MEMBERSHIP, Nature, Observation, Occurrence, Person, Provenance, Record, Subject, TimeTrust,
};
use crate::profile::Surface;
use crate::settings::segment_sync::{Identifier, MAX_SYNC_ID};
use crate::settings::{SegmentSync, Settings};

/// Name of the surface, part of the webhook's address.
pub const SEGMENT_SYNC: &str = "segment-sync";

/// Largest body. A request has up to 10,000 users, each with the static pairs that the tenant
/// added; this leaves 1.6 KB for each.
const BODY_CAP: u32 = 16 * 1024 * 1024;

/// Most users of one request: the contract's limit for records. MoEngage's is half of it.
const MAX_USERS: usize = 20_000;

/// Keys of `data` beside the two lists.
const KNOWN: [&str; 4] =
    ["moengage_sync_id", "moengage_sync_name", "moengage_execution_id", "moengage_integration_id"];

/// Where one execution says both, leaving counts: nobody gets messages by mistake.
const JOIN_RANK: u8 = 32;
const LEAVE_RANK: u8 = 33;

/// What is declared, where the settings have the block.
pub fn surface(settings: &Settings) -> Option<Surface> {
    settings.segment_sync.as_ref()?;
    let mut surface = declared(
        SEGMENT_SYNC,
        settings.webhook_auth.scheme(),
        BODY_CAP,
        "moengage_sync_id, moengage_execution_id and a digest of the chunk; an execution counts from the arrival of \
         its first chunk.",
    );
    surface.schemas.push((MEMBERSHIP.to_owned(), membership::SCHEMA.trim_end().to_owned()));
    Some(surface)
}

/// Reads one chunk. One bad row never stops the others; keys that aren't those of the settings
/// stop the chunk, because an empty success would lose everyone in it.
pub fn read(
    settings: &Settings,
    request: &WebhookRequest,
    storage: &mut dyn Storage,
) -> Result<WebhookOutcome, Failure> {
    let sync = settings.segment_sync.as_ref().ok_or_else(unknown_surface)?;
    let fail = |code, message: &str| Failure::vendor_contract(&request.body, code, message);
    let text = Text::of(&request.body);
    let body = text.object().map_err(|(code, message)| fail(code, message))?;
    // The one documented value; a body without it is judged by the rest.
    if body.get("type").is_some_and(|value| value != Scalar::Text("segment_sync".into())) {
        return Err(fail("not-a-segment-sync", "The body is of another type than segment_sync."));
    }
    let Some(data) = body.raw("data").and_then(|data| Object::parse(data.get())) else {
        return Err(fail("data-missing", "The body has no block data."));
    };
    if data.has_duplicate() {
        return Err(fail("duplicate-key", "The body names the same key twice."));
    }
    let id_of = |key: &str, missing: &'static str| match identity::id(data.get(key)) {
        Ok(Some(id)) if id.len() <= MAX_SYNC_ID => Ok(id),
        Ok(Some(_)) => Err(fail("identity-too-long", "An id is longer than 200 bytes.")),
        Ok(None) => Err(fail(missing, "The chunk does not say which sync or execution it belongs to.")),
        Err(why) => Err(fail(why.code(), "The id of the sync or of the execution is unusable.")),
    };
    let sync_id = id_of("moengage_sync_id", "sync-id-missing")?;
    let execution_id = id_of("moengage_execution_id", "execution-id-missing")?;
    let (joining, leaving) = lists(sync, &data, &fail)?;
    if joining.len() + leaving.len() > MAX_USERS {
        return Err(fail("too-many-users", "The chunk has more than 20,000 users."));
    }

    let chunk = Chunk {
        settings,
        sync,
        sync_id: &sync_id,
        name: data.get("moengage_sync_name").and_then(Scalar::text).map(Cow::into_owned),
        observation: format!("{execution_id}/{:016x}", digest::of(&request.body)),
    };
    let mut notes = Notes::default();
    let mut outcome = WebhookOutcome::default();
    let (mut left, mut joined, mut keyless) = (BTreeSet::new(), BTreeSet::new(), 0_usize);
    let rows = leaving.iter().map(|row| (*row, false)).chain(joining.iter().map(|row| (*row, true)));
    for (number, (row, member)) in rows.enumerate() {
        if !text.was_utf8 && row.get().contains(char::REPLACEMENT_CHARACTER) {
            notes.add(Notice::NonUtf8Replaced);
        }
        match chunk.record(row, member, &mut keyless, &mut notes) {
            // Leavers come first, so that who stands in both lists leaves.
            Ok((key, _)) if member && left.contains(&key) => notes.add(Notice::InBothLists),
            Ok((key, record)) => {
                let seen = if member { &mut joined } else { &mut left };
                if seen.insert(key) {
                    outcome.records.push(record);
                } else {
                    notes.add(Notice::RepeatedRow);
                }
            }
            Err(refusal) => {
                let (list, index) = if member {
                    (&sync.add_field, number - leaving.len())
                } else {
                    (&sync.remove_field, number)
                };
                let list = list.replace('~', "~0").replace('/', "~1");
                outcome.rejects.push(refusal.at(format!("/data/{list}/{index}")));
            }
        }
    }
    if keyless > 0 && keyless == joining.len() + leaving.len() {
        return Err(renamed(
            "user-key-missing",
            "No row has the key that segment_sync.user_field names; correct it to the name in MoEngage's preview.",
        ));
    }
    // Only a chunk that could be read opens an execution.
    let standing = executions::standing(storage, &sync_id, &execution_id, request.received_at)
        .ok_or_else(storage_full)?;
    for record in &mut outcome.records {
        record.occurred.at = Some(standing.first_seen);
        if standing.baseline {
            record.provenance = Provenance::Backfill;
        }
    }
    watch(settings, &outcome.records, storage, &mut notes);
    outcome.notes = notes.into_list();
    Ok(outcome)
}

/// Who joins and who leaves. One of the lists may be absent, never both: they can be renamed
/// where the sync is set up, and then they stand under names that nobody told us.
fn lists<'a>(
    sync: &SegmentSync,
    data: &Object<'a>,
    fail: &impl Fn(&'static str, &str) -> Failure,
) -> Result<(Vec<&'a RawValue>, Vec<&'a RawValue>), Failure> {
    let (joining, leaving) = (data.raw(&sync.add_field), data.raw(&sync.remove_field));
    if joining.is_none() && leaving.is_none() {
        return Err(renamed(
            "lists-missing",
            "The chunk has neither of the lists that segment_sync.add_field and remove_field name; correct them to \
             the names in MoEngage's preview.",
        ));
    }
    if joining.is_none() || leaving.is_none() {
        let other = data.entries().any(|(key, raw)| {
            let known = KNOWN.contains(&key) || key == sync.add_field || key == sync.remove_field;
            !known && json::elements(raw.get()).is_some_and(|rows| !rows.is_empty())
        });
        if other {
            return Err(renamed(
                "unknown-list",
                "The chunk has a list that segment_sync.add_field and remove_field don't name; correct them to the \
                 names in MoEngage's preview.",
            ));
        }
    }
    let rows = |raw: Option<&'a RawValue>| match raw {
        None => Ok(Vec::new()),
        Some(raw) if Scalar::is_null(raw) => Ok(Vec::new()),
        Some(raw) => json::elements(raw.get())
            .ok_or_else(|| fail("users-not-a-list", "The users of the chunk are not a list.")),
    };
    Ok((rows(joining)?, rows(leaving)?))
}

fn renamed(code: &str, message: &str) -> Failure {
    Failure::new(FailureKind::Config, code, message)
}

/// What all rows of a chunk share.
struct Chunk<'a> {
    settings: &'a Settings,
    sync: &'a SegmentSync,
    sync_id: &'a str,
    name: Option<String>,
    observation: String,
}

impl Chunk<'_> {
    /// The person's key and the record of one row.
    fn record(
        &self,
        row: &RawValue,
        member: bool,
        keyless: &mut usize,
        notes: &mut Notes,
    ) -> Result<(String, Record), Refusal> {
        json::check(row.get())?;
        let Some(row) = Object::parse(row.get()) else {
            return Err(refusal("user-not-object", "The row is not a JSON object.", NAME_SOMEBODY));
        };
        if row.raw(&self.sync.user_field).is_none() {
            *keyless += 1;
        }
        let (key, person) = self.person(&row, notes)?;
        // A slash within the sync's id can't be taken for the one between the two.
        let sync_id = self.sync_id.replace('%', "%25").replace('/', "%2F");
        let id = record_id(&self.settings.workspace(), MEMBERSHIP, &format!("{sync_id}/{key}"))
            .ok_or(identity::Unusable::TooLong)?;
        let body = MembershipBody { sync_id: self.sync_id.to_owned(), sync_name: self.name.clone(), member };
        let record = Record {
            id,
            kind: MEMBERSHIP.to_owned(),
            nature: Nature::State,
            subject: Subject::Person(person),
            observation: Observation {
                id: self.observation.clone(),
                rank: if member { JOIN_RANK } else { LEAVE_RANK },
            },
            // Both are the execution's, and follow when the whole chunk was read.
            occurred: Occurrence { at: None, trust: TimeTrust::Arrival },
            body: body.to_json(),
            provenance: Provenance::Live,
        };
        Ok((key, record))
    }

    /// Whom a row is about. MoEngage's own id alone is enough: the customer's id may become known
    /// later, and nobody is dropped until then.
    fn person(&self, row: &Object<'_>, notes: &mut Notes) -> Result<(String, Person), Refusal> {
        let mut moengage_id = match identity::id(row.get("moengage_distinct_id")) {
            Ok(id) => id.map(Cow::into_owned),
            Err(_) => {
                notes.add(Notice::AliasDropped);
                None
            }
        };
        let value = row.get(&self.sync.user_field);
        let mut person = Person::default();
        let key = match self.sync.identifier {
            Identifier::Uid => {
                person.external_id = contact::customer_id(self.settings, value, notes)?;
                person.external_id.as_ref().map(|uid| format!("uid.{uid}"))
            }
            // Brevo takes addresses that differ in case for one.
            Identifier::Email => {
                person.email = contact::email(value, notes)?;
                person.email.as_ref().map(|email| format!("email.{}", email.to_lowercase()))
            }
            Identifier::Phone => {
                person.phone = contact::phone(value, self.settings, notes)?;
                person.phone.as_ref().map(|phone| format!("phone.{phone}"))
            }
            Identifier::MoengageId => {
                moengage_id = identity::id(value)?.map(Cow::into_owned).or(moengage_id);
                None
            }
        };
        let key = match (key, &moengage_id) {
            (Some(key), _) => key,
            (None, Some(id)) => {
                if self.sync.identifier != Identifier::MoengageId {
                    notes.add(Notice::KnownByAliasOnly);
                }
                format!("mid.{id}")
            }
            (None, None) => {
                return Err(refusal(
                    "nobody-named",
                    "The row has neither the identifier nor MoEngage's own id.",
                    NAME_SOMEBODY,
                ));
            }
        };
        person.aliases.extend(moengage_id.map(contact::alias));
        Ok((key, person))
    }
}

const NAME_SOMEBODY: &str =
    "Choose a user identifier for the sync that its users have; the input is kept and can be run again.";
