//! From a record's actions to rows of the outbox.
//!
//! Everything that decides the final state of a person is folded here, inside the unit's
//! transaction: identity, fields, consent. What is left for delivery is to make Brevo say the
//! same, in order.

use std::collections::BTreeMap;

use rusqlite::Transaction;
use serde_json::Value;

use super::Installed;
use super::{deletion, membership};
use crate::contract::{Action, Person, Provenance, Record, Subject};
use crate::people::circle::Circle;
use crate::people::consent::Turned;
use crate::people::deletions;
use crate::people::fields::{self, EMAIL, PHONE, Standing};
use crate::people::identity::{self, PersonId, Resolution};
use crate::registry::{
    About, Channel, ConsentBasis, ConsentStatus, Inadmissible, Payload, SetConsent, names,
};
use crate::store::acceptance::TrustedTime;
use crate::store::outbox::{self, Class, NewAction, State, held};
use crate::store::{Digest, StoreError, doubt};
use crate::world::Millis;

/// Begins the version of a state that is not its current content's first observation.
pub(super) const OBSERVATION: &str = "observation:";

/// Where a record's actions go, and what their keys are made of.
pub(super) struct Admission<'a> {
    pub installed: &'a Installed,
    pub record: &'a Record,
    /// `event`, `revision:<n>` or `observation:<digest>`.
    pub version: &'a str,
    pub time: TrustedTime,
    pub received_at: Millis,
    pub batch: i64,
    pub position: usize,
    pub now: Millis,
}

impl Admission<'_> {
    /// False for a state that says what is known, or what was known before: said again, it sends
    /// nothing a second time, and an older one writes nothing over what is newer.
    fn is_news(&self) -> bool {
        !self.version.starts_with(OBSERVATION)
    }
}

/// What is held against everything that is known of the person, so that it may come at any time and
/// again: a field or an opt-out that nothing newer mentions still counts.
fn is_folded(payload: &Payload) -> bool {
    matches!(
        payload,
        Payload::UpsertContact(_)
            | Payload::SetConsent(_)
            | Payload::SetSuppression(_)
            | Payload::JoinList(_)
            | Payload::LeaveList(_)
            | Payload::DeleteContact(_)
    )
}

/// What became of a record's actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Admitted {
    /// Rows that are new in the outbox, whatever their state.
    pub actions: usize,
    /// Fields and consent that lost against something newer.
    pub lost: usize,
}

/// Why a record's actions can't be admitted; the record is quarantined whole.
#[derive(Debug)]
pub(super) enum Refusal {
    Inadmissible(Inadmissible),
    /// The action is about a thing, and the registry's action is about people, or the other way round.
    Subject,
    /// Names nobody.
    Anonymous,
    /// An address that several people share, and nothing else.
    Ambiguous,
    /// It can't be undone and says nothing of when it is too late.
    NoDeadline,
}

impl Refusal {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Inadmissible(why) => why.code(),
            Self::Subject => "bad-action-subject",
            Self::Anonymous => "anonymous-person",
            Self::Ambiguous => "identity-ambiguous",
            Self::NoDeadline => "missing-not-after",
        }
    }

    pub fn message(&self) -> String {
        match self {
            Self::Inadmissible(why) => why.to_string(),
            Self::Subject => {
                "the action is about a person where it takes a thing, or the other way round".into()
            }
            Self::Anonymous => "the action names nobody".into(),
            Self::Ambiguous => "several people share the only address that the record names".into(),
            Self::NoDeadline => "an action that can't be undone has no not-after".into(),
        }
    }
}

/// Checks every action, then admits every action: a record is never half admitted.
pub(super) fn admit(
    tx: &Transaction<'_>,
    circle: &mut Circle,
    admission: &Admission<'_>,
    actions: &[Action],
) -> Result<Result<Admitted, Refusal>, StoreError> {
    let mut admitted = admit_all(tx, circle, admission, actions)?;
    // The names of a record are learned even where its actions are refused, and so are the opt-outs
    // that hang on them.
    let followed = follow(tx, circle, admission)?;
    if let Ok(admitted) = &mut admitted {
        admitted.actions += followed;
    }
    Ok(admitted)
}

