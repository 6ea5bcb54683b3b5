//! Rate windows, across restarts and between threads.

use rusqlite::{OptionalExtension as _, params};

use super::{Store, StoreError};
use crate::egress::RateStore;

impl RateStore for Store {
    fn update(&self, bucket: &str, change: &mut dyn FnMut(Option<&str>) -> String) {
        let result = self.write::<_, StoreError>(|tx| {
            let state: Option<String> = tx
                .prepare_cached("SELECT state FROM rate WHERE bucket = ?1")?
                .query_row([bucket], |row| row.get(0))
                .optional()?;
            let state = change(state.as_deref());
            tx.prepare_cached(
                "INSERT INTO rate (bucket, state) VALUES (?1, ?2) ON CONFLICT (bucket) DO UPDATE SET state = ?2",
            )?
            .execute(params![bucket, state])?;
            Ok(())
        });
        if let Err(error) = result {
            // The window was asked and answered in memory; only its next use may know less.
            tracing::error!(%error, "a rate window could not be stored");
        }
    }
}
