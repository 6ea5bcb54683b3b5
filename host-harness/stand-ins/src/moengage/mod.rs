//! A stand-in for one MoEngage workspace.
//!
//! Written from MoEngage's documentation repository (`MD:`, github
//! `moengage/moengage-documentation`) and its OpenAPI files of August 2026.
//!
//! - The pushing side: [`streams`] sends batches to a target with the documented retries;
//!   [`generator`] makes batches and says exactly what is in them. [`segment_sync`] pushes who is in
//!   a segment, [`alerts`] are signed, [`connector_campaign`] sends a marketer's own requests. Each
//!   keeps what it sent and what was taken.
//! - The exporting side: [`exports`] puts the same history into files of a [`crate::bucket`];
//!   [`bulk`] writes very many records to disk.
//! - The reading side: the calls below. Each family of calls is a file with a table of its own;
//!   each call needs Basic (workspace and the family's key) and `MOE-APPKEY`, and takes places of
//!   the documented rate windows.
//!
//! | calls | key |
//! |---|---|
//! | `POST /v1.0/data/fileimports/import/status`, `.../import/run/history` | Data |
//! | `POST /v1/customers/export` | Data |
//! | `GET /v5/subscription-categories`, `GET /v5/subscription-preferences` | Data |
//! | `POST /core-services/v1/campaigns/search`, `.../meta`, `.../{parent_campaign_id}/executions` | campaigns |
//! | `POST /v5/campaigns/search`, `POST /v5/campaigns/meta`, `GET /v5/campaigns/{campaign_id}` | campaigns |
//! | `POST /core-services/v1/campaign-stats` | campaigns |
//! | `GET /campaign_reports/rest_api/{app_id}/{filename}` | campaigns, in a signature |
//! | `GET /v2/email-templates`, `GET /v2/email-templates/{id}` | campaigns |
//! | `POST /v1.0/custom-templates/{channel}/search`: `email`, `sms`, `push`, `osm`, `inapp` | campaigns |
//! | `POST /v1/catalog/{catalog_id}/items/search`, `POST /v1/cards/fetch` | campaigns |
//! | `GET /v1/coupon-list`, `GET /v1/coupon-list/{coupon_list_id}`: never a code | campaigns |
//! | `GET /v1/recommendations/{recommendations_id}`, `POST .../items` | campaigns |
//! | `POST /v5/flows/search`, `GET /v5/flows/{id}`, `.../versions/{version}`, `.../analytics`, `.../analytics/channels/{channel}` | campaigns |
//! | `POST /v1/external/campaigns/content-blocks/search`, `.../get-by-ids` | campaigns |
//! | `POST /v1.0/business_event/search`, `GET /v5/business-events`, `POST /v5/business-events/search` | campaigns |
//! | `GET /v5/offers`, `GET /v5/offers/templates` | campaigns |
//! | `GET /v5/locales` | campaigns |
//! | `GET /v5/analytics/dashboards`, `.../{id}/charts`, `.../charts/{chart}` | campaigns |
//! | `GET /v3/custom-segments`, `GET /v3/custom-segments/{id}` | segmentation |
//!
//! What is only read lies in tables of rows ([`Table`]) that a test or a person can set; figures of
//! campaigns are restated one by one ([`Figures`]). Lists with a cursor misbehave on demand
//! ([`CursorQuirks`]), and so do pages by number ([`PageQuirks`]); where the documents contradict each other the
//! workspace follows one of the readings ([`Readings`]).

pub mod alerts;
mod archives;
mod batch;
pub mod bulk;
mod business_events;
mod campaign_reads;
mod campaigns;
mod cards;
mod catalogs;
mod codes;
pub mod connector_campaign;
mod content_blocks;
mod coupons;
mod cursors;
mod dashboards;
mod email_templates;
mod envelopes;
pub mod exports;
mod figures;
mod flow_analytics;
mod flows;
pub mod generator;
mod imports;
mod locales;
mod offers;
mod options;
mod outward;
mod pages;
mod person;
pub mod posting;
mod readings;
mod recommendations;
mod reports;
mod routes;
mod rows;
mod search;
mod segment_runs;
pub mod segment_sync;
mod segment_wire;
mod segments;
mod stats;
pub mod streams;
mod subscriptions;
mod templates;
mod truth;
mod users;
mod workspace;

use std::io;

use alerts::{AlertTarget, Alerts};
use connector_campaign::{Connector, ConnectorCampaign};
use segment_sync::{Destination, SegmentSync};
use serde::Deserialize;

pub use archives::{gzip, zip};
pub use campaigns::{BadChange, Campaign, Change};
pub use cursors::{CursorQuirks, LastPage, PlannedRows};
pub use figures::Figures;
pub use generator::{Generated, Generator, Truth};
pub use options::{Access, Family, FieldNames, GetUser, Options, Reset};
pub use pages::{Absent, NoSuchCall, PageQuirks};
pub use readings::{Readings, SegmentById};
pub use reports::Report;
pub use rows::{RowChange, Table};
pub use search::{Planned, SearchQuirks};
pub use streams::{Stream, Target};
pub use users::User;

use crate::clock::Millis;
use crate::faults::Faults;
use crate::http::Server;
use crate::journal::{Journal, Violation};
use streams::BadTarget;
use workspace::Workspace;

/// A running stand-in. Stops, with its streams, when it is dropped.
pub struct MoEngage {
    server: Server<Workspace>,
}

