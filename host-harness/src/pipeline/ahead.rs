//! The next page of a backfill, read while the present one is committed.
//!
//! A backfill spends about as much time in the guest as in the store, and the two need not wait for
//! each other: where the next page begins is known before the present one is committed. What was
//! read ahead is only used if the job then really stands there; anything else, an error too, is
//! thrown away, and the page is read as usual. So nothing that is committed depends on it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::contract::Cursor;
use crate::unit::{Outcome, UnitError};

/// Real time after which a page that was read ahead is no longer used.
const FRESH: Duration = Duration::from_secs(60);

struct Page {
    cursor: Cursor,
    begun: Instant,
    reading: JoinHandle<Result<Outcome, UnitError>>,
}

/// Pages that were read ahead, by job.
#[derive(Default)]
pub(super) struct Ahead(Mutex<HashMap<i64, Page>>);

impl Ahead {
    /// Begins to read the page at `cursor`.
    pub fn begin(
        &self,
        job: i64,
        cursor: &Cursor,
        read: impl FnOnce() -> Result<Outcome, UnitError> + Send + 'static,
    ) {
        let spawned = std::thread::Builder::new().name("ahead".into()).spawn(read);
        // Without a thread the page is read when its turn comes.
        let Ok(reading) = spawned else { return };
        let page = Page { cursor: cursor.clone(), begun: Instant::now(), reading };
        let replaced = self.pages().insert(job, page);
        finish(replaced);
    }

    /// The page at `cursor`, if it was read ahead and came to something. Waits for it.
    pub fn take(&self, job: i64, cursor: Option<&Cursor>) -> Option<Outcome> {
        let page = self.pages().remove(&job)?;
        let usable = Some(&page.cursor) == cursor && page.begun.elapsed() < FRESH;
        finish(Some(page))?.ok().filter(|_| usable)
    }

    fn pages(&self) -> std::sync::MutexGuard<'_, HashMap<i64, Page>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the thread, so that none outlives what it works on.
fn finish(page: Option<Page>) -> Option<Result<Outcome, UnitError>> {
    page?.reading.join().ok()
}

impl Drop for Ahead {
    fn drop(&mut self) {
        for (_, page) in self.pages().drain() {
            finish(Some(page));
        }
    }
}
