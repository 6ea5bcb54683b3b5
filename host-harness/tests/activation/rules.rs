//! Rules: what else happens at Brevo because something happened at MoEngage.

use std::time::Duration;

use host_harness::store::outbox::State;
use serde_json::{Value, json};
use stand_ins::brevo::Campaign;
use stand_ins::moengage::posting::Auth;
use stand_ins::moengage::segment_sync::{Destination, Member, RunKind, RunStatus};

use super::stage::{HOUR, MINUTE, Stage, delivered, happened};

const MAILS: &str = r#"
rules:
  - name: cart-reminder
    triggers:
      - event: moengage_cart_abandoned
    conditions:
      - cart_value: "> 50"
    actions:
      - brevo/send-email:
          template_id: 101
          to: "{{ contact.email }}"
          params: { name: "{{ contact.u_fn | default: \"you\" }}", items: "{{ event.items }}", value: "{{ event.cart_value }}" }
          tags: ["cart"]
"#;

fn cart(stage: &Stage, uuid: &str, who: &str, age_s: i64, value: i64, user: Value) -> Value {
    let event = json!({ "cart_value": value, "items": ["mug", "pot"] });
    happened(stage, uuid, "Cart Abandoned", who, age_s, event, user)
}

fn refused(code: &str) -> (State, Option<String>) {
    (State::Refused, Some(code.to_owned()))
}

#[test]
fn an_event_is_one_mail_with_its_params_however_often_it_comes() {
    let mut stage = Stage::new(MAILS);
    let abandoned = [cart(&stage, "e1", "ann", MINUTE, 120, json!({ "u_fn": "Ann" }))];
    stage.push(&abandoned);
    let mails = stage.world.brevo.mails();
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!((mail.recipient.as_str(), mail.template_id), ("ann@example.com", Some(101)));
    assert_eq!(
        Value::Object(mail.params.clone()),
        json!({ "name": "Ann", "items": ["mug", "pot"], "value": 120 })
    );
    assert_eq!(mail.tags[0], "cart");
    stage.push(&abandoned);
    stage.restart();
    stage.push(&abandoned);
    // The same event at another door.
    stage.export(&abandoned);
    stage.backfill();
    stage.rest();
    assert_eq!(stage.world.brevo.mails().len(), 1);
    assert_eq!(stage.ends("brevo/send-email"), [delivered()]);
    // Another event is another mail, and without a name the default stands there.
    stage.push(&[cart(&stage, "e2", "bea", MINUTE, 60, json!({}))]);
    let mails = stage.world.brevo.mails();
    assert_eq!((mails.len(), &mails[1].params["name"]), (2, &json!("you")));
    assert!(stage.letters().is_empty());
    stage.world.assert_clean();
}

#[test]
fn what_is_too_late_or_not_wanted_or_does_not_meet_the_condition_is_not_sent() {
    let stage = Stage::new(MAILS);
    stage.push(&[
        cart(&stage, "late", "ann", 2 * HOUR, 120, json!({})),
        cart(&stage, "opted-out", "bea", MINUTE, 120, json!({ "moe_unsubscribe": true })),
        cart(&stage, "bounced", "cem", MINUTE, 120, json!({ "moe_hard_bounce": true })),
        cart(&stage, "cheap", "dan", MINUTE, 50, json!({})),
    ]);
    let mut ends = stage.ends("brevo/send-email");
    ends.sort_by_key(|(state, code)| (*state as i64, code.clone()));
    assert_eq!(
        ends,
        [(State::Expired, Some("too-old".into())), refused("opted-out"), refused("suppressed")],
        "nothing was called for where the condition was not met"
    );
    assert!(stage.world.brevo.mails().is_empty());
    assert_eq!(stage.world.brevo.events().len(), 4, "the events themselves are told");
    // Who opts out between two events gets the first mail and not the second.
    stage.push(&[cart(&stage, "in", "eva", MINUTE, 120, json!({}))]);
    assert!(stage.world.brevo.unsubscribe_at_brevo("eva@example.com", stage.world.brevo.now()));
    stage.push(&[cart(&stage, "out", "eva", 0, 120, json!({}))]);
    assert_eq!(stage.world.brevo.mails().len(), 1);
    assert_eq!(stage.ends("brevo/send-email")[4..], [refused("blocked-at-brevo")]);
    stage.world.assert_clean();
}

