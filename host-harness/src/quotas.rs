//! What one tenant may have of the host at a time, in one table.
//!
//! Nothing is dropped for a quota: it is refused at the door with a time, or held back where it already
//! lies, and goes on by itself once there is room. What a single unit may do is bounded by
//! [`crate::plugin::limits`], and what a profile may declare by the contract.

use crate::store::dead_letters::Actor;
use crate::store::usage::Usage;

/// The bounds. "A connector" is one connector of one tenant; bytes where it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Tenants of a host.
    pub tenants: usize,
    /// Connectors of a tenant.
    pub connectors: usize,
    /// Webhook requests of a connector that are answered at once.
    pub requests: usize,
    /// Bytes of their bodies in memory together.
    pub request_bytes: usize,
    /// Webhooks of a connector that wait for their unit.
    pub webhooks: u64,
    /// Bytes of their bodies together.
    pub webhook_bytes: u64,
    /// Actions of a connector that go to Brevo by themselves.
    pub waiting: u64,
    /// Actions of a connector that are not at their end, held and parked ones too.
    pub open: u64,
    /// Open dead letters of a connector.
    pub letters: u64,
    /// Extra jobs of a connector.
    pub jobs: u64,
    /// Keys in a connector's storage.
    pub storage_keys: u64,
    /// Bytes of keys and values in a connector's storage.
    pub storage_bytes: u64,
    /// Bytes of a connector's inflated files in the spool.
    pub spool_bytes: u64,
}

/// What is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Full {
    /// [`Quotas::requests`].
    Requests,
    /// [`Quotas::webhooks`] or [`Quotas::webhook_bytes`].
    Webhooks,
    /// [`Quotas::waiting`].
    Waiting,
    /// [`Quotas::open`].
    Open,
    /// [`Quotas::letters`].
    Letters,
    /// [`Quotas::jobs`].
    Jobs,
}

impl Full {
    /// Stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Requests => "too-many-requests",
            Self::Webhooks => "webhooks-full",
            Self::Waiting => "outbox-full",
            Self::Open => "held-full",
            Self::Letters => "dead-letters-full",
            Self::Jobs => "jobs-full",
        }
    }

    /// Who must act.
    pub fn actor(self) -> Actor {
        match self {
            Self::Requests | Self::Waiting | Self::Jobs => Actor::Nobody,
            Self::Webhooks | Self::Open | Self::Letters => Actor::Operator,
        }
    }

    /// What happened, one sentence.
    pub fn message(self) -> &'static str {
        match self {
            Self::Requests => "As many webhooks of this connector are being taken in as may be at once.",
            Self::Webhooks => {
                "As many webhooks of this connector wait as may; new ones are refused with 503."
            }
            Self::Waiting => "As many actions of this connector wait for Brevo as may; its units wait too.",
            Self::Open => "As many actions of this connector are held as may be; its units wait too.",
            Self::Letters => "As many dead letters of this connector are open as may be; its units wait.",
            Self::Jobs => {
                "As many extra jobs of this connector wait as may; the unit that asks for more waits too."
            }
        }
    }

    /// What to do.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Requests => "Nothing; the vendor sends again after the time in the answer.",
            Self::Webhooks => {
                "Find out with `harness status` why its units don't come through; the vendor sends again meanwhile."
            }
            Self::Waiting => "Nothing where Brevo takes them; `harness status` says what they wait for.",
            Self::Open => {
                "Give the words that `harness status` asks for, and settle parked actions with `harness dead-letters`."
            }
            Self::Letters => {
                "Remove what causes them, then `harness dead-letters requeue --all --tenant NAME`, or end them."
            }
            Self::Jobs => {
                "Nothing; they are done by themselves. Where that never ends, ask the connector's author."
            }
        }
    }
}

impl Quotas {
    /// What a running host uses.
    pub const DEFAULT: Self = Self {
        tenants: 1_000,
        connectors: 16,
        requests: 256,
        request_bytes: 64 << 20,
        webhooks: 100_000,
        webhook_bytes: 512 << 20,
        waiting: 1_000_000,
        open: 5_000_000,
        letters: 100_000,
        jobs: 10_000,
        storage_keys: 1_000_000,
        storage_bytes: 256 << 20,
        spool_bytes: 4 << 30,
    };

