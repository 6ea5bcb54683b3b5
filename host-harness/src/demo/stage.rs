//! A whole world on one machine: both vendors as stand-ins, and a host in a process of its own
//! that can be killed and started again. The demo plays on it, and so do the kill tests.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use stand_ins::brevo::{self, Brevo};
use stand_ins::clock::Scale;
use stand_ins::moengage::generator::{Generated, Generator, Truth};
use stand_ins::moengage::streams::{Stream, Target};
use stand_ins::moengage::{self, MoEngage};

use super::verdict::{Expected, Observed, Verdict};
use crate::operate::accounting::{Sums, reconciling};
use crate::store::installations::{self, Installation};
use crate::store::{Store, StoreError};

/// Property under which the connector sends the vendor's event id to Brevo.
const EVENT_UUID: &str = "moengage_event_uuid";

/// What goes wrong on a stage.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A process, socket or file.
    #[error("{0}: {1}")]
    Io(&'static str, io::Error),
    /// The host's file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host ended or did not come up.
    #[error("the host did not come up ({0}); its last words:\n{1}")]
    NoHost(String, String),
    /// Something that should have come to rest did not.
    #[error("{0} did not come to rest within {1:?}")]
    Restless(&'static str, Duration),
    /// The stand-in can't push there.
    #[error("the stream could not be set up: {0}")]
    Stream(String),
}

/// One tenant of the host, with a Brevo account of its own.
pub struct Tenant {
    /// Name in the configuration.
    pub name: String,
    /// Its Brevo.
    pub brevo: Brevo,
    /// What was pushed to it.
    pub truth: Truth,
    stream: Option<Stream>,
    /// Batches that were given up and pushed again.
    repeated: BTreeSet<u64>,
}

/// The world.
pub struct Stage {
    /// Every tenant, in the order of the configuration.
    pub tenants: Vec<Tenant>,
    directory: tempfile::TempDir,
    binary: PathBuf,
    scale: Scale,
    port: u16,
    moengage: MoEngage,
    child: Option<Child>,
    starts: u32,
}

impl Stage {
    /// Sets up the vendors and writes the host's configuration. `binary` is the `harness` program;
    /// time runs `factor` times as fast as real time for everybody.
    pub fn set(binary: &Path, tenants: &[&str], factor: f64) -> Result<Self, StageError> {
        let scale = Scale::from_now(factor);
        let io = |what| move |error| StageError::Io(what, error);
        let directory = tempfile::tempdir().map_err(io("a directory for the host"))?;
        let port = free_port().map_err(io("a free port"))?;
        let moengage = MoEngage::start(moengage::Options { scale, ..moengage::Options::default() })
            .map_err(io("MoEngage's stand-in"))?;
        let tenants = tenants
            .iter()
            .map(|name| {
                let options = brevo::Options { scale, ..brevo::Options::default() };
                let brevo = Brevo::start(options).map_err(io("Brevo's stand-in"))?;
                Ok(Tenant {
                    name: (*name).to_owned(),
                    brevo,
                    truth: Truth::default(),
                    stream: None,
                    repeated: BTreeSet::new(),
                })
            })
            .collect::<Result<_, StageError>>()?;
        let stage =
            Self { tenants, directory, binary: binary.into(), scale, port, moengage, child: None, starts: 0 };
        std::fs::write(stage.config(), stage.configuration()).map_err(io("the host's configuration"))?;
        Ok(stage)
    }

    /// The host's configuration file.
    pub fn config(&self) -> PathBuf {
        self.directory.path().join("tajo.yaml")
    }

    /// What the host wrote to its log, over all its lives.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("host.log")).unwrap_or_default()
    }

    fn configuration(&self) -> String {
        let mut text = format!(
            "host:\n  data_dir: ./data\n  intake: 127.0.0.1:{}\n  allow_private_addresses: true\n  time: {{ factor: {}, epoch: {} }}\ntenants:\n",
            self.port, self.scale.factor, self.scale.epoch_ms
        );
        for tenant in &self.tenants {
            let name = &tenant.name;
            text.push_str(&format!(
                "  - name: {name}\n    brevo:\n      account: {name}\n      api_key: \"${{DEMO_BREVO_KEY}}\"\n      base_url: \"{}/v3\"\n      create_attributes: true\n    connectors:\n      moengage:\n        enabled: true\n        workspace_id: \"DEMO_{name}\"\n        data_center: \"01\"\n        environment: live\n        webhook: {{ auth: basic, user: tajo, secret: \"${{DEMO_WEBHOOK_SECRET}}\" }}\n        sync: {{ contacts: true, events: true, consent: true }}\n",
                tenant.brevo.url()
            ));
        }
        text
    }

    /// Starts the host and waits until it takes webhooks. With `crash_at`, it dies at that point
    /// of [`crate::crash::POINTS`] (`name` or `name:n`).
    pub fn start_host(&mut self, crash_at: Option<&str>) -> Result<(), StageError> {
        self.starts += 1;
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.directory.path().join("host.log"))
            .map_err(|error| StageError::Io("the host's log", error))?;
        let errors = log.try_clone().map_err(|error| StageError::Io("the host's log", error))?;
        let mut command = Command::new(&self.binary);
        command
            .arg("serve")
            .arg("--config")
            .arg(self.config())
            .env("DEMO_BREVO_KEY", self.tenants.first().map_or("", |tenant| tenant.brevo.api_key()))
            .env("DEMO_WEBHOOK_SECRET", WEBHOOK_SECRET)
            .env_remove("HARNESS_CRASH_AT")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        if let Some(point) = crash_at {
            command.env("HARNESS_CRASH_AT", point);
        }
        self.child = Some(command.spawn().map_err(|error| StageError::Io("the host", error))?);
        self.wait_until_up(crash_at.is_some())
    }

    fn wait_until_up(&mut self, may_die: bool) -> Result<(), StageError> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if healthy(self.port) {
                return Ok(());
            }
            if let Some(status) = self.ended() {
                // A point that is passed at the start kills the host before it is up.
                return if may_die { Ok(()) } else { Err(self.no_host(status.to_string())) };
            }
            if Instant::now() > deadline {
                return Err(self.no_host("no answer".into()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn no_host(&self, how: String) -> StageError {
        let log = self.log();
        let tail: Vec<_> = log.lines().rev().take(20).collect();
        StageError::NoHost(how, tail.into_iter().rev().collect::<Vec<_>>().join("\n"))
    }

    /// True while the host lives.
    pub fn is_running(&mut self) -> bool {
        self.child.is_some() && self.ended().is_none()
    }

    /// The host's exit status, once, if it ended by itself.
    fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok().flatten()?;
        self.child = None;
        Some(status)
    }

    /// kill -9.
    pub fn kill_host(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself already; either way it is gone.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks the host to stop, and waits for it.
    pub fn stop_host(&mut self) -> Result<ExitStatus, StageError> {
        let Some(mut child) = self.child.take() else { return Ok(ExitStatus::default()) };
        // SAFETY: the child was not waited for, so its id is still its own.
        unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
        child.wait().map_err(|error| StageError::Io("the host", error))
    }

    /// Pushes what a generator makes to a tenant, with the retries that MoEngage documents; `pace`
    /// in batches per real second, as fast as it goes where there is none.
    pub fn push(
        &mut self,
        tenant: usize,
        generator: &Generator,
        pace: Option<f64>,
    ) -> Result<(), StageError> {
        let now_s = self.tenants[tenant].brevo.now() / 1_000;
        let Generated { batches, truth } = Generator { now_s, ..generator.clone() }.generate();
        let path = self.webhook_path(&self.tenants[tenant].name)?;
        let mut target =
            Target::new(&format!("http://127.0.0.1:{}{path}", self.port)).basic("tajo", WEBHOOK_SECRET);
        target.batches_per_second = pace.map(|pace| pace / self.scale.factor);
        let stream = self.moengage.stream(target).map_err(|error| StageError::Stream(error.to_string()))?;
        stream.push(batches);
        self.tenants[tenant].truth = truth;
        self.tenants[tenant].stream = Some(stream);
        Ok(())
    }

    /// Pushes again what MoEngage gave up, as a person would ask it to; how many batches it was.
    pub fn push_given_up(&mut self) -> usize {
        let mut again = 0;
        for tenant in &mut self.tenants {
            let Some(stream) = &tenant.stream else { continue };
            let lost: Vec<_> =
                stream.lost().into_iter().filter(|(number, _)| tenant.repeated.insert(*number)).collect();
            again += lost.len();
            stream.push(lost.into_iter().map(|(_, batch)| batch));
        }
        again
    }

    fn webhook_path(&self, tenant: &str) -> Result<String, StageError> {
        let found = self.installation(tenant)?;
        Ok(format!("/in/{}/streams", found.intake_token))
    }

    fn installation(&self, tenant: &str) -> Result<Installation, StageError> {
        let all = self.store()?.read::<_, StoreError>(installations::all)?;
        all.into_iter()
            .find(|one| one.tenant == tenant)
            .ok_or_else(|| StageError::NoHost("the tenant is not installed".into(), self.log()))
    }

    /// The host's file, beside the running host.
    pub fn store(&self) -> Result<Store, StageError> {
        Ok(Store::attach(&self.directory.path().join("data").join(crate::host::STORE_FILE))?)
    }

    /// Sums of the sender's side: acknowledged events, and all of them.
    pub fn pushed(&self) -> (u64, u64) {
        self.tenants.iter().fold((0, 0), |(acked, all), tenant| {
            let progress = tenant.stream.as_ref().map(Stream::progress).unwrap_or_default();
            (acked + progress.events_acked, all + tenant.truth.objects as u64)
        })
    }

    /// Batches that MoEngage had to send again to a tenant.
    pub fn retried(&self, tenant: usize) -> u64 {
        self.tenants[tenant].stream.as_ref().map_or(0, |stream| stream.progress().retried)
    }

    /// Events at Brevo, over all tenants.
    pub fn arrived(&self) -> u64 {
        self.tenants.iter().map(|t| t.brevo.events_by_property(EVENT_UUID).len() as u64).sum()
    }

    /// The host's own sums, by tenant.
    pub fn sums(&self) -> Result<BTreeMap<String, Sums>, StageError> {
        let mut sums = BTreeMap::new();
        let store = self.store()?;
        for tenant in &self.tenants {
            let installation = self.installation(&tenant.name)?;
            sums.insert(
                tenant.name.clone(),
                store.read::<_, StoreError>(|tx| Sums::of(tx, installation.id))?,
            );
        }
        Ok(sums)
    }

    /// True once every batch is acknowledged or given up, and the host has nothing left to do by
    /// itself.
    pub fn at_rest(&self) -> Result<bool, StageError> {
        let sent = |tenant: &Tenant| tenant.stream.as_ref().is_none_or(|s| s.progress().open() == 0);
        if !self.tenants.iter().all(sent) {
            return Ok(false);
        }
        let store = self.store()?;
        for tenant in &self.tenants {
            let id = self.installation(&tenant.name)?.id;
            let (sums, reconciling) =
                store.read::<_, StoreError>(|tx| Ok((Sums::of(tx, id)?, reconciling(tx, id)?)))?;
            if !sums.at_rest() || reconciling > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits until everything is at rest.
    pub fn wait_for_rest(&self, patience: Duration) -> Result<(), StageError> {
        let deadline = Instant::now() + patience;
        while !self.at_rest()? {
            if Instant::now() > deadline {
                return Err(StageError::Restless("the host", patience));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// What is wrong between what was pushed to a tenant and what its Brevo holds.
    pub fn verdict(&self, tenant: usize) -> Verdict {
        let tenant = &self.tenants[tenant];
        let given_up = tenant.stream.as_ref().map_or(0, |stream| stream.progress().dropped);
        let given_up = given_up - tenant.repeated.len() as u64;
        let observed = Observed { given_up, ..Observed::at(&tenant.brevo, EVENT_UUID) };
        Verdict::of(&Expected::from_truth(&tenant.truth), &observed)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.kill_host();
    }
}

const WEBHOOK_SECRET: &str = "demo-webhook-secret";

/// A port that is free now. The host's address must be the same after a restart.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn healthy(port: u16) -> bool {
    let ask = || -> io::Result<bool> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(&head == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}
