//! Streams and the generator, against a receiver that is a stand-in's own server with faults.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod receiver;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use receiver::Receiver;
use serde_json::{Value, json};
use stand_ins::clock::Scale;
use stand_ins::moengage::generator::{Generator, Poison};
use stand_ins::moengage::streams::{Batch, Outcome, Target};
use stand_ins::moengage::{MoEngage, Options};

const WAIT: Duration = Duration::from_secs(60);

/// 210 s of retries in a fifth of a second.
fn moengage() -> MoEngage {
    MoEngage::start(Options { scale: Scale::from_now(1_000.0), ..Options::default() }).unwrap()
}

fn batch(n: usize) -> Batch {
    Batch::new(&format!("00000000-0000-4000-8000-{n:012}"), &[json!({"event_uuid": n.to_string()})])
}

#[test]
fn a_batch_is_posted_with_its_headers() {
    let receiver = Receiver::start(|_| 202_u16);
    let moengage = moengage();
    let target = Target::new(&receiver.url("/streams?source=moengage"))
        .basic("tajo", "secret")
        .header("x-tajo-key", "k");
    let stream = moengage.stream(target).unwrap();
    stream.push([batch(1)]);
    assert!(stream.wait(WAIT));
    let received = receiver.received();
    let body: Value = serde_json::from_slice(&received[0].body).unwrap();
    assert_eq!(body["source"], "MOENGAGE");
    assert_eq!(body["events"], json!([{"event_uuid": "1"}]));
    let headers: Vec<String> = received[0].headers.iter().map(|h| h.to_lowercase()).collect();
    assert!(headers[0].starts_with("post /streams?source=moengage "), "{headers:?}");
    assert!(headers.contains(&"x-tajo-key: k".to_owned()));
    assert!(headers.contains(&"content-type: application/json".to_owned()));
    assert!(headers.contains(&"authorization: basic dgfqbzpzzwnyzxq=".to_owned()), "{headers:?}");
    assert_eq!((stream.progress().acked, stream.progress().events_acked), (1, 1));
}

#[test]
fn a_refused_batch_comes_again_after_30_60_and_120_seconds_and_is_then_lost() {
    let receiver = Receiver::start(|n| [500_u16, 404, 0, 302][n - 1]);
    let moengage = moengage();
    let stream = moengage.stream(Target::new(&receiver.url("/streams?source=moengage"))).unwrap();
    stream.push([batch(7)]);
    assert!(stream.wait(WAIT));
    let attempts = stream.attempts();
    let outcomes: Vec<Outcome> = attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(
        outcomes,
        [Outcome::Status(500), Outcome::Status(404), Outcome::NoAnswer, Outcome::Status(302)],
        "anything but 2xx counts"
    );
    for (pair, seconds) in attempts.windows(2).zip([30, 60, 120]) {
        // Never early; how late is the machine's business.
        assert!(pair[1].sent_at - pair[0].over_at >= seconds * 1_000, "{attempts:?}");
    }
    let progress = stream.progress();
    assert_eq!((progress.sent, progress.retried, progress.dropped, progress.acked), (4, 3, 1, 0));
    assert_eq!(progress.events_dropped, 1);
    assert_eq!(stream.lost().keys().copied().collect::<Vec<_>>(), [0]);
    let bodies = receiver.bodies();
    let ids: BTreeSet<String> = bodies
        .iter()
        .map(|body| serde_json::from_slice::<Value>(body).unwrap()["moe_request_id"].to_string())
        .collect();
    assert_eq!((bodies.len(), ids.len()), (4, 4), "the whole batch, under another request id");
}

#[test]
fn a_batch_that_is_taken_at_last_is_not_lost() {
    let receiver = Receiver::start(|n| if n <= 3 { 503_u16 } else { 200 });
    let moengage = moengage();
    let target =
        Target { new_request_id_on_retry: false, ..Target::new(&receiver.url("/streams?source=moengage")) };
    let stream = moengage.stream(target).unwrap();
    stream.push([batch(1)]);
    assert!(stream.wait(WAIT));
    assert_eq!((stream.progress().acked, stream.progress().dropped), (1, 0));
    let bodies = receiver.bodies();
    assert!(bodies.iter().all(|body| *body == bodies[0]));
}

