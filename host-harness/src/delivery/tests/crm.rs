//! Notes and tasks: made once, or an operator's to decide.

use serde_json::json;

use super::bench::{Bench, MINUTE, START, ada};
use super::fake::{FakeContact, FakeNote, Fault, unless_killed};
use crate::brevo::crm::mark;
use crate::store::dead_letters::{self, RequeueError};
use crate::store::outbox::State;

const HOUR: i64 = 60 * MINUTE;

/// What is made, and on what.
#[derive(Clone, Copy, Debug)]
enum Case {
    NoteOnPerson,
    NoteOnThing,
    TaskOnPerson,
    TaskOnThing,
}

const ALL: [Case; 4] = [Case::NoteOnPerson, Case::NoteOnThing, Case::TaskOnPerson, Case::TaskOnThing];

impl Case {
    fn is_note(self) -> bool {
        matches!(self, Self::NoteOnPerson | Self::NoteOnThing)
    }

    fn on_person(self) -> bool {
        matches!(self, Self::NoteOnPerson | Self::TaskOnPerson)
    }

    fn post(self) -> &'static str {
        if self.is_note() { "POST /crm/notes" } else { "POST /crm/tasks" }
    }

    fn get(self) -> &'static str {
        if self.is_note() { "GET /crm/notes" } else { "GET /crm/tasks" }
    }

    fn admit_until(self, bench: &Bench, not_after: i64) -> i64 {
        let (name, payload) = match self.is_note() {
            true => ("brevo/add-note", json!({ "text": "<p>Hello</p>" })),
            false => {
                ("brevo/create-task", json!({ "name": "Call", "type": "todo", "due_in": 3600, "notes": "n" }))
            }
        };
        match self.on_person() {
            true => bench.admit(name, &ada(), payload, Some(bench.now()), Some(not_after)),
            false => bench.about("alert 1", name, payload, Some(not_after)),
        }
    }

    fn admit(self, bench: &Bench) -> i64 {
        self.admit_until(bench, bench.now() + 24 * HOUR)
    }

    fn made(self, bench: &Bench) -> usize {
        let state = bench.brevo.state();
        if self.is_note() { state.things.notes.len() } else { state.things.tasks.len() }
    }
}

/// A person who is at Brevo, and a task type.
fn bench() -> Bench {
    let bench = Bench::new();
    let email = ada().email;
    bench.brevo.put(FakeContact { email, ext_id: Some("u1".into()), ..FakeContact::default() });
    bench.brevo.state().things.task_types = vec![("t0".into(), "Call".into()), ("t1".into(), "Todo".into())];
    bench
}

fn contact_id(bench: &Bench) -> i64 {
    *bench.brevo.state().contacts.keys().next().unwrap()
}

/// Moves on by less than the settle time.
fn shortly(bench: &Bench) {
    bench.run_until(bench.now() + MINUTE);
}

#[test]
fn each_is_made_once_on_the_contact_where_there_is_one() {
    for case in ALL {
        let bench = bench();
        let id = case.admit(&bench);
        bench.wait(7 * MINUTE);
        bench.run();
        bench.assert_end(id, State::Delivered, "");
        let contacts = if case.on_person() { vec![contact_id(&bench)] } else { Vec::new() };
        let mark = mark(bench.action(id).effect);
        let state = bench.brevo.state();
        if case.is_note() {
            let note = &state.things.notes[0];
            assert_eq!((&note.text, &note.contacts), (&format!("<p>Hello</p><p>{mark}</p>"), &contacts));
        } else {
            let task = &state.things.tasks[0];
            assert_eq!((&task.name, &task.contacts), (&format!("Call ({mark})"), &contacts));
            assert_eq!((task.kind.as_str(), task.notes.as_deref()), ("t1", Some("n")));
            assert_eq!(task.date, "2026-11-23T13:00:00.000Z", "an hour after the record, not after the call");
        }
    }
}

