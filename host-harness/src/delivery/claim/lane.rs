//! Whose turn it is: lanes of people and of things, and what may overtake in them.

use std::sync::LazyLock;

use rusqlite::{Transaction, params};

use super::events::GATHER;
use crate::delivery::Delivery;
use crate::registry::names::TRACK_EVENT as EVENT;
use crate::store::StoreError;
use crate::store::installations::DestinationId;
use crate::store::outbox::{Action, Class, State};
use crate::world::Millis;

/// What makes the later actions of a lane wait: an earlier one that waits itself. Not what is put
/// off on purpose, and not what nothing later depends on and what may wait long for its window.
/// `?2` is the time.
pub(in crate::delivery) const BLOCKS: &str = "e.state = 0 AND coalesce(e.not_before, ?2) <= ?2
     AND e.name NOT IN ('brevo/send-email', 'brevo/send-sms', 'brevo/add-note', 'brevo/create-task')";

/// Choosing the first action of a class and name that may be taken. Opt-outs, suppressions and sends
/// wait for nothing that rides in an import; sends for nothing in bulk either.
/// `?3` is the class, `?4` the name, `?5` whether only events of people at Brevo are meant.
pub(in crate::delivery) static HEAD: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM action a
             WHERE a.destination = ?1 AND a.class = ?3 AND a.name = ?4 AND a.state = 0
               AND a.due_at IS NOT NULL AND a.due_at <= ?2
               AND (a.list IS NULL OR NOT EXISTS (
                    SELECT 1 FROM list l WHERE l.id = a.list AND l.retry_at > ?2))
               AND (NOT ?5 OR a.name <> '{EVENT}' OR EXISTS (
                    SELECT 1 FROM person p WHERE p.id = a.person AND p.presence = 1))
               AND NOT EXISTS (SELECT 1 FROM action e
                    WHERE e.person = a.person AND e.state IN (0, 1, 8, 9)
                      AND (e.state = 1 AND NOT (e.import IS NOT NULL AND (a.name IN ({SENDS}) OR {RESTRICTS}))
                        OR {BLOCKS} AND e.id < a.id AND NOT {RESTRICTS}
                           AND NOT (a.name IN ({SENDS}) AND e.class >= 2)))
               AND (a.thing IS NULL OR NOT EXISTS (SELECT 1 FROM action e
                    WHERE e.thing = a.thing AND e.thing IS NOT NULL AND e.state IN (0, 1, 8, 9)
                      AND (e.state = 1 OR ({BLOCKS} AND e.id < a.id))))
             ORDER BY a.due_at, a.id LIMIT 1",
        Action::COLUMNS
    )
});

pub(super) const SENDS: &str = "'brevo/send-email', 'brevo/send-sms'";

/// True of an action `a` that may only ever stop something.
const RESTRICTS: &str = "(a.name = 'brevo/set-suppression'
     OR a.name = 'brevo/set-consent' AND json_extract(a.payload, '$.status') = 'opted-out')";

impl Delivery {
    /// The first action of a class that may be taken, among those of the given names.
    pub(super) fn head(
        &self,
        tx: &Transaction<'_>,
        now: Millis,
        class: Class,
        names: &[&str],
        known_only: bool,
    ) -> Result<Option<Action>, StoreError> {
        let mut first: Option<Action> = None;
        // One look for each name: an index then gives the first of each without sorting.
        for name in names {
            let mut statement = tx.prepare_cached(&HEAD)?;
            let values = params![self.options.destination.0, now, class as i64, name, known_only];
            let mut rows = statement.query_map(values, Action::from_row)?;
            let Some(action) = rows.next().transpose()? else { continue };
            let place = |action: &Action| (action.due_at, action.id);
            if first.as_ref().is_none_or(|first| place(&action) < place(first)) {
                first = Some(action);
            }
        }
        Ok(first)
    }
}

/// Everything that was in flight when the process ended, but for the rows of an import.
pub(in crate::delivery) fn in_flight(
    tx: &Transaction<'_>,
    destination: DestinationId,
) -> Result<Vec<Action>, StoreError> {
    let sql = format!(
        "SELECT {} FROM action a WHERE a.state = 1 AND a.destination = ?1 AND a.import IS NULL ORDER BY a.id",
        Action::COLUMNS
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map([destination.0], Action::from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Front of a person's lane: open actions that block what comes after them.
pub(super) fn lane(tx: &Transaction<'_>, person: i64, now: Millis) -> Result<Vec<(i64, State)>, StoreError> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT e.id, e.state FROM action e
         WHERE e.person = ?1 AND e.state IN (0, 1, 8, 9) AND (e.state = 1 OR {BLOCKS})
         ORDER BY e.state = 0, e.id LIMIT ?3"
    ))?;
    let rows = statement.query_map(params![person, now, GATHER as i64], |row| {
        Ok((row.get(0)?, if row.get::<_, i64>(1)? == 0 { State::Waiting } else { State::InFlight }))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