/// Body of `POST /_control/push`. The generator's `now_s` is the stand-in's clock where it is 0.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// Target, `http://` only.
    pub url: String,
    /// User of Basic, with `password`.
    #[serde(default)]
    pub user: Option<String>,
    /// Password of Basic.
    #[serde(default)]
    pub password: Option<String>,
    /// Static headers.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Batches a second of host time.
    #[serde(default)]
    pub batches_per_second: Option<f64>,
    /// What to make.
    #[serde(default)]
    pub generator: Generator,
}

impl MoEngage {
    /// Starts it on a thread of its own. Fails where the port is taken or no thread can be had.
    pub fn start(options: Options) -> io::Result<Self> {
        let (port, scale, keep) = (options.port, options.scale, options.journal_limit);
        let recorded = options.record_exchanges;
        let server = Server::start("moengage", port, scale, keep, Workspace::new(options))?;
        if recorded {
            server.shared.record_exchanges();
        }
        let (clock, runtime) = (server.shared.clock, server.runtime.clone());
        server.shared.with(|workspace| {
            workspace.outward.runs_on = Some((clock, runtime.clone()));
            workspace.pusher = Some(Box::new(move |push, at| pushed(push, at, clock, &runtime)));
        });
        Ok(Self { server })
    }

    /// `http://127.0.0.1:port`; the vendor's paths follow it.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Host time now.
    pub fn now(&self) -> Millis {
        self.server.shared.clock.now()
    }

    /// Faults of the reading side.
    pub fn faults(&self) -> &Faults {
        &self.server.shared.faults
    }

    /// A copy of the journal of the reading side.
    pub fn journal(&self) -> Journal {
        self.server.shared.journal()
    }

    /// Requests that MoEngage's documents do not allow. A test of a client wants this empty.
    pub fn violations(&self) -> Vec<Violation> {
        self.server.shared.with_journal(|journal| journal.violations().to_vec())
    }

    /// Sets what the right key of a family may do.
    pub fn set_access(&self, family: Family, access: Access) {
        self.server.shared.with(|workspace| workspace.access.insert(family, access));
    }

    /// Replaces the key of a family; none takes it away. The old one is refused at once, as after
    /// a regeneration in the dashboard.
    pub fn set_key(&self, family: Family, key: Option<String>) {
        self.server.shared.with(|workspace| {
            let options = &mut workspace.options;
            match family {
                Family::Data => options.data_key = key,
                Family::Campaigns => options.campaigns_key = key,
                Family::Segmentation => options.segmentation_key = key,
                Family::Personalize => options.personalize_key = key,
            }
        });
    }

    /// Reads or changes the list of campaigns, in the order in which it is paged.
    pub fn with_campaigns<T>(&self, act: impl FnOnce(&mut Vec<Campaign>) -> T) -> T {
        self.server.shared.with(|workspace| act(&mut workspace.searches.campaigns))
    }

    /// Sets how searches misbehave from now on.
    pub fn set_search_quirks(&self, quirks: SearchQuirks) {
        self.server.shared.with(|workspace| workspace.searches.set_quirks(quirks));
    }

    /// Sets how the pages of a call misbehave from now on; `path` is the template that the journal
    /// names it by.
    pub fn set_page_quirks(&self, path: &str, quirks: PageQuirks) -> Result<(), NoSuchCall> {
        self.server.shared.with(|workspace| workspace.pages.set(path, quirks))
    }

    /// Adds users; one with the same `id` is replaced.
    pub fn set_users(&self, users: impl IntoIterator<Item = User>) {
        self.server.shared.with(|workspace| workspace.users.set(users));
    }

    /// Removes a user by its `id`; false where there is none.
    pub fn remove_user(&self, id: &str) -> bool {
        self.server.shared.with(|workspace| workspace.users.remove(id))
    }

    /// Sets how Get User answers.
    pub fn set_get_user(&self, get_user: GetUser) {
        self.server.shared.with(|workspace| workspace.options.get_user = get_user);
    }

    /// Sets up a stream. It pushes when it is given batches.
    pub fn stream(&self, target: Target) -> Result<Stream, BadTarget> {
        Stream::new(target, self.server.shared.clock, self.server.runtime.clone())
    }

    /// Sets up the sync of a segment without members. It pushes when a run is asked for or due.
    pub fn segment_sync(&self, destination: Destination) -> Result<SegmentSync, BadTarget> {
        self.server.shared.with(|workspace| workspace.outward.sync(destination))
    }

    /// Sets up a webhook for alerts. It pushes when it is given one.
    pub fn alerts(&self, target: AlertTarget) -> Result<Alerts, BadTarget> {
        self.server.shared.with(|workspace| workspace.outward.webhook(target, &workspace.options))
    }

    /// Sets up a connector campaign. It pushes when it is given users.
    pub fn connector_campaign(&self, connector: Connector) -> Result<ConnectorCampaign, BadTarget> {
        self.server.shared.with(|workspace| workspace.outward.connector(connector))
    }
}

fn pushed(
    push: Push,
    at: Millis,
    clock: crate::clock::Clock,
    runtime: &tokio::runtime::Handle,
) -> Result<Stream, String> {
    let mut target = Target { headers: push.headers, ..Target::new(&push.url) };
    target.batches_per_second = push.batches_per_second;
    if let (Some(user), Some(password)) = (&push.user, &push.password) {
        target = target.basic(user, password);
    }
    let mut generator = push.generator;
    if generator.now_s == 0 {
        generator.now_s = at / 1_000;
    }
    let stream = Stream::new(target, clock, runtime.clone()).map_err(|e| e.to_string())?;
    stream.push(generator.generate().batches);
    Ok(stream)
}
