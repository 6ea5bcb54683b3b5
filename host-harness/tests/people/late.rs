//! Somebody of whom only an address is known, perhaps at Brevo already, and whose id comes later.

use std::collections::BTreeSet;

use super::*;

fn at(minute: i64) -> i64 {
    START - HOUR + minute * MINUTE
}

fn home(n: usize) -> Person {
    named("", &format!("home{n}@example.com"), "")
}

/// What was said under the address of the mailbox, and then of the person.
fn profile_of_mailbox(n: usize) -> Vec<MappedRecord> {
    let who = home(n);
    vec![
        mailable(&format!("flag{n}"), &who),
        profile_of(&format!("box{n}"), &who, at(0), json!({ "A": "box" })),
    ]
}

fn event_of(key: &str, who: &Person) -> Vec<MappedRecord> {
    vec![event(key, who, Some(at(1)), START)]
}

fn joins(n: usize) -> Vec<MappedRecord> {
    let list = json!({ "list": { "name": "VIP", "folder": "MoEngage" }, "inert": true });
    let mut joins = membership(&home(n), &list, true, &format!("x{n}"), at(1), Provenance::Live);
    joins.record.id = format!("scripted:ws:membership:sync/{n}");
    vec![joins]
}

fn identity_of(n: usize) -> Vec<MappedRecord> {
    let id = format!("id{n}");
    let who = named(&id, &format!("home{n}@example.com"), &format!("m{n}"));
    vec![profile_of(&format!("id{n}"), &who, at(2), json!({ "B": id }))]
}

fn play_every_order(news: &[&dyn Fn(usize) -> Vec<MappedRecord>], look: impl Fn(&Stage, usize, &[usize])) {
    let stage = Stage::new();
    let orders = orders(news.len());
    for step in 0..news.len() {
        stage.tell(orders.iter().enumerate().flat_map(|(n, order)| news[order[step]](n)).collect());
    }
    for (n, order) in orders.iter().enumerate() {
        look(&stage, n, order);
    }
    assert_eq!(stage.brevo.contacts().len(), orders.len(), "one contact for each");
    assert_eq!(stage.letters(), Vec::<String>::new());
    assert!(stage.brevo.resubscriptions().is_empty(), "{:?}", stage.brevo.resubscriptions());
    stage.host.assert_sums();
}

/// The contact of the mailbox is the person's, with everything of both.
fn is_one(stage: &Stage, n: usize, order: &[usize]) -> stand_ins::brevo::Contact {
    let contact = stage.brevo.contact_by_email(&format!("home{n}@example.com"));
    let contact = contact.unwrap_or_else(|| panic!("no contact: {order:?}"));
    let id = format!("id{n}");
    assert_eq!(contact.ext_id.as_ref(), Some(&id), "{order:?}");
    let value = |name: &str| contact.attributes.get(name).cloned();
    assert_eq!((value("A"), value("B")), (Some(json!("box")), Some(json!(id))), "{order:?}");
    contact
}

#[test]
fn n28_an_identity_that_comes_late_takes_the_contact_of_its_mailbox_over_in_any_order() {
    let by_id = |n: usize| event_of(&format!("known{n}"), &named(&format!("id{n}"), "", ""));
    let by_mail = |n: usize| event_of(&format!("mail{n}"), &home(n));
    play_every_order(&[&profile_of_mailbox, &by_mail, &joins, &by_id, &identity_of], |stage, n, order| {
        let contact = is_one(stage, n, order);
        assert!(!contact.email_blacklisted, "{order:?}");
        let events: BTreeSet<String> = stage
            .brevo
            .events()
            .into_iter()
            .filter(|event| event.contact_id == Some(contact.id))
            .filter_map(|event| event.properties.get("key")?.as_str().map(str::to_owned))
            .collect();
        assert_eq!(events, [format!("known{n}"), format!("mail{n}")].into(), "{order:?}");
        let list = stage.brevo.lists().into_iter().find(|list| list.name == "VIP").unwrap();
        assert!(stage.brevo.list_members(list.id).iter().any(|one| one.id == contact.id), "{order:?}");
    });
}

#[test]
fn n28_an_opt_out_of_the_mailbox_stays_with_the_contact_whose_identity_comes_late() {
    let out = |n: usize| vec![consent(&format!("out{n}"), &home(n), at(1), "opted-out", "signal")];
    let alias = |n: usize| event_of(&format!("alias{n}"), &named("", "", &format!("m{n}")));
    play_every_order(&[&profile_of_mailbox, &out, &alias, &identity_of], |stage, n, order| {
        assert!(is_one(stage, n, order).email_blacklisted, "{order:?}");
    });
}

