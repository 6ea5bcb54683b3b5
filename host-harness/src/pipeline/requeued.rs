//! Quarantined records that an operator requeued: mapped anew, with the keys they always had.

use std::sync::Arc;

use super::commit::{Place, settle, trusted_time};
use super::services::UnitServices;
use super::{Pipeline, Step};
use crate::contract::Mapping;
use crate::people::circle::Circle;
use crate::store::acceptance::Verdict;
use crate::store::dead_letters;
use crate::store::installations::InstallationId;
use crate::store::tallies::{self, Fate};
use crate::store::{StoreError, batches};
use crate::unit::{MappedRecord, Unit, UnitError, Work};

impl Pipeline {
    /// Maps one requeued record of these installations, if there is one.
    pub(super) fn requeued_step(&self, of: &[InstallationId]) -> Result<Step, StoreError> {
        let next = self.store.read::<_, StoreError>(|tx| {
            let of = of.iter().map(|id| dead_letters::next_requeued(tx, *id, "map"));
            let letters: Vec<_> = of.collect::<Result<_, _>>()?;
            Ok(letters.into_iter().flatten().min_by_key(|letter| letter.id))
        })?;
        let Some(letter) = next else { return Ok(Step::Idle(None)) };
        let found = self.store.read(|tx| match (letter.batch, letter.position) {
            (Some(batch), Some(position)) => batches::get(tx, batch, position as usize),
            _ => Ok(None),
        })?;
        let (Some(kept), Some(installed)) = (found, self.installed.get(&InstallationId(letter.installation)))
        else {
            // Retention took the payload, or the connector is gone: it stays open for a person.
            self.store.write(|tx| dead_letters::give_back(tx, letter.id, "payload-gone"))?;
            return Ok(Step::Worked);
        };
        let now = self.world.now();
        let unit =
            Unit { settings: installed.settings.clone(), now, work: Work::Map(vec![kept.record.clone()]) };
        let services = Arc::new(UnitServices {
            store: self.store.clone(),
            installation: installed.row.id,
            outside: (installed.outside)("requeue"),
        });
        let mapping = match installed.guest.run(&unit, services) {
            Ok(mut outcome) => outcome.records.pop().map_or_else(lost_record, |mapped| mapped.mapping),
            Err(error) => Err(error),
        };
        let mapped = MappedRecord { record: kept.record.clone(), mapping };
        let time = trusted_time(&kept.record, kept.received_at, &self.policy);
        let (Some(batch), Some(position)) = (letter.batch, letter.position) else { return Ok(Step::Worked) };
        let place = Place { batch, position: position as usize, journal: letter.journal };
        self.store.write(|tx| {
            if !dead_letters::resolve(tx, letter.id, now)? {
                return Ok(()); // another thread was faster
            }
            // A record that fails again is quarantined again, as a new letter.
            let fate = Circle::with(tx, installed.row.destination, |circle| {
                settle(tx, circle, installed, &mapped, &kept, Verdict::NewEvent, time, &place, now)
            })?;
            tallies::add(tx, installed.row.id, Fate::Quarantined.as_str(), -1)?;
            let name = fate.map_or(Fate::Skipped, |fate| fate).as_str();
            tallies::add(tx, installed.row.id, name, 1)
        })?;
        Ok(Step::Worked)
    }
}

fn lost_record() -> Result<Mapping, UnitError> {
    Err(UnitError::Fault {
        code: "guest-output".into(),
        message: "the record came back without a mapping".into(),
    })
}
