//! Notes and tasks: made once. After a call without an answer nothing is made again before Brevo was
//! read back: what is found was delivered, what a *complete* read doesn't show is made again, a few
//! times, and everything else is an operator's to decide.

use std::sync::PoisonError;

use super::outcome::{Again, End, Letter, about_calls, write_letter};
use super::thing::ThingWork;
use super::track::is_too_old;
use super::wire::Stop;
use super::work::{Intent, Work};
use super::{Delivery, lists, millis};
use crate::brevo::account::Call;
use crate::brevo::contacts::Name;
use crate::brevo::crm::{self, Shelf};
use crate::brevo::errors::{Kind, Problem};
use crate::brevo::windows::Family;
use crate::registry::{AddNote, CreateTask};
use crate::store::dead_letters::Actor;
use crate::store::outbox::{Action, CONTACT_GONE, OUTCOME_UNPROVEN, State, held};
use crate::world::Millis;

/// Pages of one read; more prove nothing, because every call is one of a hundred in an hour.
const PAGES: usize = 20;

const TYPE_UNKNOWN: &str = "task-type-unknown";

/// What is to be made.
#[derive(Clone, Copy)]
enum What<'a> {
    Note(&'a AddNote),
    Task(&'a CreateTask),
}

/// What reading back came to.
enum Proof {
    There,
    Absent,
    /// There was too much to read it all, or the contact that it would be on is gone.
    None,
}

impl Delivery {
    pub(super) fn note_on_contact(&self, work: &mut Work, note: &AddNote) -> Result<End, Stop> {
        self.on_contact(work, What::Note(note))
    }

    pub(super) fn task_on_contact(&self, work: &mut Work, task: &CreateTask) -> Result<End, Stop> {
        self.on_contact(work, What::Task(task))
    }

    pub(super) fn note(&self, work: &mut ThingWork, note: &AddNote) -> Result<End, Stop> {
        let result = self.once(&work.action, &mut work.intent, What::Note(note), None);
        self.made_or_unproven(&work.action, &work.intent, result)
    }

    pub(super) fn task(&self, work: &mut ThingWork, task: &CreateTask) -> Result<End, Stop> {
        let result = self.once(&work.action, &mut work.intent, What::Task(task), None);
        self.made_or_unproven(&work.action, &work.intent, result)
    }

    fn on_contact(&self, work: &mut Work, what: What<'_>) -> Result<End, Stop> {
        let result = match self.contact_of(work) {
            Ok(Some(contact)) => self.once(&work.action, &mut work.intent, what, Some(contact)),
            Ok(None) => Ok(End::Held(held::CONTACT_UNKNOWN)),
            Err(stop) => Err(stop),
        };
        self.made_or_unproven(&work.action, &work.intent, result)
    }

    fn once(
        &self,
        action: &Action,
        intent: &mut Intent,
        what: What<'_>,
        contact: Option<i64>,
    ) -> Result<End, Stop> {
        let mark = crm::mark(action.effect);
        if intent.sent {
            match self.look_for(what, intent.contact.or(contact), &mark)? {
                Proof::There => return Ok(End::Delivered),
                Proof::Absent if intent.resends < self.options.policy.resends => {
                    intent.resends += 1;
                    intent.sent = false;
                }
                Proof::Absent | Proof::None => return Ok(End::Stopped(State::Parked, unproven())),
            }
        }
        let call = match what {
            What::Note(note) => crm::add_note(note, &mark, contact),
            What::Task(task) => self.task_call(action, task, &mark, contact)?,
        };
        if is_too_old(action, self.world.now()) {
            return Ok(End::Over(State::Expired, "too-old"));
        }
        intent.contact = contact;
        let made = self.call(&call).and_then(|answer| crm::read_made(&answer).map_err(in_family));
        match made {
            Ok(()) => Ok(End::Delivered),
            Err(stop) if lists::is_unknown(&stop) => {
                intent.sent = true;
                Ok(End::ReadBack)
            }
            Err(stop) => Err(stop),
        }
    }

    /// Whatever stops the work on something that may be at Brevo leaves its outcome unproven: a
    /// requeue of it needs an operator's word.
    fn made_or_unproven(
        &self,
        action: &Action,
        intent: &Intent,
        result: Result<End, Stop>,
    ) -> Result<End, Stop> {
        let end = match result {
            Ok(end) => end,
            Err(stop) => self.end_of_stop(action, stop)?,
        };
        if matches!(end, End::Delivered) {
            let now = self.world.now();
            self.store.write(|tx| self.resolve_about(tx, &about_calls(Family::Crm), now))?;
        }
        Ok(match end {
            End::Stopped(_, letter) if intent.sent && letter.code != CONTACT_GONE => {
                End::Stopped(State::Parked, unproven())
            }
            end => end,
        })
    }

    /// Reads back until it is found, or everything was read. Pages overlap by a row, so that a row
    /// which goes away in between makes the read fail instead of hiding another.
    fn look_for(&self, what: What<'_>, contact: Option<i64>, mark: &str) -> Result<Proof, Stop> {
        let shelf = match what {
            What::Note(_) => Shelf::Notes(contact),
            What::Task(_) => Shelf::Tasks(contact),
        };
        let (mut offset, mut last) = (0, None::<String>);
        for _ in 0..PAGES {
            let rows = shelf.read(&self.call(&shelf.page(offset))?).map_err(in_family)?;
            if rows.iter().any(|row| row.bears(mark)) {
                return Ok(Proof::There);
            }
            if last.as_ref().is_some_and(|last| !rows.iter().any(|row| row.id == *last)) {
                return Err(in_family(Problem { status: 200, kind: Kind::Unexpected }));
            }
            let Some(end) = rows.last() else { return self.absent_from(contact) };
            if rows.len() == 1 && last.as_ref() == Some(&end.id) {
                return self.absent_from(contact);
            }
            offset += rows.len() - 1;
            last = Some(end.id.clone());
        }
        Ok(Proof::None)
    }

    /// What isn't on a contact that is gone may be on the one that it was merged into.
    fn absent_from(&self, contact: Option<i64>) -> Result<Proof, Stop> {
        Ok(match contact {
            Some(id) if self.get_contact(Name::Id(id))?.is_none() => Proof::None,
            _ => Proof::Absent,
        })
    }

    fn task_call(
        &self,
        action: &Action,
        task: &CreateTask,
        mark: &str,
        contact: Option<i64>,
    ) -> Result<Call, Stop> {
        let kind = self.task_type(action, task.kind.trim())?;
        let due = action.time().saturating_add(i64::from(task.due_in) * 1_000);
        crm::create_task(task, &kind, due, mark, contact)
            .ok_or_else(|| End::Stopped(State::Failed, undatable()).into())
    }

    /// Brevo's id of a task type. They are read once an hour, and again after a while where one is
    /// missing; until then its tasks wait.
    fn task_type(&self, action: &Action, title: &str) -> Result<String, Stop> {
        let now = self.world.now();
        let policy = &self.options.policy;
        let is_it = |known: &&crm::TaskType| known.title.trim().eq_ignore_ascii_case(title);
        let known = self.task_types.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, types)) = known {
            match types.iter().find(is_it) {
                Some(found) if now - at < millis(policy.schema_age) => return Ok(found.id.clone()),
                None if now - at < millis(policy.pause) => {
                    return Err(wait_for_type(at + millis(policy.pause)).into());
                }
                _ => {}
            }
        }
        let types = crm::read_task_types(&self.call(&crm::task_types())?).map_err(in_family)?;
        let found = types.iter().find(is_it).map(|found| found.id.clone());
        *self.task_types.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, types));
        match found {
            Some(id) => {
                self.store.write(|tx| self.resolve_about(tx, &about_type(title), now))?;
                Ok(id)
            }
            None => {
                let letter = type_unknown(title);
                self.store.write(|tx| write_letter(tx, action, &letter, now))?;
                Err(wait_for_type(now + millis(policy.pause)).into())
            }
        }
    }
}

