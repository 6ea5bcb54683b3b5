//! What no vendor and no account has shown to work so far.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Transaction;

use super::versions::Declared;
use super::{Line, span};
use crate::config::HostConfig;
use crate::contract::SyncMode;
use crate::registry::names;
use crate::store::StoreError;
use crate::store::dead_letters::Actor;
use crate::store::installations::{self, InstallationId};
use crate::store::look::Look;
use crate::store::{jobs, journal, outbox, retention};
use crate::world::Millis;

pub(super) const PART: &str = "surfaces";

/// Every surface, what was read of every connector, and what every Brevo account has taken.
pub(super) fn lines(
    config: &HostConfig,
    declared: &[Declared],
    store: Option<&mut Look>,
    now: Millis,
) -> Vec<Line> {
    let Some(store) = store else {
        let message = "there is no store of this version that would know what came in";
        return vec![
            Line::cannot_tell(PART, "all", message)
                .operator("no-store", "Start the host once, then run this again."),
        ];
    };
    match store.read(Known::of) {
        Ok(known) => known.lines(config, declared, now),
        Err(error) => {
            vec![Line::fails(PART, "all", error.to_string()).operator(error.code(), error.remedy())]
        }
    }
}

/// What the store knows.
struct Known {
    /// By tenant and connector.
    installations: BTreeMap<(String, String), Vec<InstallationId>>,
    webhooks: BTreeMap<(InstallationId, String), Millis>,
    reads: Vec<jobs::LastRead>,
    accepted: BTreeMap<String, BTreeSet<String>>,
}

impl Known {
    fn of(tx: &Transaction<'_>) -> Result<Self, StoreError> {
        let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for row in installations::all(tx)? {
            all.entry((row.tenant, row.connector)).or_default().push(row.id);
        }
        Ok(Self {
            installations: all,
            webhooks: journal::last_arrivals(tx)?,
            reads: jobs::last_reads(tx)?,
            accepted: outbox::accepted_names(tx)?,
        })
    }

    fn lines(&self, config: &HostConfig, declared: &[Declared], now: Millis) -> Vec<Line> {
        let mut lines = Vec::new();
        for one in declared {
            let key = (one.tenant.clone(), one.connector.clone());
            let ids = self.installations.get(&key).map(Vec::as_slice).unwrap_or_default();
            lines.extend(one.profile.surfaces.iter().map(|surface| {
                let last = ids.iter().filter_map(|id| self.webhooks.get(&(*id, surface.name.clone()))).max();
                came(format!("{} / {}: {}", one.tenant, one.connector, surface.name), last.copied(), now)
            }));
            lines.extend(self.read(one, ids));
        }
        let accounts: BTreeSet<&str> =
            config.tenants.iter().map(|tenant| tenant.brevo.account.as_str()).collect();
        lines.extend(accounts.into_iter().map(|account| self.account(account)));
        lines
    }

    /// The resources that are read by themselves; none where there are none.
    fn read(&self, one: &Declared, ids: &[InstallationId]) -> Option<Line> {
        let mut never = Vec::new();
        let mut partly = Vec::new();
        let mut whole = 0;
        let resources = one.profile.resources.iter();
        for resource in resources.filter(|one| one.mode != SyncMode::Check && one.cadence > 0) {
            let reads: Vec<_> = self
                .reads
                .iter()
                .filter(|read| ids.contains(&read.installation) && read.resource == resource.name)
                .collect();
            let results: Vec<_> = reads.iter().filter_map(|read| read.result.as_deref()).collect();
            if results.contains(&"complete") {
                whole += 1;
            } else if results.is_empty() {
                never.push(resource.name.clone());
            } else {
                let code = reads.iter().find_map(|read| read.code.as_deref()).unwrap_or("goes on");
                partly.push(format!("{} ({code})", resource.name));
            }
        }
        let all = whole + never.len() + partly.len();
        if all == 0 {
            return None;
        }
        let name = format!("{} / {}: resources", one.tenant, one.connector);
        let mut message = format!("{whole} of {all} were read completely in their last run");
        for (what, names) in [("never", never), ("not completely", partly)] {
            if !names.is_empty() {
                message.push_str(&format!("; {what}: {}", names.join(", ")));
            }
        }
        if whole == all {
            return Some(Line::holds(PART, name, message));
        }
        let remedy =
            "Let the host work for a while, then look at `harness status`; `harness sync` reads one now.";
        Some(Line::look(PART, name, message).operator("resources-not-read", remedy))
    }

    fn account(&self, account: &str) -> Line {
        let name = format!("Brevo account {account}");
        let none = BTreeSet::new();
        let accepted = self.accepted.get(account).unwrap_or(&none);
        if accepted.is_empty() {
            let remedy = "`harness check` tries the key; `harness plan` shows what is going to be delivered.";
            return Line::look(PART, name, "it has taken nothing of this host that is still remembered")
                .operator("account-unconfirmed", remedy);
        }
        let taken: Vec<_> = names::ALL.into_iter().filter(|name| accepted.contains(*name)).collect();
        let open: Vec<_> = names::ALL.into_iter().filter(|name| !accepted.contains(*name)).collect();
        let rest = match open.as_slice() {
            [] => String::new(),
            open => format!("; not confirmed by it: {}", open.join(", ")),
        };
        Line::holds(PART, name, format!("it has taken {}{rest}", taken.join(", ")))
    }
}

fn came(name: String, last: Option<Millis>, now: Millis) -> Line {
    if let Some(at) = last {
        let message = format!("the last verified webhook came {} ago", span(now.abs_diff(at)));
        return Line::holds(PART, name, message);
    }
    let days = retention::DONE_WEBHOOKS.as_secs() / 86_400;
    let message = format!("no verified webhook is in the journal, which keeps them for {days} days");
    let remedy = "Let the vendor send one to the address that `harness serve` printed, then look again.";
    Line::look(PART, name, message).who("surface-unverified", Actor::Tenant.as_str(), remedy)
}
