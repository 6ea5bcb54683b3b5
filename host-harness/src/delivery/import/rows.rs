//! Who can ride in an import.
//!
//! An import is keyed by e-mail addresses, merges contacts by their other names on its own, and
//! applies one set of blocks to every row. So a person rides where nobody at Brevo has any of their
//! names, or where all of them are the one contact that has exactly their address and needs no new
//! block. Everybody else goes alone, where each name is looked at.

use std::collections::BTreeMap;

use rusqlite::{Transaction, params};
use serde_json::{Map, Value, json};

use super::census::hash;
use super::{Delivery, Memory};
use crate::brevo::contacts::{address_attribute, address_key};
use crate::brevo::imports::BYTES;
use crate::config::UnknownConsent;
use crate::delivery::outcome::End;
use crate::delivery::person::{Presence, digest};
use crate::delivery::upsert::{plan, usable_attributes};
use crate::delivery::work::{Ride, Work};
use crate::people::identity::{self, PersonId};
use crate::people::{deletions, tombstone};
use crate::registry::names::{SET_CONSENT, SET_SUPPRESSION, UPSERT_CONTACT};
use crate::registry::{Channel, Payload};
use crate::store::installations::DestinationId;
use crate::store::outbox::{Action, Class, State, held};
use crate::store::{StoreError, imports};
use crate::world::Millis;

/// Most contacts that are looked at for one import: more than 8 MB can hold.
const LOOKED_AT: usize = 60_000;
/// Rows of one import.
const ROWS: usize = 50_000;
/// What `[`, `]` and the rest of the body take.
const ENVELOPE: usize = 2_000;

/// The rows of one import: all are blocked alike.
pub(super) struct Chosen {
    pub rows: Vec<Row>,
    pub email_blocked: bool,
    pub sms_blocked: bool,
}

/// A person who can ride.
pub(super) struct Row {
    action: Action,
    /// Consent and suppressions that travel with the creating call.
    companions: Vec<i64>,
    ride: Ride,
    body: Value,
    blocked: (bool, bool),
}

/// What is to be done with a contact that waits in bulk.
enum Verdict {
    Rides(Box<Row>),
    /// Whether their address is at Brevo: then what they opted out of has to be said there soon.
    Alone {
        there: bool,
    },
    /// Not at Brevo, and nobody knows what they want.
    Unknown(Box<Work>),
    /// Something earlier of theirs comes first.
    Later,
}

const ALONE: Verdict = Verdict::Alone { there: false };

impl Delivery {
    /// The largest group of contacts that can ride together; none where too few can. Who can't is
    /// told to go alone.
    pub(super) fn choose_rows(
        &self,
        tx: &Transaction<'_>,
        now: Millis,
    ) -> Result<Option<Chosen>, StoreError> {
        let mut groups: BTreeMap<(bool, bool), (Vec<Row>, usize)> = BTreeMap::new();
        for action in candidates(tx, self.options.destination, now)? {
            match self.verdict(tx, action.clone())? {
                Verdict::Rides(row) => {
                    let size = row.body.to_string().len() + 1;
                    let (rows, bytes) = groups.entry(row.blocked).or_default();
                    if rows.len() == ROWS || *bytes + size > BYTES - ENVELOPE {
                        break;
                    }
                    *bytes += size;
                    rows.push(*row);
                }
                Verdict::Alone { there } => {
                    imports::go_alone(tx, action.id, Class::BulkSingle)?;
                    let class = if there { Class::Urgent } else { Class::BulkSingle };
                    for companion in companions(tx, &action)?.unwrap_or_default() {
                        imports::go_alone(tx, companion, class)?;
                    }
                }
                Verdict::Unknown(mut work) => {
                    work.person.set_presence(Presence::NotAtBrevo, now);
                    work.person.save(tx)?;
                    self.end(tx, &action, State::Waiting, &End::Held(held::CONSENT_UNKNOWN), None, now)?;
                }
                Verdict::Later => {}
            }
        }
        let least = (self.options.policy.import_min / 5).max(1);
        let largest = groups.into_iter().max_by_key(|(_, (rows, _))| rows.len());
        let Some(((email_blocked, sms_blocked), (rows, _))) = largest else { return Ok(None) };
        if rows.len() < least {
            for row in &rows {
                imports::go_alone(tx, row.action.id, Class::BulkSingle)?;
            }
            return Ok(None);
        }
        Ok(Some(Chosen { rows, email_blocked, sms_blocked }))
    }

