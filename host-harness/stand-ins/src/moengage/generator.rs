//! Makes Streams batches, and says exactly what it made.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::batch::Batch;
use super::codes::{CUSTOM, DOCUMENTED, FLAGGING, MACHINE_REASONS, MERGED, MERGED_AWAY};
use super::person::Person;
pub use super::truth::{EventTruth, MergeTruth, PersonTruth, Poison, PoisonTruth, Truth};
use super::users::User;
use crate::clock::Millis;
use crate::random::Random;

/// What to make. Shares are between 0 and 1. The same value makes the same batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Generator {
    /// Everything is drawn from it.
    pub seed: u64,
    /// Distinct people.
    pub people: usize,
    /// Distinct well-formed events.
    pub events: usize,
    /// Events in a batch; the last one may hold fewer.
    pub batch_size: usize,
    /// Host time that counts as now, in epoch seconds; 0 only where nobody set it.
    pub now_s: i64,
    /// Events are between now and so many seconds old ...
    pub spread_s: i64,
    /// ... except for this share, which is one to three days old.
    pub late: f64,
    /// Share of events that come a second time, somewhere else in the stream.
    pub duplicates: f64,
    /// Whether events come in any order instead of by time.
    pub shuffled: bool,
    /// Share of people without uid; every second one of them has an address.
    pub without_uid: f64,
    /// Share of people whose uid holds "anon"; they have no address.
    pub anonymous: f64,
    /// Share of people that unsubscribe at some point.
    pub unsubscribing: f64,
    /// Share of people whose address bounces hard, and share that complains.
    pub suppressed: f64,
    /// Share of people about whom no consent flag is ever sent (unless they unsubscribe).
    pub without_flags: f64,
    /// Share of events with a code of the customer's own.
    pub custom_codes: f64,
    /// Share of opens and clicks of mails that bot detection marks as a machine's; every second
    /// one of the others then carries the mark with a false value. 0 where it is not switched on.
    pub machine_opens: f64,
    /// Profiles that are merged into another one. Each makes two of the events.
    pub merges: usize,
    /// Malformed event objects, spread over the batches.
    pub poison: usize,
    /// Batches with a byte that is not UTF-8.
    pub non_utf8_batches: usize,
}

impl Default for Generator {
    fn default() -> Self {
        Self {
            seed: 1,
            people: 200,
            events: 1_000,
            batch_size: 100,
            now_s: 0,
            spread_s: 4 * 3_600,
            late: 0.02,
            duplicates: 0.05,
            shuffled: true,
            without_uid: 0.04,
            anonymous: 0.03,
            unsubscribing: 0.05,
            suppressed: 0.02,
            without_flags: 0.10,
            custom_codes: 0.10,
            machine_opens: 0.0,
            merges: 0,
            poison: 0,
            non_utf8_batches: 0,
        }
    }
}

/// Batches, and the truth about them.
#[derive(Clone, Debug)]
pub struct Generated {
    /// In the order in which they are to be pushed.
    pub batches: Vec<Batch>,
    /// What a checker may hold the outcome against.
    pub truth: Truth,
}

const DAY_S: i64 = 86_400;

/// What happened to whom.
pub(super) struct History {
    pub(super) people: Vec<Person>,
    /// Epoch seconds and event object, each event once.
    pub(super) events: Vec<(i64, Value)>,
    pub(super) truth: Truth,
}

/// `uid` and `event_uuid` of a malformed event that still has both.
type Named = Option<(String, String)>;

impl Generator {
    /// The defaults, for this seed and this host time in milliseconds.
    pub fn new(seed: u64, now: Millis) -> Self {
        Self { seed, now_s: now / 1_000, ..Self::default() }
    }

    /// Makes the batches.
    pub fn generate(&self) -> Generated {
        let mut random = Random::new(self.seed);
        let History { mut events, mut truth, .. } = self.history(&mut random);
        if self.shuffled {
            random.shuffle(&mut events);
        } else {
            events.sort_by_key(|(at, _)| *at);
        }
        let mut stream: Vec<Value> = events.into_iter().map(|(_, event)| event).collect();
        self.duplicate(&mut stream, &mut random, &mut truth);
        let batches = self.batches(stream, &mut random, &mut truth);
        Generated { batches, truth }
    }

    /// The people of the batches as Get User knows them at `now_s`, after all of their events.
    pub fn users(&self) -> Vec<User> {
        let history = self.history(&mut Random::new(self.seed));
        history.people.iter().map(|person| person.user(self.now_s)).collect()
    }

