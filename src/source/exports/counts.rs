//! What the operator should know about a page of export files, counted.

use std::collections::BTreeMap;

use crate::source::notes::Note;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    FileChanged,
    FileVanished,
    OtherEnvironment,
    OutsideWindow,
    RecentWindow,
    SkippedFile,
}

impl Counted {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::FileChanged => (
                "file-changed",
                "A file was written anew while it was read, so it was read from its start again.",
            ),
            Self::FileVanished => ("file-vanished", "A file was listed, but gone when it was read."),
            Self::OtherEnvironment => {
                ("other-environment", "A record has another db_name than exports.db_name, so it was refused.")
            }
            Self::OutsideWindow => (
                "outside-window",
                "A record happened before or after the window that was asked for; folders are whole days.",
            ),
            Self::RecentWindow => (
                "recent-window",
                "MoEngage may still export events of this window; run the backfill again in two days.",
            ),
            Self::SkippedFile => {
                ("skipped-file", "A file beside the exports is not named like one and was not read.")
            }
        }
    }
}

/// Counts.
#[derive(Debug, Default)]
pub struct Counts(BTreeMap<Counted, u32>);

impl Counts {
    pub fn add(&mut self, counted: Counted) {
        let count = self.0.entry(counted).or_default();
        *count = count.saturating_add(1);
    }

    pub fn into_notes(self) -> impl Iterator<Item = Note> {
        self.0.into_iter().map(|(counted, count)| {
            let (name, message) = counted.words();
            Note { name: name.to_owned(), count, message: message.to_owned() }
        })
    }
}
