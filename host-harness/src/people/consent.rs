//! Consent and suppression of a person on one channel (design rule 8).
//!
//! What is known is a join of everything that was ever said: the newest explicit act, the newest
//! flag, the newest opt-out of either kind, the strongest suppression. A join forgets the order
//! in which news came, so replays, backfills and disorder all end in the same state.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Transaction, params};

use crate::registry::{Channel, ConsentBasis, ConsentStatus, SetConsent, SetSuppression, SuppressionReason};
use crate::store::{StoreError, outbox};
use crate::world::Millis;

/// What a merge came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    /// False where everything was known already, or newer things are.
    pub changed: bool,
    /// True where Brevo may have to be told. A flag that repeats what holds, or that says
    /// *not opted out*, changes nothing there, however new it is.
    pub calls_for_action: bool,
    /// Held actions of the person that became waiting because of it.
    pub released: u64,
}

/// What is known, and whose block stands at Brevo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsentView {
    /// What the person wants as far as the host knows; none: unknown.
    pub status: Option<ConsentStatus>,
    /// How the status is known.
    pub basis: Option<ConsentBasis>,
    /// Since when the status is known to hold.
    pub at: Option<Millis>,
    /// The newest opt-out of either kind, even where a newer flag says otherwise.
    pub opted_out_at: Option<Millis>,
    /// The newest explicit act, where it is an opt-in.
    pub opted_in_at: Option<Millis>,
    /// Must not be written to, whatever the person wants.
    pub suppressed: Option<SuppressionReason>,
    /// When this host set the block at Brevo; none: no block, or somebody else's.
    pub block_written_at: Option<Millis>,
}

impl ConsentView {
    /// True where the channel must be blocked at Brevo: suppressed, or opted out with no newer
    /// explicit opt-in. A newer *flag* changes what the host shows (`status`), never a block.
    pub fn blocked(&self) -> bool {
        let opted_in = self.opted_in_at.is_some_and(|at| self.opt_in_outweighs(at));
        self.suppressed.is_some() || (self.opted_out_at.is_some() && !opted_in)
    }

    /// True where enough is known to make the person reachable, or to create them blocked.
    pub fn is_known(&self) -> bool {
        self.status.is_some() || self.suppressed.is_some()
    }

    /// True where an explicit opt-in of that date outweighs every opt-out that is known.
    /// A tie is an opt-out.
    pub fn opt_in_outweighs(&self, opt_in_at: Millis) -> bool {
        self.opted_out_at.is_none_or(|opted_out_at| opt_in_at > opted_out_at)
    }
}

/// What holds for an address whoever has it. It outlives the person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restriction {
    /// An opt-out that no newer explicit opt-in outweighs.
    pub opted_out_at: Option<Millis>,
    /// Why and since when the address must not be written to.
    pub suppressed: Option<(SuppressionReason, Millis)>,
}

impl Restriction {
    /// Both: the later opt-out, the stronger suppression.
    pub fn join(self, other: Self) -> Self {
        Self {
            opted_out_at: self.opted_out_at.max(other.opted_out_at),
            suppressed: strongest(self.suppressed, other.suppressed),
        }
    }
}

/// What one transaction knows about consent: read once, written once by [`Consents::flush`].
#[derive(Default)]
pub struct Consents {
    entries: HashMap<(i64, Channel), Entry>,
    /// Who has to be blocked because of somebody that they turned out to be.
    followed: Vec<(i64, Channel)>,
}

struct Entry {
    stored: Known,
    known: Known,
}

impl Consents {
    /// Merges one statement about consent. `at` is its trusted time. Releases held actions of the
    /// person, which may be what they waited for.
    pub fn merge(
        &mut self,
        tx: &Transaction<'_>,
        person: i64,
        said: &SetConsent,
        at: Millis,
        now: Millis,
    ) -> Result<Merged, StoreError> {
        let explicit = said.basis == ConsentBasis::Signal;
        let mut merged =
            self.update(tx, person, said.channel, now, |known| known.say(said.status, said.basis, at))?;
        merged.calls_for_action |= explicit && merged.changed;
        Ok(merged)
    }

