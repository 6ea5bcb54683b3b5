//! Secrets sealed at rest: what the file shows, what it takes, and how it is changed while a host runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use host_harness::config::{self, Environment, HostConfig};
use host_harness::connectors::BUILT_IN;
use host_harness::sealed::{Key, Vault};
use host_harness::secrets::{LiveSecrets, SecretSource as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

const BREVO: &str = "canary-9b2e-the-key-of-brevo";
const HOOK: &str = "canary-9b2e-the-secret-of-the-hook";

struct Case {
    directory: tempfile::TempDir,
}

struct Done {
    code: i32,
    out: String,
    err: String,
}

impl Case {
    /// A configuration with its key, and nothing sealed yet.
    fn new() -> Self {
        let case = Self { directory: tempfile::tempdir().unwrap() };
        case.configure("${file:./keys/sealing}");
        std::fs::create_dir(case.path("keys")).unwrap();
        assert_eq!(case.run(&["new-key"], None).code, 0);
        case
    }

    /// With two secrets sealed.
    fn sealed() -> Self {
        let case = Self::new();
        case.set("BREVO", BREVO);
        case.set("HOOK", HOOK);
        case
    }

    fn configure(&self, key: &str) {
        let text = json!({
            "host": { "data_dir": "./data", "secrets": "./sealed.json", "secrets_key": key },
            "tenants": [{
                "name": "shop",
                "brevo": { "account": "shop", "api_key": "${sealed:BREVO}" },
                "connectors": { "moengage": {
                    "workspace_id": "SHOP", "data_center": "01", "environment": "live",
                    "webhook": { "auth": "basic", "user": "tajo", "secret": "${sealed:HOOK}" }
                } }
            }]
        });
        std::fs::write(self.path("tajo.yaml"), text.to_string()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, args: &[&str], stdin: Option<&str>) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        command.arg("secrets").args(args).arg("--config").arg(self.path("tajo.yaml"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(stdin.unwrap_or_default().as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let done =
            Done { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) };
        for spelling in [BREVO, HOOK].into_iter().flat_map(spellings) {
            assert!(!done.out.contains(&spelling) && !done.err.contains(&spelling), "a value was printed");
        }
        done
    }

    fn set(&self, name: &str, value: &str) {
        let done = self.run(&["set", name], Some(&format!("{value}\n")));
        assert_eq!(done.code, 0, "{}", done.err);
    }

    fn load(&self) -> Result<HostConfig, Vec<(&'static str, String, String)>> {
        config::load(&self.path("tajo.yaml"), &Environment::Process, BUILT_IN).map_err(|error| {
            error.problems.into_iter().map(|one| (one.code, one.message, one.remedy)).collect()
        })
    }

    /// Code of the first problem, which says what to do.
    fn refused(&self) -> &'static str {
        let problems = self.load().unwrap_err();
        assert!(problems.iter().all(|(_, message, remedy)| !message.is_empty() && !remedy.is_empty()));
        problems[0].0
    }

    fn file(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.path("sealed.json")).unwrap()).unwrap()
    }

    fn write(&self, file: &Value) {
        std::fs::write(self.path("sealed.json"), file.to_string()).unwrap();
    }
}

fn spellings(secret: &str) -> Vec<String> {
    let base64 = base64::engine::general_purpose::STANDARD;
    let hex = |upper: bool| {
        let digits = |byte: u8| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") };
        secret.bytes().map(digits).collect::<String>()
    };
    // What base64 makes of it wherever it begins within three bytes, without the ends.
    let inner = (0..3).map(|shift| {
        let text = base64.encode([&vec![b'.'; shift][..], secret.as_bytes()].concat());
        text[4..text.len() - 4].to_owned()
    });
    [secret.to_owned(), hex(false), hex(true)].into_iter().chain(inner).collect()
}

fn current(config: &HostConfig) -> String {
    config.tenants[0].brevo.api_key.current.expose_secret().to_owned()
}

