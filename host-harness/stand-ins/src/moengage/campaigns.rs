//! The campaigns of a workspace, and how they change while somebody pages through them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::rfc3339;

/// One campaign document. Missing members of JSON take those of [`Campaign::default`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Campaign {
    /// Unique for each document; V1 calls it `campaign_id`.
    pub id: String,
    /// Shared by all versions of a campaign. Equals `id` only in a workspace without versions.
    pub campaign_id: String,
    /// In the spelling of V5: `ACTIVE`.
    pub status: String,
    /// `EMAIL`, `PUSH` or `SMS`.
    pub channel: String,
    /// For instance `ONE_TIME`.
    pub campaign_delivery_type: String,
    /// `basic_details.name`.
    pub name: String,
    /// `basic_details.tags`.
    pub tags: Vec<String>,
    /// An address.
    pub created_by: String,
    /// UTC, `2024-07-04 08:00:54.847000`.
    pub created_at: String,
    /// As `created_at`; left out where nobody changed it.
    pub updated_at: Option<String>,
    /// As `created_at`; left out until it is sent.
    pub sent_time: Option<String>,
    /// Makes it a child of a periodic campaign.
    pub parent_id: Option<String>,
    /// Makes it a child: the node of a flow.
    pub flow_id: Option<String>,
    /// Beside `flow_id`.
    pub flow_name: Option<String>,
    /// Laid over the answered object as it is: what else it holds, or something malformed.
    pub extra: Map<String, Value>,
}

impl Default for Campaign {
    fn default() -> Self {
        Self::numbered(0)
    }
}

impl Campaign {
    /// The n-th of a made-up workspace, one a day; its id is the one that generated events name.
    pub fn numbered(n: usize) -> Self {
        let created_at = timestamp(1_780_000_000_000 + n as i64 * 86_400_000);
        let (channel, kind) = if n.is_multiple_of(2) { ("EMAIL", "ONE_TIME") } else { ("PUSH", "PERIODIC") };
        Self {
            id: format!("64a1b2c3d4e5f6a7b8c9d{n:03}"),
            campaign_id: format!("camp_{n:06}"),
            status: "ACTIVE".to_owned(),
            channel: channel.to_owned(),
            campaign_delivery_type: kind.to_owned(),
            name: format!("Campaign {n}"),
            tags: vec!["spring".to_owned()],
            created_by: "marketer@example.com".to_owned(),
            updated_at: Some(created_at.clone()),
            created_at,
            sent_time: None,
            parent_id: None,
            flow_id: None,
            flow_name: None,
            extra: Map::new(),
        }
    }

    /// The n-th execution of this campaign, sent n days after it was made.
    pub fn child(&self, n: usize) -> Self {
        let sent = timestamp(1_780_000_000_000 + n as i64 * 86_400_000);
        Self {
            id: format!("{}{n:04}", self.id.get(..20).unwrap_or(&self.id)),
            campaign_id: format!("{}_{n}", self.campaign_id),
            status: "SENT".to_owned(),
            created_at: sent.clone(),
            sent_time: Some(sent),
            parent_id: Some(self.id.clone()),
            ..self.clone()
        }
    }

    /// Whether a search shows it only with `include_child_campaigns`.
    pub fn is_child(&self) -> bool {
        self.parent_id.is_some() || self.flow_id.is_some()
    }

    /// As V5 shows it: both ids.
    pub(super) fn in_v5(&self) -> Value {
        let mut row = self.common();
        row["id"] = json!(self.id);
        row["campaign_id"] = json!(self.campaign_id);
        row["status"] = json!(self.status);
        self.with_extra(row)
    }

    /// As V1 shows it: one id, and the status as a word (`Active`).
    pub(super) fn in_v1(&self) -> Value {
        let mut row = self.common();
        row["campaign_id"] = json!(self.id);
        row["status"] = json!(self.status_word());
        self.with_extra(row)
    }

