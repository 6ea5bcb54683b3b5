use serde_json::json;

use super::bench::{Bench, MINUTE, START, ada, ada_with_phone, person};
use super::fake::{FakeContact, Fault};
use crate::config::UnknownConsent;
use crate::people::identity::PersonId;
use crate::people::tombstone;
use crate::registry::{Channel, ConsentBasis, ConsentStatus};
use crate::store::installations::DestinationId;
use crate::store::outbox::State;

fn at_brevo(ext_id: Option<&str>, email: &str) -> FakeContact {
    FakeContact { ext_id: ext_id.map(str::to_owned), email: Some(email.to_owned()), ..FakeContact::default() }
}

#[test]
fn a_contact_is_created_once_and_then_only_changed() {
    let bench = Bench::new();
    bench.mailable(&ada());
    let first = bench.upsert(&ada(), json!({ "FIRSTNAME": "Ada", "TIER": "gold", "POINTS": 3 }));
    let second = bench.upsert(&ada(), json!({ "TIER": "platinum" }));
    bench.run();
    bench.assert_end(first, State::Delivered, "");
    bench.assert_end(second, State::Delivered, "");
    let contact = bench.contact();
    assert_eq!(contact.ext_id.as_deref(), Some("u1"));
    assert_eq!(contact.attributes["TIER"], json!("platinum"));
    assert_eq!(contact.attributes["POINTS"], json!(3));
    assert_eq!(bench.brevo.calls("POST /contacts/attributes"), 2, "TIER and POINTS did not exist");
    let journal = &bench.brevo.state().journal;
    let update = journal.iter().find(|(label, _)| label.starts_with("PUT")).unwrap();
    assert_eq!(update.1, json!({ "attributes": { "TIER": "platinum" } }));
}

#[test]
fn what_brevo_has_already_is_not_sent_and_what_is_older_never() {
    let bench = Bench::new();
    bench.mailable(&ada());
    bench.upsert_at(&ada(), json!({ "TIER": "gold" }), START);
    bench.run();
    let same = bench.upsert_at(&ada(), json!({ "TIER": "gold" }), START + 5);
    let older = bench.upsert_at(&ada(), json!({ "TIER": "silver" }), START + 2);
    let partly = bench.upsert_at(&ada(), json!({ "TIER": "silver", "LASTNAME": "Lovelace" }), START + 3);
    bench.run();
    bench.assert_end(same, State::Deduplicated, "no-change");
    bench.assert_end(older, State::Superseded, "newer-values-delivered");
    bench.assert_end(partly, State::Delivered, "");
    assert_eq!(bench.contact().attributes["TIER"], json!("gold"));
    assert_eq!(bench.contact().attributes["LASTNAME"], json!("Lovelace"));
}

#[test]
fn null_clears_and_a_value_that_stays_is_shown() {
    let bench = Bench::new();
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({ "TIER": "gold", "POINTS": 3 }));
    bench.run();
    bench.wait(10);
    let clear = bench.upsert(&ada(), json!({ "TIER": null, "POINTS": null }));
    bench.run();
    bench.assert_end(clear, State::Delivered, "");
    assert_eq!(bench.contact().attributes["TIER"], json!(""));
    assert_eq!(bench.letter_codes(), ["attribute-not-cleared"], "a number does not take an empty text");
}

#[test]
fn a_person_with_unknown_consent_is_not_created() {
    let bench = Bench::new();
    let upsert = bench.upsert(&ada(), json!({ "FIRSTNAME": "Ada" }));
    let event = bench.event(&ada(), "seen");
    bench.run_until(START + 60 * MINUTE);
    bench.assert_end(upsert, State::Held, "consent-unknown");
    bench.assert_end(event, State::Held, "contact-unknown");
    assert!(bench.brevo.state().contacts.is_empty());

    bench.mailable(&ada());
    bench.run();
    bench.assert_end(upsert, State::Delivered, "");
    bench.assert_end(event, State::Delivered, "");
    assert!(!bench.contact().email_blocked);
}

/// A unit commits the opt-out while delivery looks the person up: nothing would release it later.
#[test]
fn consent_that_becomes_known_during_the_look_up_is_not_missed() {
    let mut bench = Bench::new();
    let upsert = bench.upsert(&ada(), json!({ "FIRSTNAME": "Ada" }));
    let (store, id) = (bench.store.clone(), bench.person_id(&ada()));
    bench.options.api_key = std::sync::Arc::new(move || {
        let said = crate::registry::SetConsent {
            channel: crate::registry::Channel::Email,
            status: ConsentStatus::OptedOut,
            basis: ConsentBasis::Flag,
        };
        let merge = |tx: &rusqlite::Transaction<'_>| {
            let busy: bool =
                tx.query_row("SELECT EXISTS (SELECT 1 FROM action WHERE state = 1)", [], |r| r.get(0))?;
            if busy {
                crate::people::consent::merge(tx, id, &said, START, START)?;
            }
            Ok::<_, crate::store::StoreError>(())
        };
        store.write(merge).unwrap();
        Some("k".to_owned().into())
    });
    bench.run();
    bench.assert_end(upsert, State::Delivered, "");
    assert!(bench.contact().email_blocked);
}

