//! Rules: what else happens at Brevo because something happened at MoEngage.

use moengage_connector::{Action, Mapping, Provenance, Record, Settings, Subject, TimeTrust, configure};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::reach::Memory;
use crate::schemas::assert_fits_schema;
use crate::segment_sync::{chunk, push};
use crate::{Lines, NOW, T, actions, body, event_record, map, map_record, parse, plain, plain_settings};

const HOUR: i64 = 3_600_000;

/// The plain settings with these rules, segments, and a name for one event of the tenant's.
pub fn settings_of(rules: Value) -> Value {
    let mut settings = plain_settings();
    settings["event_mapping"] = json!({"Cart Left": "cart_abandoned"});
    settings["segment_sync"] = json!({"lists": {"s-1": 11}});
    settings["lists"] = json!({"vip": {"name": "VIP", "folder": "Rules", "inert": true}, "high_value": 7});
    settings["rules"] = rules;
    settings
}

/// One rule on `cart_abandoned`, with these keys over it.
fn rule(changes: Value) -> Value {
    let mut rule = json!({
        "name": "cart-reminder",
        "triggers": [{"event": "cart_abandoned"}],
        "actions": [{"brevo/send-email": {"template_id": 101, "to": "{{ contact.email }}"}}],
    });
    for (key, value) in changes.as_object().unwrap() {
        rule[key] = value.clone();
    }
    rule
}

fn settings(changes: Value) -> Settings {
    parse(&settings_of(json!([rule(changes)])))
}

fn cart(settings: &Settings, attributes: Value) -> Record {
    event_record(settings, json!({"event_code": "Cart Left", "event_attributes": attributes}))
}

/// What rules made of a record.
fn made(settings: &Settings, record: &Record) -> Vec<Action> {
    match map(settings, record).unwrap() {
        Mapping::Actions(actions) => {
            actions.into_iter().filter(|action| action.slot.starts_with("rule:")).collect()
        }
        Mapping::Nothing(_) => Vec::new(),
    }
}

fn payload(action: &Action) -> Value {
    serde_json::from_str(&action.payload).unwrap()
}

/// Whether a rule with these conditions acts on a cart with these attributes.
fn acts(conditions: Value, attributes: Value) -> bool {
    let settings = settings(json!({"conditions": conditions}));
    let record = cart(&settings, attributes);
    !made(&settings, &record).is_empty()
}

#[test]
fn an_event_by_its_name_at_brevo_sends_a_mail_beside_the_event() {
    let settings = settings(json!({}));
    let all = actions(&settings, &cart(&settings, json!({"cart_value": 60})));
    let slots: Vec<_> = all.iter().map(|action| action.slot.as_str()).collect();
    assert_eq!(slots, ["event", "rule:cart-reminder:send-email"]);
    let mail = &all[1];
    assert_eq!(mail.name, "brevo/send-email");
    assert_eq!(payload(mail), json!({"template_id": 101, "params": {}, "even_if_opted_out": false}));
    assert_eq!(mail.subject, all[0].subject);
    // An hour after the event it is too late, whatever the age up to which events are sent.
    assert_eq!(mail.not_after, Some(T * 1000 + HOUR));
    assert_eq!((mail.not_before, &mail.coalesce), (None, &None));
    let other = event_record(&settings, json!({}));
    assert!(made(&settings, &other).is_empty());
}

#[test]
fn without_rules_nothing_changes() {
    let with = parse(&settings_of(json!([rule(json!({"conditions": [{"contact.u_fn": "present"}]}))])));
    let record = event_record(&plain(), json!({}));
    assert!(body(&record).get("contact").is_none());
    // A rule brings along what it asks for and nothing else.
    let body = body(&event_record(&with, json!({})));
    assert_eq!(body["contact"], json!({"u_fn": "Ann"}));
    assert_fits_schema("event", &body);
}

