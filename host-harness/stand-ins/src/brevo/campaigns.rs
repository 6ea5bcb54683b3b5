//! E-mail campaigns: `GET /emailCampaigns/{id}` and `POST /emailCampaigns/{id}/sendNow`.
//!
//! brevo: OpenAPI file of February 2026. A campaign is sent once; a second `sendNow` is refused
//! with `campaign_processing` or `campaign_sent`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::Brevo;
use super::account::Account;
use super::jobs::Due;
use super::mail::{SENDER, take};
use super::query::Filters;
use super::replies::{error, no_credits, not_found, violation};
use crate::clock::{Millis, rfc3339};
use crate::http::{Reply, Request};

/// brevo: `statistics` of `GET /emailCampaigns/{id}`.
const STATISTICS: &[&str] =
    &["globalStats", "linksStats", "statsByDomain", "statsByDevice", "statsByBrowser"];

/// A campaign that somebody made in Brevo's dashboard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Campaign {
    /// Brevo's number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Lists whose contacts get it.
    pub list_ids: Vec<i64>,
    /// Lists whose contacts don't.
    pub exclusion_list_ids: Vec<i64>,
    /// Where it stands, as long as `sendNow` was not called.
    pub status: CampaignStatus,
}

impl Campaign {
    /// One that was not sent yet.
    pub fn draft(id: i64, list_ids: Vec<i64>) -> Self {
        let (name, exclusion_list_ids) = (format!("Campaign {id}"), Vec::new());
        Self { id, name, list_ids, exclusion_list_ids, status: CampaignStatus::Draft }
    }
}

/// brevo: `status` of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum CampaignStatus {
    Draft,
    Queued,
    InProcess,
    Sent,
    Suspended,
    Archive,
}

/// A `sendNow` that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CampaignSend {
    /// Number of the request.
    pub seq: u64,
    /// When it was accepted, in host time.
    pub at: Millis,
    /// The campaign.
    pub campaign_id: i64,
    /// When it is in process, and its recipients are fixed.
    pub processed_at: Millis,
    /// When it is sent.
    pub sent_at: Millis,
    /// Addresses that get it, in order of contact; empty before it is in process.
    pub recipients: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct Campaigns {
    by_id: BTreeMap<i64, (Campaign, Millis)>,
    pub(super) sends: Vec<CampaignSend>,
}

impl Campaigns {
    pub(super) fn new(campaigns: &[Campaign], at: Millis) -> Self {
        let by_id = campaigns.iter().map(|campaign| (campaign.id, (campaign.clone(), at))).collect();
        Self { by_id, sends: Vec::new() }
    }

    fn last_send(&self, id: i64) -> Option<&CampaignSend> {
        self.sends.iter().rfind(|send| send.campaign_id == id)
    }

    fn status(&self, campaign: &Campaign, now: Millis) -> CampaignStatus {
        match self.last_send(campaign.id) {
            None => campaign.status,
            Some(send) if now < send.processed_at => CampaignStatus::Queued,
            Some(send) if now < send.sent_at => CampaignStatus::InProcess,
            Some(_) => CampaignStatus::Sent,
        }
    }
}

impl Account {
    pub(super) fn read_campaign(&self, request: &Request) -> Reply {
        let (campaign, created_at) = match self.named_campaign(request) {
            Ok(found) => found,
            Err(reply) => return reply,
        };
        if request.query.iter().any(|(name, _)| name != "statistics") {
            return violation("invalid_parameter", "unknown query parameter");
        }
        let only = match Filters(request).one_of("statistics", STATISTICS) {
            Ok(only) => only,
            Err(reply) => return reply,
        };
        let status = self.campaigns.status(campaign, request.at);
        let send = self.campaigns.last_send(campaign.id);
        let sent = send.filter(|_| status == CampaignStatus::Sent);
        let mut body = json!({
            "id": campaign.id, "name": campaign.name, "type": "classic", "status": status,
            "subject": campaign.name, "testSent": false, "header": "", "footer": "",
            "htmlContent": "<p>Campaign</p>", "replyTo": SENDER,
            "sender": {"id": 1, "name": "Example", "email": SENDER},
            "createdAt": rfc3339(*created_at),
            "modifiedAt": rfc3339(send.map_or(*created_at, |send| send.at)),
            "recipients": {"lists": campaign.list_ids, "exclusionLists": campaign.exclusion_list_ids},
            "statistics": statistics(sent.map_or(0, |send| send.recipients.len()), only),
        });
        if let Some(send) = sent {
            body["sentDate"] = json!(rfc3339(send.sent_at));
        }
        Reply::json(200, &body)
    }

