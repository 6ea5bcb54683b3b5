//! What the settings say of rules and lists: every problem at once, each where it stands.

use moengage_connector::configure;
use serde_json::{Value, json};

use crate::plain_settings;
use crate::rules::settings_of;

/// Path and code of every problem, sorted; none where the settings are right.
pub fn problems(settings: &Value) -> Vec<(String, String)> {
    let problems = configure(&settings.to_string()).err().unwrap_or_default();
    sorted(problems.into_iter().map(|problem| (problem.path, problem.code)))
}

/// Pairs of path and code, sorted.
pub fn these<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    sorted(pairs.map(|(path, code)| (path.to_owned(), code.to_owned())))
}

fn sorted(pairs: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    pairs.sort();
    pairs
}

/// Codes for one rule that is right but for these keys.
fn of_rule(changes: Value) -> Vec<(String, String)> {
    let mut rule = json!({
        "name": "r", "triggers": [{"event": "cart_abandoned"}], "actions": [{"brevo/join-list": {"list": 5}}],
    });
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            rule.as_object_mut().unwrap().remove(key);
        } else {
            rule[key] = value.clone();
        }
    }
    let found = problems(&settings_of(json!([rule])));
    found.into_iter().map(|(path, code)| (path.trim_start_matches("rules[0].").to_owned(), code)).collect()
}

/// Codes for one action.
fn of_action(name: &str, block: Value) -> Vec<(String, String)> {
    let base = format!("actions[0][\"{name}\"].");
    let found = of_rule(json!({"actions": [{name: block}]}));
    found.into_iter().map(|(path, code)| (path.trim_start_matches(&base).to_owned(), code)).collect()
}

#[test]
fn a_rule_that_is_right_has_no_problem() {
    let fits = |changes: Value| assert_eq!(of_rule(changes.clone()), [], "{changes}");
    fits(json!({}));
    fits(json!({"triggers": [{"event": "moengage_email_open"}, {"event": "moengage_whatever_else"}]}));
    fits(json!({"triggers": [{"list": "s-9", "membership": "left", "debounce": "1h"}]}));
    fits(
        json!({"conditions": [{"cart_value": "> 50"}, {"contact.Loyalty Tier": "== gold", "list": "missing"}]}),
    );
    fits(json!({"debounce": "7d", "actions": [{"brevo/leave-list": {"list": "vip"}}]}));
    fits(json!({"debounce": "23h"}));
}

#[test]
fn every_problem_of_a_rule_at_once_and_in_order() {
    assert_eq!(
        of_rule(json!({
            "name": "My Rule", "when": 1,
            "triggers": [
                {"event": "with space"}, {"event": "a", "list": "b"}, {}, {"list": "s", "membership": "both"},
                {"list": "s"}, {"event": "cart_abandoned", "membership": "left", "debounce": "1w"}, 7,
            ],
            "conditions": [{"a": 50}, {"a": "about 50", "order.total": "> 5", "b.": "present"}, "c"],
            "debounce": "0s",
            "actions": [
                {"brevo/send-whatsapp": {}}, {"id": "x"}, {"brevo/join-list": {"list": 5}, "brevo/leave-list": {"list": 5}},
                {"id": "X", "brevo/join-list": {"list": 6}},
            ],
        })),
        these([
            ("name", "bad-rule-name"),
            ("when", "unknown-key"),
            ("triggers[0].event", "bad-event-name"),
            ("triggers[1]", "bad-trigger"),
            ("triggers[2]", "bad-trigger"),
            ("triggers[3].membership", "unknown-membership"),
            ("triggers[4].membership", "missing-key"),
            ("triggers[5].debounce", "bad-duration"),
            ("triggers[5].membership", "unused-key"),
            ("triggers[6]", "wrong-type"),
            ("conditions[0].a", "wrong-type"),
            ("conditions[1].a", "bad-condition"),
            ("conditions[1][\"order.total\"]", "unknown-field"),
            ("conditions[1][\"b.\"]", "unknown-field"),
            ("conditions[2]", "wrong-type"),
            ("debounce", "bad-duration"),
            ("actions[0][\"brevo/send-whatsapp\"]", "unknown-action"),
            ("actions[1]", "bad-action"),
            ("actions[2]", "bad-action"),
            ("actions[3].id", "bad-rule-name"),
        ])
    );
    for key in ["name", "triggers", "actions"] {
        assert_eq!(of_rule(json!({key: null})), these([(key, "missing-key")]));
    }
    for key in ["triggers", "actions", "conditions"] {
        for wrong in [json!([]), json!({}), json!("x")] {
            assert_eq!(of_rule(json!({key: wrong})), these([(key, "wrong-type")]));
        }
    }
    let mut settings = plain_settings();
    settings["rules"] = json!({"name": "r"});
    assert_eq!(problems(&settings), these([("rules", "wrong-type")]));
}

