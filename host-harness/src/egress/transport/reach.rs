//! Whether a server can be reached: its name, its addresses, a connection and TLS. No byte of a
//! request is sent.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use ureq::tls::RootCerts;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{
    ConnectionDetails, Connector, RustlsConnector, TcpConnector, Transport as Connection,
};
use ureq::{Agent, Error};

use super::watch::{Judge, REFUSED, UNRESOLVED};
use super::{CONNECT, config};

thread_local! {
    /// A connection was ready to use.
    static ARRIVED: Cell<bool> = const { Cell::new(false) };
}

/// Tries connections as a running host makes them.
pub struct Reach {
    public: Agent,
    any: Agent,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    /// Nobody knows the name, or nobody answers who would.
    #[error("the name can't be resolved")]
    Name,
    /// Every address of the name is refused by the policy.
    #[error("the name leads to no public address")]
    Denied,
    /// No connection comes to be.
    #[error("no connection: {0}")]
    Connection(String),
    /// The server shows no certificate that is trusted for this name.
    #[error("there is no trusted TLS connection")]
    Tls,
}

impl Default for Reach {
    fn default() -> Self {
        Self::with(&RootCerts::WebPki)
    }
}

impl Reach {
    pub(super) fn with(roots: &RootCerts) -> Self {
        let agent = |any_address| {
            let connector =
                ().chain(TcpConnector::default()).chain(RustlsConnector::default()).chain(Arrival);
            let names = Judge { any_address, inner: DefaultResolver::default() };
            Agent::with_parts(config(CONNECT, roots.clone()), connector, names)
        };
        Self { public: agent(false), any: agent(true) }
    }

    /// Connects to `scheme://host[:port]` and hangs up. Takes at most ten seconds.
    ///
    /// # Errors
    /// What is in the way.
    pub fn reach(&self, origin: &str, allow_private: bool) -> Result<(), Unreached> {
        ARRIVED.set(false);
        REFUSED.set(false);
        UNRESOLVED.set(false);
        let agent = if allow_private { &self.any } else { &self.public };
        let whole: Duration = CONNECT * 2;
        let tried = agent.get(origin).config().timeout_global(Some(whole)).build().call();
        let error = match tried {
            _ if ARRIVED.get() => return Ok(()),
            Err(error) => error,
            Ok(_) => return Err(Unreached::Connection("nothing came of it".into())),
        };
        Err(match error {
            _ if REFUSED.get() => Unreached::Denied,
            _ if UNRESOLVED.get() => Unreached::Name,
            Error::Tls(_) | Error::Rustls(_) => Unreached::Tls,
            Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => Unreached::Tls,
            Error::Io(error) => Unreached::Connection(error.kind().to_string()),
            Error::Timeout(_) => Unreached::Connection("it took too long".into()),
            // ureq's own texts may hold the address.
            _ => Unreached::Connection("the address can't be used".into()),
        })
    }
}

/// Takes a connection that is ready to use (TLS is already agreed), and ends there.
#[derive(Debug)]
struct Arrival;

/// There never is one.
struct Nothing(std::convert::Infallible);

impl<C: Connection> Connector<C> for Arrival {
    type Out = Nothing;

    fn connect(&self, _: &ConnectionDetails, chained: Option<C>) -> Result<Option<Nothing>, Error> {
        if chained.is_some() {
            ARRIVED.set(true);
        }
        Err(Error::ConnectionFailed)
    }
}

impl fmt::Debug for Nothing {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

impl Connection for Nothing {
    fn buffers(&mut self) -> &mut dyn ureq::unversioned::transport::Buffers {
        match self.0 {}
    }

    fn transmit_output(
        &mut self,
        _: usize,
        _: ureq::unversioned::transport::NextTimeout,
    ) -> Result<(), Error> {
        match self.0 {}
    }

    fn await_input(&mut self, _: ureq::unversioned::transport::NextTimeout) -> Result<bool, Error> {
        match self.0 {}
    }

    fn is_open(&mut self) -> bool {
        match self.0 {}
    }
}
