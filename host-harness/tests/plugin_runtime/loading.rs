//! What is loaded, and what is not even compiled.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use host_harness::manifest::Manifest;
use host_harness::plugin::limits::Limits;
use host_harness::plugin::{ConfigureError, LoadError, Runtime, RuntimeOptions};
use proptest::prelude::*;

use crate::guests;
use crate::stage::*;

#[test]
fn g14_what_is_no_component_is_refused() {
    let runtime = Runtime::new(options()).unwrap();
    let component = guests::component("calm");
    let refused = |bytes: &[u8]| runtime.load(bytes, &manifest()).err().map(|e| e.code().to_owned());
    assert_eq!(refused(b"").as_deref(), Some("not-a-component"));
    assert_eq!(refused(b"MZ not wasm").as_deref(), Some("not-a-component"));
    assert_eq!(refused(&wat::parse_str("(module)").unwrap()).as_deref(), Some("not-a-component"));
    assert_eq!(refused(&wat::parse_str("(component)").unwrap()).as_deref(), Some("not-a-connector"));
    assert_eq!(refused(&vec![0; 9 << 20]).as_deref(), Some("component-too-large"));
    for cut in (0..component.len()).step_by(component.len() / 64) {
        assert!(refused(&component[..cut]).is_some(), "cut at {cut}");
    }
    goes_on(&runtime.load(&component, &manifest()).unwrap());
}

/// A component with some bytes changed, cut off, doubled or replaced.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..600).prop_map(|bytes| {
        // With the head of a component, so that it is read at all.
        [b"\0asm\x0d\0\x01\0".as_slice(), &bytes].concat()
    });
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    let changed = (changes, any::<bool>()).prop_map(|(changes, near_the_front)| {
        let mut bytes = guests::component("calm");
        let room = if near_the_front { 4_096 } else { bytes.len() };
        for (at, byte) in changes {
            bytes[at.index(room)] = byte;
        }
        bytes
    });
    let ends = (any::<prop::sample::Index>(), any::<prop::sample::Index>());
    let spliced = ends.prop_map(|(from, to)| {
        let bytes = guests::component("calm");
        let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
        [&bytes[..from], &bytes[to..]].concat()
    });
    prop_oneof![1 => noise, 3 => changed, 1 => spliced]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Refused by a code that a person can act on, or a guest like any other, under the same limits.
    #[test]
    fn g14_a_damaged_component_is_refused_or_runs_under_the_limits(bytes in damaged()) {
        static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
            let limits = Limits { wall: Duration::from_millis(300), ..Limits::DEFAULT };
            Runtime::new(RuntimeOptions { limits, ..options() }).unwrap()
        });
        match RUNTIME.load(&bytes, &manifest()) {
            Ok(plugin) => {
                // Whatever comes of it, it comes back.
                let _ = run(&plugin, &webhook("one"));
            }
            Err(error) => {
                let known = ["not-a-component", "not-a-connector", "other-contract", "foreign-imports", "component-compile"];
                prop_assert!(known.contains(&error.code()), "{error}");
                prop_assert!(!error.remedy().is_empty());
            }
        }
    }
}

#[test]
fn g02_a_function_that_nothing_can_interrupt_is_refused() {
    let copies = |count: usize| {
        let body = "(memory.fill (i32.const 0) (i32.const 1) (i32.const 33554432))".repeat(count);
        let text = format!(
            "(component (core module $m (memory 512) (func $start {body}) (start $start)) (core instance (instantiate $m)))"
        );
        guests::beside_calm(&text)
    };
    let runtime = Runtime::new(options()).unwrap();
    let error = runtime.load(&copies(1_025), &manifest()).err().unwrap();
    assert_eq!(error, LoadError::Uninterruptible(1_025));
    assert_eq!((error.code(), error.actor()), ("component-uninterruptible", "connector-author"));
    runtime.load(&copies(1_024), &manifest()).unwrap();
    // Connectors that people write are far from it.
    let embedded = Manifest::parse(host_harness::embedded::MANIFEST).unwrap();
    let limits = Limits { bulk_instructions: 256, ..Limits::DEFAULT };
    let narrow = Runtime::new(RuntimeOptions { limits, ..options() }).unwrap();
    narrow.load(host_harness::embedded::COMPONENT, &embedded).unwrap();
}