#[test]
fn every_problem_of_each_action() {
    assert_eq!(
        of_action(
            "brevo/send-email",
            json!({
                "template_id": "101", "to": "boss@example.com", "params": {"a": "{{ cart }}", "b": [1]},
                "tags": ["a", 1], "even_if_opted_out": "no", "not_after": "31d", "subject": "Hi",
            })
        ),
        these([
            ("not_after", "bad-duration"),
            ("subject", "unknown-key"),
            ("to", "other-recipient"),
            ("template_id", "bad-template-id"),
            ("params.a", "bad-template"),
            ("params.b", "wrong-type"),
            ("tags[1]", "wrong-type"),
            ("even_if_opted_out", "wrong-type"),
        ])
    );
    assert_eq!(of_action("brevo/send-email", json!({})), these([("template_id", "missing-key")]));
    let tags = json!({"template_id": 1, "tags": ["x".repeat(51)]});
    assert_eq!(of_action("brevo/send-email", tags), these([("tags", "bad-tag")]));
    for to in [
        "{{ contact.phone }}",
        "{{ event.email }}",
        "{{ contact.email | default: \"x@example.com\" }}",
        "a {{ contact.email }}",
    ] {
        let block = json!({"template_id": 1, "to": to});
        assert_eq!(of_action("brevo/send-email", block), these([("to", "other-recipient")]), "{to}");
    }
    assert_eq!(
        of_action(
            "brevo/send-sms",
            json!({
                "content": "{{", "sender": "My Shop", "kind": "marketing", "tag": "longer than ten",
                "even_if_opted_out": true, "to": "{{ contact.phone }}",
            })
        ),
        these([
            ("content", "bad-template"),
            ("sender", "bad-sender"),
            ("tag", "bad-tag"),
            ("even_if_opted_out", "marketing-to-opted-out"),
        ])
    );
    assert_eq!(
        of_action("brevo/send-sms", json!({"kind": "push"})),
        these([("content", "missing-key"), ("sender", "missing-key"), ("kind", "unknown-choice")])
    );
    // The letter of the tenant that a whole campaign may go out.
    for confirm in [json!({"campaign_id": 7}), json!({"campaign_id": 7, "confirm_send": false})] {
        assert_eq!(
            of_action("brevo/trigger-campaign", confirm),
            these([("confirm_send", "unconfirmed-send")])
        );
    }
    assert_eq!(of_action("brevo/trigger-campaign", json!({"campaign_id": 7, "confirm_send": true})), []);
    assert_eq!(
        of_action("brevo/track-event", json!({"event": "a b", "properties": {"a b": 1}})),
        these([("event", "bad-event-name"), ("properties", "bad-event-name")])
    );
    assert_eq!(of_action("brevo/join-list", json!({})), these([("list", "missing-key")]));
    for (list, path, code) in [
        (json!("nobody"), "list", "unknown-role"),
        (json!(0), "list", "bad-list-id"),
        (json!(false), "list", "bad-list-id"),
        (json!({"folder": "F"}), "list.name", "missing-key"),
        (json!({"id": 5, "name": "N"}), "list.name", "unused-key"),
        (json!([5]), "list", "wrong-type"),
    ] {
        assert_eq!(of_action("brevo/leave-list", json!({"list": list})), these([(path, code)]), "{list}");
    }
    assert_eq!(
        of_action("brevo/leave-list", json!({"list": 5, "not_after": "1h"})),
        these([("not_after", "unknown-key")])
    );
    assert_eq!(of_action("brevo/add-note", json!({})), these([("text", "missing-key")]));
    assert_eq!(
        of_action("brevo/create-task", json!({"type": 1, "due_in": "now", "notes": "}}"})),
        these([
            ("name", "missing-key"),
            ("type", "wrong-type"),
            ("due_in", "bad-duration"),
            ("notes", "bad-template"),
        ])
    );
}

#[test]
fn names_are_there_once() {
    let action = json!({"brevo/join-list": {"list": 5}});
    let twice = json!({"actions": [action, action]});
    assert_eq!(of_rule(twice), these([("actions[1]", "duplicate-action")]));
    let apart = json!({"actions": [action, {"id": "other", "brevo/join-list": {"list": 6}}]});
    assert_eq!(of_rule(apart), []);
    let rule = json!({"name": "r", "triggers": [{"event": "cart_abandoned"}], "actions": [action]});
    assert_eq!(problems(&settings_of(json!([rule, rule]))), these([("rules[1].name", "duplicate-rule")]));
}

