//! `harness doctor`: a home where all is well, and homes that are broken in one way each.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use host_harness::host::STORE_FILE;
use host_harness::sealed::{Key, Vault};
use secrecy::SecretString;
use serde_json::Value;

use super::bench::{Bench, CANARY, Done};
use super::{batch, event, now_s};

/// A host was here, and has stopped.
fn home() -> Bench {
    let bench = Bench::new();
    let serving = bench.serve();
    // It says where it listens a moment before it can be told to stop.
    let status = format!("/proc/{}/status", serving.id());
    let can_be_told = || {
        let status = std::fs::read_to_string(&status).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << (libc::SIGTERM - 1)) != 0
    };
    while !can_be_told() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(serving.stop(), Some(0));
    bench
}

fn store(bench: &Bench) -> PathBuf {
    bench.directory.path().join("data").join(STORE_FILE)
}

fn sql(bench: &Bench, sql: &str) {
    rusqlite::Connection::open(store(bench)).unwrap().execute_batch(sql).unwrap();
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The lines of a run, each of which says what to do unless it holds; and nothing of a secret.
fn lines(done: &Done) -> Vec<Value> {
    assert!(!format!("{}{}", done.out, done.err).contains(CANARY), "{} {}", done.out, done.err);
    let lines = done.json()["lines"].as_array().unwrap().clone();
    let fails = lines.iter().any(|line| line["state"] == "fails");
    assert_eq!(done.code, i32::from(fails), "{}", done.out);
    for line in &lines {
        let said = |key: &str| line[key].as_str().is_some_and(|text| !text.is_empty());
        assert!(said("part") && said("name") && said("message"), "{line}");
        for key in ["code", "actor", "remedy"] {
            assert_eq!(said(key), line["state"] != "holds", "{line}");
        }
    }
    lines
}

fn doctor(bench: &Bench, args: &[&str]) -> Vec<Value> {
    lines(&bench.with_config(&[&["doctor", "--json"], args].concat()))
}

#[track_caller]
fn one<'a>(lines: &'a [Value], part: &str, name: &str) -> &'a Value {
    let mut found = lines
        .iter()
        .filter(|line| line["part"] == part && line["name"].as_str().is_some_and(|have| have.contains(name)));
    let first = found.next().unwrap_or_else(|| panic!("{part}, {name}: {lines:#?}"));
    assert!(found.next().is_none(), "{part}, {name}: {lines:#?}");
    first
}

/// Exactly this line fails.
#[track_caller]
fn only(lines: &[Value], part: &str, name: &str, code: &str) {
    let failing: Vec<_> = lines.iter().filter(|line| line["state"] == "fails").collect();
    assert_eq!(failing.len(), 1, "{failing:#?}");
    assert_eq!((failing[0]["part"].as_str(), failing[0]["code"].as_str()), (Some(part), Some(code)));
    assert!(failing[0]["name"].as_str().unwrap().contains(name), "{failing:#?}");
}

#[track_caller]
fn is(line: &Value, state: &str) {
    assert_eq!(line["state"], state, "{line:#}");
}

#[track_caller]
fn nothing_fails(lines: &[Value]) {
    let failing: Vec<_> = lines.iter().filter(|line| line["state"] == "fails").collect();
    assert!(failing.is_empty(), "{failing:#?}");
}