#[test]
fn three_events_within_the_debounce_are_one_mail_with_the_newest() {
    let mut stage = Stage::new(&MAILS.replace("    actions:", "    debounce: \"10m\"\n    actions:"));
    for (n, value) in [60, 70, 80].into_iter().enumerate() {
        let age = 3 * MINUTE - MINUTE * n as i64;
        stage.push_to("shop", &[cart(&stage, &format!("e{n}"), "ann", age, value, json!({}))]);
    }
    // What waits survives a restart.
    stage.restart();
    stage.rest();
    let coalesced =
        stage.ends("brevo/send-email").iter().filter(|(state, _)| *state == State::Coalesced).count();
    let mails = stage.world.brevo.mails();
    assert_eq!((mails.len(), coalesced), (1, 2), "{:?}", stage.ends("brevo/send-email"));
    assert_eq!(mails[0].params["value"], json!(80));
    assert_eq!(stage.world.brevo.events().len(), 3);
    stage.world.assert_clean();
}

#[test]
fn an_event_is_a_text_to_who_wants_texts() {
    let stage = Stage::new(
        r#"
rules:
  - name: parcel
    triggers: [{ event: moengage_parcel_ready }]
    actions:
      - brevo/send-sms: { content: "Parcel {{ event.parcel }} is there", sender: "ACME", tag: "parcel" }
"#,
    );
    let ready = |uuid: &str, who: &str, phone: &str, wants: &str| {
        let user = json!({ "u_mb": phone, "moe_sms_subscription": wants });
        happened(&stage, uuid, "Parcel Ready", who, MINUTE, json!({ "parcel": "4711" }), user)
    };
    let events =
        [ready("e1", "ann", "+491511234567", "OPTIN"), ready("e2", "bea", "+491511234568", "OPTOUT")];
    stage.push(&events);
    stage.push(&events);
    let texts = stage.world.brevo.texts();
    let [text] = texts.as_slice() else { panic!("{texts:?}") };
    assert_eq!((text.recipient.as_str(), text.sender.as_str()), ("491511234567", "ACME"));
    assert_eq!(text.content.as_deref(), Some("Parcel 4711 is there"));
    let mut ends = stage.ends("brevo/send-sms");
    ends.sort_by_key(|(state, _)| *state as i64);
    assert_eq!(ends, [delivered(), refused("opted-out")]);
    stage.world.assert_clean();
}

#[test]
fn who_joins_a_segment_sets_a_campaign_off_once_in_its_life() {
    const SYNC: &str = "65a1b2c3d4e5f6a7b8c9d0e1";
    let stage = Stage::new(&format!(
        r#"
segment_sync:
  identifier: uid
  lists:
    "{SYNC}": {{ name: VIP, folder: Segments, inert: true }}
rules:
  - name: vip-campaign
    triggers: [{{ list: "{SYNC}", membership: joined }}]
    actions:
      - brevo/trigger-campaign: {{ campaign_id: 7, confirm_send: true }}
"#
    ));
    let known: Vec<_> = (0..4)
        .map(|n| happened(&stage, &format!("e{n}"), "Seen", &format!("p{n}"), MINUTE, json!({}), json!({})))
        .collect();
    stage.push(&known);
    let auth = Auth::Basic { user: "tajo".into(), password: "hook-secret".into() };
    let destination = Destination { auth, ..Destination::new(&stage.url("shop", "segment-sync")) };
    assert_eq!(destination.sync_id, SYNC);
    let sync = stage.world.moengage.segment_sync(destination).unwrap();
    let run = |people: std::ops::Range<usize>| {
        sync.put(people.map(|n| Member::new(&format!("m-p{n}"), &format!("p{n}"))));
        sync.run(RunKind::AdHoc).unwrap();
        assert!(sync.wait(Duration::from_secs(60)));
        assert_eq!(sync.runs().last().unwrap().status, RunStatus::Complete);
        stage.rest();
    };
    // The first execution is everybody who is there already: it sets nothing off.
    run(0..1);
    assert!(stage.ends("brevo/trigger-campaign").is_empty());
    let lists = stage.world.brevo.lists();
    assert_eq!(stage.world.brevo.list_members(lists[0].id).len(), 1);
    stage.world.brevo.put_campaign(Campaign::draft(7, vec![lists[0].id]));
    run(1..3);
    run(3..4);
    assert_eq!(stage.world.brevo.campaign_sends().len(), 1);
    let again = (State::Deduplicated, Some("campaign-sent".to_owned()));
    assert_eq!(stage.ends("brevo/trigger-campaign"), [delivered(), again.clone(), again]);
    assert_eq!(stage.world.brevo.list_members(lists[0].id).len(), 4);
    assert!(stage.letters().is_empty());
    stage.world.assert_clean();
}