#[test]
fn a_held_person_who_opted_out_is_created_blocked_in_the_same_call() {
    let bench = Bench::new();
    bench.upsert(&ada(), json!({ "FIRSTNAME": "Ada" }));
    bench.run();
    let opt_out = bench.consent(&ada(), ConsentStatus::OptedOut, ConsentBasis::Flag, START);
    bench.run();
    assert!(bench.contact().email_blocked);
    let creates: Vec<_> =
        bench.brevo.state().journal.iter().filter(|(l, _)| l == "POST /contacts").cloned().collect();
    assert_eq!(creates.len(), 1);
    assert_eq!(creates[0].1["emailBlacklisted"], json!(true));
    assert_eq!(bench.brevo.calls("PUT"), 0);
    let state = bench.end(opt_out).0;
    assert!(state == State::Coalesced || state == State::Deduplicated);
}

#[test]
fn a_tenant_may_consent_in_writing_to_unknown_consent() {
    let mut bench = Bench::new();
    bench.options.unknown_consent = UnknownConsent::Create;
    let upsert = bench.upsert(&ada_with_phone(), json!({}));
    bench.run();
    bench.assert_end(upsert, State::Delivered, "");
    assert_eq!(bench.contact().phone.as_deref(), Some("491511234567"));
}

#[test]
fn a_person_who_is_at_brevo_already_is_taken_over_with_everything_that_is_known() {
    for ext_id in [Some("u1"), None] {
        let bench = Bench::new();
        bench.brevo.put(at_brevo(ext_id, "ada@x.org"));
        bench.consent(&ada(), ConsentStatus::OptedOut, ConsentBasis::Flag, START);
        let upsert = bench.upsert(&ada(), json!({ "TIER": "gold" }));
        bench.run();
        bench.assert_end(upsert, State::Delivered, "");
        let contact = bench.contact();
        assert_eq!(contact.ext_id.as_deref(), Some("u1"));
        assert_eq!(contact.attributes["TIER"], json!("gold"));
        assert!(contact.email_blocked, "a known opt-out goes with it");
    }
}

#[test]
fn unknown_consent_changes_nothing_for_a_contact_that_exists() {
    let bench = Bench::new();
    bench.brevo.put(FakeContact { email_blocked: true, ..at_brevo(None, "ada@x.org") });
    let upsert = bench.upsert(&ada(), json!({ "TIER": "gold" }));
    bench.run();
    bench.assert_end(upsert, State::Delivered, "");
    assert!(bench.contact().email_blocked);
    assert!(bench.brevo.state().unblocked.is_empty());
}

#[test]
fn an_address_of_somebody_else_is_parked_and_nothing_is_merged() {
    let bench = Bench::new();
    bench.brevo.put(at_brevo(Some("other"), "ada@x.org"));
    bench.mailable(&ada());
    let upsert = bench.upsert(&ada(), json!({ "TIER": "gold" }));
    bench.run();
    bench.assert_end(upsert, State::Parked, "address-shared");
    assert_eq!(bench.letter_codes(), ["address-shared"]);
    assert!(bench.contact().attributes.is_empty());

    bench.brevo.state().contacts.clear();
    bench.requeue(false);
    bench.run();
    bench.assert_end(upsert, State::Delivered, "");
    assert_eq!(bench.contact().ext_id.as_deref(), Some("u1"));
}

#[test]
fn a_phone_of_somebody_else_is_left_out_and_the_rest_goes_on() {
    let bench = Bench::new();
    bench.brevo.put(FakeContact { phone: Some("491511234567".into()), ..at_brevo(Some("other"), "o@x.org") });
    bench.mailable(&ada());
    bench.consent_on(&ada(), Channel::Sms, ConsentStatus::OptedIn, ConsentBasis::Flag, START);
    let upsert = bench.upsert(&ada_with_phone(), json!({}));
    bench.run();
    bench.assert_end(upsert, State::Delivered, "");
    assert_eq!(bench.letter_codes(), ["address-shared"]);
    let state = bench.brevo.state();
    let created = state.contacts.values().find(|c| c.ext_id.as_deref() == Some("u1")).unwrap();
    assert_eq!(created.phone, None);
}

