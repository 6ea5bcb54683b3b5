//! What came of each row: the contacts of the host's own list that changed since are read, and each
//! row ends by what stands there. *Completed* doesn't mean that every row was applied.

use std::collections::{HashMap, HashSet};

use rusqlite::{Transaction, params};

use super::{Delivery, Import, imports, wire};
use crate::brevo::contacts::{Contact, address_attribute, address_key};
use crate::brevo::errors::Kind;
use crate::delivery::outcome::{Again, End, Letter, write_thing};
use crate::delivery::person::{EXT_ID, Presence, before_everything, digest};
use crate::delivery::upsert::{delivered, plan, usable_attributes};
use crate::delivery::work::{Intent, Ride, Work};
use crate::registry::names::UPSERT_CONTACT;
use crate::registry::{Channel, Payload};
use crate::store::StoreError;
use crate::store::dead_letters::Actor;
use crate::store::imports::Phase;
use crate::store::outbox::{self, Action, Class, State};
use crate::world::{HttpRequest, Millis};

/// Rows that end in one transaction.
const ENDING: usize = 1_000;
/// Most that one of Brevo's reports may hold.
const REPORT_CAP: u64 = 16 << 20;
const CHANNELS: [Channel; 2] = [Channel::Email, Channel::Sms];

/// The rows of an import by the digest of their address.
pub(super) struct Riders {
    import: i64,
    actions: HashMap<String, i64>,
}

impl Delivery {
    /// One page, and after the last one everything that was not seen.
    pub(super) fn read_import_back(&self, mut import: Import) -> Result<(), StoreError> {
        self.know_riders(&import)?;
        let query = Some((import.list, import.since));
        let answer = self
            .call(&wire::contacts(query, import.position))
            .and_then(|answer| Ok(wire::read_contacts(&answer)?));
        let now = self.world.now();
        let (page, count) = match answer {
            Ok(page) => page,
            Err(stop) => {
                import.next_at = self.put_off(&import, stop, now)?;
                return self.save_import(&import);
            }
        };
        import.position += page.len();
        let is_last = page.is_empty() || import.position >= count;
        self.store.write(|tx| {
            for contact in &page {
                self.arrived(tx, &import, contact, now)?;
            }
            imports::save(tx, &import)?;
            self.went_on(tx, now)?;
            self.save_rates(tx)
        })?;
        let mut memory = self.memory();
        page.iter().for_each(|contact| memory.census.learn(contact));
        drop(memory);
        if is_last { self.end_import(import) } else { Ok(()) }
    }

    fn know_riders(&self, import: &Import) -> Result<(), StoreError> {
        if self.memory().riders.as_ref().is_some_and(|riders| riders.import == import.id) {
            return Ok(());
        }
        let mut known = HashMap::new();
        let mut after = 0;
        loop {
            let actions = self.store.read(|tx| imports::actions(tx, import.id, after, ENDING))?;
            let Some(last) = actions.last() else { break };
            after = last.id;
            for action in &actions {
                if let Some(ride) = Intent::read(action.intent.as_deref())?.ride {
                    known.insert(ride.email, action.id);
                }
            }
        }
        self.memory().riders = Some(Riders { import: import.id, actions: known });
        Ok(())
    }

    /// A contact that was read back: the row that it is of has arrived.
    fn arrived(
        &self,
        tx: &Transaction<'_>,
        import: &Import,
        contact: &Contact,
        now: Millis,
    ) -> Result<(), StoreError> {
        let Some(email) = &contact.email else { return Ok(()) };
        let key = digest(email);
        let id = self.memory().riders.as_ref().and_then(|riders| riders.actions.get(&key).copied());
        let Some(action) = id.map(|id| outbox::get(tx, id)).transpose()?.flatten() else { return Ok(()) };
        if action.state != State::InFlight {
            return Ok(()); // it ended in an earlier reading
        }
        let Some(ride) = Intent::read(action.intent.as_deref())?.ride else { return Ok(()) };
        let mut work = match Work::load(tx, action)? {
            Ok(work) => work,
            Err(action) => return self.goes_alone(tx, &action, Class::BulkSingle, "import-unproven", now),
        };
        let companions = companions(tx, import.id, &work)?;
        if let Some((class, code)) = self.unlike(tx, &work, contact)? {
            for companion in &companions {
                self.goes_alone(tx, companion, Class::Urgent, code, now)?;
            }
            return self.goes_alone(tx, &work.action, class, code, now);
        }
        let end = self.landed(&mut work, import, contact, &ride, now);
        for companion in &companions {
            imports::leave(tx, companion.id)?;
            let over = End::Over(State::Coalesced, "travels-with-create");
            self.end(tx, companion, State::InFlight, &over, None, now)?;
        }
        imports::leave(tx, work.action.id)?;
        self.finish_in(tx, &work, end, now)
    }

