//! What the operator should know about a page of export files, counted.

use crate::source::notes::Note;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    FileChanged,
    FileVanished,
    OtherEnvironment,
    OutsideWindow,
    RecentWindow,
    SkippedFile,
}

impl Counted {
    const ALL: [Self; 6] = [
        Self::FileChanged,
        Self::FileVanished,
        Self::OtherEnvironment,
        Self::OutsideWindow,
        Self::RecentWindow,
        Self::SkippedFile,
    ];

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

/// Counts, in the order of [`Counted::ALL`].
#[derive(Debug, Default)]
pub struct Counts([u32; Counted::ALL.len()]);

impl Counts {
    pub fn add(&mut self, counted: Counted) {
        if let Some(count) = self.0.get_mut(counted as usize) {
            *count = count.saturating_add(1);
        }
    }

    pub fn into_notes(self) -> impl Iterator<Item = Note> {
        Counted::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0).map(|(counted, count)| {
            let (name, message) = counted.words();
            Note { name: name.to_owned(), count, message: message.to_owned() }
        })
    }
}
