//! Transactional mail. No second mail ever comes of a call without an answer: within Brevo's window
//! the same key goes again, and Brevo says whether it had it; after the window the mail is looked
//! for, and what is not found is an operator's. That it is not in Brevo's log proves nothing: when
//! a mail is in it is not documented.

use super::Delivery;
use super::lists::is_unknown;
use super::outcome::{Again, End, Letter};
use super::send::{Audience, look_for_it, unproven};
use super::wire::Stop;
use super::work::Work;
use crate::brevo::errors::{Kind, Problem};
use crate::brevo::mails::{self, Answer};
use crate::brevo::windows::Family;
use crate::registry::{Channel, SendEmail};
use crate::store::dead_letters::Actor;
use crate::store::outbox::{OUTCOME_UNKNOWN, State};

/// Pages of one read; more means that something is wrong.
const PAGES: usize = 20;

impl Delivery {
    pub(super) fn send_email(&self, work: &mut Work, mail: &SendEmail) -> Result<End, Stop> {
        if work.intent.look {
            return self.look_for_mail(work);
        }
        if !work.intent.sent {
            return self.try_mail(work, mail);
        }
        if !work.intent.key_is_fresh(self.world.now()) {
            return Ok(look_for_it(&mut work.intent));
        }
        // Whatever forbids or refuses the repeat says nothing of what was sent before.
        let result = self.try_mail(work, mail);
        Ok(match self.end_of(work, result)? {
            end @ (End::Delivered | End::Again(_)) => end,
            _ => look_for_it(&mut work.intent),
        })
    }

    fn try_mail(&self, work: &mut Work, mail: &SendEmail) -> Result<End, Stop> {
        let audience = Audience {
            channel: Channel::Email,
            even_if_opted_out: mail.even_if_opted_out,
            opted_in_only: false,
        };
        let to = self.reach(work, audience)?;
        if work.intent.sent && !work.intent.key_is_fresh(self.world.now()) {
            return Ok(look_for_it(&mut work.intent)); // the window closed during the calls
        }
        let before = self.begin_sending(work, audience)?;
        let call = mails::send(mail, &to, work.action.effect);
        let in_family = |problem| Stop::Problem(problem, Family::Mails);
        let result = self.call(&call).and_then(|answer| mails::read_send(&answer).map_err(in_family));
        let refused = match result {
            Ok(Answer::Taken) => return Ok(End::Delivered),
            Ok(Answer::KeyUsed) if before.sent => return Ok(End::Delivered),
            // This host's key, and not by anything that it remembers: perhaps from before a backup.
            Ok(Answer::KeyUsed) => return Ok(look_for_it(&mut work.intent)),
            Err(stop) if is_unknown(&stop) => return Ok(self.unanswered(work)),
            Ok(Answer::NoTemplate) => template_unknown(),
            Ok(Answer::BadAddress) => address_refused(),
            Err(Stop::Problem(Problem { kind: Kind::Refused, .. }, _)) => mail_refused(),
            Err(stop) => {
                before.restore(&mut work.intent);
                return Err(stop);
            }
        };
        before.restore(&mut work.intent);
        Ok(End::Stopped(State::Failed, refused))
    }

    /// The mail may be sent. It goes again with its key as long as Brevo knows the key.
    fn unanswered(&self, work: &mut Work) -> End {
        let at = self.world.now() + self.backoff(work.action.attempts);
        if work.action.attempts >= self.options.policy.attempts || !work.intent.key_is_fresh(at) {
            return look_for_it(&mut work.intent);
        }
        End::Again(Again { at, code: OUTCOME_UNKNOWN, counted: true })
    }

    fn look_for_mail(&self, work: &mut Work) -> Result<End, Stop> {
        let tag = mails::tag(work.action.effect);
        // It went to the address that held then.
        for address in self.addresses(work, Channel::Email)? {
            match self.is_in_mail_log(&address, &tag) {
                Ok(true) => return Ok(End::Delivered),
                Ok(false) => {}
                Err(stop) => return self.look_failed(&mut work.intent, stop, mail_unproven),
            }
        }
        Ok(End::Stopped(State::Parked, mail_unproven()))
    }

    /// Whether a complete read of the mails to the address shows one with the tag.
    fn is_in_mail_log(&self, address: &str, tag: &str) -> Result<bool, Stop> {
        let in_family = |problem| Stop::Problem(problem, Family::MailList);
        let mut offset = 0;
        for _ in 0..PAGES {
            let page = mails::read_list(&self.read_on(&mails::list(address, offset))?).map_err(in_family)?;
            if page.mails.iter().any(|mail| mail.carries(tag)) {
                return Ok(true);
            }
            offset += page.mails.len();
            if page.mails.len() < mails::PAGE {
                // Short of what was promised is not the end (design rule 12).
                let complete = offset as u64 >= page.count;
                return if complete { Ok(false) } else { Err(in_family(incomplete())) };
            }
        }
        Err(in_family(incomplete()))
    }
}

fn incomplete() -> Problem {
    Problem { status: 200, kind: Kind::Unexpected }
}

fn mail_unproven() -> Letter {
    unproven(
        "Whether Brevo sent the mail could not be proven; it is not sent again by itself.",
        "Look for it in Brevo's transactional log by its tag, tajo- and the effect's key; requeue with a confirmed re-send if it is missing and still worth sending.",
    )
}

fn template_unknown() -> Letter {
    Letter {
        code: "template-unknown",
        actor: Actor::Tenant,
        message: "Brevo has no active template of this number.",
        remedy: "Activate the template at Brevo, or correct its number in the rule; then requeue.",
        about: None,
    }
}

fn address_refused() -> Letter {
    Letter {
        code: "address-refused",
        actor: Actor::Tenant,
        message: "Brevo does not take the e-mail address.",
        remedy: "Correct the address at the source, then requeue.",
        about: None,
    }
}

fn mail_refused() -> Letter {
    Letter {
        code: "mail-refused",
        actor: Actor::ConnectorAuthor,
        message: "Brevo refused the mail as malformed.",
        remedy: "Check the template's parameters in the rule; send the action to the connector's author if they are right.",
        about: None,
    }
}
