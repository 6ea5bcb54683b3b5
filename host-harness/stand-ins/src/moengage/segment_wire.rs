//! Outbound Segment Sync on the wire: how a destination is set up, and what a request holds.
//!
//! moengage: MD:user-guide/data/exports/segments/outbound-segment-sync.mdx.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::posting::{Auth, BadTarget};

/// Where a segment is synced to, and how: what the dashboard's integration page asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Destination {
    /// `http://` only.
    pub url: String,
    /// None or Basic.
    pub auth: Auth,
    /// Static headers.
    pub headers: Vec<(String, String)>,
    /// Static parameters of the URL.
    pub parameters: Vec<(String, String)>,
    /// `moengage_sync_id`.
    pub sync_id: String,
    /// `moengage_sync_name`: the segment's name when the sync was made; it does not follow a
    /// segment that is renamed.
    pub sync_name: String,
    /// `moengage_integration_id`.
    pub integration_id: String,
    /// Name of the list of users that are added.
    pub add_key: String,
    /// Name of the list of users that are removed.
    pub remove_key: String,
    /// Name of the identifier that was chosen: one attribute of the user.
    pub user_key: String,
    /// Static pairs in each user.
    pub pairs: Vec<(String, String)>,
    /// The throttle, 100 to 10,000. Added and removed ones count alike.
    pub users_per_request: usize,
    /// What becomes of a list without users.
    pub empty_lists: EmptyLists,
    /// What `pagination` counts.
    pub pagination: Pagination,
    /// What the run after a failed one compares with.
    pub after_failure: AfterFailure,
    /// Requests of one run at a time. MoEngage's is not documented.
    pub concurrency: usize,
    /// Real time for one exchange. MoEngage's is not documented.
    #[serde(skip)]
    pub deadline: Duration,
}

impl Default for Destination {
    fn default() -> Self {
        Self {
            url: String::new(),
            auth: Auth::None,
            headers: Vec::new(),
            parameters: Vec::new(),
            sync_id: "65a1b2c3d4e5f6a7b8c9d0e1".to_owned(),
            sync_name: "Lapsed".to_owned(),
            integration_id: "75a1b2c3d4e5f6a7b8c9d0e1".to_owned(),
            add_key: "add_users".to_owned(),
            remove_key: "remove_users".to_owned(),
            user_key: "partner_user_id".to_owned(),
            pairs: Vec::new(),
            users_per_request: 1_000,
            empty_lists: EmptyLists::Sent,
            pagination: Pagination::Chunks,
            after_failure: AfterFailure::LastComplete,
            concurrency: 4,
            deadline: Duration::from_secs(10),
        }
    }
}

/// Both lists may be missing or empty (same page).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptyLists {
    /// As an empty array. A run without any change sends one request with two of them.
    Sent,
    /// Not at all. A run without any change sends nothing.
    LeftOut,
}

/// `pagination` is explained in words that fit no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pagination {
    /// Requests of the run, and which one this is.
    Chunks,
    /// "Pages in the Synced Segment page, which consists of all the previously synced segments":
    /// the same 14 and 12 of the sample in every request.
    DashboardPages,
}

/// Not documented. "The previous sync" may have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterFailure {
    /// With the last complete run: what the failed one sent comes again. Somebody whom the failed
    /// one added and who has left since is then never removed; only a resync of all helps.
    LastComplete,
    /// With the failed one: what it could not send only comes with a resync.
    Failed,
}

/// A user in the segment.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// `moengage_distinct_id`.
    pub moengage_id: String,
    /// Value of the identifier that was chosen. A user whose value is null has none and is not
    /// synced.
    #[serde(default)]
    pub identifier: Value,
}

impl Member {
    /// A member with a text as its identifier.
    pub fn new(moengage_id: &str, identifier: &str) -> Self {
        Self { moengage_id: moengage_id.to_owned(), identifier: json!(identifier) }
    }
}

/// MoEngage's id and identifier.
pub(super) type Row<'a> = (&'a String, &'a Value);

impl Destination {
    /// A destination with the documented names of keys.
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), ..Self::default() }
    }

    pub(super) fn check(&self) -> Result<(), BadTarget> {
        if !(100..=10_000).contains(&self.users_per_request) {
            return Err(BadTarget::Setting("a request holds 100 to 10,000 users"));
        }
        if self.concurrency == 0 {
            return Err(BadTarget::Zero);
        }
        if self.add_key == self.remove_key || [&self.add_key, &self.remove_key].iter().any(|k| k.is_empty()) {
            return Err(BadTarget::Setting("the two lists need a name each"));
        }
        let own = ["moengage_distinct_id", self.user_key.as_str()];
        let clash = self.pairs.iter().any(|(name, _)| own.contains(&name.as_str()));
        if clash || own[0] == own[1] || own[1].is_empty() {
            return Err(BadTarget::Setting("keys of a user differ"));
        }
        Ok(())
    }

    /// The URL with its parameters.
    pub(super) fn target(&self) -> String {
        if self.parameters.is_empty() {
            return self.url.clone();
        }
        let pairs = form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.parameters).finish();
        let mark = if self.url.contains('?') { '&' } else { '?' };
        format!("{}{mark}{pairs}", self.url)
    }

    /// One request; pages count from 1.
    pub(super) fn body(
        &self,
        execution_id: &str,
        (page, pages): (usize, usize),
        add: &[Row<'_>],
        remove: &[Row<'_>],
    ) -> Bytes {
        let (page, pages) = match self.pagination {
            Pagination::Chunks => (page, pages),
            Pagination::DashboardPages => (12, 14),
        };
        let mut data = Map::new();
        for (key, value) in [
            ("moengage_sync_id", self.sync_id.as_str()),
            ("moengage_sync_name", &self.sync_name),
            ("moengage_execution_id", execution_id),
            ("moengage_integration_id", &self.integration_id),
        ] {
            data.insert(key.to_owned(), json!(value));
        }
        for (key, rows) in [(&self.add_key, add), (&self.remove_key, remove)] {
            if !rows.is_empty() || self.empty_lists == EmptyLists::Sent {
                data.insert(key.clone(), rows.iter().map(|row| self.user(*row)).collect());
            }
        }
        let body = json!({
            "type": "segment_sync",
            "pagination": {"total_pages": pages, "page_count": page},
            "data": data,
        });
        body.to_string().into()
    }

    fn user(&self, (moengage_id, identifier): Row<'_>) -> Value {
        let mut user = Map::new();
        user.insert("moengage_distinct_id".to_owned(), json!(moengage_id));
        for (name, value) in &self.pairs {
            user.insert(name.clone(), json!(value));
        }
        user.insert(self.user_key.clone(), identifier.clone());
        Value::Object(user)
    }
}
