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
use super::{BenchError, Pace, Watch};

/// Which loop.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// Takes bodies over HTTP, parses each with serde_json, answers 200.
    Pushes,
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

/// The measured process.
pub fn work(job: &Job) -> Result<(), BenchError> {
    let Job::Pushes = job;
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