#[test]
fn every_action_has_the_agreed_payload() {
    let settings = settings(json!({"name": "all", "actions": [
        {"brevo/send-email": {
            "template_id": 7, "tags": ["cart"], "even_if_opted_out": true, "not_after": "20m",
            "params": {
                "who": "Dear {{ contact.u_fn }}", "value": "{{ event.value }}", "items": "{{event.items}}", "n": 1,
                "on": true, "code": "{{ event.code | default: \"none\" }}", "id": "{{ contact.external_id }}",
                "long": "{{ event.long }}",
            },
        }},
        {"brevo/send-sms": {"content": "{{ event.value }} EUR in your cart", "sender": "ACME", "tag": "cart"}},
        {"brevo/trigger-campaign": {"campaign_id": 3, "confirm_send": true}},
        {"brevo/track-event": {"event": "cart_rule", "properties": {"value": "{{ event.value }}"}}},
        {"brevo/join-list": {"list": "vip"}},
        {"id": "away", "brevo/leave-list": {"list": 9}},
        {"brevo/add-note": {"text": "<p>{{ contact.u_fn }} left {{ event.items | default: \"things\" }}</p>"}},
        {"brevo/create-task": {"name": "Call {{ contact.email }}", "due_in": "2h", "notes": "{{ event.value }}"}},
    ]}));
    let record = event_record(
        &settings,
        json!({
            "event_code": "Cart Left",
            "event_attributes": {
                "value": 12.50, "items": [{"name": "A & B", "none": null}], "code": null, "long": 12345678901234567_u64
            },
            "user_attributes": {"moengage_user_id": "m", "u_em": "ann@example.com", "u_fn": "<b>Ann</b>"},
        }),
    );
    let made = made(&settings, &record);
    let found: Vec<_> = made
        .iter()
        .map(|action| {
            let age = action.not_after.map(|at| (at - T * 1000) / 60_000);
            (action.slot.trim_start_matches("rule:all:"), action.name.as_str(), payload(action), age)
        })
        .collect();
    assert_eq!(
        found,
        [
            (
                "send-email",
                "brevo/send-email",
                json!({
                    "template_id": 7, "tags": ["cart"], "even_if_opted_out": true,
                    "params": {
                        "who": "Dear <b>Ann</b>", "value": 12.50, "items": [{"name": "A & B"}], "n": 1, "on": true,
                        "code": "none", "id": "cust-1", "long": "12345678901234567",
                    },
                }),
                Some(20)
            ),
            (
                "send-sms",
                "brevo/send-sms",
                json!({
                    "content": "12.5 EUR in your cart", "sender": "ACME", "kind": "transactional", "tag": "cart",
                    "even_if_opted_out": false,
                }),
                Some(60)
            ),
            ("trigger-campaign", "brevo/trigger-campaign", json!({"campaign_id": 3}), Some(60)),
            (
                "track-event",
                "brevo/track-event",
                json!({"event": "cart_rule", "properties": {"value": 12.50}}),
                Some(24 * 60)
            ),
            (
                "join-list",
                "brevo/join-list",
                json!({"list": {"name": "VIP", "folder": "Rules"}, "inert": true}),
                Some(24 * 60)
            ),
            ("away", "brevo/leave-list", json!({"list": {"id": 9}, "inert": false}), None),
            (
                "add-note",
                "brevo/add-note",
                // What people wrote is no mark-up; what the tenant wrote is.
                json!({"text": "<p>&lt;b&gt;Ann&lt;/b&gt; left things</p>"}),
                Some(24 * 60)
            ),
            (
                "create-task",
                "brevo/create-task",
                json!({"name": "Call ann@example.com", "type": "Todo", "due_in": 7200, "notes": "12.5"}),
                Some(24 * 60)
            ),
        ]
    );
    let campaign = Subject::Object("brevo-campaign".to_owned(), "3".to_owned());
    for action in &made {
        let of_campaign = action.slot.ends_with("trigger-campaign");
        assert_eq!(action.subject == campaign, of_campaign, "{}", action.slot);
        assert_eq!(action.subject == record.subject, !of_campaign, "{}", action.slot);
    }
    let targets = configure(
        &settings_of(json!([rule(json!({"actions": [
            {"brevo/track-event": {"event": "cart_rule"}}
        ]}))]))
        .to_string(),
    );
    let events = targets.unwrap().targets.events;
    assert!(events.contains(&"cart_rule".to_owned()) && events.is_sorted());
}

