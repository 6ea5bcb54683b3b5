//! Campaigns that are sent now, at most once in their life. Only a draft can be sent, which makes
//! asking safe: after a call without an answer and the settle time, a campaign that is a draft was
//! not sent, and any other was.

use super::Delivery;
use super::claim::unreadable;
use super::lists::is_unknown;
use super::outcome::{End, Letter};
use super::send::{look_for_it, unproven};
use super::thing::ThingWork;
use super::track::is_too_old;
use super::wire::Stop;
use crate::brevo::campaigns::{self, Answer, Status};
use crate::brevo::errors::{Problem, Remedy};
use crate::brevo::windows::Family;
use crate::registry::TriggerCampaign;
use crate::store::dead_letters::Actor;
use crate::store::outbox::State;

impl Delivery {
    pub(super) fn trigger_campaign(&self, work: &mut ThingWork, what: &TriggerCampaign) -> Result<End, Stop> {
        if work.subject.1 != what.campaign_id.to_string() {
            return Ok(End::Stopped(State::Refused, unreadable())); // its lane would not be the campaign's
        }
        let id = what.campaign_id;
        let in_family = |problem| Stop::Problem(problem, Family::Campaigns);
        let sent = work.intent.sent;
        let read = self.call(&campaigns::get(id));
        let status = match read.and_then(|answer| campaigns::read_get(&answer).map_err(in_family)) {
            Ok(status) => status,
            Err(stop) if sent => return self.look_failed(&mut work.intent, stop, campaign_unproven),
            Err(stop) => return Err(stop),
        };
        match status {
            None if sent => Ok(End::Stopped(State::Parked, campaign_unproven())),
            None => Ok(End::Stopped(State::Failed, campaign_unknown())),
            Some(Status::Sent | Status::Other) if sent => Ok(End::Delivered),
            Some(Status::Sent) => Ok(End::Over(State::Deduplicated, SENT)),
            Some(Status::Other) => Ok(End::Stopped(State::Failed, campaign_put_aside())),
            Some(Status::Draft) if sent => {
                if is_too_old(&work.action, self.world.now()) {
                    return Ok(End::Over(State::Expired, "too-old"));
                }
                if work.intent.resends >= self.options.policy.resends {
                    return Ok(End::Stopped(State::Parked, campaign_unproven()));
                }
                work.intent.resends += 1;
                self.send_campaign(work, id)
            }
            Some(Status::Draft) => self.send_campaign(work, id),
        }
    }

    fn send_campaign(&self, work: &mut ThingWork, id: i64) -> Result<End, Stop> {
        let before = self.begin_sending_to_many(&work.action, &mut work.intent)?;
        let in_family = |problem| Stop::Problem(problem, Family::Campaigns);
        let answer = self.call(&campaigns::send_now(id));
        let stop = match answer.and_then(|answer| campaigns::read_send_now(&answer).map_err(in_family)) {
            Ok(Answer::Taken) => return Ok(End::Delivered),
            Ok(Answer::SentBefore) if before.sent => return Ok(End::Delivered),
            Ok(Answer::SentBefore) => return Ok(End::Over(State::Deduplicated, SENT)),
            Err(stop) if is_unknown(&stop) => return Ok(look_for_it(&mut work.intent)),
            Ok(Answer::Unknown) => End::Stopped(State::Failed, campaign_unknown()).into(),
            Err(Stop::Problem(Problem { kind, .. }, _)) if kind.rule().remedy == Remedy::GiveUp => {
                End::Stopped(State::Failed, campaign_refused()).into()
            }
            Err(stop) => stop,
        };
        before.restore(&mut work.intent);
        Err(stop)
    }
}

const SENT: &str = "campaign-sent";

fn campaign_unproven() -> Letter {
    unproven(
        "Whether Brevo sent the campaign could not be proven.",
        "Look at the campaign at Brevo; requeue with a confirmed re-send if it is still a draft and worth sending.",
    )
}

fn campaign_unknown() -> Letter {
    Letter {
        code: "campaign-unknown",
        actor: Actor::Tenant,
        message: "Brevo has no e-mail campaign of this number.",
        remedy: "Correct the campaign's number in the rule, then requeue.",
        about: None,
    }
}

fn campaign_put_aside() -> Letter {
    Letter {
        code: "campaign-not-a-draft",
        actor: Actor::Tenant,
        message: "The campaign is suspended, cancelled or archived at Brevo; only a draft is sent.",
        remedy: "Decide at Brevo what becomes of the campaign; requeue once it is a draft.",
        about: None,
    }
}

fn campaign_refused() -> Letter {
    Letter {
        code: "campaign-refused",
        actor: Actor::Tenant,
        message: "Brevo refused to send the campaign.",
        remedy: "Check at Brevo that it has recipients, a sender, a subject and content; then requeue.",
        about: None,
    }
}