fn in_family(problem: Problem) -> Stop {
    Stop::Problem(problem, Family::Crm)
}

fn wait_for_type(at: Millis) -> End {
    End::Again(Again { at, code: TYPE_UNKNOWN, counted: false })
}

fn about_type(title: &str) -> String {
    format!("task-type:{title}")
}

fn type_unknown(title: &str) -> Letter {
    Letter {
        code: TYPE_UNKNOWN,
        actor: Actor::Tenant,
        message: "The Brevo account has no task type of this name; its tasks wait until they are too old.",
        remedy: "Make the task type at Brevo, or name one that is there in the settings; tasks go on by themselves.",
        about: Some(about_type(title)),
    }
}

fn undatable() -> Letter {
    Letter {
        code: "task-without-date",
        actor: Actor::ConnectorAuthor,
        message: "The time at which the task is due can't be written as a date.",
        remedy: "Send the action to the connector's author.",
        about: None,
    }
}

fn unproven() -> Letter {
    Letter {
        code: OUTCOME_UNPROVEN,
        actor: Actor::Operator,
        message: "Whether Brevo has the note or task could not be proven.",
        remedy: "Look for it at Brevo by its mark, tajo- and the first 13 characters of the effect; requeue with a confirmed re-send if it is missing.",
        about: None,
    }
}
