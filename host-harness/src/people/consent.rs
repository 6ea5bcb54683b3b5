//! Consent and suppression of a person on one channel (design rule 8).
//!
//! What is known is a join of everything that was ever said: the newest explicit act, the newest
//! flag, the newest opt-out of either kind, the strongest suppression. A join forgets the order
//! in which news came, so replays, backfills and disorder all end in the same state.
//!
//! An address is a mailbox, and several people may have it. Each has words of their own; what the
//! others said is looked up whenever it is asked for and copied to nobody, so it does not matter who
//! came first:
//!
//! | what is known | what it does |
//! |---|---|
//! | a person's own opt-out stands: no newer explicit opt-in of their own | everyone who ever had an address in common with them is blocked on that channel |
//! | a suppression of a person | the same, and no opt-in lifts it |
//! | an explicit opt-in | outweighs its giver's older opt-outs, and nobody else's |
//! | an opt-out or suppression under an address alone | it is everyone's own who ever had the address: each has to opt in again |
//! | anything else under an address alone | it is its person's own as long as nobody else has the address, and nobody's from then on |

use std::collections::{BTreeMap, HashMap};

use rusqlite::{OptionalExtension, Transaction, params};

use super::identity::{self, PersonId};
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
    /// What holds because of others who have an address of the person's; none where nobody else has.
    pub others: Option<Others>,
}

/// What others want of a mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// An opt-out of one of them stands.
    pub opted_out: bool,
    /// An address of one of them must not be written to.
    pub suppressed: bool,
    /// The oldest opt-in that outweighs an opt-out of its giver's.
    pub opted_in_at: Option<Millis>,
}

impl ConsentView {
    /// True where the channel must be blocked at Brevo: suppressed, or opted out with no newer
    /// explicit opt-in. A newer *flag* changes what the host shows (`status`), never a block.
    pub fn blocked(&self) -> bool {
        self.is_suppressed() || self.is_opted_out()
    }

    /// True where an opt-out stands: the person's own, or one of somebody who has the same mailbox.
    pub fn is_opted_out(&self) -> bool {
        self.others.is_some_and(|others| others.opted_out) || self.opted_out_themselves()
    }

    /// True where the address must not be written to, whoever wants it.
    pub fn is_suppressed(&self) -> bool {
        self.suppressed.is_some() || self.others.is_some_and(|others| others.suppressed)
    }

    fn opted_out_themselves(&self) -> bool {
        let opted_in = self.opted_in_at.is_some_and(|at| self.opt_in_outweighs(at));
        self.opted_out_at.is_some() && !opted_in
    }

    /// True where enough is known to make the person reachable, or to create them blocked. What
    /// others want says nothing of what this person wants.
    pub fn is_known(&self) -> bool {
        self.status.is_some() || self.suppressed.is_some()
    }

    /// The oldest of the opt-ins by which a block of the mailbox may be lifted.
    pub fn oldest_opt_in(&self) -> Option<Millis> {
        let others = self.others.and_then(|others| others.opted_in_at);
        [self.opted_in_at, others].into_iter().flatten().min()
    }

    /// True where an explicit opt-in of that date outweighs every opt-out of the person's own.
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
    /// Whether people were blocked before something happened that may concern them.
    watched: BTreeMap<(i64, Channel), bool>,
    /// Whether anything was ever said under an address alone; asked once.
    mailboxes: Option<bool>,
}

