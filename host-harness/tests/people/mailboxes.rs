//! A mailbox with several holders: `people/consent.rs` has the rule.

use stand_ins::brevo::Channel;

use super::*;

/// One thing that becomes known. Numbers of people, and minutes.
#[derive(Clone, Copy, Debug)]
enum News {
    /// The person's profile, with the mailbox.
    Comes(usize),
    In(usize, i64),
    Out(usize, i64),
    /// A flag on the profile.
    FlaggedOut(usize, i64),
    Bounced(usize),
    /// Somebody of the mailbox, and nobody knows who.
    OutUnderTheAddress(i64),
}
use News::*;

const NAMES: [&str; 3] = ["ann", "bob", "cat"];

impl News {
    fn of(self) -> Option<usize> {
        match self {
            Comes(who) | In(who, _) | Out(who, _) | FlaggedOut(who, _) | Bounced(who) => Some(who),
            OutUnderTheAddress(_) => None,
        }
    }

    /// As records about the people of one mailbox.
    fn records(self, mailbox: &str) -> Vec<MappedRecord> {
        let email = format!("{mailbox}@example.com");
        let id = self.of().map(|who| format!("{}-{mailbox}", NAMES[who])).unwrap_or_default();
        let who = named(&id, &email, "");
        let key = format!("{self:?}-{mailbox}");
        let at = |minute: i64| START - HOUR + minute * MINUTE;
        match self {
            Comes(_) => vec![
                mailable(&format!("flag-{key}"), &who),
                profile_of(&key, &who, at(0), json!({ "A": id })),
            ],
            In(_, minute) => vec![consent(&key, &who, at(minute), "opted-in", "signal")],
            Out(_, minute) => vec![consent(&key, &who, at(minute), "opted-out", "signal")],
            FlaggedOut(_, minute) => vec![consent(&key, &who, at(minute), "opted-out", "flag")],
            OutUnderTheAddress(minute) => vec![consent(&key, &who, at(minute), "opted-out", "signal")],
            Bounced(_) => {
                let bounce = json!({ "channel": "email", "reason": "hard-bounce" });
                vec![said(&key, &who, at(0), "brevo/set-suppression", bounce)]
            }
        }
    }
}

/// The rule, once more: blocked while the own word of anybody who has the mailbox is an opt-out.
fn is_blocked(known: &[News]) -> bool {
    let holders: std::collections::BTreeSet<usize> = known.iter().filter_map(|news| news.of()).collect();
    let of = |who: usize, minute: fn(News, usize) -> Option<i64>| {
        known.iter().filter_map(|news| minute(*news, who)).max()
    };
    let out = |who| {
        of(who, |news, who| match news {
            Out(of, minute) | FlaggedOut(of, minute) => (of == who).then_some(minute),
            OutUnderTheAddress(minute) => Some(minute),
            _ => None,
        })
    };
    let opted_in = |who| {
        of(who, |news, who| match news {
            In(of, minute) => (of == who).then_some(minute),
            _ => None,
        })
    };
    known.iter().any(|news| matches!(news, Bounced(_)))
        || holders.iter().any(|who| out(*who).is_some_and(|out| opted_in(*who).is_none_or(|at| at <= out)))
}

/// Plays every order, each with a mailbox of its own, and looks after each step.
fn play_every_order(history: &[News]) {
    let stage = Stage::new();
    let orders = orders(history.len());
    for step in 0..history.len() {
        let news = orders
            .iter()
            .enumerate()
            .flat_map(|(n, order)| history[order[step]].records(&format!("home{n}")));
        stage.tell(news.collect());
        for (n, order) in orders.iter().enumerate() {
            let known: Vec<News> = order[..=step].iter().map(|place| history[*place]).collect();
            if let Some(contact) = stage.brevo.contact_by_email(&format!("home{n}@example.com")) {
                assert_eq!(contact.email_blacklisted, is_blocked(&known), "{known:?}");
            }
        }
    }
    for (n, order) in orders.iter().enumerate() {
        assert!(stage.brevo.contact_by_email(&format!("home{n}@example.com")).is_some(), "{order:?}");
    }
    let unexpected: Vec<String> = stage
        .letters()
        .into_iter()
        .filter(|code| !["address-shared", "suppressed"].contains(&code.as_str()))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    stage.host.assert_sums();
}

#[test]
fn n28_a_shared_mailbox_is_blocked_by_its_holders_own_words_in_any_order_of_arrival() {
    let histories: [&[News]; 8] = [
        // One wants nothing, and the other's later opt-in is the other's alone.
        &[Comes(0), Comes(1), Out(0, 1), In(1, 2)],
        &[Comes(0), Comes(1), FlaggedOut(0, 1), In(1, 2)],
        // Whoever opted out opts in again.
        &[Comes(0), Comes(1), Out(0, 1), In(0, 3)],
        &[Comes(0), Comes(1), Out(0, 3), In(0, 1)],
        // Nobody knows who it was: each of them has to opt in.
        &[Comes(0), Comes(1), OutUnderTheAddress(1), In(1, 2)],
        // A bounce is the mailbox's, and nobody lifts it.
        &[Comes(0), Comes(1), Bounced(0), In(1, 2)],
        // Both opted out, and one of them wants it again.
        &[Comes(0), Out(0, 1), Out(1, 2), In(1, 3)],
        &[Comes(0), Comes(1), OutUnderTheAddress(1), In(0, 2), In(1, 3)],
    ];
    for history in histories {
        play_every_order(history);
    }
}

