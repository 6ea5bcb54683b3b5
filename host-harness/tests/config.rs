//! The configuration file, through its public door.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use host_harness::config::{self, Environment, Plan, UnknownConsent};
use host_harness::connectors::{self, BUILT_IN, Connector, Plugins};
use host_harness::plugin::RuntimeOptions;
use proptest::prelude::*;
use secrecy::ExposeSecret;

const CANARY: &str = "canary-5f1d";

fn environment() -> Environment {
    let names = [
        "BREVO_API_KEY",
        "MOENGAGE_DATA_KEY",
        "MOENGAGE_WEBHOOK_SECRET",
        "MOENGAGE_WEBHOOK_SECRET_PREVIOUS",
        "OTHER_KEY",
    ];
    Environment::Given(names.map(|name| (name.to_owned(), format!("{CANARY}-{name}").into())).into())
}

fn parse(text: &str) -> Result<config::HostConfig, Vec<config::Problem>> {
    config::parse(text, Path::new("/etc/tajo"), &environment(), &["moengage"])
}

/// `code line: message | remedy` for each problem.
fn problems(text: &str) -> Vec<String> {
    let Err(problems) = parse(text) else { return vec!["accepted".into()] };
    let line = |problem: &config::Problem| {
        let place = problem.place.map(|place| place.line.to_string()).unwrap_or_default();
        format!("{} {place} {}: {} | {}", problem.code, problem.path, problem.message, problem.remedy)
    };
    problems.iter().map(line).collect()
}

/// A whole good file, in which a test changes one thing.
const GOOD: &str = r#"host:
  data_dir: ./data
  intake: 127.0.0.1:0
tenants:
  - name: shop
    brevo:
      account: main
      api_key: "${BREVO_API_KEY}"
    connectors:
      moengage:
        workspace_id: "W"
        data_center: "01"
        keys:
          data: "${MOENGAGE_DATA_KEY}"
        webhook:
          secret: "${MOENGAGE_WEBHOOK_SECRET}"
"#;

#[test]
fn the_example_loads() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tajo.yaml");
    let config = config::load(&file, &environment(), &["moengage"]).unwrap_or_else(|e| panic!("{e}"));
    let tenant = &config.tenants[0];
    assert_eq!(tenant.name, "shop-eu");
    assert_eq!(tenant.brevo.account, "shop-eu-main");
    assert_eq!(tenant.brevo.plan, Plan::General);
    assert_eq!(tenant.brevo.unknown_consent, UnknownConsent::Hold);
    assert_eq!(tenant.brevo.imports_from, 1_000);
    assert!(tenant.brevo.create_attributes && !config.allow_private_addresses);
    assert_eq!(config.data_dir, file.parent().unwrap().join("./tajo-data"));
    let connector = &tenant.connectors[0];
    let settings: serde_json::Value = serde_json::from_str(&connector.settings_json).unwrap();
    assert_eq!(settings["keys"], serde_json::json!({"data": "data"}));
    assert_eq!(settings["webhook"]["secret"], "webhook");
    assert_eq!(settings["data_center"], "01");
    assert!(settings.get("enabled").is_none() && settings.get("endpoints").is_none());
    assert_eq!(connector.slots.keys().collect::<Vec<_>>(), ["data", "webhook"]);
}

/// Something that the example shows behind a `#`.
struct Shown {
    lines: std::ops::Range<usize>,
    indent: usize,
    key: String,
    /// Line of what it stands in.
    parent: Option<usize>,
    /// Lines of the same key that are no comment.
    active: std::ops::Range<usize>,
}

const COMMENT: &str = "# ";

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// A line without its `#`, and its key; none where it is prose.
fn uncommented(line: &str) -> Option<(String, String)> {
    let (before, text) = line.split_once(COMMENT).filter(|(before, _)| before.trim().is_empty())?;
    let said = text.trim_start();
    let key = match said.strip_prefix('"').and_then(|quoted| quoted.split_once("\":")) {
        Some((key, _)) => key,
        None if said.starts_with("- ") => said,
        None => {
            let (key, rest) = said.split_once(':')?;
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.".contains(&b);
            let is_key = key.bytes().all(plain) && (rest.is_empty() || rest.starts_with(' '));
            is_key.then_some(key)?
        }
    };
    Some((format!("{before}{text}"), key.to_owned()))
}

