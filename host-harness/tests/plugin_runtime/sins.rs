//! What guests do to the host that runs them: one sin each, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use host_harness::contract::{FailureKind, Position};
use host_harness::plugin::limits::Limits;
use host_harness::plugin::{Runtime, RuntimeOptions};
use host_harness::unit::UnitError;

use crate::guests;
use crate::stage::*;

/// A sin: the guest, the webhook that has it commit the sin (nothing: it does so in its start), and the code
/// of the fault.
pub type Sin = (&'static str, Option<&'static str>, &'static str);

pub const TRAPS: &[Sin] = &[
    ("trap", Some("panic"), "guest-trap"),
    ("trap", Some("unreachable"), "guest-trap"),
    ("trap", Some("out-of-bounds"), "guest-trap"),
    ("trap", Some("exit"), "guest-exit"),
    ("start-unreachable", None, "guest-trap"),
    ("start-out-of-bounds", None, "guest-trap"),
    ("start-divides", None, "guest-trap"),
];

pub const ENDLESS: &[Sin] = &[
    ("endless", Some("loop"), "guest-timeout"),
    ("endless", Some("copy"), "guest-timeout"),
    ("start-loop", None, "guest-timeout"),
    ("start-copies", None, "guest-timeout"),
    ("reentrant", Some("loop"), "guest-timeout"),
];

pub const BOMBS: &[Sin] = &[
    ("memory-bomb", Some("bomb"), "guest-memory"),
    ("first-memory", None, "guest-memory"),
    ("many-memories", None, "guest-memory"),
    ("many-tables", None, "guest-memory"),
    ("many-instances", None, "guest-memory"),
    ("table-bomb", None, "guest-memory"),
];

pub const HUGE: &[Sin] = &[
    ("huge-argument", Some("message"), "guest-output-size"),
    ("huge-argument", Some("value"), "guest-output-size"),
    ("huge-argument", Some("fields"), "guest-output-size"),
    ("huge-argument", Some("long-lie"), "guest-trap"),
    ("huge-argument", Some("many-lie"), "guest-trap"),
    ("huge-argument", Some("wrapping-lie"), "guest-trap"),
    ("huge-result", Some("huge"), "guest-output-size"),
    ("huge-result", Some("million"), "guest-output-size"),
];

pub const OTHERS: &[Sin] = &[
    ("trap", Some("deep"), "guest-stack"),
    ("start-recurses", None, "guest-stack"),
    ("hoarder", Some("hoard"), "guest-handles"),
    ("hoarder", Some("random"), "guest-trap"),
    ("sleeper", Some("sleep"), "guest-sleep"),
    ("reentrant", Some("call"), "guest-trap"),
    ("reentrant", Some("lie"), "guest-trap"),
    ("huge-result", Some("many"), "guest-output"),
    ("wrong-id", Some("other-workspace"), "guest-output"),
    ("wrong-id", Some("undeclared-kind"), "guest-output"),
];

/// Every sin ends as its row says, three times over, and other work goes on in the same engine.
#[track_caller]
fn each_ends(sins: &[Sin]) {
    for (guest, body, code) in sins {
        let plugin = load(guest);
        for _ in 0..3 {
            match body {
                Some(body) => {
                    let (found, message) = fault(run(&plugin, &webhook(body)));
                    assert_eq!(found, *code, "{guest} {body}: {message}");
                    assert!(!message.contains("secret"), "a fault holds nothing of the input: {message}");
                    goes_on(&plugin);
                }
                None => {
                    assert_eq!(start_fault(&plugin), *code, "{guest}");
                    goes_on(&load("calm"));
                }
            }
        }
    }
}

#[test]
fn g01_a_trap_loses_the_unit_and_nothing_else() {
    each_ends(TRAPS);
}

#[test]
fn g02_what_never_ends_is_ended_in_calls_in_starts_and_in_the_longest_instruction() {
    let limits = Limits { wall: Duration::from_millis(500), ..options().limits };
    let runtime = Runtime::new(RuntimeOptions { limits, ..options() }).unwrap();
    for (guest, body, code) in ENDLESS {
        let plugin = runtime.load(&guests::component(guest), &manifest()).unwrap();
        match body {
            Some(body) => assert_eq!(fault(run(&plugin, &webhook(body))).0, *code, "{guest} {body}"),
            None => assert_eq!(start_fault(&plugin), *code, "{guest}"),
        }
    }
    goes_on(&load("endless"));
}

#[test]
fn g03_memories_tables_and_instances_are_bounded() {
    each_ends(BOMBS);
}

/// Runs the test of this name alone in a process of its own, where other tests use no memory.
fn alone(test: &str) -> bool {
    const ALONE: &str = "TEST_RUNS_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", test, "--nocapture"]).env(ALONE, "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "there is no test {test}");
    false
}