    /// Merges one suppression. `at` is its trusted time. A suppression is never taken back here.
    pub fn merge_suppression(
        &mut self,
        tx: &Transaction<'_>,
        person: i64,
        said: &SetSuppression,
        at: Millis,
        now: Millis,
    ) -> Result<Merged, StoreError> {
        self.update(tx, person, said.channel, now, |known| known.suppress(said.reason, at))
    }

    /// Gives `into` everything that is known about `from`, for two people that turn out to be one.
    /// Whose block stands at Brevo is not carried over: it was set on another contact.
    pub fn absorb(
        &mut self,
        tx: &Transaction<'_>,
        into: i64,
        from: i64,
        now: Millis,
    ) -> Result<(), StoreError> {
        for channel in [Channel::Email, Channel::Sms] {
            let theirs = self.entry(tx, from, channel)?.known;
            let merged = self.update(tx, into, channel, now, |known| known.join(&theirs))?;
            if merged.calls_for_action {
                self.followed.push((into, channel));
            }
        }
        Ok(())
    }

    /// Who has to be blocked at Brevo since this was asked last, because an opt-out or suppression
    /// came over from somebody whom they absorbed. No record says so by itself.
    pub fn take_followed(&mut self) -> Vec<(i64, Channel)> {
        std::mem::take(&mut self.followed)
    }

    /// Gives `into` every opt-out and suppression of `from` on a channel: they share an address, and
    /// a mailbox that wants nothing gets nothing, whoever it belongs to. Opt-ins stay whose they are.
    pub fn absorb_restrictions(
        &mut self,
        tx: &Transaction<'_>,
        into: i64,
        from: i64,
        channel: Channel,
        now: Millis,
    ) -> Result<(), StoreError> {
        let theirs = self.entry(tx, from, channel)?.known;
        let opted_out = |said: &(Millis, ConsentStatus)| said.1 == ConsentStatus::OptedOut;
        let restrictions =
            Known { signal: theirs.signal.filter(opted_out), flag: theirs.flag.filter(opted_out), ..theirs };
        self.update(tx, into, channel, now, |known| known.join(&restrictions))?;
        Ok(())
    }

    /// Gives a person what holds for an address that came to be theirs. Only their own newer explicit
    /// opt-in outweighs it.
    pub fn restrict(
        &mut self,
        tx: &Transaction<'_>,
        person: i64,
        channel: Channel,
        restriction: &Restriction,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.update(tx, person, channel, now, |known| {
            if let Some(at) = restriction.opted_out_at {
                known.say(ConsentStatus::OptedOut, ConsentBasis::Signal, at);
            }
            if let Some((reason, at)) = restriction.suppressed {
                known.suppress(reason, at);
            }
        })?;
        Ok(())
    }