fn is_blocked_at_brevo(stage: &Stage, email: &str) -> bool {
    stage.brevo.contact_by_email(email).unwrap().email_blacklisted
}

#[test]
fn who_leaves_a_mailbox_leaves_their_opt_out_with_it_and_who_comes_brings_theirs() {
    // Ann has the mailbox, opts out and moves to another address, in every order; Bob has it as well.
    let at = |minute: i64| START - HOUR + minute * MINUTE;
    let stage = Stage::new();
    let orders = orders(4);
    let news = |what: usize, n: usize| -> Vec<MappedRecord> {
        let (home, id) = (format!("home{n}@example.com"), format!("ann{n}"));
        let (ann, moved) = (named(&id, &home, ""), named(&id, &format!("ann{n}@example.com"), ""));
        let bob = named(&format!("bob{n}"), &home, "");
        match what {
            0 => vec![mailable(&format!("f{n}"), &ann), profile_of(&format!("a{n}"), &ann, at(0), json!({}))],
            1 => vec![consent(&format!("o{n}"), &named(&id, "", ""), at(1), "opted-out", "signal")],
            2 => vec![profile_of(&format!("m{n}"), &moved, at(2), json!({ "A": "moved" }))],
            _ => vec![
                mailable(&format!("g{n}"), &bob),
                profile_of(&format!("b{n}"), &bob, at(0), json!({ "A": "bob" })),
            ],
        }
    };
    for step in 0..4 {
        stage.tell(orders.iter().enumerate().flat_map(|(n, order)| news(order[step], n)).collect());
    }
    for (n, order) in orders.iter().enumerate() {
        // Where Ann had it first, Bob's waits for an operator.
        let home = stage.brevo.contact_by_email(&format!("home{n}@example.com"));
        assert!(home.is_none_or(|home| home.email_blacklisted), "{order:?}");
        assert!(is_blocked_at_brevo(&stage, &format!("ann{n}@example.com")), "{order:?}");
    }
    // Cat, who opted out elsewhere, comes to have Dan's mailbox.
    let dan = named("dan", "dan@example.com", "");
    stage.tell(vec![mailable("fd", &dan), profile_of("d", &dan, at(0), json!({ "A": "dan" }))]);
    let cat = named("cat", "cat@example.com", "");
    stage.tell(vec![
        profile_of("c", &cat, at(0), json!({ "A": "cat" })),
        consent("oc", &cat, at(1), "opted-out", "signal"),
    ]);
    assert!(!is_blocked_at_brevo(&stage, "dan@example.com"));
    stage.tell(vec![profile_of("c2", &named("cat", "dan@example.com", ""), at(2), json!({ "A": "cat" }))]);
    assert!(is_blocked_at_brevo(&stage, "dan@example.com"), "the mailbox is hers too by now");
    assert!(stage.brevo.resubscriptions().iter().all(|one| one.ext_id.as_deref() != Some("dan")));
}

#[test]
fn d17_which_of_two_unsubscribed_at_brevo_nobody_knows_so_neither_opt_in_lifts_it() {
    let at = |minute: i64| START - HOUR + minute * MINUTE;
    for shared in [true, false] {
        let stage = Stage::new();
        let (ann, bob) = (named("ann", "home@example.com", ""), named("bob", "home@example.com", ""));
        stage.tell(vec![mailable("fa", &ann), profile_of("a", &ann, at(0), json!({ "A": "ann" }))]);
        if shared {
            stage.tell(vec![mailable("fb", &bob), profile_of("b", &bob, at(0), json!({ "A": "bob" }))]);
        }
        assert!(stage.brevo.unsubscribe_at_brevo("home@example.com", at(1)));
        let said: &[&Person] = if shared { &[&ann, &bob] } else { &[&ann] };
        for (n, who) in said.iter().enumerate() {
            stage.tell(vec![consent(&format!("in{n}"), who, at(2), "opted-in", "signal")]);
        }
        assert_eq!(is_blocked_at_brevo(&stage, "home@example.com"), shared);
        assert_eq!(stage.letters().contains(&"block-not-ours".to_owned()), shared);
    }
}