    /// Why the contact is not what the row should have made; and how soon that is to be mended.
    fn unlike(
        &self,
        tx: &Transaction<'_>,
        work: &Work,
        contact: &Contact,
    ) -> Result<Option<(Class, &'static str)>, StoreError> {
        // Somebody opted out while the import was under way.
        if CHANNELS.into_iter().any(|channel| work.consent(channel).blocked() && !contact.blocked(channel)) {
            return Ok(Some((Class::Urgent, "opted-out-meanwhile")));
        }
        let other_id = work.names.ext_id.as_ref().is_some_and(|ours| contact.ext_id.as_ref() != Some(ours));
        let other_contact = work.person.contact().is_some_and(|known| known != contact.id);
        let busy = tx
            .prepare_cached(
                "SELECT 1 FROM action WHERE person = ?1 AND state IN (0, 1, 8, 9) AND state = 1 AND import IS NULL",
            )?
            .exists([work.person.id])?;
        let taken = tx
            .prepare_cached(
                "SELECT 1 FROM person WHERE destination = ?1 AND brevo_id = ?2 AND brevo_id IS NOT NULL
                   AND id <> ?3 AND presence = 1",
            )?
            .exists(params![self.options.destination.0, contact.id, work.person.id])?;
        Ok((other_id || other_contact || busy || taken).then_some((Class::BulkSingle, "import-unproven")))
    }

    /// Takes over what the row made.
    fn landed(&self, work: &mut Work, import: &Import, contact: &Contact, ride: &Ride, now: Millis) -> End {
        let Payload::UpsertContact(upsert) = &work.payload else { return End::Delivered };
        let attributes = usable_attributes(self, upsert);
        let standing = work.standing();
        for (name, value) in plan(work, &attributes).stands {
            work.person.set_field(&name, standing.clone(), &value);
        }
        work.person.set_field(address_attribute(Channel::Email), standing.clone(), &ride.email);
        if let Some(phone) = &ride.phone {
            work.person.set_field(address_attribute(Channel::Sms), standing, phone);
        }
        for (channel, blocked) in [(Channel::Email, import.email_blocked), (Channel::Sms, import.sms_blocked)]
        {
            if blocked && ride.new {
                work.wrote_block(channel, now);
            }
        }
        let standing_phone = work.names.phone.as_ref().map(|phone| digest(&address_key(Channel::Sms, phone)));
        let has_phone =
            work.person.fields.get(address_attribute(Channel::Sms)).map(|delivered| delivered.value.clone());
        work.phone_withheld = standing_phone.is_some() && standing_phone != has_phone && !work.sms.is_known();
        if let Some(ext_id) = &contact.ext_id {
            work.person.set_field(EXT_ID, before_everything(), &digest(ext_id));
        }
        work.person.brevo_id = Some(contact.id);
        work.person.set_presence(Presence::AtBrevo, now);
        work.release = true;
        work.intent.ride = None;
        delivered(work)
    }

