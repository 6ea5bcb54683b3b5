//! Things that the operator should know about a unit, counted.

use std::collections::BTreeMap;

/// One kind of thing, and how often it was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// `lower-kebab-case`.
    pub name: String,
    /// How often.
    pub count: u32,
    /// One sentence, without personal data.
    pub message: String,
}

/// What can be noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notice {
    AliasDropped,
    AnonymousUid,
    CursorRefused,
    FilterIgnored,
    ListFull,
    InBothLists,
    KnownByAliasOnly,
    NonUtf8Replaced,
    OtherSource,
    OutdatedVersion,
    ParentGone,
    ParentRefused,
    PhoneWithoutCountry,
    QuotaUsedUp,
    RefusedUid,
    RepeatedDelivery,
    RepeatedRow,
    RepetitionForgotten,
    ReportGone,
    UnknownStatus,
    UnreadableAlertTime,
    UnreadableCampaignTime,
    UnreadableField,
    UnreadableFlag,
    UnreadableMachineMark,
    UnreadableTime,
    UnusableEmail,
    UnusablePhone,
    UnusableValue,
    UserNotFound,
    UserUnanswered,
    WatchIdTooLong,
    WatchListFull,
}

impl Notice {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::AliasDropped => (
                "alias-dropped",
                "A moengage_user_id is unusable as a name, for instance a float from 2^53 on.",
            ),
            Self::AnonymousUid => (
                "anonymous-uid",
                "A uid has the mark of an anonymous visitor and is not used as an identity.",
            ),
            Self::CursorRefused => {
                ("cursor-refused", "MoEngage no longer took the cursor of a list, which was read anew.")
            }
            Self::FilterIgnored => (
                "filter-ignored",
                "A campaign was created before campaigns.created_since and was left out; MoEngage should not have sent it.",
            ),
            Self::ListFull => (
                "list-full",
                "The installation's storage is full, so that an id can't be kept for the reads that need it.",
            ),
            Self::InBothLists => (
                "in-both-lists",
                "A chunk says of a person both that it joins and that it leaves; leaving counts.",
            ),
            Self::KnownByAliasOnly => (
                "known-by-alias-only",
                "A row of a segment has no usable identifier; the person is known by MoEngage's own id until then.",
            ),
            Self::NonUtf8Replaced => {
                ("non-utf8-replaced", "An event held bytes that are not UTF-8; they were replaced by U+FFFD.")
            }
            Self::OtherSource => {
                ("other-source", "The batch or an event names another source than MoEngage.")
            }
            Self::OutdatedVersion => (
                "outdated-version",
                "A campaign came in an older version than the newest known one; it was left out.",
            ),
            Self::ParentGone => (
                "parent-gone",
                "What a list was asked for is no longer there at MoEngage; the other lists are read on.",
            ),
            Self::ParentRefused => (
                "parent-refused",
                "MoEngage does not give the list of something that it named itself or that the settings name; the other lists are read on.",
            ),
            Self::PhoneWithoutCountry => (
                "phone-without-country",
                "A phone number has no country and was left out; see options.phones and options.phone_country.",
            ),
            Self::QuotaUsedUp => {
                ("quota-used-up", "MoEngage's quota of fair use is spent; the read goes on in an hour.")
            }
            Self::RefusedUid => (
                "refused-uid",
                "A uid is one of the words that MoEngage itself refuses and is not used as an identity.",
            ),
            Self::RepeatedDelivery => {
                ("repeated-delivery", "A connector campaign sent the same body again; it counts once.")
            }
            Self::RepeatedRow => ("repeated-row", "A page or chunk held the same row twice; it counts once."),
            Self::RepetitionForgotten => (
                "repetition-forgotten",
                "So many bodies came within connector_campaigns.repeat_window that an old one was forgotten; map an event_id.",
            ),
            Self::ReportGone => (
                "report-gone",
                "MoEngage has no report of a name under report_files, or not any more: a report lives for seven days.",
            ),
            Self::UnknownStatus => {
                ("unknown-status", "A campaign has a status that is not documented; it is kept as it came.")
            }
            Self::UnreadableAlertTime => (
                "unreadable-alert-time",
                "An alert_triggered_at is missing or in no documented form; the time counts as unknown.",
            ),
            Self::UnreadableCampaignTime => (
                "unreadable-campaign-time",
                "A time of a campaign is in no documented form and was left out.",
            ),
            Self::UnreadableField => {
                ("unreadable-field", "A field of a row is not of the documented type and was left out.")
            }
            Self::UnreadableFlag => (
                "unreadable-flag",
                "A consent or suppression flag has a value that is neither true nor false; it counts as unknown.",
            ),
            Self::UnreadableMachineMark => (
                "unreadable-machine-mark",
                "An event says neither yes nor no to being a machine's; it counts as not known.",
            ),
            Self::UnreadableTime => (
                "unreadable-time",
                "An event_time is missing or not in epoch seconds; the time counts as unknown.",
            ),
            Self::UnusableEmail => ("unusable-email", "An e-mail address is not one and was left out."),
            Self::UnusablePhone => ("unusable-phone", "A phone number is not one and was left out."),
            Self::UnusableValue => (
                "unusable-value",
                "A value can't become what field_mapping says; its attribute is left alone, and the log names it.",
            ),
            Self::UserNotFound => (
                "user-not-found",
                "MoEngage no longer knows a user that was asked for; nothing is changed by that.",
            ),
            Self::UserUnanswered => {
                ("user-unanswered", "MoEngage said neither that a user is there nor that it is not.")
            }
            Self::WatchIdTooLong => (
                "watch-id-too-long",
                "A uid is too long for the list of profiles to refresh and was left out of it.",
            ),
            Self::WatchListFull => (
                "watch-list-full",
                "The installation's storage is full, so that a profile can't be put on the list of profiles to refresh.",
            ),
        }
    }
}

/// Counts notices.
#[derive(Debug, Default)]
pub struct Notes(BTreeMap<Notice, u32>);

impl Notes {
    pub fn add(&mut self, notice: Notice) {
        let count = self.0.entry(notice).or_default();
        *count = count.saturating_add(1);
    }

    /// Adds what was counted elsewhere.
    pub fn extend(&mut self, other: Self) {
        for (notice, more) in other.0 {
            let count = self.0.entry(notice).or_default();
            *count = count.saturating_add(more);
        }
    }

    pub fn into_list(self) -> Vec<Note> {
        let note = |(notice, count): (Notice, u32)| {
            let (name, message) = notice.words();
            Note { name: name.to_owned(), count, message: message.to_owned() }
        };
        self.0.into_iter().map(note).collect()
    }
}
