//! `storage`: the snapshot of the unit under its own writes. `fetch-page` and `handle-webhook`
//! may use it.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::contract::storage::{Entry, Error, Host};
use crate::plugin::guest::{Export, Guest};
use crate::unit::StorageDelta;

/// Versions of the unit's own writes start here, far above those of the store.
const OWN_VERSIONS: u64 = 1 << 63;

/// What the unit read and wrote.
#[derive(Default)]
pub struct Used {
    /// Version of the snapshot at the first read; none: absent.
    reads: BTreeMap<String, Option<u64>>,
    /// Own writes with their version; none: deleted.
    writes: BTreeMap<String, (Option<Vec<u8>>, u64)>,
    written: usize,
    /// What the installation had room for before the first write.
    room: Option<u64>,
    counter: u64,
}

impl Used {
    /// Reads and writes, in the order of keys.
    pub fn into_delta(self) -> StorageDelta {
        StorageDelta {
            reads: self.reads.into_iter().collect(),
            writes: self.writes.into_iter().map(|(key, (value, _))| (key, value)).collect(),
        }
    }
}

impl Guest {
    fn may_store(&self, key: &str) -> Result<(), Error> {
        if !matches!(self.export, Export::FetchPage | Export::HandleWebhook) {
            return Err(Error::Denied);
        }
        if key.is_empty() || key.len() > self.limits.storage_key {
            return Err(Error::TooLarge);
        }
        Ok(())
    }

    /// The key as this unit sees it.
    fn look_up(&mut self, key: &str) -> Option<Entry> {
        if let Some((value, version)) = self.used.storage.writes.get(key) {
            return value.clone().map(|value| Entry { value, version: *version });
        }
        let entry = self.services.storage_get(key);
        let version = entry.as_ref().map(|entry| entry.version);
        self.used.storage.reads.entry(key.to_owned()).or_insert(version);
        entry
    }

    fn write(&mut self, key: String, value: Option<Vec<u8>>) -> Result<(), Error> {
        let size = value.as_ref().map_or(0, Vec::len);
        if size > self.limits.storage_value {
            return Err(Error::TooLarge);
        }
        let room = *self.used.storage.room.get_or_insert_with(|| self.services.storage_room());
        let storage = &mut self.used.storage;
        // Rewriting a key counts again: what is bounded is the work, not only the result.
        let written = storage.written.saturating_add(key.len()).saturating_add(size);
        let grows = value.is_some();
        if written > self.limits.storage_writes || (grows && written as u64 > room) {
            return Err(Error::Quota);
        }
        storage.written = written;
        storage.counter += 1;
        storage.writes.insert(key, (value, OWN_VERSIONS + storage.counter));
        Ok(())
    }
}

impl Host for Guest {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Entry>, Error>> {
        let answer = self.may_store(&key).map(|()| self.look_up(&key));
        self.check_deadline()?;
        Ok(answer)
    }

    fn set(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        self.check_deadline()?;
        Ok(self.may_store(&key).and_then(|()| self.write(key, Some(value))))
    }

    fn swap(
        &mut self,
        key: String,
        expected: Option<u64>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        if let Err(error) = self.may_store(&key) {
            return Ok(Err(error));
        }
        let found = self.look_up(&key).map(|entry| entry.version);
        self.check_deadline()?;
        if found != expected {
            return Ok(Err(Error::Stale));
        }
        Ok(self.write(key, Some(value)))
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), Error>> {
        self.check_deadline()?;
        Ok(self.may_store(&key).and_then(|()| self.write(key, None)))
    }

    fn list(
        &mut self,
        prefix: String,
        after: Option<String>,
    ) -> wasmtime::Result<Result<Vec<String>, Error>> {
        if !matches!(self.export, Export::FetchPage | Export::HandleWebhook) {
            return Ok(Err(Error::Denied));
        }
        let too_long = |key: &str| key.len() > self.limits.storage_key;
        if too_long(&prefix) || after.as_deref().is_some_and(too_long) {
            return Ok(Err(Error::TooLarge));
        }
        let limit = self.limits.storage_list;
        let from = match &after {
            Some(after) if *after >= prefix => Bound::Excluded(after.clone()),
            _ => Bound::Included(prefix.clone()),
        };
        let own: Vec<(&String, bool)> = self
            .used
            .storage
            .writes
            .range((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(&prefix))
            .map(|(key, (value, _))| (key, value.is_some()))
            .collect();
        // Deleted keys fall out of the snapshot's list, so that many more are asked for.
        let deleted = own.iter().filter(|(_, present)| !present).count();
        let listed = self.services.storage_list(&prefix, after.as_deref(), limit + deleted);
        let mut keys: BTreeMap<String, bool> = listed.into_iter().map(|key| (key, true)).collect();
        keys.extend(own.into_iter().map(|(key, present)| (key.clone(), present)));
        self.check_deadline()?;
        Ok(Ok(keys.into_iter().filter(|(_, present)| *present).map(|(key, _)| key).take(limit).collect()))
    }
}
