//! What an account does by itself, after a request was answered: campaigns that are sent, imports
//! and objects that are processed. It is done when the account is next looked at, in the order in
//! which it became due and with that date.

use std::collections::BTreeMap;

use super::account::Account;
use crate::clock::Millis;

/// One thing to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    /// Fix who gets the send with this index.
    CampaignSend(usize),
    /// End this process.
    Process(i64),
}

#[derive(Debug, Default)]
pub(super) struct Jobs {
    due: BTreeMap<(Millis, u64), Due>,
    count: u64,
}

impl Jobs {
    pub(super) fn add(&mut self, at: Millis, due: Due) {
        self.count += 1;
        self.due.insert((at, self.count), due);
    }

    fn next(&mut self, now: Millis) -> Option<(Millis, Due)> {
        let first = self.due.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((at, _), due) = first.remove_entry();
        Some((at, due))
    }
}

impl Account {
    /// Does whatever is due by now.
    pub(super) fn settle(&mut self, now: Millis) {
        while let Some((at, due)) = self.jobs.next(now) {
            match due {
                Due::CampaignSend(index) => self.fix_recipients(index),
                Due::Process(id) => {
                    if let Some(waiting) = self.imports.waiting.remove(&id) {
                        self.apply_import(id, waiting, at);
                    }
                    if let Some((seq, object, rows)) = self.objects.waiting.remove(&id) {
                        self.apply_records(seq, &object, rows, at);
                    }
                }
            }
        }
    }
}
