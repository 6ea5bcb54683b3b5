//! Text messages. Brevo has no key for them, so there is one attempt: after a call without an answer
//! the text is looked for by its number and tag, and what is not found is an operator's.

use super::Delivery;
use super::lists::is_unknown;
use super::outcome::{End, Letter};
use super::send::{Audience, look_for_it, unproven};
use super::wire::Stop;
use super::work::Work;
use crate::brevo::errors::{Kind, Problem, Remedy};
use crate::brevo::texts;
use crate::brevo::windows::Family;
use crate::registry::{Channel, SendSms, SmsKind};
use crate::store::dead_letters::Actor;
use crate::store::outbox::State;

/// Pages of one read; more means that something is wrong.
const PAGES: usize = 20;
const DAY: i64 = 86_400_000;
/// Days of one read. No limit is documented; the report on mails has 90.
const DAYS: i64 = 90;

impl Delivery {
    pub(super) fn send_sms(&self, work: &mut Work, text: &SendSms) -> Result<End, Stop> {
        if work.intent.sent {
            return self.look_for_text(work);
        }
        let audience = Audience {
            channel: Channel::Sms,
            even_if_opted_out: text.even_if_opted_out,
            opted_in_only: text.kind == SmsKind::Marketing,
        };
        let to = self.reach(work, audience)?;
        let before = self.begin_sending(work, audience)?;
        let call = texts::send(text, &to, work.action.effect);
        let in_family = |problem| Stop::Problem(problem, Family::Texts);
        let result = self.call(&call).and_then(|answer| texts::read_send(&answer).map_err(in_family));
        let stop = match result {
            Ok(()) => return Ok(End::Delivered),
            Err(stop) if is_unknown(&stop) => return Ok(look_for_it(&mut work.intent)),
            Err(stop) => stop,
        };
        before.restore(&mut work.intent);
        Err(match &stop {
            Stop::Problem(Problem { kind: Kind::InvalidPhone, .. }, _) => failed(number_refused()),
            Stop::Problem(problem, _) if problem.kind.rule().remedy == Remedy::GiveUp => {
                failed(text_refused())
            }
            _ => stop,
        })
    }

    fn look_for_text(&self, work: &mut Work) -> Result<End, Stop> {
        let tag = texts::tag(work.action.effect);
        let sent_at = work.intent.sent_at.unwrap_or(work.action.received_at);
        // Today counts, and the report's days may begin in another zone.
        let days = ((self.world.now() - sent_at) / DAY + 2).clamp(2, DAYS);
        for phone in self.addresses(work, Channel::Sms)? {
            match self.is_in_text_report(&phone, days, &tag) {
                Ok(true) => return Ok(End::Delivered),
                Ok(false) => {}
                Err(stop) => return self.look_failed(&mut work.intent, stop, text_unproven),
            }
        }
        Ok(End::Stopped(State::Parked, text_unproven()))
    }

    /// Whether a complete read of what happened to the texts to the number shows one with the tag.
    fn is_in_text_report(&self, phone: &str, days: i64, tag: &str) -> Result<bool, Stop> {
        let in_family = |problem| Stop::Problem(problem, Family::TextReport);
        let mut offset = 0;
        for _ in 0..PAGES {
            let call = texts::list(phone, days, offset);
            let events = texts::read_list(&self.read_on(&call)?).map_err(in_family)?;
            if events.iter().any(|event| event.is_of(phone, tag)) {
                return Ok(true);
            }
            offset += events.len();
            if events.len() < texts::PAGE {
                return Ok(false);
            }
        }
        Err(in_family(Problem { status: 200, kind: Kind::Unexpected }))
    }
}

fn failed(letter: Letter) -> Stop {
    End::Stopped(State::Failed, letter).into()
}

fn text_unproven() -> Letter {
    unproven(
        "Whether Brevo sent the text message could not be proven; it is not sent again by itself.",
        "Look for it in Brevo's SMS log by its number, time and tag; requeue with a confirmed re-send if it is missing and still worth sending.",
    )
}

fn number_refused() -> Letter {
    Letter {
        code: "number-refused",
        actor: Actor::Tenant,
        message: "Brevo does not take the phone number.",
        remedy: "Correct the number at the source (E.164 with country code), then requeue.",
        about: None,
    }
}

fn text_refused() -> Letter {
    Letter {
        code: "text-refused",
        actor: Actor::Tenant,
        message: "Brevo refused the text message.",
        remedy: "Check the sender and the content in the rule, and whether the sender is allowed in the number's country; then requeue.",
        about: None,
    }
}