/// Most memory that this process ever had, in MiB.
fn peak_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() / 1024
}

#[test]
fn g03_g04_whatever_guests_take_the_process_stays_small() {
    if !alone("sins::g03_g04_whatever_guests_take_the_process_stays_small") {
        return;
    }
    let sins: Vec<&Sin> = BOMBS.iter().chain(HUGE).collect();
    let plugins: Vec<_> = sins.iter().map(|(guest, ..)| load(guest)).collect();
    goes_on(&load("calm"));
    let before = peak_mib();
    for _ in 0..4 {
        for ((_, body, _), plugin) in sins.iter().zip(&plugins) {
            let _ = run(plugin, &webhook(body.unwrap_or("x")));
        }
    }
    let grown = peak_mib().saturating_sub(before);
    // One guest's memory, and twice what may cross the boundary: nothing adds up.
    assert!(grown < 64 + 2 * 16 + 32, "{grown} MiB over {before}");
}

#[test]
fn g04_huge_arguments_and_results_are_refused() {
    each_ends(HUGE);
}

#[test]
fn g05_recursion_without_end_is_a_fault_of_its_record() {
    let plugin = load("poison");
    let outcome = run(&plugin, &webhook("deep\nb")).unwrap();
    let Err(UnitError::Fault { code, .. }) = &outcome.records[0].mapping else { panic!() };
    assert_eq!(code, "guest-stack");
    assert!(outcome.records[1].mapping.is_ok());
}

#[test]
fn g05_recursion_without_end_is_ended_in_calls_and_in_starts() {
    each_ends(&OTHERS[..2]);
    let plugin = load("trap");
    run(&plugin, &webhook("deep-2000")).unwrap();
    // More than half a MiB of frames, and less than two.
    assert_eq!(fault(run(&plugin, &webhook("deep-12000"))).0, "guest-stack");
}

#[test]
fn g06_a_log_flood_is_cut_and_can_forge_nothing() {
    let plugin = load("log-flood");
    let outcome = run(&plugin, &webhook("x")).unwrap();
    assert_eq!(outcome.logs.len(), 1_001);
    assert_eq!(outcome.logs[1_000].message, "49001 lines cut");
    let first = &outcome.logs[0];
    assert_eq!(first.message, "first\\n2026-01-01 ERROR forged\\u{1b}[2J");
    assert!(first.fields[0].1.len() < 4_096);
    for line in &outcome.logs {
        let texts = line.fields.iter().flat_map(|(name, value)| [name, value]).chain([&line.message]);
        assert!(texts.into_iter().all(|text| !text.chars().any(char::is_control)));
    }
    goes_on(&plugin);
}

#[test]
fn g06_long_lines_are_bounded_together_and_what_is_printed_goes_nowhere() {
    let plugin = load("log-flood");
    let outcome = run(&plugin, &webhook("long")).unwrap();
    let (cut, kept) = outcome.logs.split_last().unwrap();
    let size = |line: &host_harness::unit::LogLine| {
        line.message.len() + line.fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    };
    let all: usize = kept.iter().map(size).sum();
    assert!(all <= 256 << 10 && all > 250 << 10, "{all} bytes");
    assert_eq!(cut.message, format!("{} lines cut", 500 - kept.len()));
    let outcome = run(&plugin, &webhook("print")).unwrap();
    assert_eq!(outcome.logs, []);
}