#[test]
fn conditions_compare_numbers_words_and_presence() {
    let holds = [
        ("> 50", json!(50.01)),
        ("> 50", json!("51")),
        (">= 50", json!(50)),
        ("< 50", json!(-1)),
        ("<= 50", json!(50.0)),
        ("== 50", json!("50")),
        ("== 50", json!(50.0)),
        ("!= 50", json!(51)),
        ("!= 50", json!("fifty")),
        ("== gold", json!("gold")),
        ("!= gold", json!("Gold")),
        ("== true", json!(true)),
        ("== \"1234567890123456\"", json!(1_234_567_890_123_456_i64)),
        ("== \"\"", json!("")),
        ("present", json!(false)),
        ("present", json!([1])),
        ("missing", json!(null)),
        ("missing", json!("  ")),
        ("missing", json!([])),
    ];
    for (test, value) in holds {
        assert!(acts(json!([{"cart_value": test}]), json!({"cart_value": value})), "{test} {value}");
    }
    let fails = [
        ("> 50", json!(50)),
        ("> 50", json!("many")),
        ("> 50", json!(true)),
        ("> 50", json!([60])),
        ("== 50", json!(51)),
        ("!= 50", json!(50.0)),
        ("!= 50", json!([51])),
        ("== gold", json!("gold ")),
        ("== gold", json!(["gold"])),
        ("!= gold", json!("gold")),
        ("!= gold", json!(null)),
        ("present", json!("")),
        ("present", json!({})),
        ("missing", json!(0)),
    ];
    for (test, value) in fails {
        assert!(!acts(json!([{"cart_value": test}]), json!({"cart_value": value})), "{test} {value}");
    }
    // What isn't there is nothing, not even something else.
    for test in ["> 50", "< 50", "== 50", "!= 50", "!= gold", "present", "> 5m", "< 5m"] {
        assert!(!acts(json!([{"cart_value": test}]), json!({})), "{test}");
    }
    assert!(acts(json!([{"cart_value": "missing"}]), json!({})));
    // All of them have to hold, in one block or in several.
    let cart = json!({"a": 1, "b": 2});
    assert!(acts(json!([{"a": "> 0", "b": "> 0"}, {"event.a": "< 2"}]), cart.clone()));
    assert!(!acts(json!([{"a": "> 0", "b": "> 2"}]), cart.clone()));
    assert!(!acts(json!([{"a": "> 0"}, {"b": "> 2"}]), cart));
}

#[test]
fn ages_count_up_to_the_event() {
    for (written, age) in [
        (json!("2022-05-20T04:20:50Z"), 31),
        (json!(T - 31 * 60), 31),
        (json!((T - 31 * 60) * 1000), 31),
        (json!((T - 29 * 60).to_string()), 29),
        (json!("2022-05-20"), 291),
    ] {
        let at = |test: &str| acts(json!([{"last": test}]), json!({"last": written}));
        assert_eq!((at("> 30m"), at("<= 30m")), (age > 30, age <= 30), "{written}");
    }
    for none in [json!("soon"), json!(7), json!(true), json!([1])] {
        assert_eq!(none == json!(7), acts(json!([{"last": "> 30m"}]), json!({"last": none})), "{none}");
        assert!(!acts(json!([{"last": "<= 30m"}]), json!({"last": none})), "{none}");
    }
    // Tajo's own word is about the time at which the person was last seen.
    let settings = settings(json!({"conditions": [{"time_since_activity": "> 30m"}]}));
    for (minutes, acts) in [(31, true), (29, false)] {
        let seen = (T - minutes * 60) * 1000;
        let record = event_record(
            &settings,
            json!({"event_code": "Cart Left", "user_attributes": {"u_em": "a@example.com", "u_l_a": seen}}),
        );
        assert_eq!(!made(&settings, &record).is_empty(), acts);
        // A later look sees the same.
        let later = map_record(&settings, &record, NOW + HOUR / 2, &mut Lines::default()).unwrap();
        assert_eq!(later, map(&settings, &record).unwrap());
    }
}

