//! A whole host with unmistakable secrets and people, through everything that can go wrong, and a search
//! for them in whatever was printed, logged, answered and stored.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use host_harness::sealed::{Key, Vault};
use secrecy::SecretString;
use serde_json::{Value, json};
use stand_ins::faults::{Fault, Rule};

use super::bench::{Bench, CANARY, Done, Serving};
use super::{batch, now_s};

const EMAIL: &str = "zoe+canary51d7@example.com";
const PHONE: &str = "+4915155510577";
const NAME: &str = "Zo\u{eb}-Canary51d7 \"Q\"";
const UID: &str = "uid-canary51d7/1";

/// A text in every spelling in which it could get somewhere.
fn spellings(text: &str) -> Vec<String> {
    let hex = text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let escaped_once = |plain: &dyn Fn(u8) -> bool| {
        let each = |byte: u8| {
            if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        };
        text.bytes().map(each).collect::<String>()
    };
    let url = escaped_once(&|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    let form = escaped_once(&|byte| byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) || byte == b'@');
    let json_text = serde_json::to_string(text).unwrap();
    let json_text = json_text[1..json_text.len() - 1].to_owned();
    let ascii = |c: char| match c {
        c if c.is_ascii() => c.to_string(),
        c => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    };
    let json_ascii: String = json_text.chars().map(ascii).collect();
    let debug = format!("{text:?}");
    // What base64 makes of it wherever it begins within three bytes, without the ends.
    let inner = (0..3).flat_map(|shift| {
        let bytes = [&vec![b'.'; shift][..], text.as_bytes()].concat();
        [base64::prelude::BASE64_STANDARD, base64::prelude::BASE64_URL_SAFE].map(|engine| {
            let text = engine.encode(&bytes);
            text[4..text.len() - 4].to_owned()
        })
    });
    let mut all = vec![
        text.to_owned(),
        text.to_uppercase(),
        text.to_lowercase(),
        hex.to_uppercase(),
        hex,
        url.replace("%20", "+"),
        url.to_lowercase(),
        url,
        form,
        json_text.replace('/', "\\/"),
        json_text,
        json_ascii,
        debug[1..debug.len() - 1].to_owned(),
    ];
    all.extend(inner);
    all
}

/// What is looked for, by what it is.
struct Canaries {
    secrets: BTreeMap<String, Vec<String>>,
    people: BTreeMap<String, Vec<String>>,
    found: Vec<String>,
}

impl Canaries {
    fn new(secrets: &[String]) -> Self {
        let named = |text: &String| (text.clone(), spellings(text));
        let people = [EMAIL, PHONE, NAME, UID, "Canary51d7"].map(str::to_owned);
        Self {
            secrets: secrets.iter().map(named).collect(),
            people: people.iter().map(named).collect(),
            found: Vec::new(),
        }
    }

    fn search(&mut self, place: &str, bytes: &[u8], people_too: bool) {
        let people = self.people.iter().filter(|_| people_too);
        for (what, spellings) in self.secrets.iter().chain(people) {
            for spelling in spellings {
                if let Some(at) = memchr::memmem::find(bytes, spelling.as_bytes()) {
                    let around = &bytes[at.saturating_sub(120)..(at + 60).min(bytes.len())];
                    let around = String::from_utf8_lossy(around).into_owned();
                    self.found.push(format!("{place}: {what} as {spelling}: ...{around}..."));
                    break;
                }
            }
        }
    }

    fn printed(&mut self, place: &str, done: &Done) {
        self.search(&format!("{place}, output"), done.out.as_bytes(), true);
        self.search(&format!("{place}, errors"), done.err.as_bytes(), true);
    }

    /// Every file of a directory, and what is packed in the store.
    fn stored(&mut self, directory: &Path) {
        let mut files = 0;
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.stored(&path);
                continue;
            }
            files += 1;
            self.search(&path.display().to_string(), &std::fs::read(&path).unwrap(), false);
        }
        assert!(files > 0 || directory.ends_with("objects"), "{}", directory.display());
    }

    fn packed(&mut self, store: &Path) {
        let db = rusqlite::Connection::open(store).unwrap();
        let names = |sql: &str| -> Vec<String> {
            let mut statement = db.prepare(sql).unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        let (mut inflated, mut people) = (0, 0);
        for table in names("SELECT name FROM sqlite_schema WHERE type = 'table'") {
            let mut statement = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let columns = statement.column_count();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                for column in 0..columns {
                    let bytes = match row.get_ref(column).unwrap() {
                        rusqlite::types::ValueRef::Blob(bytes) | rusqlite::types::ValueRef::Text(bytes) => {
                            bytes
                        }
                        _ => continue,
                    };
                    people += usize::from(memchr::memmem::find(bytes, EMAIL.as_bytes()).is_some());
                    let mut plain = Vec::new();
                    if flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).is_ok() {
                        inflated += 1;
                        people += usize::from(memchr::memmem::find(&plain, EMAIL.as_bytes()).is_some());
                        self.search(&format!("packed in {table}"), &plain, false);
                    }
                }
            }
        }
        assert!(
            inflated > 0 && people > 0,
            "the search finds what is stored: {inflated} packed, {people} with an address"
        );
    }
}

