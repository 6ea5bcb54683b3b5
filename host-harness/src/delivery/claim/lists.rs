//! Joins and leaves that ride together.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use rusqlite::{Transaction, params};

use super::Claim;
use super::lane::BLOCKS;
use crate::delivery::Delivery;
use crate::delivery::delete::person_deleted;
use crate::delivery::lists::{Change, Row, superseded};
use crate::delivery::outcome::End;
use crate::delivery::work::Intent;
use crate::people::identity::PersonId;
use crate::people::{deletions, memberships, tombstone};
use crate::registry::names::{JOIN_LIST as JOIN, LEAVE_LIST as LEAVE};
use crate::registry::{ListMembership, Payload};
use crate::store::StoreError;
use crate::store::lists::{self, List};
use crate::store::outbox::{self, Action, State, held};
use crate::world::Millis;

impl Delivery {
    /// What is to be done about the first join or leave that is due.
    pub(super) fn claim_list(
        &self,
        tx: &Transaction<'_>,
        action: Action,
        now: Millis,
    ) -> Result<Claim, StoreError> {
        let Some(list) = action.list.map(|list| lists::get(tx, list)).transpose()?.flatten() else {
            return self.take(tx, action, now);
        };
        if list.stopped_code.is_some() {
            self.end(tx, &action, State::Waiting, &End::Held(held::LIST_STOPPED), None, now)?;
            return Ok(Claim::Done);
        }
        let Some(id) = list.brevo_id else {
            let search = self.begin_search(tx, list, action.installation, now)?;
            return Ok(search.map_or(Claim::Done, Claim::Search));
        };
        let join = action.name == JOIN;
        let alone = Intent::read(action.intent.as_deref())?.look || self.is_looked_for(tx, &action)?;
        let (rows, ended) = if alone { (Vec::new(), 0) } else { self.riders(tx, &list, join, now)? };
        if rows.is_empty() && ended > 0 {
            return Ok(Claim::Done);
        }
        if rows.is_empty() {
            if let Some(person) = action.person {
                memberships::set_delivered(tx, list.id, PersonId(person), None)?;
            }
            return self.take(tx, action, now);
        }
        for row in &rows {
            outbox::take(tx, row.action.id, now)?;
            if let Some(person) = row.action.person {
                // Until an answer says otherwise.
                memberships::set_delivered(tx, list.id, PersonId(person), None)?;
            }
        }
        self.save_rates(tx)?;
        let counted = |mut row: Row| {
            row.action.attempts += 1;
            row.action.state = State::InFlight;
            row
        };
        Ok(Claim::List(Change { list, id, join, rows: rows.into_iter().map(counted).collect() }))
    }

    /// Whether the person of a join or leave has to be looked for at Brevo now. Who was found waits
    /// until there are enough for a call, or nobody is left to be looked for.
    fn is_looked_for(&self, tx: &Transaction<'_>, action: &Action) -> Result<bool, StoreError> {
        let at_brevo = tx
            .prepare_cached("SELECT 1 FROM person WHERE id = ?1 AND presence = 1 AND brevo_id IS NOT NULL")?
            .exists([action.person])?;
        let looks = if at_brevo { 0 } else { self.looks.fetch_add(1, Ordering::SeqCst) + 1 };
        if looks >= crate::brevo::lists::ROWS {
            self.looks.store(0, Ordering::SeqCst);
        }
        Ok((1..crate::brevo::lists::ROWS).contains(&looks))
    }

    /// Joins or leaves of a list that can ride together: of people who are at Brevo, each at the
    /// front of their lane. What newer words made pointless ends here; says how many did.
    fn riders(
        &self,
        tx: &Transaction<'_>,
        list: &List,
        join: bool,
        now: Millis,
    ) -> Result<(Vec<Row>, usize), StoreError> {
        let candidates: Vec<(Action, i64)> = tx
            .prepare_cached(&riders_sql())?
            .query_map(
                params![self.options.destination.0, now, list.id, if join { JOIN } else { LEAVE }],
                |row| Ok((Action::from_row(row)?, row.get(Action::WIDTH)?)),
            )?
            .collect::<Result<_, _>>()?;
        let (mut rows, mut ended, mut contacts) = (Vec::new(), 0, BTreeSet::new());
        for (action, contact) in candidates {
            let (Some(person), Some(to)) = (action.person, membership_of(&action)) else { continue };
            let known = memberships::get(tx, list.id, PersonId(person))?;
            let end = match known {
                Some(known) if known.wanted != join => Some(superseded(join)),
                Some(known) if known.delivered == Some(join) => {
                    Some(End::Over(State::Deduplicated, "no-change"))
                }
                _ if self.is_erased(tx, &action)? => Some(End::Over(State::Refused, "person-erased")),
                _ if deletions::ends(tx, &action)? => Some(person_deleted()),
                _ => None,
            };
            if let Some(end) = end {
                self.end(tx, &action, State::Waiting, &end, None, now)?;
                ended += 1;
            } else if contacts.insert(contact) {
                let intent = Intent::read(action.intent.as_deref())?;
                rows.push(Row { action, intent, contact, inert: to.inert });
            }
        }
        Ok((rows, ended))
    }

    fn is_erased(&self, tx: &Transaction<'_>, action: &Action) -> Result<bool, StoreError> {
        match serde_json::from_str(&action.subject) {
            Ok(crate::contract::Subject::Person(subject)) => {
                tombstone::is_erased(tx, self.options.destination, &subject)
            }
            _ => Ok(true), // erased people leave actions without content behind
        }
    }
}

/// Choosing joins or leaves of one list for one call.
fn riders_sql() -> String {
    format!(
        "SELECT {}, p.brevo_id FROM action a JOIN person p ON p.id = a.person
             WHERE a.destination = ?1 AND a.state IN (0, 1, 8, 9) AND a.due_at IS NOT NULL
               AND a.state = 0 AND a.due_at <= ?2 AND a.list = ?3 AND a.name = ?4
               AND p.presence = 1 AND p.brevo_id IS NOT NULL
               AND coalesce(json_extract(a.intent, '$.look'), 0) = 0
               AND NOT EXISTS (SELECT 1 FROM action e
                    WHERE e.person = a.person AND e.state IN (0, 1, 8, 9)
                      AND (e.state = 1 OR ({BLOCKS} AND e.id < a.id)))
             ORDER BY a.due_at, a.id LIMIT {}",
        Action::COLUMNS,
        crate::brevo::lists::ROWS
    )
}

fn membership_of(action: &Action) -> Option<ListMembership> {
    match Payload::parse(&action.name, &action.payload) {
        Ok(Payload::JoinList(to) | Payload::LeaveList(to)) => Some(to),
        _ => None,
    }
}