#[test]
fn a_trigger_may_have_conditions_and_a_debounce_of_its_own() {
    let settings = parse(&settings_of(json!([rule(json!({
        "triggers": [
            {"event": "cart_abandoned", "conditions": [{"cart_value": "> 100"}], "debounce": "1m"},
            {"event": "cart_abandoned", "conditions": [{"items_count": ">= 3"}]},
        ],
        "debounce": "5m",
    }))])));
    let wait = |attributes: Value| {
        let made = made(&settings, &cart(&settings, attributes));
        made.first().map(|action| {
            assert_eq!(action.coalesce.as_deref(), Some("rule:cart-reminder:send-email"));
            action.not_before.unwrap() - T * 1000
        })
    };
    assert_eq!(wait(json!({"cart_value": 101})), Some(60_000));
    assert_eq!(wait(json!({"items_count": 3})), Some(5 * 60_000));
    assert_eq!(wait(json!({"cart_value": 100, "items_count": 2})), None);
    // Once, although both would set it off.
    assert_eq!(wait(json!({"cart_value": 101, "items_count": 3})), Some(60_000));
}

#[test]
fn nothing_goes_out_half_empty() {
    let mail = |value: &str| {
        settings(json!({"actions": [{"brevo/send-email": {"template_id": 1, "params": {"x": value}}}]}))
    };
    for value in ["{{ event.x }}", "Hello {{ event.x }}", "{{ contact.phone }}", "{{ contact.city }}"] {
        let settings = mail(value);
        for attributes in
            [json!({}), json!({"x": null}), json!({"x": " "}), json!({"x": []}), json!({"x": {}})]
        {
            let record = cart(&settings, attributes.clone());
            let mut lines = Lines::default();
            let mapping = map_record(&settings, &record, NOW, &mut lines).unwrap();
            let Mapping::Actions(actions) = mapping else { panic!("the event itself") };
            assert_eq!(actions.len(), 1, "{value} {attributes}");
            assert_eq!(lines.0.len(), 1);
            assert!(lines.0[0].contains("template-field-missing") && lines.0[0].contains("cart-reminder"));
            assert!(!lines.0[0].contains("ann@example.com"));
        }
    }
    // A list is no text within a text.
    let record = cart(&mail("a {{ event.x }}"), json!({"x": [1]}));
    assert!(made(&mail("a {{ event.x }}"), &record).is_empty());
    // Where nothing else is called for, the reason is the record's.
    let mut plain = settings_of(json!([rule(json!({"actions": [
        {"brevo/add-note": {"text": "{{ event.x }}"}}
    ]}))]));
    plain["sync"] = json!({"events": false});
    let settings = parse(&plain);
    let nothing = map(&settings, &cart(&settings, json!({}))).unwrap();
    assert_eq!(nothing, Mapping::Nothing("template-field-missing".to_owned()));
    // Events that aren't synced set rules off all the same.
    assert_eq!(made(&settings, &cart(&settings, json!({"x": 1}))).len(), 1);
}

#[test]
fn what_is_larger_than_brevo_takes_is_left_out_by_name() {
    let settings = settings(json!({"actions": [
        {"brevo/send-email": {"template_id": 1, "params": {"x": "{{ event.x }}"}}},
        {"brevo/track-event": {"event": "copy", "properties": {"x": "{{ event.x }}"}}},
        {"brevo/send-sms": {"content": "{{ event.x }}", "sender": "ACME"}},
    ]}));
    let count = |length: usize| {
        let mut record = cart(&settings, json!({"x": "y".repeat(length)}));
        record.provenance = Provenance::Live;
        map(&settings, &record).map(|_| made(&settings, &record).len())
    };
    assert_eq!((count(1_000), count(1_001), count(49_000)), (Ok(3), Ok(2), Ok(2)));
    // The event itself is too large as well, and is left out for what a rule makes of it.
    assert_eq!(count(60_000), Ok(1));
    assert!(count(100_001).is_err());
}