fn admit_all(
    tx: &Transaction<'_>,
    circle: &mut Circle,
    admission: &Admission<'_>,
    actions: &[Action],
) -> Result<Result<Admitted, Refusal>, StoreError> {
    let mut checked = Vec::with_capacity(actions.len());
    for action in actions {
        let payload = match Payload::parse(&action.name, &action.payload)
            .and_then(|payload| payload.check(&admission.installed.row.profile.targets).map(|()| payload))
        {
            Ok(payload) => payload,
            Err(why) => return Ok(Err(Refusal::Inadmissible(why))),
        };
        if payload.happens_once() && action.not_after.is_none() && !old_news(admission) {
            return Ok(Err(Refusal::NoDeadline));
        }
        let whose = match (&action.subject, payload.about()) {
            (Subject::Person(person), About::Person | About::Any) => {
                if circle.is_erased(tx, person)? {
                    continue; // learning the names again would undo the erasure
                }
                match people_of(tx, circle, admission, person, &payload)? {
                    Ok(people) => Whose::People(person, people),
                    Err(refusal) => return Ok(Err(refusal)),
                }
            }
            (Subject::Object((kind, key)), About::Thing | About::Any) => {
                Whose::Thing(thing(admission.installed, kind, key))
            }
            _ => return Ok(Err(Refusal::Subject)),
        };
        checked.push((action, payload, whose));
    }
    let mut admitted = Admitted::default();
    for (action, payload, whose) in checked {
        if !admission.is_news() && !is_folded(&payload) {
            admitted.lost += 1;
            continue;
        }
        match whose {
            Whose::Thing(thing) => admit_thing(tx, admission, action, &payload, thing, &mut admitted)?,
            Whose::People(person, people) => {
                for (n, id) in people.iter().enumerate() {
                    admit_one(tx, circle, admission, action, &payload, person, *id, n > 0, &mut admitted)?;
                }
            }
        }
    }
    Ok(Ok(admitted))
}

/// Whose lane an action goes into.
enum Whose<'a> {
    People(&'a Person, Vec<PersonId>),
    Thing(Digest),
}

fn people_of(
    tx: &Transaction<'_>,
    circle: &mut Circle,
    admission: &Admission<'_>,
    person: &Person,
    payload: &Payload,
) -> Result<Result<Vec<PersonId>, Refusal>, StoreError> {
    let people = match circle.resolve(tx, person, admission.now)? {
        Resolution::One(id) => vec![id],
        Resolution::Shared(ids) if restricted_channel(payload).is_some() => ids,
        Resolution::Shared(_) => return Ok(Err(Refusal::Ambiguous)),
        Resolution::Anonymous => return Ok(Err(Refusal::Anonymous)),
    };
    Ok(Ok(people))
}

/// The lane of a thing: like people, things belong to the account.
fn thing(installed: &Installed, kind: &str, key: &str) -> Digest {
    Digest::of(&[&installed.row.destination.0.to_le_bytes(), kind.as_bytes(), key.as_bytes()])
}

fn admit_thing(
    tx: &Transaction<'_>,
    admission: &Admission<'_>,
    action: &Action,
    payload: &Payload,
    thing: Digest,
    admitted: &mut Admitted,
) -> Result<(), StoreError> {
    let (state, code) = old_or_waiting(admission, action, payload);
    let subject = serde_json::to_string(&action.subject).map_err(|_| StoreError::Unreadable("subject"))?;
    let new = NewAction {
        subject: &subject,
        effect: effect(admission, &action.slot),
        thing: Some(thing),
        state,
        code,
        ..new_action(admission, action)
    };
    if let outbox::Admission::Admitted(id) = outbox::admit(tx, &new)? {
        doubt::look_first(tx, id, when(admission))?;
        admitted.actions += 1;
    }
    Ok(())
}

