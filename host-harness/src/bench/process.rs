//! A part of a benchmark in a process of its own, so that its memory and its processor time are
//! its own: the vendor's side, the generator and the terminal belong to the other process.
//!
//! Both speak JSON, a line for each message.

use std::io::{self, BufReader};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::BenchError;

/// What a process has used since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Seconds of all its threads on a processor, in the kernel too.
    pub cpu_seconds: f64,
    /// Largest resident set, in bytes (`VmHWM`): its own memory, and the pages of the program's
    /// file that it touched.
    pub peak_memory: u64,
    /// Resident memory that is not of a file, in bytes, now (`RssAnon`).
    pub anonymous: u64,
    /// Resident pages of files, in bytes, now (`RssFile`).
    pub of_files: u64,
}

impl Usage {
    /// Of this process, now.
    pub fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1_024
        };
        Self {
            cpu_seconds: cpu_seconds(),
            peak_memory: field("VmHWM:"),
            anonymous: field("RssAnon:"),
            of_files: field("RssFile:"),
        }
    }
}

/// Processor seconds of this process so far.
pub fn cpu_seconds() -> f64 {
    cpu_seconds_of(libc::RUSAGE_SELF)
}

/// The same for `RUSAGE_SELF` or `RUSAGE_CHILDREN`: those that were waited for.
pub fn cpu_seconds_of(whom: libc::c_int) -> f64 {
    // SAFETY: all-zero is a valid value of this struct of plain numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a value that lives through the call.
    unsafe { libc::getrusage(whom, &raw mut usage) };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// The other process.
pub struct Worker {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts this program again with a job.
    pub fn start(job: &super::Job) -> Result<Self, BenchError> {
        let program = std::env::current_exe().map_err(BenchError::io("this program's file"))?;
        let mut child = Command::new(program)
            .args(["bench", "worker"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(BenchError::io("a process of its own"))?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(BenchError::Worker("no pipes".into()));
        };
        let mut worker = Self { child, to, from: BufReader::new(from) };
        worker.tell(job)?;
        Ok(worker)
    }

    /// Sends a message.
    pub fn tell<T: Serialize>(&mut self, message: &T) -> Result<(), BenchError> {
        say(&mut self.to, message).map_err(BenchError::io("a message to the process"))
    }

    /// Waits for a message.
    pub fn hear<T: DeserializeOwned>(&mut self) -> Result<T, BenchError> {
        let line = read_line(&mut self.from)?;
        match serde_json::from_str::<Result<T, String>>(&line) {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(reason)) => Err(BenchError::Worker(reason)),
            Err(error) => Err(BenchError::Worker(format!("{error}: {line}"))),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself already; either way it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The worker's side: an answer, or what went wrong.
pub fn answer<T: Serialize>(message: &Result<T, String>) -> Result<(), BenchError> {
    say(&mut io::stdout(), message).map_err(BenchError::io("an answer"))
}

/// The worker's side: the next message.
pub fn listen<T: DeserializeOwned>() -> Result<T, BenchError> {
    let line = read_line(&mut io::stdin().lock())?;
    serde_json::from_str(&line).map_err(|error| BenchError::Worker(error.to_string()))
}

fn say<T: Serialize>(to: &mut impl io::Write, message: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

fn read_line(from: &mut impl io::BufRead) -> Result<String, BenchError> {
    let mut line = String::new();
    match from.read_line(&mut line) {
        Ok(0) => Err(BenchError::Worker("the other process went away".into())),
        Ok(_) => Ok(line),
        Err(error) => Err(BenchError::io("a message")(error)),
    }
}