    /// What happened, before it is put into batches or files: the same for the same value,
    /// whichever it is put into.
    pub(super) fn history(&self, random: &mut Random) -> History {
        let mut people: Vec<Person> =
            (0..self.people.max(1)).map(|i| Person::draw(self, i, random)).collect();
        let mut truth = Truth::default();
        let mut events: Vec<(i64, Value)> = Vec::new();
        for (index, person) in people.iter_mut().enumerate() {
            for (flag, (code, name, _)) in FLAGGING.iter().enumerate() {
                let Some(at) = person.raised[flag] else { continue };
                if events.len() < self.events {
                    let code = (*code, *name, "EMAIL");
                    events.push((at, self.event(person, index, code, at, random, &mut truth)));
                } else {
                    person.raised[flag] = None;
                }
            }
        }
        for _ in 0..self.merges {
            if events.len() + 2 > self.events {
                break;
            }
            self.merge(&people, &mut events, random, &mut truth);
        }
        while events.len() < self.events {
            let index = random.below(people.len() as u64) as usize;
            let code = if random.chance(self.custom_codes) {
                random.pick(CUSTOM).map(|code| (*code, *code, ""))
            } else {
                random.pick(DOCUMENTED).copied()
            };
            let age = match random.chance(self.late) {
                true => DAY_S + 3_600 + random.below(2 * DAY_S as u64) as i64,
                false => random.below(self.spread_s.max(1) as u64) as i64,
            };
            let at = self.now_s - age;
            let code = code.unwrap_or(DOCUMENTED[0]);
            events.push((at, self.event(&people[index], index, code, at, random, &mut truth)));
        }
        for event in truth.events.values() {
            people[event.person].truth.events += 1;
        }
        truth.people = people.iter().map(Person::settled).collect();
        History { people, events, truth }
    }

    /// Merges one person into another that has a uid. The events name only the person that they
    /// are about: attributes that would name the other one are not documented.
    fn merge(
        &self,
        people: &[Person],
        events: &mut Vec<(i64, Value)>,
        random: &mut Random,
        truth: &mut Truth,
    ) {
        let has_uid = |person: &Person| !person.truth.anonymous && person.truth.uid.is_some();
        let known: Vec<usize> = (0..people.len()).filter(|index| has_uid(&people[*index])).collect();
        let away = random.below(people.len() as u64) as usize;
        let Some(kept) = random.pick(&known).copied().filter(|kept| *kept != away) else { return };
        let at = self.now_s - random.below(self.spread_s.max(1) as u64) as i64;
        let mut told = |index: usize, (code, name): (&str, &str)| {
            let event = self.event(&people[index], index, (code, name, ""), at, random, truth);
            let uuid = event["event_uuid"].as_str().unwrap_or_default().to_owned();
            events.push((at, event));
            (index, uuid)
        };
        let (retained, merged) = (told(kept, MERGED), told(away, MERGED_AWAY));
        truth.merges.push(MergeTruth { retained, merged });
    }

    /// Marks an open or a click of a mail, where bot detection is switched on; whether as a
    /// machine's. Nothing is documented but the two names of the mark and that of the reason.
    fn mark_machine(&self, code: &str, attributes: &mut Map<String, Value>, random: &mut Random) -> bool {
        if self.machine_opens <= 0.0 || !["MOE_EMAIL_OPEN", "MOE_EMAIL_CLICK"].contains(&code) {
            return false;
        }
        let machine = random.chance(self.machine_opens);
        if machine || random.chance(0.5) {
            let open = code == "MOE_EMAIL_OPEN" && random.chance(0.5);
            let mark = if open { "Is Machine Open" } else { "Is Machine Event" };
            let value = if random.chance(0.5) { json!(machine) } else { json!(machine.to_string()) };
            attributes.insert(mark.to_owned(), value);
        }
        if let Some(reason) = random.pick(MACHINE_REASONS).filter(|_| machine) {
            attributes.insert("Machine Event Reason".to_owned(), json!(reason));
        }
        machine
    }