#[test]
fn a_component_of_another_contract_is_refused_by_its_version() {
    let runtime = Runtime::new(options()).unwrap();
    let other = wat::parse_str(r#"(component (import "tajo:connector/types@0.2.0" (instance)))"#).unwrap();
    let error = runtime.load(&other, &manifest()).err().unwrap();
    assert_eq!(error, LoadError::OtherContract { found: "0.2.0".into() });
    assert!(error.to_string().contains("0.2.0") && error.to_string().contains("0.1.0"));
    let other = Manifest::parse(&MANIFEST.replace("0.1.0", "0.9.0")).unwrap();
    let error = runtime.load(&guests::component("calm"), &other).err().unwrap();
    assert_eq!(error, LoadError::OtherContract { found: "0.9.0".into() });
    // The right version with a world that is not the contract's.
    let empty = wat::parse_str(r#"(component (import "tajo:connector/types@0.1.0" (instance)))"#).unwrap();
    assert_eq!(runtime.load(&empty, &manifest()).err().unwrap().code(), "not-a-connector");
}

#[test]
fn g15_imports_outside_the_world_are_refused_by_name() {
    let runtime = Runtime::new(options()).unwrap();
    let error = runtime.load(&guests::component("sockets"), &manifest()).err().unwrap();
    let LoadError::ForeignImports(names) = &error else { panic!("{error}") };
    assert!(names.iter().any(|name| name.starts_with("wasi:sockets/tcp@")), "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("wasi:sockets/")), "{names:?}");
    assert_eq!((error.code(), error.actor()), ("foreign-imports", "connector-author"));
    let http = wat::parse_str(
        r#"(component (import "tajo:connector/types@0.1.0" (instance))
            (import "wasi:http/outgoing-handler@0.2.0" (instance)) (import "env" (func)))"#,
    );
    let error = runtime.load(&http.unwrap(), &manifest()).err().unwrap();
    let expected = ["wasi:http/outgoing-handler@0.2.0", "env"].map(String::from).to_vec();
    assert_eq!(error, LoadError::ForeignImports(expected));
    // An interface of the contract's package that the contract doesn't have.
    let more = wat::parse_str(
        r#"(component (import "tajo:connector/types@0.1.0" (instance))
            (import "tajo:connector/secrets@0.1.0" (instance)))"#,
    );
    let error = runtime.load(&more.unwrap(), &manifest()).err().unwrap();
    assert_eq!(error, LoadError::ForeignImports(vec!["tajo:connector/secrets@0.1.0".into()]));
}

#[test]
fn g15_a_profile_stays_within_its_manifest() {
    let plugin = load("overreach");
    let problems = |sin: &str| match plugin.configure(&format!("\"{sin}\"")) {
        Err(ConfigureError::Profile(problems)) => problems,
        other => panic!("{sin}: {other:?}"),
    };
    for sin in ["endpoint", "slot", "scheme", "connector"] {
        let found = problems(sin);
        assert!(found.iter().any(|p| p.code == "profile-beyond-manifest"), "{sin}: {found:?}");
    }
    for sin in ["body-cap", "credential-header", "workspace", "answer", "schema"] {
        let found = problems(sin);
        assert!(found.iter().any(|p| p.code == "profile-against-contract"), "{sin}: {found:?}");
    }
    let Err(ConfigureError::Fault { code, .. }) = plugin.configure("\"silent\"") else { panic!() };
    assert_eq!(code, "guest-output");
    let Err(ConfigureError::Settings(found)) = plugin.configure("\"problems\"") else { panic!() };
    assert_eq!(found.len(), 3, "every problem at once");
    assert_eq!(found[0].path, "a\\u{1b}[2Jb", "and printable");
    assert_eq!(plugin.configure("{}").unwrap().workspace, "w1");
}

#[test]
fn s18_a_swapped_component_is_refused_before_it_is_compiled() {
    let component = guests::component("calm");
    let runtime = Runtime::new(options()).unwrap();
    let digest = host_harness::hex::encode(&runtime.load(&component, &manifest()).unwrap().digest());
    let bound = MANIFEST
        .replace("\"contract\"", &format!("\"component\": {{ \"sha256\": \"{digest}\" }}, \"contract\""));
    let bound = Manifest::parse(&bound).unwrap();
    runtime.load(&component, &bound).unwrap();
    for at in (0..component.len()).step_by(component.len() / 200) {
        let mut tampered = component.clone();
        tampered[at] ^= 1;
        let error = runtime.load(&tampered, &bound).err().unwrap();
        assert!(matches!(&error, LoadError::OtherDigest { .. }), "{error}");
        assert_eq!((error.code(), error.actor()), ("component-digest", "operator"));
    }
}

/// A private directory of compiled code, and a loader that begins anew each time, as a host does.
struct Cached {
    home: tempfile::TempDir,
}

impl Cached {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("code")
    }

    fn options(&self) -> RuntimeOptions {
        RuntimeOptions { cache: Some(self.folder()), ..options() }
    }

    fn load(&self, name: &str) -> host_harness::plugin::Plugin {
        Runtime::new(self.options()).unwrap().load(&guests::component(name), &manifest()).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.folder()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

#[test]
fn s18_compiled_code_is_kept_and_what_was_tampered_with_is_made_anew() {
    let cached = Cached::new();
    goes_on(&cached.load("calm"));
    let files = cached.files();
    assert_eq!(files.len(), 1, "one file, no drafts");
    let mode = |path: &PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&cached.folder()), mode(&files[0])), (0o700, 0o600), "nobody else reads or writes it");
    let whole = std::fs::read(&files[0]).unwrap();
    goes_on(&cached.load("calm"));
    assert!(std::fs::read(&files[0]).unwrap() == whole, "and not written again");
    let tampered = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let middle = whole.len() / 2;
    let changes = [
        whole[..middle].to_vec(),
        vec![],
        tampered(0),
        tampered(32),
        tampered(middle),
        tampered(whole.len() - 1),
    ];
    for bytes in changes {
        std::fs::write(&files[0], &bytes).unwrap();
        goes_on(&cached.load("calm"));
        assert!(std::fs::read(&files[0]).unwrap() != bytes, "compiled anew, and kept");
    }
}