    /// Everything that was not seen: what Brevo refused ends, everything else goes alone.
    fn end_import(&self, mut import: Import) -> Result<(), StoreError> {
        let refused = self.refused_addresses(&import);
        let now = self.world.now();
        let mut unseen = 0;
        loop {
            let left = self.store.read(|tx| imports::actions(tx, import.id, 0, ENDING))?;
            if left.is_empty() {
                break;
            }
            self.store.write(|tx| {
                for action in &left {
                    let ride = Intent::read(action.intent.as_deref())?.ride;
                    if ride.is_some_and(|ride| refused.contains(&ride.email)) {
                        imports::leave(tx, action.id)?;
                        let end = End::Stopped(State::Failed, row_refused());
                        self.end(tx, action, State::InFlight, &end, Some(&Intent::default()), now)?;
                    } else {
                        unseen += usize::from(action.name == UPSERT_CONTACT);
                        self.goes_alone(tx, action, Class::BulkSingle, "import-unproven", now)?;
                    }
                }
                Ok::<_, StoreError>(())
            })?;
        }
        tracing::info!(rows = import.rows, refused = refused.len(), unseen, "an import is over");
        import.phase = Phase::Over;
        self.memory().riders = None;
        if unseen < import.rows {
            self.store.write(|tx| self.resolve_about(tx, super::ABOUT, now))?;
        } else {
            self.discourage(now);
            // A call without an answer may never have come there: its rows go alone, and nobody has to look.
            if import.process.is_some() {
                let letter = Letter { about: Some(super::ABOUT.into()), ..came_to_nothing() };
                self.store.write(|tx| write_thing(tx, import.installation, &letter, now))?;
            }
        }
        self.save_import(&import)
    }

    /// Gives every row back, because nothing was done.
    pub(super) fn disband(&self, mut import: Import, class: Class) -> Result<(), StoreError> {
        let now = self.world.now();
        loop {
            let left = self.store.read(|tx| imports::actions(tx, import.id, 0, ENDING))?;
            if left.is_empty() {
                break;
            }
            self.store.write(|tx| {
                for action in &left {
                    self.goes_alone(tx, action, class, "import-not-made", now)?;
                }
                Ok::<_, StoreError>(())
            })?;
        }
        import.phase = Phase::Over;
        self.memory().riders = None;
        self.save_import(&import)
    }

    fn goes_alone(
        &self,
        tx: &Transaction<'_>,
        action: &Action,
        class: Class,
        code: &'static str,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut intent = Intent::read(action.intent.as_deref())?;
        intent.ride = None;
        imports::leave(tx, action.id)?;
        imports::go_alone(tx, action.id, class)?;
        let again = End::Again(Again { at: now, code, counted: false });
        self.end(tx, action, State::InFlight, &again, Some(&intent), now)
    }

    /// Digests of the addresses that Brevo's reports name. A report that can't be had refuses
    /// nobody: whoever goes alone is refused by Brevo itself.
    fn refused_addresses(&self, import: &Import) -> HashSet<String> {
        let mut refused = HashSet::new();
        for url in &import.reports {
            if !url.starts_with("https://") && !self.options.allow_private {
                continue;
            }
            let answer = self.world.transport.send(&HttpRequest {
                method: "GET",
                url: url.clone(),
                label: "GET import report".into(),
                headers: Vec::new(), // it is not the API, and gets no key
                body: None,
                deadline: self.options.policy.deadline,
                body_cap: REPORT_CAP,
                allow_private: self.options.allow_private,
            });
            match answer {
                Ok(answer) if answer.status == 200 => {
                    let addresses = wire::read_report(&answer.body);
                    refused.extend(addresses.iter().map(|email| digest(&address_key(Channel::Email, email))));
                }
                _ => tracing::warn!("a report about an import could not be read"),
            }
        }
        refused
    }
}

/// Consent and suppressions of the person that ride along. They are found by the person: an import
/// has far more rows than a person has actions.
fn companions(tx: &Transaction<'_>, import: i64, work: &Work) -> Result<Vec<Action>, StoreError> {
    let sql = format!(
        "SELECT {} FROM action a WHERE a.person = ?1 AND a.state IN (0, 1, 8, 9) AND a.state = 1 AND +a.import = ?2
           AND a.id <> ?3 ORDER BY a.id",
        Action::COLUMNS
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map(params![work.person.id, import, work.action.id], Action::from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn row_refused() -> Letter {
    Letter {
        code: "import-row-refused",
        actor: Actor::Tenant,
        message: "Brevo refused this contact within an import; its report names the address.",
        remedy: "Correct the address at the source. Requeue to have the contact delivered alone.",
        about: None,
    }
}

fn came_to_nothing() -> Letter {
    Letter {
        message: "An import was made and none of its contacts can be seen at Brevo; they go one by one.",
        code: "import-came-to-nothing",
        ..Letter::of(Kind::Unexpected.rule())
    }
}