/// Every file under a directory with what is in it.
fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(content(&path)),
            false => drop(all.insert(path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    all
}

#[test]
fn in_a_healthy_home_nothing_fails_nothing_is_changed_and_nobody_is_asked() {
    let bench = home();
    let before = content(bench.directory.path());
    let asked = || bench.brevo.journal().entries().count() + bench.moengage.journal().entries().count();
    let asked_before = asked();
    let lines = doctor(&bench, &[]);
    nothing_fails(&lines);
    assert_eq!(content(bench.directory.path()), before, "nothing is changed");
    assert_eq!(asked(), asked_before, "nobody got a request");
    for (part, name) in [
        ("store", "lock"),
        ("store", "file"),
        ("store", "content"),
        ("store", "doubt"),
        ("store", "size"),
        ("disk", "directory"),
        ("disk", "files"),
        ("disk", "file system"),
        ("disk", "writing"),
        ("clock", "order"),
        ("clock", "year"),
        ("clock", "speed"),
        ("limits", "open files"),
        ("limits", "memory"),
        ("limits", "connectors"),
        ("versions", "program"),
        ("versions", "wasmtime"),
        ("versions", "SQLite"),
        ("versions", "shop / moengage"),
        ("secrets", "Brevo account shop"),
        ("secrets", "shop / moengage: data"),
        ("secrets", "shop / moengage: webhook"),
        ("endpoints", &bench.brevo.url()),
        ("endpoints", &bench.moengage.url()),
        ("intake", "127.0.0.1:0"),
    ] {
        is(one(&lines, part, name), "holds");
    }
    assert_eq!(one(&lines, "store", "backup")["code"], "no-backup");
    assert_eq!(one(&lines, "surfaces", "streams")["code"], "surface-unverified");
    assert_eq!(one(&lines, "surfaces", "Brevo account")["code"], "account-unconfirmed");
    let lock = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock")).unwrap();
    let engine = one(&lines, "versions", "wasmtime")["message"].as_str().unwrap().to_owned();
    let engine = engine.split(' ').next().unwrap();
    assert!(lock.contains(&format!("name = \"wasmtime\"\nversion = \"{engine}\"\n")), "{engine}");

    // Beside a running host, which goes on.
    let serving = bench.serve();
    let secret = format!("{CANARY}-webhook");
    assert_eq!(serving.post(&batch(&[event("e1", "ann@example.com", now_s())]), &secret), 200);
    bench.wait_for(|one| one["sums"]["states"]["delivered"].as_i64() >= Some(2));
    let copy = bench.directory.path().join("copy.db");
    assert_eq!(bench.with_config(&["backup", "--to", copy.to_str().unwrap()]).code, 0);
    let lines = doctor(&bench, &[]);
    nothing_fails(&lines);
    let holder = one(&lines, "store", "lock")["message"].as_str().unwrap().to_owned();
    assert!(holder.ends_with(&format!("process {}", serving.id())), "{holder}");
    for (part, name) in [
        ("store", "content"),
        ("store", "doubt"),
        ("store", "backup"),
        ("disk", "files"),
        ("clock", "order"),
        ("surfaces", "streams"),
        ("surfaces", "Brevo account shop"),
    ] {
        is(one(&lines, part, name), "holds");
    }
    let taken = one(&lines, "surfaces", "Brevo account shop")["message"].as_str().unwrap().to_owned();
    let (taken, open) = taken.split_once(';').unwrap();
    assert!(taken.contains("brevo/track-event") && open.contains("brevo/send-sms"), "{taken};{open}");
    assert_eq!(one(&lines, "intake", "127.0.0.1:0")["code"], "intake-any-port");
    assert_eq!(serving.post(&batch(&[event("e2", "ann@example.com", now_s())]), &secret), 200);
    assert_eq!(serving.stop(), Some(0));

    let text = bench.with_config(&["doctor", "--offline"]);
    assert_eq!(text.code, 0, "{}", text.out);
    assert!(
        text.out.contains("\nstore\n  holds        lock: ") && text.out.contains(" 0 FAIL, "),
        "{}",
        text.out
    );
    assert!(text.out.contains("  can't tell   http://127.0.0.1:"), "{}", text.out);
    assert!(text.out.contains("\n               not-tried: operator -> Leave"), "{}", text.out);
    assert!(!text.out.contains(CANARY) && !text.out.contains("ann@"), "{}", text.out);
    assert!(asked() > asked_before, "the host asked, so asking is seen");
}

#[test]
fn where_no_host_was_yet_nothing_fails_and_nothing_is_made() {
    let bench = Bench::new();
    let lines = doctor(&bench, &[]);
    nothing_fails(&lines);
    assert_eq!(one(&lines, "store", "file")["code"], "no-store");
    assert!(!bench.directory.path().join("data").exists());
}

#[test]
fn each_thing_that_is_wrong_with_the_store_has_its_line_and_no_other_fails() {
    let bench = home();
    let path = store(&bench);
    let good = std::fs::read(&path).unwrap();
    let mend = || std::fs::write(&path, &good).unwrap();

    std::fs::write(&path, "a letter to somebody, and long enough to look like a file of something else")
        .unwrap();
    only(&doctor(&bench, &["--offline"]), "store", "file", "store-foreign");
    std::fs::remove_file(&path).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE songs (name TEXT)").unwrap();
    chmod(&path, 0o600);
    only(&doctor(&bench, &["--offline"]), "store", "file", "store-foreign");
    std::fs::remove_file(&path).unwrap();
    only(&doctor(&bench, &["--offline"]), "store", "file", "store-gone");
    mend();
    chmod(&path, 0o600);

    sql(&bench, "PRAGMA user_version = 999");
    only(&doctor(&bench, &["--offline"]), "store", "file", "store-newer");
    mend();
    sql(&bench, "PRAGMA user_version = 9");
    let lines = doctor(&bench, &["--offline"]);
    nothing_fails(&lines);
    assert_eq!(one(&lines, "store", "file")["code"], "store-older");
    mend();

    // A page of an index that nothing else reads here.
    let page: i64 = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'journal_queued'", [], |row| row.get(0))
        .unwrap();
    let size: i64 = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA page_size", [], |row| row.get(0))
        .unwrap();
    let mut damaged = good.clone();
    let begin = ((page - 1) * size) as usize;
    damaged[begin..begin + size as usize].fill(0xff);
    std::fs::write(&path, &damaged).unwrap();
    only(&doctor(&bench, &["--offline"]), "store", "content", "store-corrupt");
    let quick = doctor(&bench, &["--offline", "--quick"]);
    nothing_fails(&quick);
    assert_eq!(one(&quick, "store", "content")["code"], "store-not-read");
    mend();

    let mark = path.with_extension("generation");
    let ours = std::fs::read(&mark).unwrap();
    std::fs::write(&mark, "another").unwrap();
    only(&doctor(&bench, &["--offline"]), "store", "doubt", "store-replaced");
    std::fs::write(&mark, ours).unwrap();
    nothing_fails(&doctor(&bench, &["--offline"]));

    let copy = bench.directory.path().join("copy.db");
    assert_eq!(bench.with_config(&["backup", "--to", copy.to_str().unwrap()]).code, 0);
    assert_eq!(bench.with_config(&["restore", "--from", copy.to_str().unwrap()]).code, 0);
    only(&doctor(&bench, &["--offline"]), "store", "doubt", "store-in-doubt");
}

#[test]
fn each_thing_that_is_wrong_with_disk_clock_and_limits_has_its_line_and_no_other_fails() {
    let bench = home();
    let data = bench.directory.path().join("data");
    chmod(&data, 0o755);
    only(&doctor(&bench, &["--offline"]), "disk", "directory", "data-dir-open");
    chmod(&data, 0o700);
    chmod(&store(&bench), 0o644);
    only(&doctor(&bench, &["--offline"]), "disk", "files", "store-file-open");
    chmod(&store(&bench), 0o600);

    let harness = env!("CARGO_BIN_EXE_harness");
    let under = |limit: &str| {
        let script = format!("{limit} && exec \"$0\" \"$@\"");
        let line = ["sh", "-c", &script, harness, "doctor", "--json", "--offline", "--config"];
        lines(&bench.run_by(&line, &bench.config()))
    };
    // The memory of a connector's instance is a file as well.
    let small: Vec<_> = under("ulimit -f 0").into_iter().filter(|line| line["part"] != "versions").collect();
    only(&small, "disk", "writing", "store-io");
    only(&under("ulimit -n 300"), "limits", "open files", "too-few-files");
    let left: Vec<_> = std::fs::read_dir(&data)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".doctor"))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    sql(&bench, &format!("UPDATE host SET value = {} WHERE name = 'last-seen'", (now_s() + 3_600) * 1_000));
    only(&doctor(&bench, &["--offline"]), "clock", "order", "clock-set-back");
    sql(&bench, &format!("UPDATE host SET value = {} WHERE name = 'last-seen'", now_s() * 1_000));
    let epoch = now_s() * 1_000;
    bench.configure(|text| {
        text.replace("tenants:", &format!("  time: {{ factor: 60, epoch: {epoch} }}\ntenants:"))
    });
    let lines = doctor(&bench, &["--offline"]);
    nothing_fails(&lines);
    assert_eq!(one(&lines, "clock", "speed")["code"], "time-scaled");
}