#[test]
fn a_batch_that_waits_for_its_retry_holds_nobody_up() {
    let receiver = Receiver::start(|n| if n == 1 { 500_u16 } else { 200 });
    let moengage = MoEngage::start(Options::default()).unwrap();
    let stream = moengage
        .stream(Target { concurrency: 1, ..Target::new(&receiver.url("/streams?source=moengage")) })
        .unwrap();
    stream.push((0..20).map(batch));
    while stream.progress().acked < 19 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(stream.progress().open(), 1, "in real time the first retry is half a minute away");
    stream.stop();
    assert!(!stream.wait(WAIT), "what is stopped stays open");
    stream.push([batch(99)]);
    assert_eq!(stream.progress().pushed, 20);
}

#[test]
fn what_falls_into_a_pause_is_lost() {
    let receiver = Receiver::start(|_| 200_u16);
    let moengage = moengage();
    let stream = moengage.stream(Target::new(&receiver.url("/streams"))).unwrap();
    stream.push([batch(1)]);
    stream.pause(true);
    stream.push([batch(2), batch(3)]);
    stream.pause(false);
    stream.push([batch(4)]);
    assert!(stream.wait(WAIT));
    let progress = stream.progress();
    assert_eq!((progress.pushed, progress.acked, progress.dropped), (4, 2, 2));
    assert_eq!(stream.lost().keys().copied().collect::<Vec<_>>(), [1, 2]);
    let came: BTreeSet<String> = receiver
        .received()
        .iter()
        .map(|request| request.json()["events"][0]["event_uuid"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(came, BTreeSet::from(["1".to_owned(), "4".to_owned()]));
}

#[test]
fn a_rate_is_kept() {
    let receiver = Receiver::start(|_| 200_u16);
    let moengage = moengage();
    let target =
        Target { batches_per_second: Some(0.2), ..Target::new(&receiver.url("/streams?source=moengage")) };
    let stream = moengage.stream(target).unwrap();
    stream.push((0..10).map(batch));
    assert!(stream.wait(WAIT));
    let mut sent: Vec<i64> = stream.attempts().iter().map(|attempt| attempt.sent_at).collect();
    sent.sort_unstable();
    // Nine pauses of five seconds, less the milliseconds that a timer may round.
    assert!(sent[9] - sent[0] >= 35_000, "{sent:?}");
}

#[test]
fn targets_that_can_not_be_are_refused() {
    let moengage = moengage();
    for url in ["https://127.0.0.1/", "127.0.0.1:80", "http://", ""] {
        assert!(moengage.stream(Target::new(url)).is_err(), "{url}");
    }
    assert!(moengage.stream(Target::new("http://127.0.0.1:1/").header("a b", "c")).is_err());
    let rate = Some(0.0);
    assert!(
        moengage.stream(Target { batches_per_second: rate, ..Target::new("http://127.0.0.1:1/") }).is_err()
    );
}

fn objects(batches: &[Batch]) -> Vec<Value> {
    let read = |batch: &Batch| {
        let text = String::from_utf8_lossy(&batch.body);
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(body["events"].as_array().unwrap().len(), batch.events);
        body["events"].as_array().unwrap().clone()
    };
    batches.iter().flat_map(read).collect()
}

#[test]
fn the_generator_says_exactly_what_it_made() {
    let generator = Generator {
        events: 3_000,
        people: 150,
        poison: 7,
        non_utf8_batches: 3,
        ..Generator::new(11, 1_790_000_000_000)
    };
    let made = generator.generate();
    let truth = &made.truth;
    let all = objects(&made.batches);
    assert_eq!(all.len(), truth.objects);
    assert_eq!(truth.objects, 3_000 + truth.duplicated.len() + 7);
    assert_eq!(truth.events.len(), 3_000);
    assert!(!truth.duplicated.is_empty());

    let garbled: Vec<usize> =
        (0..made.batches.len()).filter(|n| std::str::from_utf8(&made.batches[*n].body).is_err()).collect();
    assert_eq!(garbled, truth.non_utf8_batches);
    assert_eq!(garbled.len(), 3);
    assert!(made.batches[..made.batches.len() - 1].iter().all(|batch| batch.events == 100));

    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut newest: BTreeMap<(usize, &str), (i64, bool)> = BTreeMap::new();
    let mut poison = Vec::new();
    let mut spellings = BTreeSet::new();
    for (place, event) in all.iter().enumerate() {
        let time = &event["event_time"];
        let time = time.as_i64().or_else(|| time.as_str()?.parse().ok());
        let (Some(uuid), Some(time)) = (event["event_uuid"].as_str(), time) else {
            poison.push((place / 100, place % 100));
            continue;
        };
        *counts.entry(uuid.to_owned()).or_default() += 1;
        let known = &truth.events[uuid];
        assert_eq!((event["event_code"].as_str().unwrap(), time), (known.code.as_str(), known.time_s));
        assert_eq!(known.late, time < 1_790_000_000 - 86_400);
        let person = &truth.people[known.person];
        let uid = event["uid"].as_str().filter(|uid| !uid.is_empty());
        assert_eq!(uid, person.uid.as_deref());
        assert_eq!(event["user_attributes"]["u_em"].as_str(), person.email.as_deref());
        let raises = match known.code.as_str() {
            "MOE_EMAIL_UNSUBSCRIBE" => Some("moe_unsubscribe"),
            "MOE_EMAIL_HARD_BOUNCE" => Some("moe_hard_bounce"),
            "MOE_EMAIL_SPAM" => Some("moe_spam"),
            _ => None,
        };
        assert!(raises.is_none_or(|flag| event["user_attributes"][flag] == true), "{event}");
        spellings.insert(event["event_source"].as_str().unwrap());
        for flag in ["moe_unsubscribe", "moe_hard_bounce", "moe_spam"] {
            if let Some(value) = event["user_attributes"][flag].as_bool() {
                let seen = newest.entry((known.person, flag)).or_insert((time, value));
                if time >= seen.0 {
                    *seen = (time, value || (time == seen.0 && seen.1));
                }
            }
        }
    }
    assert_eq!(poison, truth.poison.iter().map(|p| (p.batch, p.index)).collect::<Vec<_>>());
    assert_eq!(truth.poison.iter().filter(|p| p.kind == Poison::NotAnObject).count(), 3);
    assert_eq!(spellings.len(), 2);
    for uuid in truth.events.keys() {
        assert_eq!(counts[uuid], if truth.duplicated.contains(uuid) { 2 } else { 1 });
    }
    for (index, person) in truth.people.iter().enumerate() {
        let says = |flag| newest.get(&(index, flag)).map(|(_, value)| *value);
        assert_eq!(person.unsubscribed, says("moe_unsubscribe"), "{index}: {person:?}");
        assert_eq!(person.hard_bounced, says("moe_hard_bounce"));
        assert_eq!(person.complained, says("moe_spam"));
        assert_eq!(person.anonymous, person.email.is_none());
        assert_eq!(person.events, truth.events.values().filter(|event| event.person == index).count());
    }
    for wanted in [Some(true), Some(false), None] {
        assert!(truth.people.iter().any(|person| person.unsubscribed == wanted), "{wanted:?}");
    }
    assert!(truth.people.iter().any(|p| p.uid.as_ref().is_some_and(|uid| uid.starts_with("anon"))));
    assert!(truth.people.iter().any(|p| p.uid.is_none() && p.email.is_some()));
    assert!(truth.people.iter().any(|p| p.uid.is_none() && p.email.is_none()));
    let times: Vec<i64> = all.iter().filter_map(|event| event["event_time"].as_i64()).collect();
    assert!(!times.is_sorted(), "disorder");
}

#[test]
fn the_same_seed_makes_the_same_batches() {
    let make = |seed| Generator::new(seed, 1_790_000_000_000).generate();
    assert_eq!(make(1).batches, make(1).batches);
    assert_eq!(make(1).truth, make(1).truth);
    assert_ne!(make(1).batches, make(2).batches);
    let ordered =
        Generator { shuffled: false, duplicates: 0.0, ..Generator::new(1, 1_790_000_000_000) }.generate();
    let times: Vec<i64> =
        objects(&ordered.batches).iter().filter_map(|event| event["event_time"].as_i64()).collect();
    assert!(times.is_sorted());
}

#[test]
fn ten_thousand_events_arrive() {
    let receiver = Receiver::start(|n| if n.is_multiple_of(17) { 500_u16 } else { 200 });
    let moengage = moengage();
    let stream = moengage.stream(Target::new(&receiver.url("/streams?source=moengage"))).unwrap();
    let made = Generator { events: 10_000, poison: 3, ..Generator::new(3, moengage.now()) }.generate();
    stream.push(made.batches);
    assert!(stream.wait(WAIT));
    let progress = stream.progress();
    assert_eq!(progress.events_acked + progress.events_dropped, made.truth.objects as u64);
    assert!(progress.retried > 0);
}

#[test]
fn machine_opens_and_merges_are_made_when_asked_for() {
    let plain = Generator { events: 2_000, ..Generator::new(5, 1_790_000_000_000) };
    let made = Generator { machine_opens: 0.3, merges: 10, ..plain.clone() }.generate();
    let marks = ["Is Machine Open", "Is Machine Event"];
    let marked = |event: &Value| marks.iter().find_map(|mark| event["event_attributes"].get(mark).cloned());
    assert!(objects(&plain.generate().batches).iter().all(|event| marked(event).is_none()));
    assert_eq!(made.truth.events.len(), 2_000);
    let mut values = BTreeSet::new();
    let mut merges: BTreeMap<String, Value> = BTreeMap::new();
    for event in objects(&made.batches) {
        let uuid = event["event_uuid"].as_str().unwrap().to_owned();
        let known = &made.truth.events[&uuid];
        let mark = marked(&event);
        let says = mark.as_ref().map(|mark| *mark == json!(true) || *mark == json!("true"));
        assert_eq!(known.machine, says == Some(true), "{event}");
        assert_eq!(event["event_attributes"].get("Machine Event Reason").is_some(), known.machine);
        values.extend(mark.map(|mark| mark.to_string()));
        if known.machine {
            assert!(["MOE_EMAIL_OPEN", "MOE_EMAIL_CLICK"].contains(&known.code.as_str()));
        }
        if known.code.starts_with("MOE_USER_MERGE") {
            merges.insert(uuid, event);
        }
    }
    assert_eq!(values.len(), 4, "true and false, as booleans and as texts: {values:?}");
    assert!(made.truth.events.values().any(|event| event.code == "MOE_EMAIL_OPEN" && !event.machine));
    assert_eq!(merges.len(), 2 * made.truth.merges.len());
    assert!(made.truth.merges.len() >= 8);
    for merge in &made.truth.merges {
        let (kept, away) = (&merges[&merge.retained.1], &merges[&merge.merged.1]);
        assert_eq!(
            (kept["event_code"].as_str(), away["event_code"].as_str()),
            (Some("MOE_USER_MERGED"), Some("MOE_USER_MERGE_EVENT"))
        );
        assert_eq!(kept["uid"].as_str(), made.truth.people[merge.retained.0].uid.as_deref());
        let uid = away["uid"].as_str().filter(|uid| !uid.is_empty());
        assert_eq!(uid, made.truth.people[merge.merged.0].uid.as_deref());
        assert_ne!(kept["user_attributes"]["moengage_user_id"], away["user_attributes"]["moengage_user_id"]);
        assert_eq!(kept["event_type"], "USER_ACTION_EVENT");
    }
}