#[test]
fn old_news_sets_nothing_off() {
    let settings = settings(json!({"actions": [
        {"brevo/send-email": {"template_id": 1}},
        {"brevo/join-list": {"list": 5}},
        {"brevo/leave-list": {"list": 6}},
    ]}));
    let at = |time: Value, provenance| {
        let mut record = event_record(&settings, json!({"event_code": "Cart Left", "event_time": time}));
        record.provenance = provenance;
        made(&settings, &record).iter().map(|action| action.name.clone()).collect::<Vec<_>>()
    };
    let lists = ["brevo/join-list", "brevo/leave-list"];
    let all = ["brevo/send-email", "brevo/join-list", "brevo/leave-list"];
    for provenance in [Provenance::Backfill, Provenance::Poll] {
        assert_eq!(at(json!(T - 3_000), provenance), all);
        assert_eq!(at(json!(T - 3_600), provenance), lists);
        assert!(at(json!(T - 86_400), provenance).is_empty());
        for untrusted in [json!("?"), json!(T + 7_200)] {
            assert!(at(untrusted, provenance).is_empty());
        }
    }
    // What was pushed keeps its limit, so that the host can say that it came too late.
    assert_eq!(at(json!(T - 7_200), Provenance::Live), all);
    for time in [json!("?"), json!(T + 7_200)] {
        let record = event_record(&settings, json!({"event_code": "Cart Left", "event_time": time}));
        assert_eq!(made(&settings, &record)[0].not_after, Some(NOW + HOUR), "{time}");
    }
}

#[test]
fn machines_and_nobodies_set_nothing_off() {
    let settings =
        parse(&settings_of(json!([rule(json!({"triggers": [{"event": "moengage_email_open"}]}))])));
    let open = |changes: Value| made(&settings, &event_record(&settings, changes)).len();
    assert_eq!(open(json!({})), 1);
    assert_eq!(open(json!({"uid": null, "email_id": null, "user_attributes": {"moengage_user_id": "m"}})), 0);
    // The event itself goes to Brevo, as the options say.
    let machine = event_record(&settings, json!({"event_attributes": {"Is Machine Open": true}}));
    assert_eq!(actions(&settings, &machine).len(), 1);
    assert!(made(&settings, &machine).is_empty());
}

#[test]
fn joining_and_leaving_a_segment_sets_rules_off() {
    let settings = parse(&settings_of(json!([
        {
            "name": "welcome", "triggers": [{"list": "s-1", "membership": "joined"}],
            "conditions": [{"contact.email": "missing"}, {"list.id": "== s-1"}],
            "actions": [
                {"brevo/add-note": {"text": "joined {{ list.name }} as {{ contact.external_id }}"}},
                {"brevo/join-list": {"list": "high_value"}},
            ],
        },
        {
            "name": "bye", "triggers": [{"list": "s-1", "membership": "left"}],
            "actions": [{"brevo/leave-list": {"list": "high_value"}}],
        },
    ])));
    let row = |uid: &str| json!({"moengage_distinct_id": "m1", "partner_user_id": uid});
    let mut storage = Memory::default();
    let mut take = |execution: &str, sync: &str, add: &[Value], remove: &[Value], at: i64| {
        let mut chunk = chunk(execution, add, remove);
        chunk["data"]["moengage_sync_id"] = json!(sync);
        let outcome = push(&settings, &chunk, at, &mut storage).unwrap();
        outcome.records.into_iter().next().unwrap()
    };
    // The first execution is everybody, and everybody is no news.
    let first = take("e1", "s-1", &[row("u1")], &[], NOW - HOUR);
    assert_eq!(first.provenance, Provenance::Backfill);
    assert!(made(&settings, &first).is_empty());

    let joined = take("e2", "s-1", &[row("u2")], &[], NOW - 1_000);
    assert_eq!(joined.occurred.trust, TimeTrust::Arrival);
    let made_of_it = made(&settings, &joined);
    assert_eq!(payload(&made_of_it[0]), json!({"text": "joined VIP customers as u2"}));
    assert_eq!(made_of_it[0].not_after, Some(NOW - 1_000 + 24 * HOUR));
    assert_eq!(payload(&made_of_it[1]), json!({"list": {"id": 7}, "inert": false}));
    // The segment's own list comes first.
    assert_eq!(actions(&settings, &joined)[0].slot, "list");

    let left = take("e3", "s-1", &[], &[row("u2")], NOW);
    let slots: Vec<_> = made(&settings, &left).into_iter().map(|action| action.slot).collect();
    assert_eq!(slots, ["rule:bye:leave-list"]);
    let other = take("e4", "s-2", &[row("u9")], &[], NOW);
    assert!(made(&settings, &other).is_empty());
}

