//! A directory with a configuration, both stand-ins, and the `harness` program.
#![allow(dead_code)] // each test binary uses a part of it

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use stand_ins::brevo;
use stand_ins::moengage::{self, MoEngage};

use crate::vendor::Checked;

/// Stands in every secret, so that a leak is found by one search.
pub const CANARY: &str = "canary-7c1e";

pub struct Bench {
    pub directory: tempfile::TempDir,
    pub brevo: Checked,
    pub moengage: MoEngage,
}

pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Done {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {} {}", self.out, self.err))
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes UTF-8");
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Bench {
    pub fn new() -> Self {
        let brevo = Checked::start(brevo::Options {
            api_keys: vec![format!("{CANARY}-brevo")],
            plan: brevo::Plan::Unlimited,
            ..brevo::Options::default()
        });
        let moengage = MoEngage::start(moengage::Options {
            workspace_id: "SHOP".into(),
            data_key: Some(format!("{CANARY}-data")),
            ..moengage::Options::default()
        })
        .unwrap();
        let bench = Self { directory: tempfile::tempdir().unwrap(), brevo, moengage };
        bench.configure(|text| text);
        bench
    }

    /// Writes the configuration, changed.
    pub fn configure(&self, change: impl FnOnce(String) -> String) {
        let text = format!(
            r#"host:
  data_dir: ./data
  intake: 127.0.0.1:0
  allow_private_addresses: true
tenants:
  - name: shop
    brevo:
      account: shop
      api_key: "${{T_BREVO}}"
      base_url: "{}/v3"
    connectors:
      moengage:
        workspace_id: "SHOP"
        data_center: "01"
        environment: live
        keys: {{ data: "${{T_DATA}}" }}
        webhook: {{ auth: basic, user: tajo, secret: "${{T_WEBHOOK}}" }}
        sync: {{ contacts: true, events: true, consent: true }}
        endpoints: {{ "*": "{}" }}
"#,
            self.brevo.url(),
            self.moengage.url()
        );
        std::fs::write(self.config(), change(text)).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.directory.path().join("tajo.yaml")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        command
            .env("T_BREVO", format!("{CANARY}-brevo"))
            .env("T_DATA", format!("{CANARY}-data"))
            .env("T_WEBHOOK", format!("{CANARY}-webhook"))
            .env("HARNESS_LOG", "debug")
            .env_remove("HARNESS_CRASH_AT");
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Done {
        self.command().args(args).stdin(Stdio::null()).output().unwrap().into()
    }

    /// Runs it by another program, in the same environment.
    pub fn run_by(&self, line: &[&str], config: &std::path::Path) -> Done {
        let own = self.command();
        let mut command = Command::new(line[0]);
        command.args(&line[1..]).arg(config).stdin(Stdio::null());
        for (name, value) in own.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.output().unwrap().into()
    }

    /// Runs a command with `--config` and these arguments.
    pub fn with_config(&self, args: &[&str]) -> Done {
        let config = self.config();
        self.run(&[args, &["--config", config.to_str().unwrap()]].concat())
    }

    /// The same for a process that is killed at a crash point.
    pub fn with_config_until(&self, args: &[&str], crash_at: &str) -> Done {
        let mut command = self.command();
        command.args(args).arg("--config").arg(self.config()).env("HARNESS_CRASH_AT", crash_at);
        command.stdin(Stdio::null()).output().unwrap().into()
    }

    /// Runs `harness call` with this input.
    pub fn call(&self, export: &str, input: &str, args: &[&str]) -> Done {
        let mut child = self
            .command()
            .args(["call", export, "--input", "-", "--json"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may refuse before it has read everything.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap().into()
    }

    /// Starts the host and waits until it listens.
    pub fn serve(&self) -> Serving {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.directory.path().join("host.log"))
            .unwrap();
        let mut child = self
            .command()
            .args(["serve", "--config"])
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("the host says where it listens").unwrap();
        let second = lines.next().expect("the host names its webhook addresses").unwrap();
        let address = first.rsplit("http://").next().unwrap().to_owned();
        let path = second.rsplit(&address).next().unwrap().to_owned();
        Serving { child: Some(child), address, path }
    }

    /// Everything that the host logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("host.log")).unwrap()
    }

    /// Asks for the status until it is as wanted.
    pub fn wait_for(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let status = self.with_config(&["status", "--json"]).json();
            if wanted(&status["installations"][0]) {
                return status;
            }
            assert!(Instant::now() < deadline, "{status:#}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

pub struct Serving {
    child: Option<Child>,
    pub address: String,
    pub path: String,
}

impl Serving {
    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Posts to the webhook's address; the status.
    pub fn post(&self, body: &str, secret: &str) -> u16 {
        use base64::Engine as _;
        let basic = base64::prelude::BASE64_STANDARD.encode(format!("tajo:{secret}"));
        self.post_with(&format!("Authorization: Basic {basic}"), body)
    }

    /// The same to a host that may be gone.
    pub fn try_post(&self, body: &str, secret: &str) -> Option<u16> {
        use base64::Engine as _;
        let basic = base64::prelude::BASE64_STANDARD.encode(format!("tajo:{secret}"));
        self.exchange(&format!("Authorization: Basic {basic}"), body).ok()?.get(9..12)?.parse().ok()
    }

    /// Posts with this header.
    pub fn post_with(&self, header: &str, body: &str) -> u16 {
        self.exchange(header, body).unwrap()[9..12].parse().unwrap()
    }

    fn exchange(&self, header: &str, body: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{header}\r\nContent-Length: {}\r\n\r\n",
            self.path,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Waits until it has ended; the exit code.
    pub fn wait(mut self) -> Option<i32> {
        self.child.take().unwrap().wait().unwrap().code()
    }

    /// SIGTERM; the exit code.
    pub fn stop(mut self) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        // SAFETY: the child was not waited for, so its id is still its own.
        unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
        child.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