#[test]
fn g07_handles_that_are_never_dropped_are_bounded() {
    each_ends(&OTHERS[2..3]);
    let plugin = load("hoarder");
    run(&plugin, &webhook("hoard-900")).unwrap();
    assert_eq!(fault(run(&plugin, &webhook("hoard-1001"))).0, "guest-handles");
}

#[test]
fn g08_time_in_imports_counts() {
    let limits = Limits { wall: Duration::from_millis(600), ..options().limits };
    let runtime = Runtime::new(RuntimeOptions { limits, ..options() }).unwrap();
    let plugin = runtime.load(&guests::component("crawler"), &manifest()).unwrap();
    let slow = Arc::new(Generous { size: 0, delay: Duration::from_millis(150) });
    let unit = page("{}", "pages", Position::Start);
    assert_eq!(fault(plugin.run(&unit, slow)).0, "guest-timeout");
    goes_on(&plugin);
}

#[test]
fn g08_a_guest_can_not_wait() {
    each_ends(&OTHERS[4..5]);
}

#[test]
fn g08_processor_time_is_limited_apart_from_the_wall_clock() {
    let limits =
        Limits { cpu: Duration::from_millis(300), wall: Duration::from_secs(300), ..options().limits };
    // Three hundred seconds would be waited for in vain: the test would be seen to hang.
    let (code, _) = fault(run(&load_under(limits, "endless"), &webhook("loop")));
    assert_eq!(code, "guest-cpu");
    assert_eq!(start_fault(&load_under(limits, "start-loop")), "guest-cpu");
    // Waiting for the vendor is no computing: twice the processor time passes, and the unit is whole.
    let slow = Arc::new(Generous { size: 0, delay: Duration::from_millis(10) });
    let limits = Limits { wall: options().limits.wall, ..limits };
    let outcome = load_under(limits, "crawler").run(&page("{}", "pages", Position::Start), slow).unwrap();
    assert_eq!((outcome.notes[0].message.as_str(), outcome.notes[0].count), ("unit-budget", 64));
}

#[test]
fn g12_random_bytes_come_in_small_portions() {
    each_ends(&OTHERS[3..4]);
}

#[test]
fn g13_an_import_is_not_entered_again_and_hands_over_nothing_that_has_no_place() {
    each_ends(&OTHERS[5..7]);
}

#[test]
fn g13_a_call_that_is_cut_anywhere_has_no_outcome_at_all() {
    let body = (0..200).map(|n| format!("swap-new k{n} value\nget k{n}")).collect::<Vec<_>>().join("\n");
    let (mut cut, mut whole) = (0, 0);
    for wall in [0, 2, 4, 6, 8, 10, 13].map(|power| Duration::from_micros(200 << power)) {
        let limits = Limits { wall, ..options().limits };
        let plugin = load_under(limits, "store");
        match run(&plugin, &webhook(&body)) {
            Ok(outcome) => {
                whole += 1;
                assert_eq!((outcome.notes.len(), outcome.storage.writes.len()), (400, 200), "{wall:?}");
            }
            Err(UnitError::Fault { code, .. }) => {
                cut += 1;
                assert_eq!(code, "guest-timeout", "{wall:?}");
            }
            other => panic!("{wall:?}: {other:?}"),
        }
        goes_on(&load("calm"));
    }
    assert!(cut > 0 && whole > 0, "{cut} cut, {whole} whole: the walls are no longer around what it takes");
}

#[test]
fn g01_h16_one_poison_record_stops_nobody() {
    let plugin = load("poison");
    let outcome = run(&plugin, &webhook("a\npanic\nb\nfail\nc\nloop\nd\npanic\ne")).unwrap();
    let states: Vec<_> = outcome
        .records
        .iter()
        .map(|mapped| match &mapped.mapping {
            Ok(_) => "ok",
            Err(UnitError::Fault { code, .. }) => code,
            Err(UnitError::Failure(failure)) => {
                assert_eq!(failure.kind, FailureKind::Internal);
                &failure.code
            }
        })
        .collect();
    assert_eq!(
        states,
        ["ok", "guest-trap", "ok", "as-asked", "ok", "guest-timeout", "ok", "guest-trap", "ok"]
    );
}