#[test]
fn slots_stay_with_their_names_in_any_order() {
    let one = json!({"name": "one", "triggers": [{"event": "cart_abandoned"}], "actions": [
        {"brevo/add-note": {"text": "a"}},
        {"id": "second", "brevo/add-note": {"text": "b"}},
        {"brevo/join-list": {"list": 5}},
    ]});
    let two = json!({"name": "two", "triggers": [{"event": "cart_abandoned"}], "actions": [
        {"brevo/add-note": {"text": "c"}},
    ]});
    let mut turned = one.clone();
    turned["actions"].as_array_mut().unwrap().reverse();
    let found = |rules: Value| {
        let settings = parse(&settings_of(rules));
        let mut found: Vec<_> = made(&settings, &cart(&settings, json!({})))
            .into_iter()
            .map(|action| (action.slot, action.payload))
            .collect();
        found.sort();
        found
    };
    let in_order = found(json!([one, two]));
    assert_eq!(in_order, found(json!([two, turned])));
    let slots: Vec<_> = in_order.iter().map(|(slot, _)| slot.as_str()).collect();
    assert_eq!(slots, ["rule:one:add-note", "rule:one:join-list", "rule:one:second", "rule:two:add-note"]);
}

#[test]
fn the_list_of_all_contacts_is_joined_with_the_contact() {
    let mut plain = plain_settings();
    plain["lists"] = json!({"all_contacts": {"id": 5, "inert": true}, "high_value": 7});
    let settings = parse(&plain);
    let record = crate::contact_record(&settings, json!({}));
    let all = actions(&settings, &record);
    let slots: Vec<_> = all.iter().map(|action| action.slot.as_str()).collect();
    assert_eq!(slots, ["contact", "list-all-contacts"]);
    assert_eq!(payload(&all[1]), json!({"list": {"id": 5}, "inert": true}));
    plain["sync"] = json!({"contacts": false});
    let off = parse(&plain);
    assert_eq!(map(&off, &record).unwrap(), Mapping::Nothing("not-synced".to_owned()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_an_event_holds_every_action_of_a_rule_is_whole(
        name in any::<String>(), value in prop_oneof![
            any::<i64>().prop_map(|n| json!(n)), any::<f64>().prop_map(|n| json!(n)),
            ".{0,20}".prop_map(|text| json!(text)), Just(json!(null)), Just(json!({"a b": [null, {}]})),
        ]
    ) {
        let settings = settings(json!({"actions": [
            {"brevo/send-email": {"template_id": 1, "params": {"v": "{{ event.v }}", "t": "a {{ event.v }}"}}},
            {"brevo/send-sms": {"content": "{{ contact.u_fn }}", "sender": "ACME"}},
            {"brevo/add-note": {"text": "{{ contact.u_fn }}"}},
        ]}));
        let record = event_record(&settings, json!({
            "event_code": "Cart Left", "event_attributes": {"v": value},
            "user_attributes": {"u_em": "a@example.com", "u_fn": name},
        }));
        for action in made(&settings, &record) {
            let payload = payload(&action);
            match action.name.as_str() {
                "brevo/send-email" => {
                    prop_assert!(payload["params"]["t"].as_str().unwrap().len() > 2);
                    prop_assert!(!payload["params"]["v"].is_null());
                }
                "brevo/send-sms" => {
                    let text = payload["content"].as_str().unwrap();
                    prop_assert_eq!(text, &name);
                    prop_assert!(!text.trim().is_empty() && text.chars().count() <= 1_000);
                }
                _ => prop_assert!(!payload["text"].as_str().unwrap().contains('<')),
            }
        }
    }
}
