//! `schedule`: extra jobs. `fetch-page` and `handle-webhook` may use it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::contract::schedule::{Error, Host, Job};
use crate::plugin::guest::{Export, Guest};

/// Jobs so far, by key.
#[derive(Default)]
pub struct Used {
    /// Names of the profile's resources.
    pub resources: Arc<[String]>,
    /// A job with the same key is replaced.
    pub jobs: BTreeMap<String, Job>,
}

impl Host for Guest {
    fn enqueue(&mut self, job: Job) -> wasmtime::Result<Result<(), Error>> {
        self.check_deadline()?;
        if !matches!(self.export, Export::FetchPage | Export::HandleWebhook) {
            return Ok(Err(Error::Denied));
        }
        if !self.used.schedule.resources.contains(&job.resource) {
            return Ok(Err(Error::UnknownResource));
        }
        let cursor = job.cursor.as_ref().map_or(0, |cursor| cursor.bytes.len());
        if job.key.is_empty() || job.key.len() > self.limits.text || cursor > self.limits.cursor {
            return Ok(Err(Error::TooLarge));
        }
        let jobs = &mut self.used.schedule.jobs;
        if jobs.len() >= self.limits.jobs && !jobs.contains_key(&job.key) {
            return Ok(Err(Error::Quota));
        }
        jobs.insert(job.key.clone(), job);
        Ok(Ok(()))
    }
}