#[test]
fn a_connector_that_cannot_be_had_and_settings_that_are_refused_have_their_lines() {
    let bench = home();
    bench.configure(|text| {
        let files = "  components: { other: { component: ./no.wasm, manifest: ./no.json } }\ntenants:";
        text.replace("tenants:", files)
    });
    only(&doctor(&bench, &["--offline"]), "versions", "other", "component-unreadable");
    std::fs::write(bench.directory.path().join("no.wasm"), "no component").unwrap();
    std::fs::write(bench.directory.path().join("no.json"), "{}").unwrap();
    only(&doctor(&bench, &["--offline"]), "versions", "other", "bad-manifest");
    bench.configure(|text| text.replace("data_center: \"01\"", "data_center: \"09\""));
    let lines = doctor(&bench, &["--offline"]);
    let refused = one(&lines, "versions", "shop / moengage");
    is(refused, "fails");
    assert_eq!(refused["actor"], "tenant");
    assert!(refused["message"].as_str().unwrap().starts_with("line 14, data_center: "), "{refused}");
}

#[test]
fn a_secret_that_cannot_be_read_is_named_and_never_shown() {
    let bench = home();
    bench.configure(|text| text.replace("${T_DATA}", "${T_GONE}"));
    only(&doctor(&bench, &["--offline"]), "secrets", "shop / moengage: data", "missing-secret");

    let file = bench.directory.path().join("data-key");
    let in_file = |text: String| text.replace("${T_DATA}", "${file:./data-key}");
    bench.configure(in_file);
    only(&doctor(&bench, &["--offline"]), "secrets", "moengage: data", "missing-secret");
    std::fs::write(&file, format!("{CANARY}-data\n")).unwrap();
    chmod(&file, 0o644);
    only(&doctor(&bench, &["--offline"]), "secrets", "moengage: data", "world-readable-secret");
    chmod(&file, 0o640);
    let lines = doctor(&bench, &["--offline"]);
    nothing_fails(&lines);
    assert_eq!(one(&lines, "secrets", "moengage: data")["code"], "group-readable-secret");
    chmod(&file, 0o600);
    let previous = bench.directory.path().join("data-key.previous");
    std::fs::write(&previous, format!("{CANARY}-before\n")).unwrap();
    chmod(&previous, 0o600);
    let lines = doctor(&bench, &["--offline"]);
    nothing_fails(&lines);
    let said =
        |name: &str| one(&lines, "secrets", name)["message"].as_str().unwrap().contains("previous value");
    assert!(said("moengage: data") && !said("moengage: webhook"), "{lines:#?}");

    // Sealed under another key than the one that is there now.
    let (keys, sealed) = (bench.directory.path().join("key"), bench.directory.path().join("sealed.json"));
    let key = |seed: &str| {
        let text = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, seed.repeat(32));
        std::fs::write(&keys, &text).unwrap();
        chmod(&keys, 0o600);
        Key::parse(&SecretString::from(text)).unwrap()
    };
    let right = key("a");
    let (mut vault, _) = Vault::read_or_new(&sealed, std::slice::from_ref(&right)).unwrap();
    vault.set(&right, "DATA", &SecretString::from(format!("{CANARY}-data")), 0).unwrap();
    vault.write(&right).unwrap();
    bench.configure(|text| {
        let host = "  secrets: ./sealed.json\n  secrets_key: \"${file:./key}\"\ntenants:";
        text.replace("tenants:", host).replace("${T_DATA}", "${sealed:DATA}")
    });
    nothing_fails(&doctor(&bench, &["--offline"]));
    key("b");
    only(&doctor(&bench, &["--offline"]), "secrets", "moengage: data", "wrong-secrets-key");

    // Two tenants with one account and two keys: that shows only once both are known.
    bench.configure(|text| {
        let (head, tenant) = text.split_once("tenants:\n").unwrap();
        let other = tenant.replace("name: shop", "name: other").replace("${T_BREVO}", "${T_DATA}");
        format!("{head}tenants:\n{tenant}{other}")
    });
    only(&doctor(&bench, &["--offline"]), "secrets", "all together", "conflicting-destination");
}

