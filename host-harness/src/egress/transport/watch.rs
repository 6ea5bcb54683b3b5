//! What ureq calls back: names are resolved and judged here, and connections watched.

use std::cell::Cell;
use std::fmt;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, Transport as Connection,
};

use crate::egress::addresses::is_public;

// An exchange runs on one thread from beginning to end, so these belong to it.
thread_local! {
    /// Bytes of the request were handed to a connection.
    pub(super) static SENT: Cell<bool> = const { Cell::new(false) };
    /// Every address of the name was refused.
    pub(super) static REFUSED: Cell<bool> = const { Cell::new(false) };
    /// The name could not be resolved.
    pub(super) static UNRESOLVED: Cell<bool> = const { Cell::new(false) };
    /// A connection was closed with bytes that belong to no answer.
    pub(super) static LEFTOVER: Cell<bool> = const { Cell::new(false) };
}

/// Resolves, and lets judged addresses through.
#[derive(Debug)]
pub(super) struct Judge<R> {
    pub(super) any_address: bool,
    pub(super) inner: R,
}

impl<R: Resolver> Resolver for Judge<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.inner.resolve(uri, config, timeout).inspect_err(|_| UNRESOLVED.set(true))?;
        if self.any_address {
            return Ok(found);
        }
        let mut public = self.empty();
        for address in found.iter().filter(|address| is_public(address.ip())) {
            public.push(*address);
        }
        if public.is_empty() {
            REFUSED.set(true);
            return Err(Error::HostNotFound);
        }
        Ok(public)
    }
}

/// Stands between ureq and a connection that is ready to use (TLS is already agreed), and notes
/// when the first byte of a request is handed over.
#[derive(Debug)]
pub(super) struct Witness;

pub(super) struct Witnessed<C: Connection>(C);

impl<C: Connection> Connector<C> for Witness {
    type Out = Witnessed<C>;

    fn connect(&self, _: &ConnectionDetails, chained: Option<C>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(Witnessed))
    }
}

impl<C: Connection> fmt::Debug for Witnessed<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witnessed")
    }
}

impl<C: Connection> Connection for Witnessed<C> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if amount > 0 {
            SENT.set(true);
        }
        self.0.transmit_output(amount, timeout)
    }

    fn maybe_await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.0.maybe_await_input(timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.0.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}

impl<C: Connection> Drop for Witnessed<C> {
    fn drop(&mut self) {
        if !self.0.buffers().input().is_empty() {
            LEFTOVER.set(true);
        }
    }
}
