//! The native loops: what the same bytes cost without a connector, a sandbox or a store.

use std::convert::Infallible;

use http::Response;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};

use super::http::{Load, corpus, push};
use super::process::{self, Usage, Worker};
use super::{BenchError, Pace, Watch, Watched};

/// Which loop.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// Takes bodies over HTTP, parses each with serde_json, answers 200.
    Pushes,
    /// Reads campaigns page by page until one is not full, and parses each page.
    Pages {
        /// Of MoEngage's stand-in.
        origin: String,
    },
    /// Reads files, inflates them, and parses each line.
    Files {
        /// Their addresses.
        urls: Vec<String>,
    },
}

/// Pushes batches to the native loop; its own time on a processor, our time on the clock.
pub fn pushes(path: &std::path::Path, batches: u64, watch: Watch<'_>) -> Result<Pace, BenchError> {
    let mut worker = Worker::start(&super::Job::Native(Job::Pushes))?;
    let address: String = worker.hear()?;
    let before: Usage = worker.hear()?;
    let load = Load { address: &address, path: "/", batches, connections: 8, rate: None };
    let pushed = push(load, &mut corpus(path)?, watch)?;
    worker.tell(&())?;
    let after: Usage = worker.hear()?;
    let records = batches * super::corpus::BATCH as u64;
    Ok(Pace::new(records, pushed.seconds, after.cpu_seconds - before.cpu_seconds))
}

/// Reads with a native loop.
pub fn read(job: Job) -> Result<Pace, BenchError> {
    Worker::start(&super::Job::Native(job))?.hear()
}

/// The measured process.
pub fn work(job: &Job) -> Result<(), BenchError> {
    let watched = Watched::start();
    match job {
        Job::Pushes => answer_pushes(),
        Job::Pages { origin } => process::answer(&Ok(watched.pace(pages(origin)?))),
        Job::Files { urls } => process::answer(&Ok(watched.pace(files(urls)?))),
    }
}

/// The stand-in's key of the campaign family, or of the files.
fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(format!("{user}:{password}")))
}

fn http_failed(error: ureq::Error) -> BenchError {
    BenchError::Worker(format!("the native loop: {error}"))
}

fn pages(origin: &str) -> Result<u64, BenchError> {
    const LIMIT: usize = 15;
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let (url, basic) = (format!("{origin}/v5/campaigns/search"), basic("STANDIN", "campaigns-key"));
    let (mut rows, mut page) = (0, 1_u64);
    loop {
        let body = serde_json::json!({
            "limit": LIMIT, "page": page,
            "include_child_campaigns": true, "include_archive_campaigns": true,
        });
        let mut answer = agent
            .post(&url)
            .header("authorization", &basic)
            .header("moe-appkey", "STANDIN")
            .header("content-type", "application/json")
            .header("x-moe-request-id", uuid::Uuid::new_v4().to_string())
            .header("idempotency-key", uuid::Uuid::new_v4().to_string())
            .send(body.to_string())
            .map_err(http_failed)?;
        if answer.status() == 429 {
            std::thread::sleep(std::time::Duration::from_millis(1));
            continue;
        }
        if answer.status() != 200 {
            return Err(BenchError::Worker(format!("the native loop: answered {}", answer.status())));
        }
        let text = answer.body_mut().read_to_vec().map_err(http_failed)?;
        let parsed: serde_json::Value = serde_json::from_slice(&text)
            .map_err(|error| BenchError::Worker(format!("the native loop: {error}")))?;
        let found = parsed["data"]["campaigns"].as_array().map_or(0, Vec::len);
        rows += found as u64;
        if found < LIMIT {
            return Ok(rows);
        }
        page += 1;
    }
}

fn files(urls: &[String]) -> Result<u64, BenchError> {
    use std::io::BufRead as _;
    let agent: ureq::Agent = ureq::Agent::config_builder().build().into();
    let store = stand_ins::bucket::Options::default();
    let basic = basic(&store.access_key_id, &store.secret);
    let (mut records, mut line) = (0, Vec::new());
    for url in urls {
        let answer = agent.get(url).header("authorization", &basic).call().map_err(http_failed)?;
        let packed = std::io::BufReader::with_capacity(64 * 1024, answer.into_body().into_reader());
        let inflated = flate2::bufread::MultiGzDecoder::new(packed);
        let mut lines = std::io::BufReader::with_capacity(64 * 1024, inflated);
        while lines.read_until(b'\n', &mut line).map_err(BenchError::io("a file"))? > 0 {
            serde_json::from_slice::<serde_json::Value>(&line)
                .map_err(|error| BenchError::Worker(format!("the native loop: {error}")))?;
            records += 1;
            line.clear();
        }
    }
    Ok(records)
}

fn answer_pushes() -> Result<(), BenchError> {
    let listener =
        std::net::TcpListener::bind("127.0.0.1:0").map_err(BenchError::io("a listening socket"))?;
    let address = listener.local_addr().map_err(BenchError::io("a listening socket"))?.to_string();
    listener.set_nonblocking(true).map_err(BenchError::io("a listening socket"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_io()
        .build()
        .map_err(BenchError::io("a runtime"))?;
    runtime.spawn(async move {
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
        while let Ok((stream, _)) = listener.accept().await {
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(parse));
            tokio::spawn(async move { drop(connection.await) });
        }
    });
    process::answer(&Ok(address))?;
    process::answer(&Ok(Usage::now()))?;
    let () = process::listen()?;
    process::answer(&Ok(Usage::now()))
}

async fn parse(request: http::Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let parsed = match request.into_body().collect().await {
        Ok(body) => serde_json::from_slice::<serde_json::Value>(&body.to_bytes()).is_ok(),
        Err(_) => false,
    };
    let mut answer = Response::new(Full::new(Bytes::new()));
    if !parsed {
        *answer.status_mut() = http::StatusCode::BAD_REQUEST;
    }
    Ok(answer)
}