fn shown(lines: &[&str]) -> Vec<Shown> {
    let is_active = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let mut all: Vec<Shown> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let Some((text, key)) = uncommented(lines[at]) else {
            at += 1;
            continue;
        };
        let own = indent(&text);
        let deeper = |line: &&&str| {
            let (before, text) = line.split_once(COMMENT).unwrap_or(("x", ""));
            before.trim().is_empty() && before.len() + indent(text) > own
        };
        let end = at + 1 + lines[at + 1..].iter().take_while(deeper).count();
        let parent = (0..at).rev().find(|n| is_active(&lines[*n]) && indent(lines[*n]) < own);
        let siblings = parent.map_or(0, |n| n + 1);
        let of_key = |n: &usize| lines[*n].trim_start().starts_with(&format!("{key}:"));
        let active = (siblings..at).find(|n| indent(lines[*n]) == own && of_key(n)).map_or(0..0, |first| {
            let rest = &lines[first + 1..];
            first..first + 1 + rest.iter().take_while(|line| is_active(line) && indent(line) > own).count()
        });
        all.push(Shown { lines: at..end, indent: own, key, parent, active });
        at = end;
    }
    all
}

/// The file with some of what it shows behind a `#`.
fn with(lines: &[&str], chosen: &[&Shown]) -> String {
    let mut text: Vec<Option<String>> = lines.iter().map(|line| Some((*line).to_owned())).collect();
    for one in chosen {
        text[one.active.clone()].fill(None);
        for n in one.lines.clone() {
            text[n] = Some(lines[n].replacen(COMMENT, "", 1));
        }
        // `[]` and `{}` are filled.
        let parent = one.parent.and_then(|n| text[n].as_mut());
        if let Some(parent) = parent {
            let filled = parent.trim_end_matches(" []").trim_end_matches(" {}").to_owned();
            *parent = filled;
        }
    }
    text.into_iter().flatten().map(|line| line + "\n").collect()
}

#[test]
fn whatever_the_example_shows_behind_a_comment_is_accepted() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let file = std::fs::read_to_string(directory.join("tajo.yaml")).unwrap();
    let lines: Vec<&str> = file.lines().collect();
    let names = [
        "BREVO_API_KEY",
        "MOENGAGE_DATA_KEY",
        "MOENGAGE_CAMPAIGNS_KEY",
        "MOENGAGE_SEGMENTATION_KEY",
        "MOENGAGE_EXPORTS_SECRET",
        "MOENGAGE_WEBHOOK_SECRET",
    ];
    let environment = Environment::Given(names.map(|name| (name.to_owned(), "x".into())).into());
    let read = |text: &str| {
        let parsed = config::parse(text, &directory, &environment, BUILT_IN);
        parsed.unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"))
    };
    let plugins = Plugins::load(&Connector::all(&read(&file)).unwrap(), RuntimeOptions::default()).unwrap();
    let plugin = plugins.get("moengage").unwrap();
    let accepted = |text: &str| {
        let config = read(text);
        if let Err(error) = connectors::profile(plugin, &config.tenants[0].connectors[0]) {
            panic!("{error:#?}\n{text}");
        }
    };
    let all = shown(&lines);
    let same = |one: &Shown, other: &Shown| {
        (one.parent, one.indent, &one.key) == (other.parent, other.indent, &other.key)
    };
    // What can stand there all at once, and each alternative in the place of the first.
    let (mut whole, mut alternatives): (Vec<&Shown>, Vec<&Shown>) = Default::default();
    for one in &all {
        let first = one.active.is_empty() && !whole.iter().any(|other| same(one, other));
        if first { whole.push(one) } else { alternatives.push(one) }
    }
    assert!(whole.len() >= 40 && alternatives.len() >= 4, "{} and {}", whole.len(), alternatives.len());
    accepted(&with(&lines, &whole));
    for one in alternatives {
        let mut chosen = whole.clone();
        chosen.retain(|other| !same(one, other));
        chosen.push(one);
        accepted(&with(&lines, &chosen));
    }
}