    /// Writes what changed. Without it nothing of this is kept.
    pub fn flush(&mut self, tx: &Transaction<'_>) -> Result<(), StoreError> {
        for ((person, channel), entry) in &mut self.entries {
            if entry.known != entry.stored {
                save(tx, *person, *channel, &entry.known)?;
                entry.stored = entry.known;
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        tx: &Transaction<'_>,
        person: i64,
        channel: Channel,
    ) -> Result<&mut Entry, StoreError> {
        use std::collections::hash_map::Entry as Place;
        match self.entries.entry((person, channel)) {
            Place::Occupied(known) => Ok(known.into_mut()),
            Place::Vacant(place) => {
                let stored = load(tx, person, channel)?;
                Ok(place.insert(Entry { stored, known: stored }))
            }
        }
    }

    fn update(
        &mut self,
        tx: &Transaction<'_>,
        person: i64,
        channel: Channel,
        now: Millis,
        change: impl FnOnce(&mut Known),
    ) -> Result<Merged, StoreError> {
        let entry = self.entry(tx, person, channel)?;
        let before = entry.known;
        change(&mut entry.known);
        let after = entry.known;
        if after == before {
            return Ok(Merged { changed: false, calls_for_action: false, released: 0 });
        }
        let released = match !before.view().is_known() && after.view().is_known() {
            true => outbox::release_held(tx, person, now)?,
            false => 0,
        };
        let calls_for_action = !before.view().blocked() && after.view().blocked();
        Ok(Merged { changed: true, calls_for_action, released })
    }
}

/// [`Consents::merge`], and written at once.
pub fn merge(
    tx: &Transaction<'_>,
    person: i64,
    said: &SetConsent,
    at: Millis,
    now: Millis,
) -> Result<Merged, StoreError> {
    let mut consents = Consents::default();
    let merged = consents.merge(tx, person, said, at, now)?;
    consents.flush(tx)?;
    Ok(merged)
}

/// [`Consents::merge_suppression`], and written at once.
pub fn merge_suppression(
    tx: &Transaction<'_>,
    person: i64,
    said: &SetSuppression,
    at: Millis,
    now: Millis,
) -> Result<Merged, StoreError> {
    let mut consents = Consents::default();
    let merged = consents.merge_suppression(tx, person, said, at, now)?;
    consents.flush(tx)?;
    Ok(merged)
}

/// What is known about a person on one channel.
pub fn known(tx: &Transaction<'_>, person: i64, channel: Channel) -> Result<ConsentView, StoreError> {
    Ok(load(tx, person, channel)?.view())
}

/// What would hold for the person's address of a channel without the person.
pub(super) fn restriction(
    tx: &Transaction<'_>,
    person: i64,
    channel: Channel,
) -> Result<Restriction, StoreError> {
    let known = load(tx, person, channel)?;
    let view = known.view();
    let opted_in = view.opted_in_at.is_some_and(|at| view.opt_in_outweighs(at));
    Ok(Restriction { opted_out_at: view.opted_out_at.filter(|_| !opted_in), suppressed: known.suppressed })
}

/// Records that this host set the block at Brevo (`Some`), or lifted it (`None`).
pub(crate) fn set_block_written(
    tx: &Transaction<'_>,
    person: i64,
    channel: Channel,
    at: Option<Millis>,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO consent (person, channel, block_written_at) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET block_written_at = ?3",
    )?
    .execute(params![person, channel.as_str(), at])?;
    Ok(())
}

type Said = Option<(Millis, ConsentStatus)>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    signal: Said,
    flag: Said,
    opted_out_at: Option<Millis>,
    suppressed: Option<(SuppressionReason, Millis)>,
    block_written_at: Option<Millis>,
}

impl Known {
    fn say(&mut self, status: ConsentStatus, basis: ConsentBasis, at: Millis) {
        let slot = match basis {
            ConsentBasis::Signal => &mut self.signal,
            ConsentBasis::Flag => &mut self.flag,
        };
        *slot = newest(*slot, Some((at, status)));
        if status == ConsentStatus::OptedOut {
            self.opted_out_at = self.opted_out_at.max(Some(at));
        }
    }

    fn suppress(&mut self, reason: SuppressionReason, at: Millis) {
        self.suppressed = strongest(self.suppressed, Some((reason, at)));
    }

    fn join(&mut self, other: &Self) {
        self.signal = newest(self.signal, other.signal);
        self.flag = newest(self.flag, other.flag);
        self.opted_out_at = self.opted_out_at.max(other.opted_out_at);
        self.suppressed = strongest(self.suppressed, other.suppressed);
    }

    fn view(&self) -> ConsentView {
        use ConsentStatus::{OptedIn, OptedOut};
        // A flag never outweighs an explicit opt-out; an opt-out flag of the same or a later
        // time outweighs an explicit opt-in.
        let (said, basis) = match (self.signal, self.flag) {
            (Some((signal_at, OptedIn)), Some((flag_at, OptedOut))) if flag_at >= signal_at => {
                (self.flag, ConsentBasis::Flag)
            }
            (Some(_), _) => (self.signal, ConsentBasis::Signal),
            (None, _) => (self.flag, ConsentBasis::Flag),
        };
        ConsentView {
            status: said.map(|(_, status)| status),
            basis: said.map(|_| basis),
            at: said.map(|(at, _)| at),
            opted_out_at: self.opted_out_at,
            opted_in_at: self.signal.filter(|(_, status)| *status == OptedIn).map(|(at, _)| at),
            suppressed: self.suppressed.map(|(reason, _)| reason),
            block_written_at: self.block_written_at,
        }
    }
}