#[test]
fn an_opt_in_lifts_the_block_that_came_over_with_a_contact() {
    let stage = Stage::new();
    stage.tell(profile_of_mailbox(0));
    stage.tell(vec![consent("out", &home(0), at(1), "opted-out", "signal")]);
    let by_id = named("id0", "", "");
    stage.tell(event_of("known", &by_id));
    stage.tell(identity_of(0));
    assert!(is_one(&stage, 0, &[]).email_blacklisted);
    stage.tell(vec![consent("in", &by_id, at(3), "opted-in", "signal")]);
    assert!(!is_one(&stage, 0, &[]).email_blacklisted, "the block was this host's");
}

#[test]
fn a_contact_that_somebody_else_blocked_is_taken_over_as_it_is() {
    let stage = Stage::new();
    let body = json!({ "email": "home0@example.com", "emailBlacklisted": true, "attributes": {}, "updateEnabled": false });
    ureq::post(format!("{}/v3/contacts", stage.brevo.url()))
        .header("api-key", stage.brevo.api_key())
        .header("content-type", "application/json")
        .send(body.to_string())
        .unwrap();
    let before = stage.brevo.contact_by_email("home0@example.com").unwrap();
    stage.tell(event_of("mail", &home(0)));
    stage.tell(event_of("known", &named("id0", "", "")));
    stage.tell(identity_of(0));
    stage.tell(vec![consent("in", &named("id0", "", ""), at(9), "opted-in", "signal")]);
    let after = stage.brevo.contact_by_email("home0@example.com").unwrap();
    assert_eq!((after.id, after.ext_id.as_deref()), (before.id, Some("id0")));
    assert!(after.email_blacklisted);
    assert_eq!(stage.brevo.events().len(), 2);
    assert_eq!(stage.letters(), ["block-not-ours"]);
}

/// An event names the id and the address, and no profile ever comes.
#[test]
fn an_event_alone_gives_the_contact_its_id() {
    for known_before in [false, true] {
        let stage = Stage::new();
        stage.tell(profile_of_mailbox(0));
        if known_before {
            stage.tell(event_of("known", &named("id0", "", "")));
        }
        stage.tell(event_of("both", &named("id0", "home0@example.com", "")));
        let contact = stage.brevo.contact_by_email("home0@example.com").unwrap();
        assert_eq!(contact.ext_id.as_deref(), Some("id0"), "{known_before}");
        assert_eq!(stage.brevo.events().len(), 1 + usize::from(known_before));
        assert_eq!(stage.letters(), Vec::<String>::new());
    }
}

#[test]
fn where_both_have_a_contact_each_keeps_theirs_and_an_opt_out_is_both_contacts() {
    let stage = Stage::new();
    stage.tell(profile_of_mailbox(0));
    let before = named("id0", "before@example.com", "");
    stage.tell(vec![mailable("f", &before), profile_of("before", &before, at(0), json!({ "B": "b" }))]);
    stage.tell(identity_of(0));
    assert_eq!(stage.letters(), ["address-shared"], "an operator decides");
    let contacts = stage.brevo.contacts();
    let ids: Vec<_> = contacts.iter().map(|one| (one.email.as_deref(), one.ext_id.as_deref())).collect();
    assert_eq!(ids, [(Some("home0@example.com"), None), (Some("before@example.com"), Some("id0"))]);
    stage.tell(vec![consent("out", &before, at(3), "opted-out", "signal")]);
    assert!(stage.brevo.contacts().iter().all(|one| one.email_blacklisted));
}

#[test]
fn the_first_who_comes_to_have_the_mailbox_takes_the_contact_over_and_no_other() {
    let stage = Stage::new();
    stage.tell(profile_of_mailbox(0));
    stage.tell(identity_of(0));
    let other = named("other", "home0@example.com", "");
    stage.tell(vec![mailable("f", &other), profile_of("other", &other, at(3), json!({ "B": "other" }))]);
    is_one(&stage, 0, &[]);
    assert_eq!(stage.brevo.contacts().len(), 1);
    assert_eq!(stage.letters(), ["address-shared"]);
    // And where two had it first, nobody can say whose a record is that names only the address.
    stage.tell(event_of("whose", &home(0)));
    assert_eq!(stage.letters(), ["address-shared", "identity-ambiguous"]);
}
