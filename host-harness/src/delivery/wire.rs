//! Calls under the account's rate windows, and why a sequence of calls stops.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use rusqlite::Transaction;

use super::outcome::End;
use super::{Delivery, DestinationOptions, beside};
use crate::brevo::account::{Call, NoAnswer};
use crate::brevo::errors::Problem;
use crate::brevo::windows::{Family, Windows};
use crate::crash;
use crate::store::StoreError;
use crate::store::outbox::Class;
use crate::world::{HttpResponse, Millis, TransportErrorKind};

/// Why a sequence of calls doesn't go on.
#[derive(Debug)]
pub(super) enum Stop {
    /// It has come to an end.
    End(End),
    /// The rate window is closed until then. Nothing was sent.
    Closed(Millis),
    /// There is no API key. Nothing was sent.
    NoKey,
    /// The operator's address policy forbids the account's address. Nothing was sent.
    Denied,
    /// The network failed before anything was sent.
    NotSent,
    /// The request left, and no answer came.
    NoAnswer,
    /// Brevo refused a call of that family.
    Problem(Problem, Family),
    /// The store failed.
    Store(StoreError),
}

/// Calls about contacts, which most are. Calls about events name their family.
impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem, Family::Contacts)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<End> for Stop {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl Delivery {
    /// Sends one call, if its window is open, and obeys what the answer says about the rate.
    pub(super) fn call(&self, call: &Call) -> Result<HttpResponse, Stop> {
        self.count(call.family, self.world.now())?;
        let result = self.client.send(call);
        crash::point("delivery-after-answer");
        let now = self.world.now();
        self.with_rates(|rates| {
            // What an answer says about the rate holds for everything that is counted with it.
            for family in call.family.counted_in() {
                let Some(windows) = rates.get_mut(&family) else { continue };
                match &result {
                    Ok(answer) => windows.heed(answer, now),
                    Err(NoAnswer::Transport(_)) => windows.fail(now),
                    Err(NoAnswer::NoKey) => windows.not_made(),
                }
            }
        });
        match result {
            Ok(answer) => {
                if answer.status < 300 {
                    self.well.store(true, Ordering::SeqCst);
                    let news = |rates: &mut BTreeMap<Family, Windows>| {
                        rates.get_mut(&call.family).is_some_and(Windows::went_through)
                    };
                    if self.with_rates(news) {
                        self.family_went_on(call.family, now)?;
                    }
                }
                tracing::debug!(call = call.label, status = answer.status, "brevo answered");
                Ok(answer)
            }
            Err(NoAnswer::NoKey) => Err(Stop::NoKey),
            Err(NoAnswer::Transport(error)) => {
                tracing::warn!(call = call.label, kind = ?error.kind, sent = error.request_sent, "no answer from brevo");
                Err(match error {
                    error if error.request_sent => Stop::NoAnswer,
                    error if error.kind == TransportErrorKind::Denied => Stop::Denied,
                    _ => Stop::NotSent,
                })
            }
        }
    }

    /// Counts a call before it is made, in the store too: what commands count beside this, and what
    /// this counts beside them, is known to both before either calls.
    fn count(&self, family: Family, now: Millis) -> Result<(), Stop> {
        let full = self.store.write_unsynced::<_, StoreError>(|tx| {
            self.take_over(tx)?;
            let full = self.opens_at(family, now);
            if full.is_some() {
                return Ok(full);
            }
            for counted in family.counted_in() {
                let windows = self.with_rates(|rates| {
                    let windows = rates.get_mut(&counted)?;
                    windows.count(now);
                    Some(windows.clone())
                });
                if let Some(windows) = windows {
                    beside::save(tx, &beside::bucket(self.options.destination, counted), &windows)?;
                }
            }
            Ok(None)
        })?;
        full.map_or(Ok(()), |at| Err(Stop::Closed(at)))
    }

    /// When the family opens; none where it is open.
    pub(super) fn opens_at(&self, family: Family, now: Millis) -> Option<Millis> {
        self.opens_for(family, Class::Live, now)
    }

    /// The same for work of a class: in bulk it leaves a part of each window alone.
    pub(super) fn opens_for(&self, family: Family, class: Class, now: Millis) -> Option<Millis> {
        self.with_rates(|rates| opens_at(rates, family, class, now))
    }

    pub(super) fn close_family(&self, family: Family, until: Millis, code: &str) {
        self.with_rates(|rates| {
            if let Some(windows) = rates.get_mut(&family) {
                windows.refuse(until, code);
            }
        });
    }

    fn with_rates<T>(&self, body: impl FnOnce(&mut BTreeMap<Family, Windows>) -> T) -> T {
        body(&mut self.rates.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over what commands counted beside this.
    pub(super) fn take_over(&self, tx: &Transaction<'_>) -> Result<(), StoreError> {
        let beside = beside::take(tx, self.options.destination)?;
        if beside.is_empty() {
            return Ok(());
        }
        self.with_rates(|rates| beside::absorb(rates, &beside));
        self.save_rates(tx)
    }

    /// Stores with whatever transaction is under way what answers said about the windows.
    pub(super) fn save_rates(&self, tx: &Transaction<'_>) -> Result<(), StoreError> {
        let rates = self.with_rates(|rates| rates.clone());
        for (family, windows) in &rates {
            beside::save(tx, &beside::bucket(self.options.destination, *family), windows)?;
        }
        Ok(())
    }
}

/// The windows of the plan, with what was counted before the start.
pub(super) fn resumed_rates(
    tx: &Transaction<'_>,
    options: &DestinationOptions,
) -> Result<BTreeMap<Family, Windows>, StoreError> {
    let mut rates = BTreeMap::new();
    for family in Family::ALL {
        let limits = options.limits.get(&family).cloned().unwrap_or_else(|| family.limits(options.plan));
        let mut windows = Windows::new(&limits);
        if let Some(stored) = beside::stored(tx, &beside::bucket(options.destination, family))? {
            windows.resume(stored);
        }
        rates.insert(family, windows);
    }
    Ok(rates)
}

/// The same for who only looks, with what commands counted beside the host.
pub(crate) fn load_rates(
    tx: &Transaction<'_>,
    options: &DestinationOptions,
) -> Result<BTreeMap<Family, Windows>, StoreError> {
    let mut rates = resumed_rates(tx, options)?;
    beside::absorb(&mut rates, &beside::beside(tx, options.destination)?);
    Ok(rates)
}

fn opens_at(rates: &BTreeMap<Family, Windows>, family: Family, class: Class, now: Millis) -> Option<Millis> {
    let windows = family.counted_in().filter_map(|counted| rates.get(&counted));
    let opens = |windows: &Windows| match class.is_bulk() {
        true => windows.opens_for_bulk_at(now),
        false => windows.opens_at(now),
    };
    windows.filter_map(opens).max()
}