    /// The table, as `docs/architecture.md` shows it: what, how much, and what happens beyond.
    pub fn rows(&self) -> Vec<[String; 3]> {
        let row = |what: &str, limit: String, beyond: &str| [what.into(), limit, beyond.into()];
        let beyond =
            |full: Full, happens: &str| format!("{happens} (`{}`, {})", full.code(), full.actor().as_str());
        let (thousands, mib) = (thousands as fn(u64) -> String, |bytes: u64| format!("{} MiB", bytes >> 20));
        vec![
            row(
                "tenants",
                thousands(self.tenants as u64),
                "the configuration is refused (`too-many-tenants`, operator)",
            ),
            row(
                "connectors of a tenant",
                thousands(self.connectors as u64),
                "the configuration is refused (`too-many-connectors`, operator)",
            ),
            row(
                "webhook requests at once",
                thousands(self.requests as u64),
                &beyond(Full::Requests, "503 with a time"),
            ),
            row(
                "their bodies in memory",
                mib(self.request_bytes as u64),
                "503 with a time (`no-memory`, nobody)",
            ),
            row(
                "webhooks that wait for their unit",
                format!("{}, together {}", thousands(self.webhooks), mib(self.webhook_bytes)),
                &beyond(Full::Webhooks, "503 with a time"),
            ),
            row(
                "actions that wait for Brevo",
                thousands(self.waiting),
                &beyond(Full::Waiting, "its units wait until some are done"),
            ),
            row(
                "actions before their end, held ones too",
                thousands(self.open),
                &beyond(Full::Open, "its units wait"),
            ),
            row("open dead letters", thousands(self.letters), &beyond(Full::Letters, "its units wait")),
            row(
                "extra jobs",
                thousands(self.jobs),
                &beyond(Full::Jobs, "the unit that asks for more is tried again later"),
            ),
            row(
                "plugin storage",
                format!("{}, {} keys", mib(self.storage_bytes), thousands(self.storage_keys)),
                "the unit is put aside (`storage-quota`, connector-author)",
            ),
            row(
                "files in the spool",
                mib(self.spool_bytes),
                "the ones opened longest ago go; they are copies of the vendor's",
            ),
        ]
    }

    /// Why no unit of a connector is begun: it would add to what is full. Records that an operator
    /// requeued are worked on all the same, because they make it less.
    pub fn hold_back(&self, usage: &Usage) -> Option<Full> {
        let bounds = [
            (usage.letters >= self.letters, Full::Letters),
            (usage.open >= self.open, Full::Open),
            (usage.waiting >= self.waiting, Full::Waiting),
        ];
        bounds.into_iter().find_map(|(full, what)| full.then_some(what))
    }

    /// Whether what was full is at most half full again.
    pub(crate) fn is_far_from(&self, full: Full, usage: &Usage) -> bool {
        match full {
            Full::Letters => usage.letters <= self.letters / 2,
            Full::Open => usage.open <= self.open / 2,
            Full::Waiting => usage.waiting <= self.waiting / 2,
            Full::Requests | Full::Webhooks | Full::Jobs => true,
        }
    }

    /// Whether one more webhook of so many bytes may wait.
    pub fn has_room_for_webhook(&self, usage: &Usage, bytes: u64) -> bool {
        usage.webhooks < self.webhooks && usage.webhook_bytes.saturating_add(bytes) <= self.webhook_bytes
    }

    /// Everything of a connector that is full, for an operator to see.
    pub fn full(&self, usage: &Usage) -> Vec<Full> {
        let door = (!self.has_room_for_webhook(usage, 0)).then_some(Full::Webhooks);
        door.into_iter().chain(self.hold_back(usage)).collect()
    }
}

fn thousands(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        _ => format!("{},{:03}", thousands(n / 1_000), n % 1_000),
    }
}
