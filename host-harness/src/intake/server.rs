//! The listener: connections, their limits, and an orderly stop.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};

use super::answer::Desk;
use super::head_guard::HeadGuard;
use super::{Counts, Options, Parts};

/// A head has at most this many headers ...
const MAX_HEADERS: usize = 100;
/// ... and this many bytes.
const MAX_HEAD: usize = 64 * 1024;
/// After a failed accept (no file handles left, say) the loop waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The running intake.
pub struct Intake {
    runtime: Option<Runtime>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    slots: Arc<Semaphore>,
    options: Options,
    counts: Arc<Counts>,
}

pub(super) fn start(parts: Parts) -> io::Result<Intake> {
    let options = parts.options;
    let listener = std::net::TcpListener::bind(parts.address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(options.appends.max(1))
        .thread_name("intake")
        .enable_io()
        .enable_time()
        .build()?;
    let listener = {
        let _context = runtime.enter();
        TcpListener::from_std(listener)?
    };
    let (stop, stopped) = watch::channel(false);
    let slots = Arc::new(Semaphore::new(options.connections));
    let counts = Arc::new(Counts::default());
    let desk = Arc::new(Desk::new(parts, counts.clone()));
    runtime.spawn(accept(listener, desk, slots.clone(), stopped, options));
    Ok(Intake { runtime: Some(runtime), address, stop, slots, options, counts })
}

impl Intake {
    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was accepted and refused so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes no new request, lets the open ones finish, and ends the threads.
    pub fn stop(mut self) {
        self.shut(self.options.stop_patience);
    }

    fn shut(&mut self, patience: Duration) {
        let Some(runtime) = self.runtime.take() else { return };
        self.stop.send_replace(true);
        let all = self.options.connections as u32;
        let slots = self.slots.clone();
        runtime.block_on(async {
            // Late is as good as done: whoever got no answer sends again.
            let _ = tokio::time::timeout(patience, slots.acquire_many(all)).await;
        });
        runtime.shutdown_timeout(Duration::from_secs(5));
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.shut(Duration::ZERO);
    }
}

async fn accept(
    listener: TcpListener,
    desk: Arc<Desk>,
    slots: Arc<Semaphore>,
    mut stopped: watch::Receiver<bool>,
    options: Options,
) {
    let mut failures = 0_u64;
    loop {
        let next = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true); // only a matter of speed
                let connection = serve(stream, peer.ip(), desk.clone(), stopped.clone(), options);
                tokio::spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            Err(error) => {
                failures += 1;
                if failures.is_power_of_two() {
                    tracing::error!(%error, failures, "the intake can't accept a connection");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection over any stream, without a listener.
#[doc(hidden)] // for `fuzz/`
pub async fn converse<S: AsyncRead + AsyncWrite + Unpin>(stream: S, peer: IpAddr, parts: Parts) {
    let options = parts.options;
    let (_stop, stopped) = watch::channel(false);
    let desk = Arc::new(Desk::new(parts, Arc::default()));
    serve(stream, peer, desk, stopped, options).await;
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    peer: IpAddr,
    desk: Arc<Desk>,
    mut stopped: watch::Receiver<bool>,
    options: Options,
) {
    let service = service_fn(move |request| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(desk.answer(request, peer).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.head_deadline)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(HeadGuard::new(stream)), service);
    let mut connection = pin!(connection);
    // A connection that ends in an error has no one left to tell.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