/// The later one; at the same time the opt-out.
fn newest(a: Said, b: Said) -> Said {
    let weight = |said: &(Millis, ConsentStatus)| (said.0, said.1 == ConsentStatus::OptedOut);
    [a, b].into_iter().flatten().max_by_key(weight)
}

/// A complaint before a bounce (an address change may cure a bounce), then the later one.
fn strongest(
    a: Option<(SuppressionReason, Millis)>,
    b: Option<(SuppressionReason, Millis)>,
) -> Option<(SuppressionReason, Millis)> {
    let weight = |s: &(SuppressionReason, Millis)| (s.0 == SuppressionReason::Complaint, s.1);
    [a, b].into_iter().flatten().max_by_key(weight)
}

fn load(tx: &Transaction<'_>, person: i64, channel: Channel) -> Result<Known, StoreError> {
    let row = tx
        .prepare_cached(
            "SELECT signal, signal_at, flag, flag_at, opted_out_at, suppressed, suppressed_at,
                    block_written_at
             FROM consent WHERE person = ?1 AND channel = ?2",
        )?
        .query_row(params![person, channel.as_str()], |row| {
            Ok((
                (row.get::<_, Option<String>>(0)?, row.get::<_, Option<Millis>>(1)?),
                (row.get::<_, Option<String>>(2)?, row.get::<_, Option<Millis>>(3)?),
                row.get(4)?,
                (row.get::<_, Option<String>>(5)?, row.get::<_, Option<Millis>>(6)?),
                row.get(7)?,
            ))
        })
        .optional()?;
    let Some((signal, flag, opted_out_at, suppressed, block_written_at)) = row else {
        return Ok(Known::default());
    };
    Ok(Known {
        signal: said(signal)?,
        flag: said(flag)?,
        opted_out_at,
        suppressed: match suppressed {
            (Some(reason), Some(at)) => Some((reason_from(&reason)?, at)),
            _ => None,
        },
        block_written_at,
    })
}

fn save(tx: &Transaction<'_>, person: i64, channel: Channel, known: &Known) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO consent (person, channel, signal, signal_at, flag, flag_at, opted_out_at,
                              suppressed, suppressed_at, block_written_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT DO UPDATE SET signal = ?3, signal_at = ?4, flag = ?5, flag_at = ?6,
                opted_out_at = ?7, suppressed = ?8, suppressed_at = ?9, block_written_at = ?10",
    )?
    .execute(params![
        person,
        channel.as_str(),
        known.signal.map(|(_, status)| status_text(status)),
        known.signal.map(|(at, _)| at),
        known.flag.map(|(_, status)| status_text(status)),
        known.flag.map(|(at, _)| at),
        known.opted_out_at,
        known.suppressed.map(|(reason, _)| reason_text(reason)),
        known.suppressed.map(|(_, at)| at),
        known.block_written_at,
    ])?;
    Ok(())
}

fn said(stored: (Option<String>, Option<Millis>)) -> Result<Said, StoreError> {
    let (Some(text), Some(at)) = stored else { return Ok(None) };
    let status = match text.as_str() {
        "opted-in" => ConsentStatus::OptedIn,
        "opted-out" => ConsentStatus::OptedOut,
        _ => return Err(StoreError::Unreadable("consent")),
    };
    Ok(Some((at, status)))
}

fn status_text(status: ConsentStatus) -> &'static str {
    match status {
        ConsentStatus::OptedIn => "opted-in",
        ConsentStatus::OptedOut => "opted-out",
    }
}

pub(super) fn reason_from(text: &str) -> Result<SuppressionReason, StoreError> {
    match text {
        "hard-bounce" => Ok(SuppressionReason::HardBounce),
        "complaint" => Ok(SuppressionReason::Complaint),
        _ => Err(StoreError::Unreadable("consent")),
    }
}

pub(super) fn reason_text(reason: SuppressionReason) -> &'static str {
    match reason {
        SuppressionReason::HardBounce => "hard-bounce",
        SuppressionReason::Complaint => "complaint",
    }
}

#[cfg(test)]
#[path = "consent_tests.rs"]
mod tests;