/// The time that says whether it may have come before.
fn when(admission: &Admission<'_>) -> Millis {
    if admission.time.trusted { admission.time.at } else { admission.received_at }
}

/// Old news has no side effects (design rule 7).
fn old_or_waiting(
    admission: &Admission<'_>,
    action: &Action,
    payload: &Payload,
) -> (State, Option<&'static str>) {
    if payload.happens_once() && old_news(admission) {
        (State::Expired, Some("untrusted-time"))
    } else if payload.happens_once() && action.not_after.is_some_and(|deadline| deadline < admission.now) {
        (State::Expired, Some("too-old"))
    } else {
        (State::Waiting, None)
    }
}

/// The key of an effect.
fn effect(admission: &Admission<'_>, slot: &str) -> Digest {
    Digest::of(&[
        &admission.installed.row.key.0,
        admission.record.id.as_bytes(),
        admission.version.as_bytes(),
        slot.as_bytes(),
    ])
}

/// What every action of a record has in common.
fn new_action<'a>(admission: &'a Admission<'_>, action: &'a Action) -> NewAction<'a> {
    NewAction {
        installation: admission.installed.row.id.0,
        destination: admission.installed.row.destination.0,
        person: None,
        subject: "",
        effect: Digest([0; 16]),
        name: &action.name,
        payload: &action.payload,
        occurred_at: admission.time.trusted.then_some(admission.time.at),
        received_at: admission.received_at,
        rank: admission.record.observation.rank,
        observation: Digest::of(&[admission.record.observation.id.as_bytes()]),
        not_before: action.not_before,
        not_after: action.not_after,
        coalesce_key: action.coalesce.as_deref(),
        list: None,
        thing: None,
        class: Class::of(&action.name, is_bulk(admission), false),
        batch: admission.batch,
        position: admission.position as i64,
        state: State::Waiting,
        code: None,
    }
}