#[test]
fn w10_n05_whatever_any_call_comes_to_nothing_is_made_twice_and_nothing_is_lost() {
    for case in ALL {
        let run = |disturbed: Option<(usize, Fault)>| {
            let bench = bench();
            let id = case.admit(&bench);
            if let Some((at, fault)) = disturbed {
                bench.brevo.state().nth_fault(at, fault);
            }
            while unless_killed(|| bench.run()).is_none() {}
            bench.assert_end(id, State::Delivered, "");
            assert!(bench.letters().is_empty(), "{:?}", bench.letter_codes());
            bench
        };
        let calls = run(None).brevo.calls("");
        for at in 0..calls {
            for fault in [
                Fault::AnswerLost,
                Fault::RequestLost,
                Fault::NotSent,
                Fault::DiesBefore,
                Fault::DiesAfter,
                Fault::DoneBut(502, "<html>".into()),
                Fault::DoneBut(200, "<html>".into()),
                Fault::Answer(503, vec![], String::new()),
                Fault::Answer(404, vec![], "<html>".into()),
                Fault::Answer(429, vec![], "{}".into()),
            ] {
                let bench = run(Some((at, fault.clone())));
                assert_eq!(case.made(&bench), 1, "{case:?}, call {at}, {fault:?}");
            }
        }
    }
}

#[test]
fn n05_nothing_is_made_again_before_brevo_was_read_back() {
    for case in ALL {
        let bench = bench();
        bench.brevo.fault(case.post(), Fault::RequestLost);
        let id = case.admit(&bench);
        let delivery = bench.delivery();
        bench.run_with(&delivery, bench.now() + 14 * MINUTE);
        bench.assert_end(id, State::Parked, "outcome-unknown");
        assert_eq!((bench.brevo.calls(case.post()), bench.brevo.calls(case.get())), (1, 0));
        bench.run_with(&delivery, i64::MAX);
        bench.assert_end(id, State::Delivered, "");
        assert_eq!((bench.brevo.calls(case.post()), bench.brevo.calls(case.get())), (2, 1));
    }
}

#[test]
fn a_reading_back_that_fails_proves_nothing() {
    for case in ALL {
        let bench = bench();
        bench.brevo.fault(case.post(), Fault::AnswerLost);
        let id = case.admit(&bench);
        for body in ["<html>", "{}", r#"[{"text":"no id"}]"#, r#"{"items":null}"#] {
            bench.brevo.fault(case.get(), Fault::Answer(200, vec![], body.into()));
        }
        bench.brevo.fault(case.get(), Fault::Answer(500, vec![], String::new()));
        bench.brevo.fault(case.get(), Fault::RequestLost);
        bench.run();
        bench.assert_end(id, State::Delivered, "");
        assert_eq!(case.made(&bench), 1);
        assert_eq!(bench.brevo.calls(case.get()), 7);
    }
}

#[test]
fn what_can_not_be_read_back_is_an_operators_and_needs_their_word() {
    for case in ALL {
        let bench = bench();
        bench.brevo.fault(case.post(), Fault::AnswerLost);
        for _ in 0..12 {
            bench.brevo.fault(case.get(), Fault::Answer(200, vec![], "<html>".into()));
        }
        let id = case.admit(&bench);
        bench.run();
        unproven(&bench, id);
        assert_eq!(case.made(&bench), 1);
    }
}

/// It is parked, shown, and goes on only by a confirmed re-send.
#[track_caller]
fn unproven(bench: &Bench, id: i64) {
    bench.assert_end(id, State::Parked, "outcome-unproven");
    let letters = bench.letters();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].code.as_str(), letters[0].actor.as_str()), ("outcome-unproven", "operator"));
    let effect = crate::brevo::events::effect_text(bench.action(id).effect);
    assert_eq!(letters[0].pointer, Some(format!("effect:{effect}")));
    assert!(mark(bench.action(id).effect).ends_with(&effect[..13]), "an operator can look for it");
    let refused = bench.store.write(|tx| dead_letters::requeue_action(tx, letters[0].id, false, bench.now()));
    assert!(matches!(refused, Err(RequeueError::NeedsConfirmation(_))));
}