/// Somebody who is to be blocked at Brevo, or no longer, by what somebody else said or turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turned {
    /// Whom it concerns.
    pub person: PersonId,
    /// Where.
    pub channel: Channel,
    /// What is to stand at Brevo.
    pub blocked: bool,
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
        let mut merged =
            self.update(tx, person, said.channel, now, |known| known.say(said.status, said.basis, at))?;
        merged.calls_for_action |= said.basis == ConsentBasis::Signal && merged.changed;
        Ok(merged)
    }

    /// [`Consents::merge`] of what was said under an address alone, for everyone who has it.
    pub fn merge_of_mailbox(
        &mut self,
        tx: &Transaction<'_>,
        mailbox: &Mailbox,
        said: &SetConsent,
        at: Millis,
        now: Millis,
    ) -> Result<Merged, StoreError> {
        self.of_mailbox(tx, mailbox, said.channel, now, |consents| {
            consents.merge(tx, mailbox.id, said, at, now)
        })
    }

    /// [`Consents::merge_suppression`] of what was said under an address alone, for everyone who has it.
    pub fn merge_suppression_of_mailbox(
        &mut self,
        tx: &Transaction<'_>,
        mailbox: &Mailbox,
        said: &SetSuppression,
        at: Millis,
        now: Millis,
    ) -> Result<Merged, StoreError> {
        self.of_mailbox(tx, mailbox, said.channel, now, |consents| {
            consents.merge_suppression(tx, mailbox.id, said, at, now)
        })
    }

    fn of_mailbox(
        &mut self,
        tx: &Transaction<'_>,
        mailbox: &Mailbox,
        channel: Channel,
        now: Millis,
        say: impl FnOnce(&mut Self) -> Result<Merged, StoreError>,
    ) -> Result<Merged, StoreError> {
        self.mailboxes = Some(true);
        let mut unknown = Vec::new();
        for holder in &mailbox.holders {
            self.watch_around(tx, *holder, channel)?;
            if !self.view(tx, holder.0, channel)?.is_known() {
                unknown.push(holder.0);
            }
        }
        let mut merged = say(self)?;
        for holder in unknown {
            if self.view(tx, holder, channel)?.is_known() {
                merged.released += outbox::release_held(tx, holder, now)?;
            }
        }
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

    /// Gives `into` everything that `from` said, for two people that turn out to be one. Whose block
    /// stands at Brevo goes with the contact.
    pub fn absorb(
        &mut self,
        tx: &Transaction<'_>,
        into: i64,
        from: i64,
        with_contact: bool,
        now: Millis,
    ) -> Result<(), StoreError> {
        for channel in CHANNELS {
            let mut theirs = self.entry(tx, from, channel)?.known;
            for (mailbox, _) in identity::mailboxes_of(tx, PersonId(from), channel)? {
                theirs.join(&self.entry(tx, mailbox, channel)?.known.restrictions());
            }
            self.update(tx, into, channel, now, |known| {
                known.join(&theirs);
                if with_contact {
                    known.block_written_at = theirs.block_written_at;
                }
            })?;
        }
        Ok(())
    }

    /// Remembers whether a person is blocked, before something happens that may change it without a
    /// record about them.
    pub fn watch(
        &mut self,
        tx: &Transaction<'_>,
        person: PersonId,
        channel: Channel,
    ) -> Result<(), StoreError> {
        if !self.watched.contains_key(&(person.0, channel)) {
            let blocked = self.view(tx, person.0, channel)?.blocked();
            self.watched.insert((person.0, channel), blocked);
        }
        Ok(())
    }

    /// The same for a person and everyone who has an address in common with them.
    pub fn watch_around(
        &mut self,
        tx: &Transaction<'_>,
        person: PersonId,
        channel: Channel,
    ) -> Result<(), StoreError> {
        self.watch(tx, person, channel)?;
        self.watch_others(tx, person, channel)
    }

    fn watch_others(
        &mut self,
        tx: &Transaction<'_>,
        person: PersonId,
        channel: Channel,
    ) -> Result<(), StoreError> {
        for other in identity::sharing(tx, person, channel)? {
            self.watch(tx, other, channel)?;
        }
        Ok(())
    }

    /// Brevo is told of a person's block by an action of the record itself.
    pub fn is_told(&mut self, person: PersonId, channel: Channel) {
        self.watched.remove(&(person.0, channel));
    }

    /// Who of those that are watched has to be blocked by now, or no longer. No record says so by
    /// itself. Nobody is watched afterwards.
    pub fn take_turned(&mut self, tx: &Transaction<'_>) -> Result<Vec<Turned>, StoreError> {
        let mut turned = Vec::new();
        for ((person, channel), before) in std::mem::take(&mut self.watched) {
            let blocked = self.view(tx, person, channel)?.blocked();
            if blocked != before {
                turned.push(Turned { person: PersonId(person), channel, blocked });
            }
        }
        Ok(turned)
    }

    /// What is known about a person on a channel, with what holds because of others.
    pub fn view(
        &mut self,
        tx: &Transaction<'_>,
        person: i64,
        channel: Channel,
    ) -> Result<ConsentView, StoreError> {
        let mut view = self.own(tx, person, channel)?.view();
        for other in identity::sharing(tx, PersonId(person), channel)? {
            let theirs = self.own(tx, other.0, channel)?.view();
            let others = view.others.get_or_insert_default();
            others.opted_out |= theirs.opted_out_themselves();
            others.suppressed |= theirs.suppressed.is_some();
            if theirs.opted_out_at.is_some() {
                others.opted_in_at = [others.opted_in_at, theirs.opted_in_at].into_iter().flatten().min();
            }
        }
        Ok(view)
    }

    /// What a person said, and what was said under their addresses alone.
    fn own(&mut self, tx: &Transaction<'_>, person: i64, channel: Channel) -> Result<Known, StoreError> {
        let said = self.entry(tx, person, channel)?.known;
        self.with_mailboxes(tx, person, channel, said)
    }

    fn with_mailboxes(
        &mut self,
        tx: &Transaction<'_>,
        person: i64,
        channel: Channel,
        mut own: Known,
    ) -> Result<Known, StoreError> {
        if !self.any_mailbox(tx)? {
            return Ok(own);
        }
        for (mailbox, is_theirs_alone) in identity::mailboxes_of(tx, PersonId(person), channel)? {
            let said = self.entry(tx, mailbox, channel)?.known;
            own.join(&if is_theirs_alone { said } else { said.restrictions() });
        }
        Ok(own)
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

    fn any_mailbox(&mut self, tx: &Transaction<'_>) -> Result<bool, StoreError> {
        Ok(match self.mailboxes {
            Some(known) => known,
            None => *self.mailboxes.insert(identity::any_mailbox(tx)?),
        })
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
        let before = self.entry(tx, person, channel)?.known;
        let mut after = before;
        change(&mut after);
        if after == before {
            return Ok(Merged { changed: false, calls_for_action: false, released: 0 });
        }
        // Their own word may have turned, also about what was said under their address alone.
        let own_before = self.with_mailboxes(tx, person, channel, before)?;
        let own_after = self.with_mailboxes(tx, person, channel, after)?;
        if own_before.view().blocked() != own_after.view().blocked() {
            self.watch_others(tx, PersonId(person), channel)?;
        }
        self.entry(tx, person, channel)?.known = after;
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

/// What is known about a person on one channel, with what holds because of others.
pub fn known(tx: &Transaction<'_>, person: i64, channel: Channel) -> Result<ConsentView, StoreError> {
    Consents::default().view(tx, person, channel)
}

/// [`known`] for e-mail and for SMS.
pub fn of_both_channels(tx: &Transaction<'_>, person: i64) -> Result<(ConsentView, ConsentView), StoreError> {
    let mut consents = Consents::default();
    Ok((consents.view(tx, person, Channel::Email)?, consents.view(tx, person, Channel::Sms)?))
}

/// What would hold for the person's address of a channel without the person.
pub(super) fn restriction(
    tx: &Transaction<'_>,
    person: i64,
    channel: Channel,
) -> Result<Restriction, StoreError> {
    let known = Consents::default().own(tx, person, channel)?;
    let view = known.view();
    let opted_out_at = view.opted_out_at.filter(|_| view.opted_out_themselves());
    Ok(Restriction { opted_out_at, suppressed: known.suppressed })
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

/// An address of which something was said without naming whose it is.
#[derive(Clone, Debug)]
pub struct Mailbox {
    /// The row of `person` under which it is kept; nobody is that person.
    pub id: i64,
    /// Everyone who has the address.
    pub holders: Vec<PersonId>,
}

const CHANNELS: [Channel; 2] = [Channel::Email, Channel::Sms];

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

    /// What counts for everyone who has the address that it was said of.
    fn restrictions(&self) -> Self {
        let opted_out = |said: &(Millis, ConsentStatus)| said.1 == ConsentStatus::OptedOut;
        Self { signal: self.signal.filter(opted_out), flag: self.flag.filter(opted_out), ..*self }
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
            others: None,
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
