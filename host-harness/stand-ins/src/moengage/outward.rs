//! What is pushed beside streams, and a person's calls for it under `/_control`.

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::alerts::{Alert, AlertTarget, Alerts};
use super::connector_campaign::{Connector, ConnectorCampaign};
use super::options::Options;
use super::posting::BadTarget;
use super::segment_sync::{Destination, Member, RunKind, SegmentSync};
use super::users::User;
use super::workspace::read;
use crate::clock::Clock;
use crate::http::Reply;

/// Everything that was set up, in order; a number counts from 0.
#[derive(Default)]
pub(super) struct Outward {
    /// Known once the stand-in runs.
    pub(super) runs_on: Option<(Clock, Handle)>,
    syncs: Vec<SegmentSync>,
    alerts: Vec<Alerts>,
    connectors: Vec<ConnectorCampaign>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSync {
    destination: Destination,
    #[serde(default)]
    members: Vec<Member>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    #[serde(default)]
    sync: usize,
    #[serde(default)]
    put: Vec<Member>,
    #[serde(default)]
    remove: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StartRun {
    #[serde(default)]
    sync: usize,
    kind: RunKind,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trigger {
    #[serde(default)]
    webhook: usize,
    /// Either a new alert, or the number of one that is sent again.
    alert: Option<Alert>,
    again: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    #[serde(default)]
    connector: usize,
    /// Either users, or the number of a batch that is rerun.
    users: Option<Vec<User>>,
    rerun: Option<usize>,
}

impl Outward {
    pub(super) fn sync(&mut self, destination: Destination) -> Result<SegmentSync, BadTarget> {
        let (clock, runtime) = self.runs_on()?;
        let sync = SegmentSync::new(destination, clock, runtime)?;
        self.syncs.push(sync.clone());
        Ok(sync)
    }

    pub(super) fn webhook(&mut self, target: AlertTarget, options: &Options) -> Result<Alerts, BadTarget> {
        let (clock, runtime) = self.runs_on()?;
        let key = options.campaigns_key.as_deref();
        let alerts = Alerts::new(target, key, &options.workspace_id, clock, runtime)?;
        self.alerts.push(alerts.clone());
        Ok(alerts)
    }

    pub(super) fn connector(&mut self, connector: Connector) -> Result<ConnectorCampaign, BadTarget> {
        let (clock, runtime) = self.runs_on()?;
        let campaign = ConnectorCampaign::new(connector, clock, runtime)?;
        self.connectors.push(campaign.clone());
        Ok(campaign)
    }

    fn runs_on(&self) -> Result<(Clock, Handle), BadTarget> {
        self.runs_on.clone().ok_or(BadTarget::Setting("the stand-in does not run yet"))
    }

    pub(super) fn state(&self) -> Value {
        json!({
            "segment_syncs": self.syncs.iter().map(SegmentSync::summary).collect::<Vec<_>>(),
            "alerts": self.alerts.iter().map(Alerts::sent).collect::<Vec<_>>(),
            "connectors": self.connectors.iter().map(ConnectorCampaign::sent).collect::<Vec<_>>(),
        })
    }

    /// A person's call; none where the name is not one of these.
    pub(super) fn control(&mut self, call: &str, body: &Value, options: &Options) -> Option<Reply> {
        let done = match call {
            "segment-syncs" => self.add_sync(body),
            "segment-members" => self.change_members(body),
            "segment-runs" => self.start_run(body),
            "alert-webhooks" => read(body)
                .and_then(|target| self.webhook(target, options).map_err(|e| e.to_string()))
                .map(|_| json!({"webhook": self.alerts.len() - 1})),
            "alerts" => self.trigger(body),
            "connectors" => read(body)
                .and_then(|connector| self.connector(connector).map_err(|e| e.to_string()))
                .map(|_| json!({"connector": self.connectors.len() - 1})),
            "connector-batches" => self.batch(body),
            _ => return None,
        };
        Some(match done {
            Ok(answer) => Reply::json(202, &answer),
            Err(message) => Reply::json(400, &json!({"error": message})),
        })
    }

    fn add_sync(&mut self, body: &Value) -> Result<Value, String> {
        let NewSync { destination, members } = read(body)?;
        self.sync(destination).map_err(|e| e.to_string())?.put(members);
        Ok(json!({"sync": self.syncs.len() - 1}))
    }

    fn change_members(&self, body: &Value) -> Result<Value, String> {
        let Members { sync, put, remove } = read(body)?;
        let sync = self.syncs.get(sync).ok_or("no such sync")?;
        sync.put(put);
        sync.remove(remove.iter().map(String::as_str));
        Ok(json!({"members": sync.members().len()}))
    }

    fn start_run(&self, body: &Value) -> Result<Value, String> {
        let StartRun { sync, kind } = read(body)?;
        let sync = self.syncs.get(sync).ok_or("no such sync")?;
        let execution_id = sync.run(kind).map_err(|e| e.to_string())?;
        Ok(json!({"execution_id": execution_id}))
    }

    fn trigger(&self, body: &Value) -> Result<Value, String> {
        let Trigger { webhook, alert, again } = read(body)?;
        let webhook = self.alerts.get(webhook).ok_or("no such webhook")?;
        let number = match (alert, again) {
            (Some(alert), None) => webhook.send(&alert),
            (None, Some(number)) => webhook.resend(number).ok_or("no such alert")?,
            _ => return Err("either alert or again".to_owned()),
        };
        Ok(json!({"alert": number}))
    }

    fn batch(&self, body: &Value) -> Result<Value, String> {
        let Batch { connector, users, rerun } = read(body)?;
        let campaign = self.connectors.get(connector).ok_or("no such connector")?;
        let batch = match (users, rerun) {
            (Some(users), None) => campaign.send(users),
            (None, Some(batch)) if campaign.rerun(batch) => batch,
            (None, Some(_)) => return Err("no such batch".to_owned()),
            _ => return Err("either users or rerun".to_owned()),
        };
        Ok(json!({"batch": batch}))
    }
}