#[test]
fn what_is_lost_again_and_again_is_an_operators() {
    for case in ALL {
        let bench = bench();
        for _ in 0..4 {
            bench.brevo.fault(case.post(), Fault::RequestLost);
        }
        let id = case.admit(&bench);
        bench.run();
        unproven(&bench, id);
        assert_eq!((case.made(&bench), bench.brevo.calls(case.post())), (0, 4));
        bench.requeue(true);
        bench.run();
        bench.assert_end(id, State::Delivered, "");
        assert_eq!(case.made(&bench), 1);
    }
}

fn others(bench: &Bench, count: i64) {
    let mut state = bench.brevo.state();
    let notes = (0..count).map(|n| FakeNote { id: 10_000 + n, text: "other".into(), contacts: Vec::new() });
    state.things.notes.extend(notes);
}

#[test]
fn a_note_is_found_on_a_later_page() {
    let bench = bench();
    bench.brevo.fault("POST /crm/notes", Fault::AnswerLost);
    let id = Case::NoteOnThing.admit(&bench);
    shortly(&bench);
    others(&bench, 120);
    bench.run();
    bench.assert_end(id, State::Delivered, "");
    assert_eq!(bench.brevo.calls("GET /crm/notes"), 3);
    assert_eq!(bench.brevo.state().things.notes.len(), 121);
}

#[test]
fn absence_is_shown_by_reading_to_the_end_and_more_than_can_be_read_is_an_operators() {
    let bench = bench();
    others(&bench, 130);
    bench.brevo.fault("POST /crm/notes", Fault::RequestLost);
    let id = Case::NoteOnThing.admit(&bench);
    bench.run();
    bench.assert_end(id, State::Delivered, "");
    assert_eq!(bench.brevo.calls("GET /crm/notes"), 4, "the last page shows that it is the last");

    others(&bench, 1_000);
    bench.brevo.fault("POST /crm/notes", Fault::RequestLost);
    let id = Case::NoteOnThing.admit(&bench);
    bench.run();
    unproven(&bench, id);
    assert_eq!(bench.brevo.calls("POST /crm/notes"), 3);
}

#[test]
fn rows_that_go_away_while_pages_are_read_hide_no_other() {
    let bench = bench();
    others(&bench, 60);
    bench.brevo.fault("POST /crm/notes", Fault::AnswerLost);
    let id = Case::NoteOnThing.admit(&bench);
    shortly(&bench);
    // As if fifty newer rows had been deleted since the first page: the second is past the note.
    let page: Vec<_> = (0..50).map(|n| json!({ "id": format!("gone {n}"), "text": "other" })).collect();
    bench.brevo.fault("GET /crm/notes", Fault::Answer(200, vec![], json!(page).to_string()));
    bench.run();
    bench.assert_end(id, State::Delivered, "");
    assert_eq!(bench.brevo.calls("POST /crm/notes"), 1, "a read that moved proves nothing");
}

#[test]
fn what_is_not_on_a_contact_that_is_gone_is_not_proven_absent() {
    for case in [Case::NoteOnPerson, Case::TaskOnPerson] {
        let bench = bench();
        bench.brevo.fault(case.post(), Fault::AnswerLost);
        let id = case.admit(&bench);
        shortly(&bench);
        {
            // Merged by hand: the note is now another contact's.
            let mut state = bench.brevo.state();
            state.contacts.clear();
            state.things.notes.iter_mut().for_each(|note| note.contacts = vec![1]);
            state.things.tasks.iter_mut().for_each(|task| task.contacts = vec![1]);
        }
        bench.run();
        unproven(&bench, id);
    }
}