    fn common(&self) -> Value {
        let mut row = json!({
            "channel": self.channel, "campaign_delivery_type": self.campaign_delivery_type,
            "created_by": self.created_by, "created_at": self.created_at,
            "basic_details": {"name": self.name, "content_type": "PROMOTIONAL", "tags": self.tags},
        });
        for (key, value) in [
            ("updated_at", &self.updated_at),
            ("sent_time", &self.sent_time),
            ("parent_id", &self.parent_id),
            ("flow_id", &self.flow_id),
            ("flow_name", &self.flow_name),
        ] {
            if let Some(value) = value {
                row[key] = json!(value);
            }
        }
        row
    }

    fn with_extra(&self, mut row: Value) -> Value {
        for (key, value) in &self.extra {
            row[key] = value.clone();
        }
        row
    }
}

/// `2024-07-04 08:00:54.847000`: UTC, but without saying so.
pub(super) fn timestamp(at: crate::clock::Millis) -> String {
    rfc3339(at).replace('T', " ").replace('Z', "000")
}

/// One change of the list; also the body of `POST /_control/campaigns`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Change {
    /// The whole list, in the order in which it is paged.
    Replace(Vec<Campaign>),
    /// At the head, so that everything else moves down by one.
    Insert(Box<Campaign>),
    /// By `id`.
    Delete(String),
    /// Some members of one campaign.
    Update {
        /// Its `id`.
        id: String,
        /// Members of [`Campaign`] and their new values.
        set: Map<String, Value>,
    },
}

/// Why a change can't be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadChange {
    /// There is none of that id.
    #[error("no campaign has the id {0:?}")]
    Unknown(String),
    /// The new values are no campaign's.
    #[error("not a campaign: {0}")]
    Malformed(String),
}

impl Change {
    /// Makes the change.
    pub fn apply(&self, campaigns: &mut Vec<Campaign>) -> Result<(), BadChange> {
        let place = |campaigns: &[Campaign], id: &str| {
            let found = campaigns.iter().position(|campaign| campaign.id == id);
            found.ok_or_else(|| BadChange::Unknown(id.to_owned()))
        };
        match self {
            Self::Replace(all) => *campaigns = all.clone(),
            Self::Insert(campaign) => campaigns.insert(0, campaign.as_ref().clone()),
            Self::Delete(id) => {
                let at = place(campaigns, id)?;
                campaigns.remove(at);
            }
            Self::Update { id, set } => {
                let at = place(campaigns, id)?;
                let malformed = |e: serde_json::Error| BadChange::Malformed(e.to_string());
                let mut value = serde_json::to_value(&campaigns[at]).map_err(malformed)?;
                for (key, new) in set {
                    value[key] = new.clone();
                }
                campaigns[at] = serde_json::from_value(value).map_err(malformed)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn changes_are_json_and_say_what_they_can_t_do() {
        let mut list = vec![Campaign::numbered(1)];
        let apply =
            |text: &str, list: &mut Vec<Campaign>| serde_json::from_str::<Change>(text).unwrap().apply(list);
        apply(r#"{"insert": {"id": "new", "name": "New"}}"#, &mut list).unwrap();
        apply(r#"{"update": {"id": "new", "set": {"status": "PAUSED"}}}"#, &mut list).unwrap();
        assert_eq!(
            (list[0].id.as_str(), list[0].name.as_str(), list[0].status.as_str()),
            ("new", "New", "PAUSED")
        );
        assert_eq!(apply(r#"{"delete": "nobody"}"#, &mut list), Err(BadChange::Unknown("nobody".to_owned())));
        let wrong = apply(r#"{"update": {"id": "new", "set": {"sttus": "PAUSED"}}}"#, &mut list);
        assert!(matches!(wrong, Err(BadChange::Malformed(_))), "{wrong:?}");
        apply(r#"{"delete": "new"}"#, &mut list).unwrap();
        assert_eq!(list, [Campaign::numbered(1)]);
        apply(r#"{"replace": []}"#, &mut list).unwrap();
        assert!(list.is_empty());
    }

    #[test]
    fn extra_members_lie_over_the_documented_ones() {
        let extra = json!({"id": 5, "flow_name": null}).as_object().cloned().unwrap();
        let row = Campaign { extra, ..Campaign::numbered(3) }.in_v5();
        assert_eq!((&row["id"], &row["campaign_id"]), (&json!(5), &json!("camp_000003")));
        assert_eq!(row.get("flow_name"), Some(&Value::Null));
        assert!(row.get("parent_id").is_none());
    }
}
