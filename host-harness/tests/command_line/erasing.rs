//! `harness erase people`, beside a host that serves and without one.

use serde_json::json;

use super::bench::{Bench, CANARY};
use super::{batch, event, now_s};

#[test]
fn d18_a_person_is_erased_beside_a_running_host_and_nothing_of_them_is_logged_or_shown() {
    let bench = Bench::new();
    let serving = bench.serve();
    let secret = format!("{CANARY}-webhook");
    let known = [
        event("6f6ab9cf-0000-4000-8000-000000000011", "ann@example.com", now_s()),
        event("6f6ab9cf-0000-4000-8000-000000000012", "bob@example.com", now_s()),
    ];
    // Aliases name one person each.
    let known = known.map(|mut one| {
        one["user_attributes"]["moengage_user_id"] = one["uid"].clone();
        one
    });
    assert_eq!(serving.post(&batch(&known), &secret), 200);
    bench
        .wait_for(|one| one["sums"]["queued"] == 0 && one["sums"]["states"]["delivered"].as_i64() >= Some(2));
    let names = bench.directory.path().join("names.txt");
    std::fs::write(&names, "Ann@example.com\n\n").unwrap();
    let names = names.to_str().unwrap();
    let order = ["erase", "people", "--by", "email", "--from", names, "--behavior", "hard"];

    // Nobody can answer, so nothing is done; and it is said that it can't be undone.
    let refused = bench.with_config(&order);
    assert_eq!(refused.code, 2, "{} {}", refused.out, refused.err);
    assert!(
        refused.err.contains("CAN'T BE UNDONE") && refused.err.contains("not-confirmed"),
        "{}",
        refused.err
    );
    assert!(refused.err.contains("1 known here"), "{}", refused.err);
    assert!(bench.brevo.contact_by_email("ann@example.com").is_some());

    let done = bench.with_config(&[&order[..], &["--yes", "--json"]].concat());
    assert_eq!(done.code, 0, "{} {}", done.out, done.err);
    let shown = done.json();
    assert_eq!(shown["deletions"][0]["state"], "delivered", "{shown}");
    assert_eq!((&shown["deletions"][0]["was"], &shown["host_serves"]), (&json!("known"), &json!(true)));
    assert!(bench.brevo.contact_by_email("ann@example.com").is_none());
    assert!(bench.brevo.contact_by_email("bob@example.com").is_some());

    // The vendor's retries bring nobody back.
    let again = event("6f6ab9cf-0000-4000-8000-000000000013", "ann@example.com", now_s());
    assert_eq!(serving.post(&batch(&[again]), &secret), 200);
    bench.wait_for(|one| one["sums"]["skipped"]["person-erased"].as_i64() >= Some(1));
    assert!(bench.brevo.contact_by_email("ann@example.com").is_none());
    assert_eq!(serving.stop(), Some(0));
    let log = bench.log();
    for hidden in ["ann@example.com", "Ann@example.com", "uid-"] {
        for text in [&log, &refused.out, &refused.err, &done.out, &done.err] {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
    }
    assert!(log.contains("a person was erased"), "{log}");
}

#[test]
fn without_a_host_a_deletion_waits_for_the_next_one() {
    let bench = Bench::new();
    let serving = bench.serve();
    bench.wait_for(|one| one["adds_up"] == true);
    assert_eq!(serving.stop(), Some(0));
    let names = bench.directory.path().join("names.txt");
    std::fs::write(&names, "uid-1\nuid-2\n").unwrap();
    let from = ["--from", names.to_str().unwrap(), "--by", "external-id"];
    let soft = bench.with_config(&[&["erase", "people", "--yes"], &from[..]].concat());
    assert!(soft.code == 1 && soft.err.contains("unknown-person"), "{} {}", soft.out, soft.err);
    let hard = bench.with_config(&[&["erase", "people", "--yes", "--behavior", "hard"], &from[..]].concat());
    assert_eq!(hard.code, 0, "{} {}", hard.out, hard.err);
    assert_eq!(hard.out.matches("waits for the next `harness serve`").count(), 2, "{}", hard.out);
    let serving = bench.serve();
    bench.wait_for(|one| one["sums"]["states"]["deduplicated"] == 2);
    assert_eq!(serving.stop(), Some(0));

    let bad =
        bench.with_config(&["erase", "people", "--yes", "--by", "email", "--from", names.to_str().unwrap()]);
    assert!(bad.code == 2 && bad.err.contains("line 1") && !bad.err.contains("uid-1"), "{}", bad.err);
    assert_eq!(bench.with_config(&["erase", "held", "--json"]).json(), json!({ "held": [] }));
    let none = bench.with_config(&["erase", "release"]);
    assert!(none.code == 1 && none.err.contains("nothing-held"), "{}", none.err);
    let back = bench.with_config(&[&["erase", "readmit", "--json"], &from[..]].concat());
    assert_eq!((back.code, back.json()), (0, json!({ "named": 2, "readmitted": 2 })), "{}", back.err);
}