#[test]
fn a_phone_that_brevo_refuses_is_left_out_once_and_for_all() {
    let bench = Bench::new();
    bench.mailable(&ada());
    bench.consent_on(&ada(), Channel::Sms, ConsentStatus::OptedIn, ConsentBasis::Flag, START);
    let bad = crate::contract::Person { phone: Some("+123".into()), ..ada() };
    let first = bench.upsert(&bad, json!({ "TIER": "gold" }));
    let second = bench.upsert(&bad, json!({ "TIER": "platinum" }));
    bench.run();
    bench.assert_end(first, State::Delivered, "");
    bench.assert_end(second, State::Delivered, "");
    assert_eq!(bench.letter_codes(), ["phone-refused"]);
    assert_eq!(bench.letters()[0].actor, "tenant");
    bench.wait(10);
    let good = bench.upsert(&ada_with_phone(), json!({}));
    bench.run();
    bench.assert_end(good, State::Delivered, "");
    assert_eq!(bench.contact().phone.as_deref(), Some("491511234567"));
}

#[test]
fn a_phone_of_unknown_consent_waits_and_the_rest_does_not() {
    let bench = Bench::new();
    bench.mailable(&ada());
    let first = bench.upsert(&ada_with_phone(), json!({ "TIER": "gold" }));
    let second = bench.upsert(&ada_with_phone(), json!({ "TIER": "platinum" }));
    bench.run();
    bench.assert_end(first, State::Coalesced, "replaced");
    bench.assert_end(second, State::Held, "phone-consent-unknown");
    assert_eq!(
        (bench.contact().phone, bench.contact().attributes["TIER"].clone()),
        (None, json!("platinum"))
    );
    bench.consent_on(&ada(), Channel::Sms, ConsentStatus::OptedOut, ConsentBasis::Flag, START);
    bench.run();
    bench.assert_end(second, State::Delivered, "");
    assert_eq!(bench.contact().phone.as_deref(), Some("491511234567"));
    assert!(bench.contact().sms_blocked, "known opt-out before the phone is usable");
}

#[test]
fn a_contact_that_vanished_is_not_created_again_without_an_operator() {
    let bench = Bench::new();
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({ "TIER": "gold" }));
    bench.run();
    bench.brevo.state().contacts.clear();
    bench.wait(10);
    let upsert = bench.upsert(&ada(), json!({ "TIER": "platinum" }));
    let next = bench.upsert(&ada(), json!({ "LASTNAME": "Lovelace" }));
    let event = bench.event(&ada(), "seen");
    bench.run();
    for id in [upsert, next, event] {
        bench.assert_end(id, State::Parked, "contact-gone");
    }
    assert!(bench.brevo.state().contacts.is_empty());
    let first = bench.letters().remove(0);
    bench
        .store
        .write(|tx| crate::store::dead_letters::requeue_action(tx, first.id, false, bench.now()))
        .unwrap();
    bench.run();
    bench.assert_end(upsert, State::Delivered, "");
    assert_eq!(bench.contact().attributes["TIER"], json!("platinum"));
}

#[test]
fn a_contact_that_brevo_merged_is_followed() {
    let bench = Bench::new();
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({ "TIER": "gold" }));
    bench.run();
    {
        let mut state = bench.brevo.state();
        let (_, contact) = state.contacts.pop_first().unwrap();
        state.contacts.insert(900, contact);
    }
    bench.wait(10);
    let upsert = bench.upsert(&ada(), json!({ "TIER": "platinum" }));
    let opt_out = bench.consent(&ada(), ConsentStatus::OptedOut, ConsentBasis::Signal, bench.now());
    bench.run();
    bench.assert_end(upsert, State::Delivered, "");
    assert_eq!(bench.contact().attributes["TIER"], json!("platinum"));
    assert!(bench.contact().email_blocked);
    assert!(matches!(bench.end(opt_out).0, State::Delivered | State::Deduplicated));
}

#[test]
fn a_gateways_404_is_not_a_contact_that_is_gone() {
    let bench = Bench::new();
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({ "TIER": "gold" }));
    bench.run();
    bench.wait(10);
    bench.brevo.fault("PUT", Fault::Answer(404, vec![], "<html>not here</html>".into()));
    let upsert = bench.upsert(&ada(), json!({ "TIER": "platinum" }));
    bench.run();
    bench.assert_end(upsert, State::Delivered, "");
    assert!(bench.letters().is_empty());
}