#[test]
fn each_way_out_that_is_closed_has_its_line_and_no_other_fails() {
    let bench = home();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bench.configure(|text| text.replace(&bench.brevo.url(), &format!("http://{closed}")));
    only(&doctor(&bench, &[]), "endpoints", &closed.to_string(), "endpoint-unreachable");
    let offline = doctor(&bench, &["--offline"]);
    nothing_fails(&offline);
    let tried: Vec<_> = offline.iter().filter(|line| line["part"] == "endpoints").collect();
    assert_eq!(tried.len(), 2, "{tried:#?}");
    assert!(tried.iter().all(|line| line["code"] == "not-tried"), "{tried:#?}");

    let elsewhere = |origin: &str| {
        bench.configure(|text| text.replace(&bench.moengage.url(), origin));
        doctor(&bench, &[])
    };
    only(&elsewhere("https://no-such-host.invalid"), "endpoints", "no-such-host", "endpoint-name-unknown");
    let plain = bench.moengage.url().replace("http://", "https://");
    only(&elsewhere(&plain), "endpoints", "127.0.0.1", "endpoint-tls-untrusted");
}

#[test]
fn the_way_in_is_free_or_served_by_the_host_and_never_open_without_a_word() {
    let bench = home();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    bench.configure(|text| text.replace("127.0.0.1:0", &address));
    only(&doctor(&bench, &["--offline"]), "intake", &address, "not-listening");
    drop(taken);
    is(one(&doctor(&bench, &["--offline"]), "intake", &address), "holds");
    let serving = bench.serve();
    is(one(&doctor(&bench, &["--offline"]), "intake", &address), "holds");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    bench.configure(|text| text.replace("127.0.0.1:0", &closed));
    only(&doctor(&bench, &["--offline"]), "intake", &closed, "intake-not-served");
    assert_eq!(serving.stop(), Some(0));
    bench.configure(|text| text.replace("127.0.0.1:0", "0.0.0.0:0\n  intake_behind_tls_proxy: true"));
    let lines = doctor(&bench, &["--offline"]);
    nothing_fails(&lines);
    assert_eq!(one(&lines, "intake", "0.0.0.0")["code"], "intake-beyond-loopback");
}