#[allow(clippy::too_many_arguments)] // one call site; the parts have nothing else in common
fn admit_one(
    tx: &Transaction<'_>,
    circle: &mut Circle,
    admission: &Admission<'_>,
    action: &Action,
    payload: &Payload,
    person: &Person,
    id: PersonId,
    shares: bool,
    admitted: &mut Admitted,
) -> Result<(), StoreError> {
    let at = admission.time.at;
    let mut subject = person.clone();
    let mut text = action.payload.clone();
    let mut state = State::Waiting;
    let mut code = None;
    let mut list = None;
    // What happened before the person was deleted has no effect any more.
    let deleted = circle.deleted_at(tx, id)?.is_some_and(|deleted| at < deleted);
    match payload {
        Payload::UpsertContact(_) | Payload::JoinList(_) if deleted => {
            admitted.lost += 1;
            return Ok(());
        }
        Payload::UpsertContact(upsert) => {
            let fold = fold(tx, circle, admission, id, person, &upsert.attributes)?;
            admitted.lost += fold.lost;
            if fold.changed.is_empty() {
                return Ok(());
            }
            (subject, text) = only_winners(&fold, person, upsert)?;
        }
        // Delivery refuses it, and it counts for nothing.
        Payload::SetConsent(set) if is_undated_opt_in(admission, set) => {}
        Payload::SetConsent(set) => {
            if !circle.say(tx, person, id, set, at, admission.now)?.calls_for_action {
                admitted.lost += 1;
                return Ok(());
            }
            if set.status == ConsentStatus::OptedOut {
                circle.consents.is_told(id, set.channel);
            }
        }
        Payload::SetSuppression(set) => {
            if !circle.suppress(tx, person, id, set, at, admission.now)?.calls_for_action {
                admitted.lost += 1;
                return Ok(());
            }
            circle.consents.is_told(id, set.channel);
        }
        Payload::TrackEvent(_)
        | Payload::SendEmail(_)
        | Payload::SendSms(_)
        | Payload::AddNote(_)
        | Payload::CreateTask(_) => {
            (state, code) = match deleted {
                true => (State::Refused, Some(deletions::PERSON_DELETED)),
                false => old_or_waiting(admission, action, payload),
            }
        }
        Payload::DeleteContact(delete) => {
            let Some(called) = deletion::called_for(tx, circle, admission, id, delete)? else {
                admitted.lost += 1;
                return Ok(());
            };
            (state, code) = (called.state, called.code);
            // Whoever was deleted before a restored store was confirmed may have come back.
            if state == State::Waiting && doubt::covers(tx, when(admission))? {
                (state, code) = (State::Held, Some(held::DELETE_OUTDATED));
            }
            text = serde_json::to_string(&called.delete).map_err(|_| StoreError::Unreadable("payload"))?;
        }
        // About things only; checked before.
        Payload::TriggerCampaign(_) | Payload::UpsertProduct(_) | Payload::UpsertObject(_) => return Ok(()),
        Payload::JoinList(to) | Payload::LeaveList(to) => {
            let member = matches!(payload, Payload::JoinList(_));
            let Some(called) = membership::called_for(tx, admission, id, to, member, action.not_after)?
            else {
                admitted.lost += 1;
                return Ok(());
            };
            (list, state, code) = (Some(called.list), called.state, called.code);
        }
    }
    let slot = if shares { format!("{}@{}", action.slot, id.0) } else { action.slot.clone() };
    let subject =
        serde_json::to_string(&Subject::Person(subject)).map_err(|_| StoreError::Unreadable("subject"))?;
    let at_brevo = is_bulk(admission) && identity::is_at_brevo(tx, id)?;
    let new = NewAction {
        person: Some(id.0),
        class: Class::of(&action.name, is_bulk(admission), at_brevo),
        subject: &subject,
        effect: effect(admission, &slot),
        payload: &text,
        list,
        state,
        code,
        ..new_action(admission, action)
    };
    if let outbox::Admission::Admitted(id) = outbox::admit(tx, &new)? {
        doubt::look_first(tx, id, when(admission))?;
        admitted.actions += 1;
    }
    Ok(())
}

/// Tells Brevo what follows from a record for others than it is about, and from whom people turned out
/// to be: no later record would repeat what is known here.
fn follow(tx: &Transaction<'_>, circle: &mut Circle, admission: &Admission<'_>) -> Result<usize, StoreError> {
    let mut admitted = 0;
    for Turned { person, channel, blocked } in circle.consents.take_turned(tx)? {
        let (status, basis) = match blocked {
            true => (ConsentStatus::OptedOut, ConsentBasis::Flag),
            // Nothing but a dated opt-in of somebody's leads to it.
            false => (ConsentStatus::OptedIn, ConsentBasis::Signal),
        };
        // Who became part of somebody else has no names any more.
        let subject = identity::names_of(tx, person)?;
        if subject.is_anonymous() {
            continue;
        }
        let set = SetConsent { channel, status, basis };
        let payload = serde_json::to_string(&set).map_err(|_| StoreError::Unreadable("payload"))?;
        let slot = format!("follow-{}", channel.as_str());
        admitted += follow_one(tx, admission, person, subject, &slot, names::SET_CONSENT, &payload)?;
    }
    for person in std::mem::take(&mut circle.to_be_named) {
        let known = identity::names_of(tx, person)?;
        if known.external_id.is_none() {
            continue;
        }
        // Of the addresses nothing is said by it.
        let named = Person { email: None, phone: None, aliases: Vec::new(), ..known };
        let nothing = r#"{"attributes":{}}"#;
        admitted += follow_one(tx, admission, person, named, "name", names::UPSERT_CONTACT, nothing)?;
    }
    Ok(admitted)
}

