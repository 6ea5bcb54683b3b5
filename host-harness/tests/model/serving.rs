//! The host under test: in this process, or in one of its own that can be killed.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use host_harness::host::Host;
use host_harness::intake;
use host_harness::store::{StoreError, installations};

use super::sources::{PATIENCE, World};

pub enum Serving {
    Here(Box<Option<Host>>),
    Apart { child: Child, port: u16 },
}

impl Serving {
    /// In this process.
    pub fn here(world: &World) -> Self {
        Self::Here(Box::new(Some(world.serve())))
    }

    /// In a process of its own.
    pub fn apart(world: &mut World) -> Self {
        // Installs the tenant.
        drop(world.units());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        world.text = world.text.replace("127.0.0.1:0\"", &format!("127.0.0.1:{port}\""));
        Self::Apart { child: spawn(world, None), port }
    }

    /// Where a vendor pushes to.
    pub fn url(&self, world: &World, surface: &str) -> String {
        match self {
            Self::Here(host) => {
                let host = (**host).as_ref().unwrap();
                let address = host.addresses().iter().find(|address| address.surface == surface).unwrap();
                format!("http://{}{}", host.listening().unwrap(), address.path)
            }
            Self::Apart { port, .. } => {
                let all = world.store().read::<_, StoreError>(installations::all).unwrap();
                format!("http://127.0.0.1:{port}{}", intake::path(&all[0].intake_token, surface))
            }
        }
    }

    /// Ends it in order, and starts another one.
    pub fn restart(&mut self, world: &World) {
        match self {
            Self::Here(host) => {
                host.take().unwrap().stop();
                **host = Some(world.serve());
            }
            Self::Apart { child, .. } => {
                // SAFETY: the child was not waited for, so its id is still its own.
                unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
                child.wait().unwrap();
                *child = spawn(world, None);
            }
        }
    }

    /// kill -9, and another one that dies at a point.
    pub fn kill(&mut self, world: &World, crash_at: Option<&str>) {
        let Self::Apart { child, .. } = self else { panic!("this host can't be killed") };
        end(child);
        *child = spawn(world, crash_at);
    }

    /// Starts another one where it died at its point.
    pub fn revive(&mut self, world: &World) {
        if let Self::Apart { child, .. } = self
            && let Some(status) = child.try_wait().unwrap()
        {
            assert_eq!(status.code(), None, "the host ended by itself\n{}", log(world));
            *child = spawn(world, None);
        }
    }

    /// Ends it, however it runs.
    pub fn stop(&mut self) {
        match self {
            Self::Here(host) => host.take().into_iter().for_each(Host::stop),
            Self::Apart { child, .. } => end(child),
        }
    }

    /// Repeats what a vendor sends until it is taken, as the vendor would; a host that dies meanwhile
    /// is started again.
    pub fn deliver(&mut self, world: &World, surface: &str, mut send: impl FnMut(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !send(&self.url(world, surface)) {
            assert!(matches!(self, Self::Apart { .. }), "{surface} was not taken");
            assert!(Instant::now() < deadline, "{surface} was never taken\n{}", log(world));
            self.revive(world);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Self::Apart { child, .. } = self {
            end(child);
        }
    }
}

fn end(child: &mut Child) {
    let _ = child.kill(); // may have died already
    let _ = child.wait();
}

fn spawn(world: &World, crash_at: Option<&str>) -> Child {
    let directory = world.directory.path();
    let path = directory.join("tajo.yaml");
    std::fs::write(&path, &world.text).unwrap();
    let log = std::fs::File::options().create(true).append(true).open(directory.join("host.log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.args(["serve", "--config"]).arg(path).env_remove("HARNESS_CRASH_AT").envs(world.secrets());
    if let Some(point) = crash_at {
        command.env("HARNESS_CRASH_AT", point);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

/// The end of the log of a host in a process of its own.
pub fn log(world: &World) -> String {
    let log = std::fs::read_to_string(world.directory.path().join("host.log")).unwrap_or_default();
    let lines: Vec<_> = log.lines().rev().take(30).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