#[test]
fn a_slot_has_its_previous_value_and_shows_neither() {
    let config = parse(GOOD).unwrap();
    let webhook = &config.tenants[0].connectors[0].slots["webhook"];
    assert_eq!(webhook.current.expose_secret(), format!("{CANARY}-MOENGAGE_WEBHOOK_SECRET"));
    let previous = webhook.previous.as_ref().unwrap();
    assert_eq!(previous.expose_secret(), format!("{CANARY}-MOENGAGE_WEBHOOK_SECRET_PREVIOUS"));
    assert!(config.tenants[0].connectors[0].slots["data"].previous.is_none());
    assert!(!format!("{config:?}").contains(CANARY));
    assert!(!config.tenants[0].connectors[0].settings_json.contains(CANARY));
}

#[test]
fn a_problem_of_the_connector_is_found_in_the_file() {
    let config = parse(GOOD).unwrap();
    let connector = &config.tenants[0].connectors[0];
    assert_eq!(connector.place("keys.data").unwrap().line, 14);
    assert_eq!(connector.place("keys.campaigns").unwrap().line, 13);
    assert_eq!(connector.place("data_center").unwrap().line, 12);
    assert_eq!(connector.place("").unwrap().line, 11);
}

#[test]
fn bad_files_are_refused_with_line_and_remedy() {
    // What is replaced in GOOD, by what, and the line that must come out.
    let table: &[(&str, &str, &str)] = &[
        (
            "      account: main\n",
            "      account: main\n      plann: general\n",
            "unknown-key 8 tenants[0].brevo.plann: `plann` is not a key of this block | did you mean `plan`?",
        ),
        (
            "host:\n",
            "hosts: 1\nhost:\n",
            "unknown-key 1 hosts: `hosts` is not a key of this block | did you mean `host`?",
        ),
        (
            "      account: main\n",
            "      account: main\n      plan: Generall\n",
            "unknown-value 8 tenants[0].brevo.plan: `Generall` is not known here | did you mean `general`? One of: general, advanced, extended",
        ),
        (
            "      account: main\n",
            "      account: main\n      create_attributes: yes\n",
            "wrong-type 8 tenants[0].brevo.create_attributes: expected true or false, found text | write true or false, without quotes",
        ),
        (
            "      account: main\n",
            "      account: main\n      imports_from: 0\n",
            "bad-number 8 tenants[0].brevo.imports_from: no number of contacts | write a whole number from 1 to 1000000",
        ),
        (
            "      account: main\n",
            "      account: main\n      account: other\n",
            "duplicate-key 8 tenants[0].brevo.account: `account` is already set on line 7 | keep one of the two",
        ),
        (
            "      account: main\n",
            "",
            "missing-key 7 tenants[0].brevo.account: `account` is missing | add `account: shop-eu-main`",
        ),
        (
            "      account: main\n",
            "      account: Main\n",
            "bad-name 7 tenants[0].brevo.account: `Main` is not a name | use 1 to 64 of a-z, 0-9 and -",
        ),
        (
            "\"${BREVO_API_KEY}\"",
            "\"${BREVO_KEY}\"",
            "missing-secret 8 tenants[0].brevo.api_key: the variable BREVO_KEY is not set | set BREVO_KEY in the environment of the host, or use `\"${file:/path}\"` or `\"${sealed:NAME}\"`",
        ),
        (
            "\"${BREVO_API_KEY}\"",
            "xkeysib-canary-5f1d",
            "literal-secret 8 tenants[0].brevo.api_key: a secret must not stand in this file | put it into a variable and write `\"${BREVO_API_KEY}\"`; change the secret if others saw this file",
        ),
        (
            "\"${MOENGAGE_DATA_KEY}\"",
            "canary-5f1d",
            "literal-secret 14 tenants[0].connectors.moengage.keys.data: a secret must not stand in this file | put it into a variable and write `\"${DATA}\"`; change the secret if others saw this file",
        ),
        (
            "\"${MOENGAGE_WEBHOOK_SECRET}\"",
            "12345",
            "literal-secret 16 tenants[0].connectors.moengage.webhook.secret: a secret must not stand in this file | put it into a variable and write `\"${WEBHOOK}\"`; change the secret if others saw this file",
        ),
        (
            "\"${MOENGAGE_DATA_KEY}\"",
            "\"key-${MOENGAGE_DATA_KEY}\"",
            "substitution-inside-text 14 tenants[0].connectors.moengage.keys.data: a `${...}` stands inside a longer text | let the value be `\"${NAME}\"` and nothing else, and put the whole text into the variable",
        ),
        (
            "\"${MOENGAGE_DATA_KEY}\"",
            "\"${moengage.key}\"",
            "bad-variable-name 14 tenants[0].connectors.moengage.keys.data: the name between `${` and `}` is not a variable's name | use upper case letters, digits and underscores, for instance `\"${BREVO_API_KEY}\"`",
        ),
        (
            "  intake: 127.0.0.1:0\n",
            "  intake: \"${OTHER_KEY}\"\n",
            "substitution-not-here 3 host.intake: only secrets are substituted | write the value itself",
        ),
        (
            "        webhook:\n",
            "        again: { data: \"${OTHER_KEY}\" }\n        webhook:\n",
            "duplicate-slot 15 tenants[0].connectors.moengage.again.data: the secret `data` is already given on line 14 | give each secret of a connector a key of its own name",
        ),
        (
            "data_center: \"01\"",
            "data_center: 01",
            "ambiguous-number 12 tenants[0].connectors.moengage.data_center: this number would change when it is read | put it in double quotes",
        ),
        (
            "      moengage:\n",
            "      moengaged:\n",
            "unknown-connector 10 tenants[0].connectors.moengaged: this host has no connector `moengaged` | did you mean `moengage`?",
        ),
        (
            "127.0.0.1:0",
            "0.0.0.0:8787",
            "open-intake 3 host.intake: the intake speaks plain HTTP, and this address is not loopback | listen on 127.0.0.1 behind a proxy that ends TLS; where the proxy is another machine, set `intake_behind_tls_proxy: true`",
        ),
        (
            "127.0.0.1:0",
            "localhost",
            "bad-address 3 host.intake: this is not an address with a port | write for instance 127.0.0.1:8787",
        ),
        (
            "  data_dir: ./data\n",
            "  time: { factor: 60 }\n",
            "bad-factor 2 host.time.factor: another speed than 1 is for tests only | write 1, or set `host.allow_private_addresses: true` on a test machine",
        ),
        (
            "  data_dir: ./data\n",
            "  time: { factor: 60 }\n  allow_private_addresses: true\n",
            "missing-key 2 host.time.epoch: a clock with another speed needs `epoch`, or its date would differ after a restart | add `epoch`: milliseconds since 1970 at which both clocks agreed",
        ),
        (
            "      account: main\n",
            "      account: main\n      base_url: http://127.0.0.1:1\n",
            "private-address 8 tenants[0].brevo.base_url: another address than Brevo's is for tests only | remove it, or set `host.allow_private_addresses: true` on a test machine",
        ),
        (
            "        webhook:\n",
            "        endpoints: { data: \"http://127.0.0.1:1\" }\n        webhook:\n",
            "private-address 15 tenants[0].connectors.moengage.endpoints.data: plain http is for tests on loopback only | use https, or set `host.allow_private_addresses: true` on a test machine",
        ),
        (
            "        webhook:\n",
            "        endpoints: { data: \"https://files.example.com/in\" }\n        webhook:\n",
            "origin-with-path 15 tenants[0].connectors.moengage.endpoints.data: an origin is scheme, host and port, and nothing after it | leave the path out; a folder belongs into the connector's own settings",
        ),
        (
            "      account: main\n",
            "      account: &a main\n",
            "yaml-anchor 7 tenants[0].brevo.account: anchors are not used here | write the value out where it is needed",
        ),
        (
            "      account: main\n",
            "      account: *a\n",
            "yaml-alias 7 tenants[0].brevo.account: aliases are not used here | write the value out; text that starts with `*` needs quotes",
        ),
        (
            "      account: main\n",
            "      account: !!str main\n",
            "yaml-tag 7 tenants[0].brevo.account: tags are not used here | remove the tag",
        ),
    ];
    for (from, to, expected) in table {
        assert!(GOOD.contains(from), "{from}");
        let found = problems(&GOOD.replacen(from, to, 1));
        assert_eq!(found, [*expected], "after replacing {from:?} by {to:?}");
    }
    assert_eq!(problems(GOOD), ["accepted"]);
}