    /// Takes rows into an import, and returns what is sent for them.
    pub(super) fn board(
        &self,
        tx: &Transaction<'_>,
        import: i64,
        rows: Vec<Row>,
        now: Millis,
    ) -> Result<Vec<Value>, StoreError> {
        let mut bodies = Vec::with_capacity(rows.len());
        for row in rows {
            imports::take(tx, import, row.action.id, now)?;
            let mut intent = crate::delivery::work::Intent::read(row.action.intent.as_deref())?;
            intent.ride = Some(row.ride);
            tx.prepare_cached("UPDATE action SET intent = ?2 WHERE id = ?1")?
                .execute(params![row.action.id, intent.text()?])?;
            for companion in row.companions {
                imports::take(tx, import, companion, now)?;
            }
            bodies.push(row.body);
        }
        Ok(bodies)
    }

    fn verdict(&self, tx: &Transaction<'_>, action: Action) -> Result<Verdict, StoreError> {
        let Some(companions) = companions(tx, &action)? else { return Ok(Verdict::Later) };
        let Ok(work) = Work::load(tx, action)? else { return Ok(ALONE) };
        let Payload::UpsertContact(upsert) = &work.payload else { return Ok(ALONE) };
        let Some(email) = work.names.email.clone() else { return Ok(ALONE) };
        let attributes = usable_attributes(self, upsert);
        let email_value = digest(&address_key(Channel::Email, &email));
        let goes_alone = work.intent.address.is_some()
            || work.intent.single
            || work.person.presence == Presence::Gone
            || upsert.attributes.contains_key("SMS")
            || attributes.values().any(Value::is_null)
            || work.person.has_refused(address_attribute(Channel::Email), &email_value)
            || tombstone::is_erased(tx, self.options.destination, &work.subject)?
            || deletions::ends(tx, &work.action)?
            || is_shared(tx, &work)?;
        if goes_alone {
            return Ok(ALONE);
        }
        let phone = self.phone_to_send(&work);
        let memory = self.memory();
        let Memory { census, .. } = &*memory;
        let at_brevo = census.by_email(&email);
        let by_ext_id = work.names.ext_id.as_deref().and_then(|ext_id| census.by_ext_id(ext_id));
        let by_phone = work.names.phone.as_deref().and_then(|phone| census.by_phone(phone));
        drop(memory);
        let Some(seen) = at_brevo else {
            if by_ext_id.is_some() || by_phone.is_some() || work.person.presence == Presence::AtBrevo {
                return Ok(ALONE);
            }
            if !self.may_create(&work) {
                return Ok(Verdict::Unknown(Box::new(work)));
            }
            let mut body: Map<String, Value> = attributes.into_iter().collect();
            let blocked = (work.email.blocked(), work.sms.blocked());
            let ext_id = work.names.ext_id.clone();
            return Ok(rides(work, companions, &email, ext_id, phone, &mut body, true, blocked));
        };
        let others = |id: Option<i64>| id.is_some_and(|id| id != seen.id);
        let other_id = match (seen.ext_id, work.names.ext_id.as_deref()) {
            (Some(theirs), Some(ours)) => theirs != hash(ours),
            _ => false,
        };
        let unblocked =
            (work.email.blocked() && !seen.email_blocked) || (work.sms.blocked() && !seen.sms_blocked);
        let known = work.person.contact();
        let moved = work
            .person
            .fields
            .get(address_attribute(Channel::Email))
            .is_some_and(|delivered| delivered.value != email_value);
        if others(by_ext_id)
            || others(by_phone)
            || others(known)
            || other_id
            || unblocked
            || (known.is_some() && moved)
            || (known.is_none() && is_taken(tx, self.options.destination, &work, seen.id)?)
            // What it has to say about a contact that is there is said to that contact.
            || !companions.is_empty()
        {
            return Ok(Verdict::Alone { there: true });
        }
        let planned = plan(&work, &attributes);
        let same_phone = phone.as_ref().is_none_or(|phone| {
            by_phone.is_some()
                && work
                    .person
                    .fields
                    .get(address_attribute(Channel::Sms))
                    .is_some_and(|delivered| delivered.value == digest(&address_key(Channel::Sms, phone)))
        });
        if planned.older > 0 || planned.send.is_empty() || (known.is_some() && !same_phone) {
            return Ok(Verdict::Alone { there: true });
        }
        let mut body: Map<String, Value> = planned.send.into_iter().collect();
        let ext_id = work.names.ext_id.clone().filter(|_| seen.ext_id.is_none());
        let phone = phone.filter(|_| known.is_none());
        Ok(rides(work, companions, &email, ext_id, phone, &mut body, false, (false, false)))
    }