fn follow_one(
    tx: &Transaction<'_>,
    admission: &Admission<'_>,
    person: PersonId,
    subject: Person,
    slot: &str,
    name: &str,
    payload: &str,
) -> Result<usize, StoreError> {
    let subject =
        serde_json::to_string(&Subject::Person(subject)).map_err(|_| StoreError::Unreadable("subject"))?;
    let new = NewAction {
        installation: admission.installed.row.id.0,
        destination: admission.installed.row.destination.0,
        person: Some(person.0),
        subject: &subject,
        // No slot of a plugin holds a control character.
        effect: effect(admission, &format!("\u{1}{slot}@{}", person.0)),
        name,
        payload,
        occurred_at: admission.time.trusted.then_some(admission.time.at),
        received_at: admission.received_at,
        rank: admission.record.observation.rank,
        observation: Digest::of(&[admission.record.observation.id.as_bytes()]),
        not_before: None,
        not_after: None,
        coalesce_key: None,
        list: None,
        thing: None,
        class: Class::of(name, false, true),
        batch: admission.batch,
        position: admission.position as i64,
        state: State::Waiting,
        code: None,
    };
    Ok(usize::from(matches!(outbox::admit(tx, &new)?, outbox::Admission::Admitted(_))))
}

/// What was not pushed has time.
fn is_bulk(admission: &Admission<'_>) -> bool {
    admission.record.provenance != Provenance::Live
}

/// Only an explicit opt-in with its own date counts (design rule 8).
fn is_undated_opt_in(admission: &Admission<'_>, set: &SetConsent) -> bool {
    set.status == ConsentStatus::OptedIn && set.basis == ConsentBasis::Signal && !admission.time.trusted
}

/// Opt-outs and suppressions hold for everyone who shares an address; nothing else does.
fn restricted_channel(payload: &Payload) -> Option<Channel> {
    match payload {
        Payload::SetConsent(set) if set.status == ConsentStatus::OptedOut => Some(set.channel),
        Payload::SetSuppression(set) => Some(set.channel),
        _ => None,
    }
}

/// Without a trusted time, only what came in by the live door counts as new.
pub(super) fn old_news(admission: &Admission<'_>) -> bool {
    !admission.time.trusted && admission.record.provenance != Provenance::Live
}

/// Competes like the addresses do.
const EXTERNAL_ID: &str = "@external-id";

fn fold(
    tx: &Transaction<'_>,
    circle: &mut Circle,
    admission: &Admission<'_>,
    id: PersonId,
    person: &Person,
    attributes: &BTreeMap<String, Value>,
) -> Result<fields::Fold, StoreError> {
    let mut offered = attributes.clone();
    let addresses = [(EXTERNAL_ID, &person.external_id), (EMAIL, &person.email), (PHONE, &person.phone)];
    for (name, value) in addresses {
        if let Some(value) = value {
            offered.insert(name.to_owned(), Value::String(value.clone()));
        }
    }
    let observation = Digest::of(&[admission.record.observation.id.as_bytes()]);
    let standing = Standing::new(admission.time.at, admission.record.observation.rank, observation);
    circle.wanted.fold(tx, id, &offered, &standing)
}

/// What an upsert carries onwards: changed attributes, and no address that lost.
fn only_winners(
    fold: &fields::Fold,
    person: &Person,
    upsert: &crate::registry::UpsertContact,
) -> Result<(Person, String), StoreError> {
    let won = |name: &str| !fold.lost_names.iter().any(|lost| lost == name);
    let mut subject = person.clone();
    subject.email = subject.email.filter(|_| won(EMAIL));
    subject.phone = subject.phone.filter(|_| won(PHONE));
    let attributes = upsert
        .attributes
        .iter()
        .filter(|(name, _)| fold.changed.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let text = serde_json::to_string(&crate::registry::UpsertContact { attributes })
        .map_err(|_| StoreError::Unreadable("payload"))?;
    Ok((subject, text))
}