#[test]
fn whole_files_that_are_nothing_like_it() {
    let code = |text: &str| parse(text).unwrap_err().iter().map(|p| p.code).collect::<Vec<_>>();
    assert_eq!(code(""), ["empty-file"]);
    assert_eq!(code("# nothing\n"), ["empty-file"]);
    assert_eq!(code("[]"), ["wrong-type"]);
    assert_eq!(code("tenants: {}"), ["wrong-type"]);
    assert_eq!(code("tenants: []"), ["no-tenants"]);
    assert_eq!(code("tenants: [1]"), ["wrong-type"]);
    assert_eq!(code("a: b: c"), ["yaml-syntax"]);
    assert_eq!(code("%YAML 1.2\n---\na: 1"), ["yaml-syntax"]);
    assert_eq!(code(&format!("{GOOD}---\n{GOOD}")), ["yaml-documents"]);
    assert_eq!(code(&"[".repeat(100_000)), ["yaml-syntax"]);
    assert!(code("? [a, b]\n: c\n").contains(&"yaml-key"));
}

#[test]
fn every_problem_is_told_at_once_in_the_order_of_the_file() {
    let text = GOOD
        .replace("./data", "[1]")
        .replace("main", "MAIN")
        .replace("${BREVO_API_KEY}", "${GONE}")
        .replace("\"01\"", "01")
        .replace("${MOENGAGE_DATA_KEY}", "${GONE_TOO}");
    let lines: Vec<_> = parse(&text).unwrap_err().iter().map(|p| (p.code, p.place.unwrap().line)).collect();
    let expected = [
        ("wrong-type", 2),
        ("bad-name", 7),
        ("missing-secret", 8),
        ("ambiguous-number", 12),
        ("missing-secret", 14),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn s23_nothing_listens_beyond_loopback_unless_a_proxy_ends_tls_before_it() {
    for open in [
        "0.0.0.0:8787",
        "[::]:8787",
        "192.168.1.7:8787",
        "8.8.8.8:80",
        "[2606:4700::1]:443",
        "169.254.1.1:80",
    ] {
        let text = GOOD.replace("127.0.0.1:0", &format!("\"{open}\""));
        let found = problems(&text);
        assert!(found.len() == 1 && found[0].starts_with("open-intake 3 host.intake"), "{found:?}");
        assert!(found[0].contains("intake_behind_tls_proxy"), "{found:?}");
        let said = text.replace("  data_dir", "  intake_behind_tls_proxy: true\n  data_dir");
        assert_eq!(problems(&said), ["accepted"], "the operator says that TLS ends before it");
        let denied = text.replace("  data_dir", "  intake_behind_tls_proxy: false\n  data_dir");
        assert!(problems(&denied)[0].starts_with("open-intake"));
    }
    for closed in ["127.0.0.1:0", "127.8.8.8:1", "[::1]:8787"] {
        assert_eq!(
            problems(&GOOD.replace("127.0.0.1:0", &format!("\"{closed}\""))),
            ["accepted"],
            "{closed}"
        );
    }
    // There is no other listener: whatever else looks like one is not a key.
    for key in ["admin", "admin_listen", "listen", "metrics"] {
        let text = GOOD.replace("  data_dir", &format!("  {key}: 0.0.0.0:9000\n  data_dir"));
        assert!(problems(&text)[0].starts_with("unknown-key"), "{key}");
    }
}

#[test]
fn s13_a_name_is_no_path() {
    let names =
        ["../x", "a/b", ".", "..", "/etc", "a\\\\b", "A", "a b", "a%2fb", "\u{e4}", "a:b", "a\\u0000b", ""];
    for name in names.map(str::to_owned).into_iter().chain(["x".repeat(65)]) {
        for (from, to) in [("name: shop", "name"), ("account: main", "account")] {
            let found = problems(&GOOD.replace(from, &format!("{to}: \"{name}\"")));
            assert!(!found.contains(&"accepted".to_owned()), "{to}: {name}");
        }
        let text = GOOD.replace(
            "tenants:",
            &format!(
                "  components:\n    \"{name}\": {{ component: ./x.wasm, manifest: ./x.json }}\ntenants:"
            ),
        );
        assert_ne!(problems(&text), ["accepted"], "component {name}");
    }
}

#[test]
fn tenants_are_unique_and_agree_about_a_shared_account() {
    let (head, tenant) = GOOD.split_at(GOOD.find("  - name").unwrap());
    let both = |second: String| format!("{head}{tenant}{second}");
    assert_eq!(problems(&both(tenant.replace("name: shop", "name: shop-us"))), ["accepted"]);
    let found = problems(&both(tenant.to_owned()));
    assert!(found[0].starts_with("duplicate-tenant 17"), "{found:?}");
    let other = tenant.replace("name: shop", "name: other").replace("${BREVO_API_KEY}", "${OTHER_KEY}");
    let found = problems(&both(other));
    assert!(found[0].starts_with("conflicting-destination 19"), "{found:?}");
}

#[test]
fn a_disabled_connector_needs_no_secret() {
    let text = GOOD
        .replace("        workspace_id", "        enabled: false\n        workspace_id")
        .replace("${MOENGAGE_DATA_KEY}", "${GONE}");
    assert!(parse(&text).unwrap().tenants[0].connectors.is_empty());
}

#[test]
fn an_added_connector_is_known_and_can_be_mistyped() {
    let files = "  components: { pebble: { component: p.wasm, manifest: p.json } }\n";
    let text = GOOD.replace("tenants:", &format!("{files}tenants:")).replace("moengage:", "pebble:");
    let config = parse(&text).unwrap();
    assert_eq!(config.components["pebble"].component, Path::new("/etc/tajo/p.wasm"));
    assert_eq!(config.tenants[0].connectors[0].name, "pebble");
    let found = problems(&text.replace("      pebble:", "      peble:"));
    assert!(found[0].contains("did you mean `pebble`?"), "{found:?}");
    let found = problems(&text.replace("component: p.wasm, ", ""));
    assert!(found[0].starts_with("missing-key 4 host.components.pebble.component"), "{found:?}");
}

#[test]
fn a_look_at_the_store_needs_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tajo.yaml");
    std::fs::write(&path, GOOD.replace("${BREVO_API_KEY}", "${GONE}")).unwrap();
    assert_eq!(config::locate(&path, &["moengage"]).unwrap().data_dir, directory.path().join("./data"));
    std::fs::write(&path, GOOD.replace("account", "acount")).unwrap();
    assert!(config::locate(&path, &["moengage"]).is_err());
}

#[test]
fn names_of_the_customer_are_no_secrets() {
    let text = format!("{GOOD}        field_mapping: {{ push_token: PUSH_TOKEN, secret: HOBBY }}\n");
    let config = parse(&text).unwrap();
    assert!(config.tenants[0].connectors[0].settings_json.contains("PUSH_TOKEN"));
}

#[test]
fn secrets_from_files() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8], mode: u32| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let try_file = |name: &str| {
        let text = GOOD.replace("${BREVO_API_KEY}", &format!("${{file:{name}}}"));
        config::parse(&text, directory.path(), &environment(), &["moengage"])
            .map_err(|problems| problems[0].code)
    };
    write("good", b"canary\n", 0o600);
    write("good.previous", b"older\r\n", 0o600);
    let config = try_file("good").unwrap();
    assert_eq!(config.tenants[0].brevo.api_key.current.expose_secret(), "canary");
    assert_eq!(config.tenants[0].brevo.api_key.previous.as_ref().unwrap().expose_secret(), "older");

    write("open", b"canary", 0o604);
    write("empty", b"\n", 0o600);
    write("two", b"canary\nheader: forged\n", 0o600);
    write("latin", b"caf\xe9", 0o600);
    write("big", &[b'a'; 70_000], 0o600);
    assert_eq!(try_file("open").unwrap_err(), "world-readable-secret");
    assert_eq!(try_file("empty").unwrap_err(), "empty-secret");
    assert_eq!(try_file("two").unwrap_err(), "unusable-secret");
    assert_eq!(try_file("latin").unwrap_err(), "unusable-secret");
    assert_eq!(try_file("big").unwrap_err(), "unreadable-secret");
    assert_eq!(try_file(".").unwrap_err(), "unreadable-secret");
    assert_eq!(try_file("none").unwrap_err(), "missing-secret");
    assert_eq!(try_file("").unwrap_err(), "bad-secret-path");
}