#[test]
fn s16_a_stolen_file_says_nothing_without_its_key() {
    let case = Case::sealed();
    assert_eq!(current(&case.load().unwrap()), BREVO, "with the key the host has it");
    let mut stolen = std::fs::read_to_string(case.path("sealed.json")).unwrap();
    stolen.push_str(
        &std::fs::read_dir(case.directory.path())
            .unwrap()
            .map(|e| format!("{:?}", e.unwrap()))
            .collect::<String>(),
    );
    for spelling in [BREVO, HOOK].into_iter().flat_map(spellings) {
        assert!(!stolen.contains(&spelling), "{spelling} in {stolen}");
    }
    for name in ["sealed.json", "keys/sealing", "sealed.json.lock"] {
        let mode = std::fs::metadata(case.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    // The same value twice looks like two.
    case.set("TWIN", BREVO);
    let file = case.file();
    assert_ne!(file["secrets"]["TWIN"][0]["value"], file["secrets"]["BREVO"][0]["value"]);

    // Under another key nothing opens, and nothing is overwritten.
    let key = std::fs::read_to_string(case.path("keys/sealing")).unwrap();
    std::fs::remove_file(case.path("keys/sealing")).unwrap();
    assert_eq!(case.refused(), "missing-secret");
    assert_eq!(case.run(&["new-key"], None).code, 0);
    let problems = case.load().unwrap_err();
    assert_eq!(problems[0].0, "wrong-secrets-key");
    let ids: Vec<_> =
        problems[0].1.split(' ').filter(|word| word.trim_end_matches(',').len() == 16).collect();
    assert_eq!(ids.len(), 2, "both keys are named: {}", problems[0].1);
    let before = case.file();
    for order in
        [&["set", "BREVO"][..], &["list"], &["rotate-key"], &["end-rotation", "BREVO"], &["remove", "HOOK"]]
    {
        let done = case.run(order, Some("x"));
        assert_eq!(done.code, 2, "{order:?}: {}", done.out);
        assert!(done.err.contains("wrong-secrets-key") && done.err.contains("-> "), "{}", done.err);
    }
    assert_eq!(case.file(), before);
    std::fs::write(case.path("keys/sealing"), key).unwrap();
    assert_eq!(current(&case.load().unwrap()), BREVO);
}

#[test]
fn s16_what_somebody_changed_is_refused_by_name() {
    let case = Case::sealed();
    case.set("BREVO", "canary-9b2e-the-second-key");
    case.set("OTHER", "canary-9b2e-of-nobody");
    let whole = case.file();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut file = whole.clone();
        change(&mut file["secrets"]);
        case.write(&file);
        let problems = case.load().unwrap_err();
        (problems[0].0, problems[0].1.contains("`BREVO`"))
    };
    let of = |text: &Value| text.as_str().unwrap().to_owned();
    let entry = ("sealed-secret-tampered", true);
    // A bit of the value; the values of two secrets; the two values of one; numbers and times.
    assert_eq!(
        changed(&|all| {
            let text = of(&all["BREVO"][0]["value"]);
            let flipped = if text.ends_with("A=") { "B=" } else { "A=" };
            all["BREVO"][0]["value"] = json!(format!("{}{flipped}", &text[..text.len() - 2]));
        }),
        entry
    );
    assert_eq!(
        changed(&|all| {
            let (one, other) = (all["BREVO"][0].clone(), all["HOOK"][0].clone());
            (all["BREVO"][0], all["HOOK"][0]) = (other, one);
        }),
        entry
    );
    assert_eq!(
        changed(&|all| {
            let (now, before) = (all["BREVO"][0]["value"].clone(), all["BREVO"][1]["value"].clone());
            (all["BREVO"][0]["value"], all["BREVO"][1]["value"]) = (before, now);
        }),
        entry
    );
    assert_eq!(changed(&|all| all["BREVO"][0]["version"] = json!(9)), entry);
    assert_eq!(changed(&|all| all["BREVO"][0]["sealed_at"] = json!(9)), entry);
    assert_eq!(changed(&|all| all["BREVO"][0]["value"] = json!("")), entry);
    // Whole entries taken out, put back or moved.
    let file = ("sealed-file-tampered", false);
    assert_eq!(changed(&|all| drop(all.as_object_mut().unwrap().remove("OTHER"))), file);
    assert_eq!(changed(&|all| drop(all["BREVO"].as_array_mut().unwrap().remove(0))), file);
    assert_eq!(changed(&|all| all["BREVO"].as_array_mut().unwrap().reverse()), file);
    // Not such a file at all.
    std::fs::write(case.path("sealed.json"), "{ \"BREVO\": \"canary-9b2e-by-hand\" }").unwrap();
    let problems = case.load().unwrap_err();
    assert_eq!(problems[0].0, "bad-sealed-file");
    assert!(!problems[0].1.contains("canary"), "{}", problems[0].1);
    let mut newer = whole.clone();
    newer["format"] = json!(2);
    case.write(&newer);
    assert_eq!(case.refused(), "bad-sealed-file");
    case.write(&whole);
    assert_eq!(current(&case.load().unwrap()), "canary-9b2e-the-second-key");
}

#[test]
fn s16_no_byte_of_the_file_can_be_changed_unseen() {
    let case = Case::sealed();
    let key =
        [Key::parse(&SecretString::from(std::fs::read_to_string(case.path("keys/sealing")).unwrap()))
            .unwrap()];
    let whole = std::fs::read(case.path("sealed.json")).unwrap();
    let path = case.path("changed.json");
    let mut refused = 0;
    for (at, flip) in (0..whole.len()).flat_map(|at| [(at, 1), (at, 0x20)]) {
        let mut bytes = whole.clone();
        bytes[at] ^= flip;
        std::fs::write(&path, &bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        match Vault::read(&path, &key) {
            Err(_) => refused += 1,
            // White space, for instance.
            Ok((vault, key)) => {
                for (name, value) in [("BREVO", BREVO), ("HOOK", HOOK)] {
                    assert_eq!(vault.open(key, name).unwrap()[0].expose_secret(), value, "byte {at}");
                }
                assert_eq!(vault.list().len(), 2);
            }
        }
    }
    assert!(refused > whole.len(), "{refused} of {}", whole.len() * 2);
}

#[test]
fn s16_names_versions_and_ages_are_listed_and_no_values() {
    let case = Case::sealed();
    case.set("BREVO", "canary-9b2e-the-second-key");
    let listed: Value = serde_json::from_str(&case.run(&["list", "--json"], None).out).unwrap();
    let secrets: Vec<_> = listed["secrets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (one["name"].as_str().unwrap(), one["version"].as_u64().unwrap(), one["previous"].as_u64())
        })
        .collect();
    assert_eq!(secrets, [("BREVO", 2, Some(1)), ("HOOK", 1, None)]);
    assert!(!listed.to_string().contains("canary"));
    let text = case.run(&["list"], None).out;
    assert!(text.contains("BREVO") && text.contains("version 1") && text.contains(" ago)"), "{text}");
    assert_eq!(case.run(&["remove", "HOOK"], None).code, 0);
    assert_eq!(case.refused(), "missing-secret");
    for (order, code) in [
        (&["remove", "HOOK"][..], "missing-secret"),
        (&["end-rotation", "HOOK"], "missing-secret"),
        (&["set", "lower"], "bad-sealed-name"),
        (&["set", "EMPTY"], "empty-secret"),
        (&["new-key"], "key-exists"),
    ] {
        let done = case.run(order, Some("\n"));
        assert_eq!(done.code, 2, "{order:?}");
        assert!(done.err.starts_with(&format!("{code}: ")) && done.err.contains("-> "), "{}", done.err);
    }
    assert_eq!(case.run(&["set", "TWO_LINES"], Some("a\nb\n")).code, 2);
}

#[test]
fn s15_a_sealed_secret_is_changed_without_a_restart_and_the_previous_one_is_good_until_the_end() {
    let case = Case::sealed();
    let config = case.load().unwrap();
    let live =
        LiveSecrets::new(&BTreeMap::from([("brevo".to_owned(), config.tenants[0].brevo.api_key.clone())]));
    let values =
        || live.get("brevo").iter().map(|value| value.expose_secret().to_owned()).collect::<Vec<_>>();
    let becomes = |expected: &[&str]| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while values() != expected {
            assert!(Instant::now() < deadline, "{} values, which are not the ones", values().len());
            live.look();
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    // Whoever took the value before goes on with it.
    let in_flight = live.get("brevo").remove(0);
    assert_eq!((in_flight.expose_secret(), live.version("brevo")), (BREVO, 0));
    case.set("BREVO", "canary-9b2e-the-second-key");
    becomes(&["canary-9b2e-the-second-key", BREVO]);
    assert_eq!((in_flight.expose_secret(), live.version("brevo")), (BREVO, 1));
    // Another key over everything changes no value.
    let before = std::fs::read_to_string(case.path("keys/sealing")).unwrap();
    assert_eq!(case.run(&["rotate-key"], None).code, 0);
    assert_ne!(std::fs::read_to_string(case.path("keys/sealing")).unwrap(), before);
    assert!(!case.path("keys/sealing.previous").exists());
    live.reload("brevo");
    assert_eq!((values().len(), live.version("brevo")), (2, 1));
    assert_eq!(case.run(&["end-rotation", "BREVO"], None).code, 0);
    becomes(&["canary-9b2e-the-second-key"]);
    assert_eq!(live.version("brevo"), 1, "the current value did not change");
    // What can't be read leaves what was read.
    assert_eq!(case.run(&["remove", "BREVO"], None).code, 0);
    live.reload("brevo");
    assert_eq!(values(), ["canary-9b2e-the-second-key"]);
    case.set("BREVO", BREVO);
    live.reload("brevo");
    assert_eq!((values(), live.version("brevo")), (vec![BREVO.to_owned()], 2));
}

#[test]
fn s15_a_rotation_of_the_key_that_is_cut_anywhere_loses_nothing_and_can_be_ended() {
    let read = |case: &Case, name: &str| std::fs::read(case.path(name)).unwrap();
    let case = Case::sealed();
    let (old_key, old_file) = (read(&case, "keys/sealing"), read(&case, "sealed.json"));
    assert_eq!(case.run(&["rotate-key"], None).code, 0);
    let (new_key, new_file) = (read(&case, "keys/sealing"), read(&case, "sealed.json"));
    let put = |name: &str, bytes: Option<&[u8]>| {
        let path = case.path(name);
        let _ = std::fs::remove_file(&path);
        if let Some(bytes) = bytes {
            std::fs::write(&path, bytes).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    };
    for (key, previous, file) in [
        (&old_key, None, &old_file),
        (&old_key, Some(&old_key), &old_file),
        (&new_key, Some(&old_key), &old_file),
        (&new_key, Some(&old_key), &new_file),
        (&new_key, None, &new_file),
    ] {
        put("keys/sealing", Some(key));
        put("keys/sealing.previous", previous.map(Vec::as_slice));
        put("sealed.json", Some(file));
        assert_eq!(current(&case.load().unwrap()), BREVO, "a host finds its secrets at each step");
        let done = case.run(&["rotate-key"], None);
        assert_eq!(done.code, 0, "{}", done.err);
        assert_eq!(current(&case.load().unwrap()), BREVO);
        assert!(!case.path("keys/sealing.previous").exists());
    }
    // A key in a variable is changed by the operator: both are given, and everything is sealed anew.
    put("sealed.json", Some(&old_file));
    case.configure("${SEALING}");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().trim().to_owned();
    let run = |variables: &[(&str, String)], order: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        command.args(["secrets", order, "--config"]).arg(case.path("tajo.yaml"));
        command.envs(variables.iter().map(|(name, value)| (*name, value)));
        command.output().unwrap().status.code().unwrap()
    };
    let both = [("SEALING", text(&new_key)), ("SEALING_PREVIOUS", text(&old_key))];
    assert_eq!(run(&both[..1], "list"), 2);
    assert_eq!(run(&both, "list"), 0);
    assert_eq!(run(&both, "rotate-key"), 0);
    assert_eq!(run(&both[..1], "list"), 0, "the old one is not needed any more");
    assert_eq!(run(&both[..1], "rotate-key"), 2);
    assert_eq!(run(&both[..1], "new-key"), 2);
}

#[test]
fn s16_the_key_is_no_text_of_the_configuration_and_none_of_the_secrets() {
    let case = Case::sealed();
    for (key, code) in [
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "literal-secret"),
        ("${sealed:KEY}", "sealed-key-inside"),
        ("${file:./tajo.yaml}", "world-readable-secret"),
        ("${file:./nowhere}", "missing-secret"),
        ("${file:./short}", "bad-secrets-key"),
    ] {
        std::fs::write(case.path("short"), "c2hvcnQ=").unwrap();
        std::fs::set_permissions(case.path("short"), std::fs::Permissions::from_mode(0o600)).unwrap();
        case.configure(key);
        std::fs::set_permissions(case.path("tajo.yaml"), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(case.refused(), code, "{key}");
    }
    case.configure("${file:./keys/sealing}");
    let without = |keys: &[&str]| {
        let text = std::fs::read_to_string(case.path("tajo.yaml")).unwrap();
        let mut file: Value = serde_json::from_str(&text).unwrap();
        keys.iter().for_each(|key| drop(file["host"].as_object_mut().unwrap().remove(*key)));
        std::fs::write(case.path("tajo.yaml"), file.to_string()).unwrap();
        let code = case.refused();
        std::fs::write(case.path("tajo.yaml"), text).unwrap();
        code
    };
    assert_eq!(without(&["secrets_key"]), "missing-key");
    assert_eq!(without(&["secrets", "secrets_key"]), "no-sealed-file");
    std::fs::set_permissions(case.path("sealed.json"), std::fs::Permissions::from_mode(0o604)).unwrap();
    assert_eq!(case.refused(), "world-readable-secret");
    std::fs::remove_file(case.path("sealed.json")).unwrap();
    assert_eq!(case.refused(), "missing-sealed-file");
}