    /// One event object in the shape of MD:api/data/moengage-streams.mdx.
    fn event(
        &self,
        person: &Person,
        index: usize,
        (code, name, channel): (&str, &str, &str),
        at: i64,
        random: &mut Random,
        truth: &mut Truth,
    ) -> Value {
        let uuid = random.uuid();
        let campaign = !channel.is_empty();
        let mut attributes = Map::new();
        if campaign {
            let id = random.below(20);
            attributes.insert("campaign_id".to_owned(), json!(format!("64a1b2c3d4e5f6a7b8c9d{id:03}")));
            attributes.insert("campaign_name".to_owned(), json!(format!("Campaign {id}")));
            attributes.insert("campaign_type".to_owned(), json!("Smart Trigger"));
            attributes.insert("campaign_channel".to_owned(), json!(channel));
            // An array in the samples, "comma separated" in the text of the same page.
            let tags = if random.chance(0.5) { json!(["spring", "sale"]) } else { json!("spring,sale") };
            attributes.insert("moe_campaign_tags".to_owned(), tags);
        } else if [MERGED, MERGED_AWAY].contains(&(code, name)) {
            attributes.insert("moe_event_source".to_owned(), json!("INTERNAL"));
        } else {
            attributes.insert("amount".to_owned(), json!(random.below(10_000) as f64 / 100.0));
            attributes.insert("items".to_owned(), json!(random.below(9)));
            attributes.insert("moe_event_source".to_owned(), json!("s2s"));
        }
        let machine = self.mark_machine(code, &mut attributes, random);
        let mut event = json!({
            "event_name": name,
            "event_code": code,
            "event_uuid": uuid,
            // An integer; the glossary shows a string.
            "event_time": if random.chance(0.05) { json!(at.to_string()) } else { json!(at) },
            "event_type": if campaign { "CAMPAIGN_EVENT" } else { "USER_ACTION_EVENT" },
            "event_source": if random.chance(0.5) { "MOENGAGE" } else { "MoEngage" },
            "event_attributes": attributes,
            "user_attributes": person.attributes(at),
            "device_attributes": {"moengage_device_id": if channel == "PUSH" { random.hex(32) } else { String::new() }},
        });
        let known = &person.truth;
        let address = match channel {
            "EMAIL" => Some(("email_id", json!(known.email))),
            "SMS" => Some(("mobile_number", json!(known.mobile))),
            "PUSH" => Some(("push_id", json!(random.hex(64)))),
            _ => None,
        };
        if let Some((key, value)) = address.filter(|(_, value)| !value.is_null()) {
            event[key] = value;
        }
        match &known.uid {
            Some(uid) => event["uid"] = json!(uid),
            // Missing or empty.
            None if random.chance(0.5) => event["uid"] = json!(""),
            None => (),
        }
        let late = at < self.now_s - DAY_S;
        let known = EventTruth { code: code.to_owned(), person: index, time_s: at, late, machine };
        truth.events.insert(uuid, known);
        event
    }

    fn duplicate(&self, stream: &mut Vec<Value>, random: &mut Random, truth: &mut Truth) {
        let distinct = stream.len();
        let again: Vec<usize> = (0..distinct).filter(|_| random.chance(self.duplicates)).collect();
        for index in again {
            let copy = stream[index].clone();
            if let Some(uuid) = copy["event_uuid"].as_str() {
                truth.duplicated.insert(uuid.to_owned());
            }
            // At the end, so that the places of those still to be copied stay.
            stream.push(copy);
        }
        if self.shuffled {
            random.shuffle(stream);
        }
    }

    fn batches(&self, mut stream: Vec<Value>, random: &mut Random, truth: &mut Truth) -> Vec<Batch> {
        let kinds = [Poison::NotAnObject, Poison::NoUuid, Poison::TimeNotANumber];
        let mut poisoned: Vec<(usize, Poison, Named)> = Vec::new();
        for n in 0..self.poison {
            let kind = kinds[n % kinds.len()];
            let mut event = json!({
                "event_name": "Broken", "event_code": "BROKEN", "event_uuid": random.uuid(),
                "event_time": self.now_s, "event_type": "USER_ACTION_EVENT", "event_source": "MOENGAGE",
                "uid": "4000052000", "event_attributes": {}, "user_attributes": {}, "device_attributes": {},
            });
            match kind {
                Poison::NotAnObject => event = json!(42),
                Poison::NoUuid => {
                    event.as_object_mut().map(|event| event.remove("event_uuid"));
                }
                Poison::TimeNotANumber => event["event_time"] = json!({"seconds": self.now_s}),
            }
            let text = |name: &str| event.get(name).and_then(Value::as_str).map(str::to_owned);
            let named = text("uid").zip(text("event_uuid"));
            let at = random.below(stream.len() as u64 + 1) as usize;
            stream.insert(at, event);
            for (place, ..) in poisoned.iter_mut().filter(|(place, ..)| *place >= at) {
                *place += 1;
            }
            poisoned.push((at, kind, named));
        }
        let size = self.batch_size.max(1);
        poisoned.sort_by_key(|(place, ..)| *place);
        let place = |(at, kind, named): (usize, Poison, Named)| PoisonTruth {
            batch: at / size,
            index: at % size,
            kind,
            named,
        };
        truth.poison = poisoned.into_iter().map(place).collect();
        truth.objects = stream.len();
        let mut garbled: Vec<usize> = (0..stream.len().div_ceil(size)).collect();
        random.shuffle(&mut garbled);
        garbled.truncate(self.non_utf8_batches);
        garbled.sort_unstable();
        let batches = stream.chunks(size).enumerate().map(|(index, events)| {
            let batch = Batch::new(&random.uuid(), events);
            if garbled.contains(&index) { batch.with_windows_1252() } else { batch }
        });
        let batches = batches.collect();
        truth.non_utf8_batches = garbled;
        batches
    }
}