    pub(super) fn send_campaign(&mut self, request: &Request) -> Reply {
        if !request.query.is_empty() || !matches!(&request.body[..], b"" | b"{}") {
            return violation("invalid_parameter", "sendNow has neither a query nor a body");
        }
        let campaign = match self.named_campaign(request) {
            Ok((campaign, _)) => campaign.clone(),
            Err(reply) => return reply,
        };
        // The words of these are not documented. That a suspended campaign goes on is the reading
        // that is worst for the sender.
        match self.campaigns.status(&campaign, request.at) {
            CampaignStatus::Draft | CampaignStatus::Suspended => (),
            CampaignStatus::Queued | CampaignStatus::InProcess => {
                return error(400, "campaign_processing", "Campaign is being processed");
            }
            CampaignStatus::Sent | CampaignStatus::Archive => {
                return error(400, "campaign_sent", "Campaign was already sent");
            }
        }
        if campaign.list_ids.is_empty() {
            return error(400, "invalid_parameter", "Campaign has no recipients");
        }
        let people = self.campaign_recipients(&campaign).len() as u64;
        if !take(&mut self.options.email_credits, people) {
            return no_credits();
        }
        let delay = self.options.campaign_delay.as_millis() as Millis;
        let send = CampaignSend {
            seq: request.seq,
            at: request.at,
            campaign_id: campaign.id,
            processed_at: request.at + delay / 2,
            sent_at: request.at + delay,
            recipients: Vec::new(),
        };
        self.jobs.add(send.processed_at, Due::CampaignSend(self.campaigns.sends.len()));
        self.campaigns.sends.push(send);
        Reply::empty(204)
    }

    /// Recipients are those of the lists when the campaign is processed, not when it was asked for.
    pub(super) fn fix_recipients(&mut self, index: usize) {
        let Some(send) = self.campaigns.sends.get(index) else { return };
        let Some((campaign, _)) = self.campaigns.by_id.get(&send.campaign_id) else { return };
        let recipients = self.campaign_recipients(campaign);
        if let Some(send) = self.campaigns.sends.get_mut(index) {
            send.recipients = recipients;
        }
    }

    fn campaign_recipients(&self, campaign: &Campaign) -> Vec<String> {
        let members = |lists: &[i64]| -> BTreeSet<i64> {
            lists.iter().flat_map(|list| self.contacts.memberships.of(*list)).collect()
        };
        let excluded = members(&campaign.exclusion_list_ids);
        let wanted = members(&campaign.list_ids).into_iter().filter(|id| !excluded.contains(id));
        let people = wanted.filter_map(|id| self.contacts.get(id));
        people
            .filter(|contact| !contact.email_blacklisted)
            .filter_map(|contact| contact.email.clone())
            .collect()
    }

    /// The campaign that the path names, and when it was made.
    fn named_campaign(&self, request: &Request) -> Result<&(Campaign, Millis), Reply> {
        let text = request.path.split('/').nth(3).unwrap_or_default();
        let id: i64 =
            text.parse().map_err(|_| violation("invalid_parameter", "the campaign id is not a number"))?;
        self.campaigns.by_id.get(&id).ok_or_else(|| not_found("Campaign ID"))
    }
}

/// brevo: `getExtendedCampaignStats`; with `statistics` only that part.
fn statistics(sent: usize, only: Option<&str>) -> Value {
    let all = json!({
        "globalStats": {
            "sent": sent, "delivered": sent, "hardBounces": 0, "softBounces": 0, "complaints": 0,
            "unsubscriptions": 0, "clickers": 0, "uniqueClicks": 0, "viewed": 0, "uniqueViews": 0,
            "trackableViews": 0, "opensRate": 0.0, "appleMppOpens": 0,
        },
        "campaignStats": [], "linksStats": {}, "mirrorClick": 0, "remaining": 0, "statsByBrowser": {},
        "statsByDevice": {}, "statsByDomain": {},
    });
    match only {
        None => all,
        Some(name) => json!({name: all[name]}),
    }
}

impl Brevo {
    /// Adds a campaign, or replaces the one with its number; what was sent stays sent.
    pub fn put_campaign(&self, campaign: Campaign) {
        let now = self.now();
        self.held(|account| {
            account.campaigns.by_id.insert(campaign.id, (campaign, now));
        });
    }

    /// Every `sendNow` that was accepted, in order: each is a campaign that goes out.
    pub fn campaign_sends(&self) -> Vec<CampaignSend> {
        self.held(|account| account.campaigns.sends.clone())
    }

    /// Where a campaign stands; none where there is no such campaign.
    pub fn campaign_status(&self, id: i64) -> Option<CampaignStatus> {
        let now = self.now();
        self.held(|account| {
            let (campaign, _) = account.campaigns.by_id.get(&id)?;
            Some(account.campaigns.status(campaign, now))
        })
    }
}