#[test]
fn s18_compiled_code_of_another_component_or_engine_is_not_taken() {
    let cached = Cached::new();
    cached.load("calm");
    let calm = cached.files().remove(0);
    cached.load("trap");
    let trap = cached.files().into_iter().find(|path| *path != calm).unwrap();
    // Under another's name it would run as if it were that one.
    std::fs::copy(&calm, &trap).unwrap();
    assert_eq!(fault(run(&cached.load("trap"), &webhook("panic"))).0, "guest-trap");
    // An engine that counts instructions needs other code.
    let counting = RuntimeOptions { fuel: true, ..cached.options() };
    let plugin = Runtime::new(counting).unwrap().load(&guests::component("calm"), &manifest()).unwrap();
    assert!(run(&plugin, &webhook("x")).unwrap().cost.fuel.unwrap() > 0);
    assert_eq!(cached.files().len(), 3, "named by component and engine");
}

#[test]
fn s18_a_cache_that_others_can_write_is_not_used() {
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o770)).unwrap();
    let options = RuntimeOptions { cache: Some(home.path().to_owned()), ..options() };
    assert_eq!(Runtime::new(options.clone()).err().unwrap().code(), "code-cache-unusable");
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    Runtime::new(options.clone()).unwrap();
    // A link may lead to where others can write.
    let link = home.path().join("link");
    std::os::unix::fs::symlink(home.path(), &link).unwrap();
    let linked = RuntimeOptions { cache: Some(link), ..options };
    assert_eq!(Runtime::new(linked).err().unwrap().code(), "code-cache-unusable");
}
