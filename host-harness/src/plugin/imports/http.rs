//! `http`: one call to the vendor. Only `fetch-page` may use it.

use std::time::Instant;

use super::refused;
use crate::contract::http::{Error, ErrorKind, Host, Request, Response};
use crate::plugin::guest::{Export, Guest};

/// Default and largest time of one call, in milliseconds; the unit's own end may come earlier.
const TIMEOUT_MS: u32 = 30_000;

/// Calls and bytes so far.
#[derive(Default)]
pub struct Used {
    /// Calls begun.
    pub calls: u32,
    /// Bytes received.
    pub received: usize,
}

impl Guest {
    /// Takes one call from the unit's budget, or says why not.
    pub(super) fn begin_call(&mut self) -> Result<(), Error> {
        if self.export != Export::FetchPage {
            return Err(refused(
                ErrorKind::Denied,
                "denied-in-this-export",
                "only fetch-page may call the vendor",
            ));
        }
        let used = &mut self.used.http;
        if used.calls >= self.limits.http_calls || used.received >= self.limits.http_received {
            return Err(over_budget());
        }
        used.calls += 1;
        Ok(())
    }

    /// Counts what a call received.
    pub(super) fn received(&mut self, bytes: usize) -> Result<(), Error> {
        self.used.http.received = self.used.http.received.saturating_add(bytes);
        if self.used.http.received > self.limits.http_received {
            return Err(Error { request_sent: true, ..over_budget() });
        }
        Ok(())
    }
}

fn over_budget() -> Error {
    refused(
        ErrorKind::Budget,
        "unit-budget",
        "this unit has used up its calls or bytes; return `more` with a cursor and go on in the next unit",
    )
}

impl Host for Guest {
    fn send(&mut self, mut request: Request) -> wasmtime::Result<Result<Response, Error>> {
        self.check_deadline()?;
        if let Err(error) = self.begin_call() {
            return Ok(Err(error));
        }
        if request.body.as_ref().is_some_and(|body| body.len() > self.limits.request_body) {
            return Ok(Err(refused(
                ErrorKind::Denied,
                "request-too-large",
                "the body of a request is at most 8 MiB",
            )));
        }
        let left = self.deadline.saturating_duration_since(Instant::now()).as_millis();
        let asked = request.timeout_ms.unwrap_or(TIMEOUT_MS).clamp(1, TIMEOUT_MS);
        request.timeout_ms = Some(u32::try_from(left).unwrap_or(TIMEOUT_MS).clamp(1, asked));

        let services = self.services.clone();
        let answer = services.http(request);
        self.check_deadline()?;
        Ok(answer.and_then(|response| self.received(response.body.len()).map(|()| response)))
    }
}