    /// The phone number, where it may be sent.
    fn phone_to_send(&self, work: &Work) -> Option<String> {
        let phone = work.names.phone.clone()?;
        let refused = work
            .person
            .has_refused(address_attribute(Channel::Sms), &digest(&address_key(Channel::Sms, &phone)));
        let known = work.sms.is_known() || self.options.unknown_consent == UnknownConsent::Create;
        (known && !refused).then_some(phone)
    }
}

#[allow(clippy::too_many_arguments)] // the parts of a row
fn rides(
    work: Work,
    companions: Vec<i64>,
    email: &str,
    ext_id: Option<String>,
    phone: Option<String>,
    attributes: &mut Map<String, Value>,
    new: bool,
    blocked: (bool, bool),
) -> Verdict {
    // Rows may be keyed by these too, as attributes (help.brevo.com 208729849).
    attributes.extend(ext_id.map(|ext_id| ("EXT_ID".to_owned(), Value::String(ext_id))));
    attributes.extend(
        phone.clone().map(|phone| (address_attribute(Channel::Sms).to_owned(), Value::String(phone))),
    );
    let ride = Ride {
        email: digest(&address_key(Channel::Email, email)),
        phone: phone.map(|phone| digest(&address_key(Channel::Sms, &phone))),
        new,
    };
    let body = json!({ "email": email, "attributes": attributes });
    Verdict::Rides(Box::new(Row { action: work.action, companions, ride, body, blocked }))
}

/// Contacts that wait in bulk, in the order in which they are due.
fn candidates(
    tx: &Transaction<'_>,
    destination: DestinationId,
    now: Millis,
) -> Result<Vec<Action>, StoreError> {
    let sql = format!(
        "SELECT {} FROM action a WHERE a.destination = ?1 AND a.class = ?2 AND a.name = '{UPSERT_CONTACT}'
           AND a.state = 0 AND a.due_at IS NOT NULL AND a.due_at <= ?3 ORDER BY a.due_at, a.id LIMIT ?4",
        Action::COLUMNS
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement
        .query_map(params![destination.0, Class::Bulk as i64, now, LOOKED_AT as i64], Action::from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whose letter it is where an import as a whole goes wrong.
pub(super) fn first_installation(
    tx: &Transaction<'_>,
    destination: DestinationId,
) -> Result<i64, StoreError> {
    Ok(tx
        .prepare_cached("SELECT coalesce(min(id), 0) FROM installation WHERE destination = ?1")?
        .query_row([destination.0], |row| row.get(0))?)
}

/// What is earlier in the lane and travels with the creating call; none where something else of the
/// person comes first.
fn companions(tx: &Transaction<'_>, action: &Action) -> Result<Option<Vec<i64>>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT id, name, state, class FROM action
         WHERE person = ?1 AND state IN (0, 1, 8, 9) AND state IN (0, 1) AND (id < ?2 OR state = 1)",
    )?;
    let mut rows = statement.query(params![action.person, action.id])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, name, state, class): (i64, String, i64, i64) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let travels = state == 0
            && class == Class::Bulk as i64
            && [SET_CONSENT, SET_SUPPRESSION].contains(&name.as_str());
        if !travels {
            return Ok(None);
        }
        found.push(id);
    }
    Ok(Some(found))
}

fn is_shared(tx: &Transaction<'_>, work: &Work) -> Result<bool, StoreError> {
    let person = PersonId(work.person.id);
    Ok(!identity::sharing(tx, person, Channel::Email)?.is_empty()
        || !identity::sharing(tx, person, Channel::Sms)?.is_empty())
}

fn is_taken(
    tx: &Transaction<'_>,
    destination: DestinationId,
    work: &Work,
    contact: i64,
) -> Result<bool, StoreError> {
    Ok(tx
        .prepare_cached(
            "SELECT 1 FROM person WHERE destination = ?1 AND brevo_id = ?2 AND brevo_id IS NOT NULL AND id <> ?3
               AND presence = 1",
        )?
        .exists(params![destination.0, contact, work.person.id])?)
}