#[test]
fn what_can_never_be_is_said_beforehand() {
    // An event that nothing has, unless unknown ones are carried under the prefix.
    assert_eq!(
        of_rule(json!({"triggers": [{"event": "order_placed"}]})),
        these([("triggers[0].event", "unknown-event")])
    );
    let mut settings = settings_of(json!([
        {"name": "r", "triggers": [{"event": "moengage_x"}], "actions": [{"brevo/join-list": {"list": 5}}]}
    ]));
    assert_eq!(problems(&settings), []);
    settings["options"] = json!({"unknown_events": "drop"});
    assert_eq!(problems(&settings), these([("rules[0].triggers[0].event", "unknown-event")]));
    // A list of a sync belongs to the segment.
    settings["rules"][0]["triggers"] = json!([{"event": "moengage_email_open"}]);
    settings["rules"][0]["actions"] = json!([{"brevo/join-list": {"list": 11}}]);
    settings["lists"]["all_contacts"] = json!({"id": 11});
    assert_eq!(
        problems(&settings),
        these([("rules[0].actions[0]", "list-of-a-sync"), ("lists.all_contacts", "list-of-a-sync")])
    );
    // A trigger by a list needs the segments.
    settings.as_object_mut().unwrap().remove("segment_sync");
    settings["rules"][0]["triggers"] = json!([{"list": "s-1", "membership": "joined"}]);
    assert_eq!(problems(&settings), these([("segment_sync", "missing-key")]));
    // A field that a trigger never gives.
    let by_list = json!([{"list": "s-1", "membership": "joined"}]);
    for field in ["cart_value", "contact.u_fn", "time_since_activity"] {
        assert_eq!(
            of_rule(json!({"triggers": by_list, "conditions": [{field: "present"}]})),
            these([("conditions", "field-of-another-trigger")]),
            "{field}"
        );
    }
    let note = |text: &str| json!([{"brevo/add-note": {"text": text}}]);
    assert_eq!(
        of_rule(json!({"actions": note("{{ list.name }}")})),
        these([("actions", "field-of-another-trigger")])
    );
    assert_eq!(
        of_rule(json!({"triggers": by_list, "actions": note("{{ contact.email }}, {{ list.name }}")})),
        []
    );
    // Too late before it begins.
    let mail = json!([{"brevo/send-email": {"template_id": 1}}]);
    assert_eq!(of_rule(json!({"debounce": "1h", "actions": mail})), these([("actions[0]", "never-in-time")]));
    assert_eq!(of_rule(json!({"debounce": "59m", "actions": mail})), []);
    assert_eq!(of_rule(json!({"debounce": "24h"})), these([("actions[0]", "never-in-time")]));
    // More than the contract allows of one record.
    let many = |rules: usize| {
        let rules = (0..rules).map(|n| {
            let actions: Vec<_> = (0..10)
                .map(|n| json!({"id": format!("a{n}"), "brevo/join-list": {"list": 20 + n}}))
                .collect();
            json!({"name": format!("r{n}"), "triggers": [{"event": "cart_abandoned"}], "actions": actions})
        });
        problems(&settings_of(rules.collect()))
    };
    assert_eq!(many(5), []);
    assert_eq!(many(6), these([("rules", "too-many-actions")]));
}

#[test]
fn roles_of_lists_are_checked() {
    let mut settings = plain_settings();
    settings["lists"] = json!({
        "all_contacts": 5, "High Value": 6, "named": {"name": "N"}, "a": "b", "c": {"inert": true}, "d": {"id": 0}, "e": false
    });
    assert_eq!(
        problems(&settings),
        these([
            ("lists[\"High Value\"]", "bad-role"),
            ("lists.a", "wrong-type"),
            ("lists.c.name", "missing-key"),
            ("lists.d.id", "bad-list-id"),
            ("lists.e", "bad-list-id"),
        ])
    );
}

#[test]
fn rules_select_no_source_data() {
    let key = |settings: &Value| configure(&settings.to_string()).unwrap().source_key;
    let rules = json!([{"name": "r", "triggers": [{"event": "cart_abandoned"}], "actions": [{"brevo/join-list": {"list": 5}}]}]);
    assert_eq!(key(&settings_of(rules)), key(&plain_settings()));
}

#[test]
fn problems_come_in_the_order_of_the_settings_and_have_a_remedy() {
    let plain = plain_settings().to_string();
    let rules = r#""rules":[{"name":"A","actions":[{"x":1}],"triggers":[{}],"debounce":"x"},{"name":"b"}],"deletes":{}"#;
    let text = format!("{},{rules}}}", plain.strip_suffix('}').unwrap());
    let found = configure(&text).unwrap_err();
    let places: Vec<_> = found.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        places,
        [
            "rules[0].name",
            "rules[0].actions[0].x",
            "rules[0].triggers[0]",
            "rules[0].debounce",
            "rules[1].triggers",
            "rules[1].actions",
            "deletes.on",
        ]
    );
    for problem in found {
        assert!(problem.message.ends_with('.') && problem.remedy.ends_with('.'), "{problem:?}");
    }
}