#[test]
fn files_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tajo.yaml");
    let code = || config::load(&path, &environment(), &["moengage"]).unwrap_err().problems[0].code;
    assert_eq!(code(), "unreadable-file");
    std::fs::write(&path, vec![b'#'; config::FILE_CAP as usize + 1]).unwrap();
    assert_eq!(code(), "file-too-large");
    std::fs::write(&path, b"a: 1\nb: \xff\n").unwrap();
    let error = config::load(&path, &environment(), &["moengage"]).unwrap_err();
    assert_eq!((error.problems[0].code, error.problems[0].place.unwrap().line), ("not-utf8", 2));
}

#[test]
fn the_error_reads_well_and_repeats_no_secret() {
    let text = GOOD.replace("\"${MOENGAGE_DATA_KEY}\"", CANARY).replace("\"01\"", &format!("\"{CANARY}\n"));
    let problems = parse(&text).unwrap_err();
    let error = config::ConfigError { file: "tajo.yaml".into(), problems };
    assert!(!error.to_string().contains(CANARY), "{error}");
    let text = GOOD.replace("      account: main\n", "      accont: main\n");
    let error = config::ConfigError { file: "tajo.yaml".into(), problems: parse(&text).unwrap_err() };
    assert_eq!(
        error.to_string(),
        "tajo.yaml:7:7: missing-key at tenants[0].brevo.account\n  \
           `account` is missing\n  -> add `account: shop-eu-main`\n\
         tajo.yaml:7:7: unknown-key at tenants[0].brevo.accont\n  \
           `accont` is not a key of this block\n  -> did you mean `account`?\n\
         2 problems in tajo.yaml"
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z:\\-\\[\\]{}&*!|>'\"%@`#,? \n\t$0-9.é\u{0}]{0,200}") {
        let _ = parse(&text);
    }

    /// A good file with a few bytes cut, doubled or replaced.
    #[test]
    fn no_damage_makes_it_panic(at in 0..GOOD.len(), length in 0usize..20, put in "[\\PC\n\t ]{0,8}") {
        let end = (at + length).min(GOOD.len());
        if GOOD.is_char_boundary(at) && GOOD.is_char_boundary(end) {
            let _ = parse(&format!("{}{put}{}", &GOOD[..at], &GOOD[end..]));
        }
    }

    /// Whatever a person writes in a connector's block arrives as it was, or is refused.
    #[test]
    fn settings_arrive_unchanged(map in proptest::collection::btree_map("[a-z]{1,8}x", "[ -~]{0,30}", 0..8)) {
        let map: BTreeMap<_, _> = map.into_iter().filter(|(_, text)| !text.contains("${")).collect();
        let mut text = GOOD.to_owned();
        for (key, value) in &map {
            text.push_str(&format!("        {key}: {}\n", serde_json::to_string(value).unwrap()));
        }
        let config = parse(&text).unwrap();
        let settings: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(&config.tenants[0].connectors[0].settings_json).unwrap();
        for (key, value) in &map {
            prop_assert_eq!(settings[key].as_str(), Some(value.as_str()));
        }
    }
}