#[test]
fn d15_an_attribute_that_cannot_be_used_is_one_letter_and_the_rest_goes_on() {
    let mut bench = Bench::new();
    bench.options.create_attributes = false;
    bench.brevo.state().attributes.push(("POINTS".into(), "normal", "text".into()));
    for number in 0..3 {
        let who = person(&format!("u{number}"), &format!("p{number}@x.org"));
        bench.mailable(&who);
        bench.upsert(&who, json!({ "FIRSTNAME": "Ada", "TIER": "gold", "POINTS": 3 }));
    }
    bench.run();
    let mut codes = bench.letter_codes();
    codes.sort();
    assert_eq!(codes, ["attribute-missing", "attribute-type"]);
    let state = bench.brevo.state();
    assert_eq!(state.contacts.len(), 3);
    for (label, body) in &state.journal {
        assert!(label != "POST /contacts" || body["attributes"] == json!({ "FIRSTNAME": "Ada" }), "{body}");
    }
}

#[test]
fn a_mended_attribute_closes_its_letter_and_is_sent() {
    let mut bench = Bench::new();
    bench.options.create_attributes = false;
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({ "TIER": "gold" }));
    let delivery = bench.delivery();
    bench.run_with(&delivery, i64::MAX);
    assert_eq!(bench.letter_codes(), ["attribute-missing", "attribute-missing"]);
    bench.brevo.state().attributes.push(("TIER".into(), "normal", "text".into()));
    bench.wait(61 * MINUTE);
    bench.upsert(&ada(), json!({ "TIER": "platinum" }));
    bench.run_with(&delivery, i64::MAX);
    assert_eq!(bench.contact().attributes["TIER"], json!("platinum"));
    assert_eq!(bench.letters().len(), 1, "POINTS is still missing");
}

#[test]
fn name_fields_have_other_names_in_other_languages() {
    let bench = Bench::new();
    for (name, _, _) in &mut bench.brevo.state().attributes {
        *name = name.replace("FIRSTNAME", "PRENOM").replace("LASTNAME", "NOM");
    }
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({ "FIRSTNAME": "Ada", "LASTNAME": "Lovelace" }));
    bench.run();
    assert_eq!(bench.contact().attributes["PRENOM"], json!("Ada"));
    assert_eq!(bench.contact().attributes["NOM"], json!("Lovelace"));
}

#[test]
fn upserts_wait_while_the_attributes_cannot_be_read_and_events_do_not() {
    let bench = Bench::new();
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({ "TIER": "gold" }));
    bench.run();
    let other = person("u2", "b@x.org");
    bench.mailable(&other);
    let upsert = bench.upsert(&other, json!({ "TIER": "gold" }));
    let event = bench.event(&ada(), "seen");
    bench.brevo.fault("GET /contacts/attributes", Fault::Answer(500, vec![], String::new()));
    bench.brevo.fault("GET /contacts/attributes", Fault::Answer(200, vec![], "<html>".into()));
    let delivery = bench.delivery();
    bench.run_with(&delivery, bench.now());
    bench.assert_end(event, State::Delivered, "");
    assert_eq!(bench.end(upsert).0, State::Waiting);
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(upsert, State::Delivered, "");
    assert!(bench.brevo.state().contacts.values().all(|c| c.attributes["TIER"] == json!("gold")));
}

#[test]
fn erased_people_stay_erased() {
    let bench = Bench::new();
    bench.mailable(&ada());
    let waiting = bench.upsert(&ada(), json!({ "FIRSTNAME": "Ada" }));
    let id = bench.person_id(&ada());
    bench.store.write(|tx| tombstone::erase(tx, DestinationId(1), PersonId(id), &[], bench.now())).unwrap();
    bench.assert_end(waiting, State::Refused, "person-erased");
    let again = bench.upsert(&ada(), json!({ "FIRSTNAME": "Ada" }));
    let event = bench.event(&ada(), "seen");
    bench.run();
    bench.assert_end(again, State::Refused, "person-erased");
    bench.assert_end(event, State::Refused, "person-erased");
    assert_eq!(bench.action(again).subject, "{}", "names don't stay behind");
    assert!(bench.brevo.state().contacts.is_empty());
}

#[test]
fn a_person_that_only_the_vendor_has_a_name_for_waits() {
    let bench = Bench::new();
    let alias = crate::contract::Alias { kind: "vendor-id".into(), value: "m1".into() };
    let nameless = crate::contract::Person { aliases: vec![alias], ..person("", "") };
    bench.mailable(&nameless);
    let event = bench.event(&nameless, "seen");
    let upsert = bench.upsert(&nameless, json!({ "TIER": "gold" }));
    bench.run_until(bench.now() + MINUTE);
    bench.assert_end(upsert, State::Held, "contact-unknown");
    bench.assert_end(event, State::Held, "contact-unknown");
    let named = crate::contract::Person { aliases: nameless.aliases.clone(), ..ada() };
    bench.upsert(&named, json!({ "FIRSTNAME": "Ada" }));
    bench.run();
    bench.assert_end(upsert, State::Delivered, "");
    bench.assert_end(event, State::Delivered, "");
    assert_eq!(bench.contact().attributes["TIER"], json!("gold"));
}
