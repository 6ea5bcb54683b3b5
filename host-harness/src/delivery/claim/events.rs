//! Events that ride together, and those that are read back together.

use std::collections::BTreeMap;

use rusqlite::{Transaction, params};

use super::lane::lane;
use crate::brevo::events::{self, NewEvent};
use crate::delivery::Delivery;
use crate::delivery::work::Intent;
use crate::people::{deletions, tombstone};
use crate::registry::names::TRACK_EVENT as EVENT;
use crate::registry::{Payload, TrackEvent};
use crate::store::StoreError;
use crate::store::outbox::{Action, Class, OUTCOME_UNKNOWN, State};
use crate::world::Millis;

/// An event that rides in a batch.
pub(in crate::delivery) struct BatchRow {
    pub action: Action,
    pub intent: Intent,
    pub event: NewEvent,
}

/// An event that may be at Brevo.
pub(in crate::delivery) struct Unproven {
    pub action: Action,
    pub intent: Intent,
    pub name: String,
    /// Contacts that it may have been recorded for.
    pub contacts: Vec<i64>,
}

/// Rows that are looked at for one batch.
pub(super) const GATHER: usize = 2 * events::BATCH_MAX;

/// How long a reading back may take before another step tries it.
const READ_BACK_LEASE: Millis = 600_000;

impl Delivery {
    /// Events that can ride together: of people who are at Brevo, each person's in order and from
    /// the front of their lane.
    pub(super) fn gather(
        &self,
        tx: &Transaction<'_>,
        class: Class,
        now: Millis,
    ) -> Result<Vec<BatchRow>, StoreError> {
        let sql = format!(
            "SELECT {}, p.brevo_id FROM action a JOIN person p ON p.id = a.person
             WHERE a.destination = ?1 AND a.class = ?4 AND a.name = '{EVENT}' AND a.state = 0
               AND a.due_at IS NOT NULL AND a.due_at <= ?2
               AND p.presence = 1 AND p.brevo_id IS NOT NULL
             ORDER BY a.due_at, a.id LIMIT ?3",
            Action::COLUMNS
        );
        let candidates: Vec<(Action, i64)> = tx
            .prepare_cached(&sql)?
            .query_map(params![self.options.destination.0, now, GATHER as i64, class as i64], |row| {
                Ok((Action::from_row(row)?, row.get(Action::WIDTH)?))
            })?
            .collect::<Result<_, _>>()?;
        let mut by_person: BTreeMap<i64, Vec<(Action, i64)>> = BTreeMap::new();
        for (action, contact) in candidates {
            if let Some(person) = action.person {
                by_person.entry(person).or_default().push((action, contact));
            }
        }
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for (person, mut candidates) in by_person {
            candidates.sort_by_key(|(action, _)| action.id);
            let lane = lane(tx, person, now)?;
            for ((action, contact), open) in candidates.into_iter().zip(lane) {
                if open != (action.id, State::Waiting) {
                    break;
                }
                let Some(row) = self.batch_row(tx, action, contact)? else { break };
                bytes += row.event.size();
                if rows.len() == events::BATCH_MAX || bytes > events::BATCH_BYTES {
                    return Ok(rows);
                }
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// None where the event is better off alone: it can't be sent, or may not.
    pub(super) fn batch_row(
        &self,
        tx: &Transaction<'_>,
        action: Action,
        contact: i64,
    ) -> Result<Option<BatchRow>, StoreError> {
        let mut intent = Intent::read(action.intent.as_deref())?;
        let Some(event) = event_of(&action) else { return Ok(None) };
        if intent.single || intent.look {
            return Ok(None);
        }
        if deletions::ends(tx, &action)? {
            return Ok(None);
        }
        if let Ok(crate::contract::Subject::Person(subject)) = serde_json::from_str(&action.subject)
            && tombstone::is_erased(tx, self.options.destination, &subject)?
        {
            return Ok(None);
        }
        intent.contact = Some(contact);
        let event = NewEvent::new(&event.event, action.time(), contact, &event.properties, action.effect);
        Ok(event.ok().map(|event| BatchRow { action, intent, event }))
    }

    pub(super) fn counted(&self, mut rows: Vec<BatchRow>) -> Vec<BatchRow> {
        for row in &mut rows {
            row.action.attempts += 1;
            row.action.state = State::InFlight;
        }
        rows
    }

    /// Parked events whose settle time is over. Taking them moves their due time, so that no other
    /// step takes them and a crash brings them back.
    pub(super) fn unproven(&self, tx: &Transaction<'_>, now: Millis) -> Result<Vec<Unproven>, StoreError> {
        let sql = format!(
            "SELECT {}, p.brevo_id FROM action a LEFT JOIN person p ON p.id = a.person
             WHERE a.destination = ?1 AND a.state = 9 AND a.due_at IS NOT NULL
               AND a.due_at <= ?2 AND a.code = '{OUTCOME_UNKNOWN}' AND a.name = '{EVENT}'
             ORDER BY a.due_at, a.id LIMIT ?3",
            Action::COLUMNS
        );
        let rows: Vec<(Action, Option<i64>)> = tx
            .prepare_cached(&sql)?
            .query_map(params![self.options.destination.0, now, events::READ_MAX as i64], |row| {
                Ok((Action::from_row(row)?, row.get(Action::WIDTH)?))
            })?
            .collect::<Result<_, _>>()?;
        let mut unproven = Vec::new();
        for (action, contact) in rows {
            tx.prepare_cached("UPDATE action SET due_at = ?2 WHERE id = ?1")?
                .execute(params![action.id, now + READ_BACK_LEASE])?;
            let intent = Intent::read(action.intent.as_deref())?;
            let Some(event) = event_of(&action) else { continue };
            let mut contacts: Vec<i64> = contact.into_iter().chain(intent.contact).collect();
            contacts.dedup();
            unproven.push(Unproven { name: event.event, contacts, action, intent });
        }
        Ok(unproven)
    }
}

fn event_of(action: &Action) -> Option<TrackEvent> {
    match Payload::parse(&action.name, &action.payload) {
        Ok(Payload::TrackEvent(event)) => Some(event),
        _ => None,
    }
}