#[test]
fn past_its_time_nothing_is_made_and_what_was_made_is_known() {
    for case in ALL {
        for (fault, end) in [(Fault::AnswerLost, State::Delivered), (Fault::RequestLost, State::Expired)] {
            let bench = bench();
            bench.brevo.fault(case.post(), fault);
            let id = case.admit_until(&bench, bench.now() + 5 * MINUTE);
            bench.run();
            assert_eq!(bench.end(id).0, end, "{case:?}");
            assert_eq!(bench.brevo.calls(case.post()), 1);
        }
        let bench = bench();
        let late = case.admit_until(&bench, bench.now() - 1);
        bench.run();
        bench.assert_end(late, State::Expired, "too-old");
        assert_eq!(bench.brevo.calls(""), 0);
    }
}

#[test]
fn a_note_waits_for_its_contact_and_goes_when_it_is_there() {
    let bench = Bench::new();
    let note = Case::NoteOnPerson.admit(&bench);
    let brief = Case::NoteOnPerson.admit_until(&bench, bench.now() + 5 * MINUTE);
    shortly(&bench);
    bench.assert_end(note, State::Held, "contact-unknown");
    bench.run_until(bench.now() + 10 * MINUTE);
    bench.assert_end(brief, State::Expired, "too-old");
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({}));
    bench.run();
    bench.assert_end(note, State::Delivered, "");
    let contact = contact_id(&bench);
    assert_eq!(bench.brevo.state().things.notes[0].contacts, [contact]);
}

#[test]
fn an_unknown_task_type_is_the_tenants() {
    let bench = bench();
    bench.brevo.state().things.task_types.pop();
    let delivery = bench.delivery();
    let lives = Case::TaskOnThing.admit(&bench);
    let dies = Case::TaskOnPerson.admit_until(&bench, bench.now() + 20 * MINUTE);
    bench.run_with(&delivery, bench.now() + HOUR);
    bench.assert_end(lives, State::Waiting, "task-type-unknown");
    bench.assert_end(dies, State::Expired, "too-old");
    let letters = bench.letters();
    assert_eq!((letters.len(), letters[0].actor.as_str()), (1, "tenant"));
    assert_eq!(letters[0].pointer.as_deref(), Some("task-type:todo"));
    assert!(bench.brevo.calls("GET /crm/tasktypes") <= 5, "not with every task");
    bench.brevo.state().things.task_types.push(("t1".into(), "Todo".into()));
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(lives, State::Delivered, "");
    assert!(bench.letters().is_empty());
    Case::TaskOnThing.admit(&bench);
    let before = bench.brevo.calls("GET /crm/tasktypes");
    bench.run_with(&delivery, i64::MAX);
    assert_eq!(bench.brevo.calls("GET /crm/tasktypes"), before, "known for an hour");
}

#[test]
fn n17_a_key_that_may_not_write_notes_stops_notes_and_tasks_only() {
    let bench = bench();
    let no = || Fault::Answer(403, vec![], r#"{"code":"permission_denied"}"#.into());
    bench.brevo.fault("POST /crm/notes", no());
    let note = Case::NoteOnPerson.admit(&bench);
    let delivery = bench.delivery();
    bench.run_with(&delivery, bench.now());
    bench.assert_end(note, State::Waiting, "brevo-forbidden");
    bench.brevo.fault("POST /events", Fault::RequestLost);
    let event = bench.event(&ada(), "seen");
    let product = bench.about("P", "brevo/upsert-product", json!({ "id": "P", "name": "p" }), None);
    bench.run_with(&delivery, bench.now() + MINUTE);
    bench.assert_end(product, State::Delivered, "");
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(event, State::Delivered, "");
    bench.assert_end(note, State::Delivered, "");
    assert!(bench.letters().is_empty());
}

#[test]
fn a_note_that_brevo_refuses_is_a_letter_and_blocks_nobody() {
    let bench = bench();
    let until = Some(bench.now() + HOUR);
    let poison = bench.admit("brevo/add-note", &ada(), json!({ "text": "poison" }), Some(START), until);
    let next = Case::NoteOnPerson.admit(&bench);
    bench.run();
    bench.assert_end(poison, State::Failed, "brevo-refused");
    bench.assert_end(next, State::Delivered, "");
    assert_eq!(bench.letter_codes(), ["brevo-refused"]);
}