fn person_event(uuid: &str, uid: &str, email: &str, more: &Value) -> Value {
    let mut user = json!({
        "moengage_user_id": format!("m-{uid}"), "u_em": email, "u_mb": PHONE, "u_fn": NAME, "u_ln": NAME,
        "moe_unsubscribe": false, "moe_hard_bounce": false, "moe_spam": false,
    });
    user.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({
        "event_name": "Product Viewed", "event_code": "PRODUCT_VIEWED", "event_uuid": uuid,
        "event_time": now_s(), "event_type": "USER_ACTION_EVENT", "event_source": "MOENGAGE",
        "uid": uid, "event_attributes": { "note": format!("{NAME} {EMAIL}") },
        "user_attributes": user, "device_attributes": {},
    })
}

/// Whole answer of the intake.
fn answer(serving: &Serving, head: &str, body: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(&serving.address).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n{head}\r\n\r\n",
        serving.path,
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.is_empty());
    answer
}

/// The secrets of the host: one sealed, one in a file, one in the environment.
fn configure(bench: &Bench) {
    let directory = bench.directory.path();
    let private = |name: &str, text: &str| {
        std::fs::write(directory.join(name), text).unwrap();
        std::fs::set_permissions(directory.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let key = Key::generate().unwrap();
    private("sealing.key", &key);
    private("data.key", &format!("{CANARY}-data"));
    let keys = [Key::parse(&SecretString::from(key.as_str())).unwrap()];
    let (mut vault, key) = Vault::read_or_new(&directory.join("sealed.json"), &keys).unwrap();
    vault.set(key, "T_BREVO", &format!("{CANARY}-brevo").into(), 0).unwrap();
    vault.write(key).unwrap();
    bench.configure(|text| {
        text.replace("host:\n", "host:\n  secrets: ./sealed.json\n  secrets_key: \"${file:./sealing.key}\"\n")
            .replace("${T_BREVO}", "${sealed:T_BREVO}")
            .replace("${T_DATA}", "${file:./data.key}")
            .replace("      base_url:", "      create_attributes: true\n      base_url:")
            .replace(
                "        sync:",
                "        field_mapping: { u_mb: SMS, note: NOTE }\n        lists: {}\n        sync:",
            )
    });
}

/// What a vendor says that knows too much.
fn telling() -> String {
    json!({
        "code": "invalid_parameter",
        "message": format!("{CANARY}-brevo is not allowed to write {EMAIL} {PHONE} {NAME} {UID} {CANARY}-data"),
    })
    .to_string()
}

#[test]
fn s06_no_secret_and_nobody_is_in_anything_that_a_host_prints_logs_answers_or_keeps_open() {
    let bench = Bench::new();
    configure(&bench);
    let secret = format!("{CANARY}-webhook");
    let secrets =
        [format!("{CANARY}-brevo"), format!("{CANARY}-data"), secret.clone(), format!("{CANARY}-guessed")];
    let mut canaries = Canaries::new(&secrets);
    let basic = |secret: &str| {
        format!("Authorization: Basic {}", base64::prelude::BASE64_STANDARD.encode(format!("tajo:{secret}")))
    };

    // Brevo fails in every way, once each, and repeats what it was told.
    let faults = bench.brevo.faults();
    let failures = [
        Fault::status(400, &telling()),
        Fault::status(404, &telling()),
        Fault::status(409, &telling()),
        Fault::status(500, &telling()),
        Fault::rate_limited(true),
        Fault::close(),
        Fault::close_after_effect(),
        Fault::cut(7),
        Fault::html(),
    ];
    for (n, fault) in failures.into_iter().enumerate() {
        faults.add(Rule::any(fault).nth(2 * n as u64 + 2)).unwrap();
    }
    let serving = bench.serve();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", serving.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");

    let event = |n: usize, more: &Value| {
        person_event(&format!("e{n}"), &format!("{UID}{n}"), &EMAIL.replace('@', &format!("{n}@")), more)
    };
    let one = person_event("e0", UID, EMAIL, &json!({}));
    let good = batch(&[one.clone(), event(1, &json!({})), event(2, &json!({ "moe_unsubscribe": true }))]);
    let broken = batch(&[
        event(3, &json!({ "u_em": format!("{NAME} is no address") })),
        event(4, &json!({ "u_mb": format!("{PHONE} ext {NAME}") })),
        json!({ "event_code": NAME, "uid": UID, "user_attributes": { "u_em": EMAIL } }),
        json!(format!("{NAME} {EMAIL}")),
    ]);
    for (head, body) in [
        (basic(&format!("{CANARY}-guessed")), good.as_bytes().to_vec()),
        (format!("Authorization: Bearer {CANARY}-guessed"), good.as_bytes().to_vec()),
        (format!("Authorization: {CANARY}-guessed\r\nX-Api-Key: {secret}"), vec![]),
        (basic(&secret), good.as_bytes().to_vec()),
        (format!("{}\r\nX-Forwarded-For: {EMAIL}\r\nX-Extra: {secret}", basic(&secret)), broken.into_bytes()),
        (basic(&secret), format!("{{\"events\": [{NAME} {EMAIL}").into_bytes()),
        (basic(&secret), [EMAIL.as_bytes(), &[0xff, 0xfe]].concat()),
        (format!("{}\r\nTransfer-Encoding: chunked", basic(&secret)), EMAIL.as_bytes().to_vec()),
        (format!("{}\r\nBad Header {secret}", basic(&secret)), vec![]),
    ] {
        let answered = answer(&serving, &head, &body);
        canaries.search(&format!("an answer to {head:?}"), &answered, true);
    }
    bench.wait_for(|one| {
        one["sums"]["queued"] == 0 && one["sums"]["states"]["waiting"] == 0 && one["sums"]["read"] != 0
    });
    // Then its key is refused, in its own words.
    faults.clear();
    faults.add(Rule::any(Fault::status(401, &telling())).times(2)).unwrap();
    answer(&serving, &basic(&secret), batch(&[event(5, &json!({}))]).as_bytes());
    bench.wait_for(|one| one["sums"]["queued"] == 0 && one["sums"]["dead_letters"] != json!({}));

    // MoEngage too.
    bench.moengage.faults().add(Rule::any(Fault::status(401, &telling())).times(1)).unwrap();
    let list = ["dead-letters", "list"];
    let letters = bench.with_config(&[&list[..], &["--json", "--closed"]].concat()).json();
    let ids: Vec<String> =
        letters["dead_letters"].as_array().unwrap().iter().map(|one| one["id"].to_string()).collect();
    assert!(ids.len() >= 4, "{letters:#}");
    let names = bench.directory.path().join("names.txt");
    std::fs::write(&names, format!("{EMAIL}\n")).unwrap();
    let names = names.to_str().unwrap().to_owned();
    let show = |id: &String| ["dead-letters", "show", id].map(str::to_owned).to_vec();
    let commands = |serving: bool| {
        let mut all: Vec<Vec<String>> = ids.iter().take(4).map(show).collect();
        for line in [
            "status",
            "check",
            "discover",
            "lists",
            "dead-letters list --closed",
            "dead-letters requeue --all",
            "sync users",
            "sync no-such-resource",
            "backfill --from 2026-01-01 --to 2026-01-02",
            "plan",
            "plan --remap",
            "remap",
            "erase held",
            "secrets list",
            "secrets end-rotation T_BREVO",
        ] {
            all.push(line.split(' ').map(str::to_owned).collect());
        }
        let erase = format!("erase people --by email --from {names} --behavior soft");
        all.push(erase.split(' ').map(str::to_owned).collect());
        if !serving {
            all.push(format!("{erase} --yes").split(' ').map(str::to_owned).collect());
        }
        all
    };
    let run_all = |canaries: &mut Canaries, beside: bool| {
        for command in commands(beside) {
            // With --json beside the host, as text after it, and both for what reports most.
            for json in [false, true].into_iter().filter(|json| *json == beside || command[0] == "status") {
                let mut args: Vec<&str> = command.iter().map(String::as_str).collect();
                args.extend(json.then_some("--json"));
                let done = bench.with_config(&args);
                assert!((0..=2).contains(&done.code), "{command:?} died: {}", done.err);
                canaries.printed(&command.join(" "), &done);
            }
        }
    };
    run_all(&mut canaries, true);
    assert_eq!(serving.stop(), Some(0));
    run_all(&mut canaries, false);
    // A kill in the middle, and settings that can't be read.
    let killed = bench.with_config_until(&["remap"], "unit-before-commit");
    canaries.printed("a killed remap", &killed);
    canaries.search("the log", bench.log().as_bytes(), true);
    assert!(bench.log().contains("DEBUG"), "everything was logged");
    let payload = bench.with_config(&["dead-letters", "show", &ids[0], "--payload"]);
    canaries.search("a payload", payload.out.as_bytes(), false);

    let data = bench.directory.path().join("data");
    canaries.stored(&data);
    canaries.packed(&data.join("host.db"));
    canaries.search(
        "the sealed file",
        &std::fs::read(bench.directory.path().join("sealed.json")).unwrap(),
        true,
    );
    bench.configure(|text| text.replace("${T_DATA}", &format!("{CANARY}-data")).replace("01", NAME));
    for command in ["status", "check", "serve"] {
        canaries.printed("a secret in the file", &bench.with_config(&[command]));
    }
    assert!(canaries.found.is_empty(), "{}", canaries.found.join("\n"));
}

#[test]
fn s21_no_line_of_the_log_can_be_forged() {
    let bench = Bench::new();
    let serving = bench.serve();
    let secret = format!("{CANARY}-webhook");
    let forged = "x\n2026-01-01T00:00:00.000000Z ERROR host_harness: forged\r\n\u{2028}forged\u{1b}[2J";
    let mut one = person_event("e1", forged, EMAIL, &json!({}));
    for name in ["event_name", "event_code", "event_uuid", "event_type"] {
        let mut other = one.clone();
        other[name] = json!(forged);
        assert_eq!(serving.post(&batch(&[other]), &secret), 200);
    }
    one["event_attributes"] = json!({ forged: forged });
    assert_eq!(serving.post(&batch(&[one, json!({ "event_code": forged })]), &secret), 200);
    bench.wait_for(|one| one["sums"]["queued"] == 0 && one["sums"]["states"]["waiting"] == 0);
    for args in [&["status"][..], &["dead-letters", "list"], &["plan"]] {
        let done = bench.with_config(args);
        for line in done.out.lines().chain(done.err.lines()) {
            assert!(!line.starts_with("2026-01-01") && !line.starts_with("forged"), "{args:?}: {line}");
            assert!(!line.contains(['\u{1b}', '\u{2028}']), "{args:?}: {line:?}");
        }
    }
    assert_eq!(serving.stop(), Some(0));
    let log = bench.log();
    assert!(log.lines().count() > 5, "{log}");
    for line in log.lines() {
        let time = line.split_whitespace().next().unwrap_or_default();
        assert!(time.parse::<jiff::Timestamp>().is_ok() && !line.starts_with("2026-01-01T00:00"), "{line:?}");
        assert!(!line.contains(['\u{1b}', '\u{2028}', '\r']), "{line:?}");
    }
}

/// The search is searched: it finds each spelling.
#[test]
fn s06_the_search_finds_every_spelling() {
    let secret = format!("{CANARY}-brevo");
    let mut buffer = Vec::new();
    for text in [&secret[..], EMAIL, PHONE, NAME] {
        let pair = base64::prelude::BASE64_STANDARD.encode(format!("W1:{text}"));
        let hex = text.bytes().map(|byte| format!("{byte:02X}")).collect::<String>();
        let json = serde_json::to_string(&json!({ "a": text })).unwrap();
        let url = text
            .bytes()
            .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") });
        let url = url.collect::<String>().replace("%2D", "-").replace("%2E", ".");
        for shown in [text.to_owned(), pair, hex, json, format!("{text:?}"), url] {
            let mut canaries = Canaries::new(std::slice::from_ref(&secret));
            buffer.clear();
            buffer.extend_from_slice(b"2026-01-01 INFO something ");
            buffer.extend_from_slice(shown.as_bytes());
            buffer.extend_from_slice(b" and more");
            canaries.search("here", &buffer, true);
            assert!(!canaries.found.is_empty(), "{text} as {shown} is not found");
        }
    }
}