#[test]
fn a_phone_that_two_have_is_blocked_while_either_of_them_wants_it() {
    let at = |minute: i64| START - HOUR + minute * MINUTE;
    let stage = Stage::new();
    let with_phone = |id: &str| Person {
        phone: Some("+491511234567".into()),
        ..named(id, &format!("{id}@example.com"), "")
    };
    let (ann, bob) = (with_phone("ann"), with_phone("bob"));
    let word = |key: &str, who: &Person, minute, status: &str, basis: &str| {
        let word = json!({ "channel": "sms", "status": status, "basis": basis });
        said(key, who, at(minute), "brevo/set-consent", word)
    };
    for (key, who) in [("ann", &ann), ("bob", &bob)] {
        stage.tell(vec![
            mailable(&format!("f{key}"), who),
            word(&format!("s{key}"), who, 0, "opted-in", "flag"),
            profile_of(key, who, at(0), json!({ "A": key })),
        ]);
    }
    let blocked = |id: &str| stage.brevo.contact_by_ext_id(id).unwrap().sms_blacklisted;
    stage.tell(vec![word("out", &bob, 1, "opted-out", "signal")]);
    assert!(blocked("ann") && blocked("bob"));
    stage.tell(vec![word("in", &ann, 2, "opted-in", "signal")]);
    assert!(blocked("ann") && blocked("bob"), "Ann's opt-in is Ann's");
    stage.tell(vec![word("again", &bob, 3, "opted-in", "signal")]);
    assert!(!blocked("ann") && !blocked("bob"));
    let lifted = stage.brevo.resubscriptions();
    assert!(lifted.iter().all(|one| one.channel == Channel::Sms), "{lifted:?}");
    assert!(!stage.brevo.contact_by_ext_id("ann").unwrap().email_blacklisted);
}

#[test]
fn a_holder_who_is_erased_leaves_the_mailbox_blocked() {
    use host_harness::people::identity::PersonId;
    use host_harness::people::tombstone;
    use host_harness::store::StoreError;
    use host_harness::store::installations::DestinationId;
    let at = |minute: i64| START - HOUR + minute * MINUTE;
    let stage = Stage::new();
    let (ann, bob) = (named("ann", "home@example.com", ""), named("bob", "home@example.com", ""));
    let home = named("", "home@example.com", "");
    stage.tell(vec![consent("out", &ann, at(1), "opted-out", "signal")]);
    let erase = |person: i64| {
        stage
            .host
            .store
            .write::<_, StoreError>(|tx| tombstone::erase(tx, DestinationId(1), PersonId(person), &[], at(2)))
            .unwrap();
    };
    stage.tell(vec![mailable("fb", &bob)]);
    erase(1);
    stage.tell(vec![profile_of("b", &bob, at(0), json!({ "A": "bob" }))]);
    assert!(is_blocked_at_brevo(&stage, "home@example.com"));
    stage.tell(vec![consent("nobodys", &home, at(3), "opted-out", "signal")]);
    stage.tell(vec![consent("in", &bob, at(9), "opted-in", "signal")]);
    assert!(!is_blocked_at_brevo(&stage, "home@example.com"), "Bob's own opt-in is newer than both");
    // With the last holder nothing of the address stays here but hashes.
    let bob = |tx: &rusqlite::Transaction<'_>| -> Result<i64, StoreError> {
        Ok(tx.query_row("SELECT person FROM identity WHERE value = 'bob'", [], |row| row.get(0))?)
    };
    erase(stage.host.store.read(bob).unwrap());
    let left = |tx: &rusqlite::Transaction<'_>| -> Result<i64, StoreError> {
        let sql = "SELECT (SELECT count(*) FROM mailbox) + (SELECT count(*) FROM identity) + (SELECT count(*) FROM consent)";
        Ok(tx.query_row(sql, [], |row| row.get(0))?)
    };
    assert_eq!(stage.host.store.read(left).unwrap(), 0);
}

#[test]
fn an_opt_in_without_a_date_changes_nothing() {
    let at = |minute: i64| START - HOUR + minute * MINUTE;
    let stage = Stage::new();
    let ann = named("ann", "ann@example.com", "");
    stage.tell(vec![consent("out", &ann, at(1), "opted-out", "signal")]);
    let mut undated = consent("in", &ann, at(2), "opted-in", "signal");
    undated.record.occurred = Occurrence { at: None, trust: TimeTrust::Unknown };
    stage.tell(vec![undated]);
    stage.tell(vec![profile_of("a", &ann, at(3), json!({ "A": "ann" }))]);
    assert!(is_blocked_at_brevo(&stage, "ann@example.com"));
}

#[test]
fn what_others_want_makes_nobody_known() {
    let stage = Stage::new();
    let (ann, bob) = (named("ann", "home@example.com", ""), named("bob", "home@example.com", ""));
    stage.tell(vec![profile_of("b", &bob, START - HOUR, json!({ "A": "bob" }))]);
    stage.tell(vec![consent("out", &ann, START - HOUR, "opted-out", "signal")]);
    assert!(stage.brevo.contacts().is_empty(), "nobody knows what Bob wants");
    stage.tell(vec![mailable("fb", &bob)]);
    let contact = stage.brevo.contact_by_ext_id("bob").unwrap();
    assert!(contact.email_blacklisted, "and Ann wants nothing there");
}
