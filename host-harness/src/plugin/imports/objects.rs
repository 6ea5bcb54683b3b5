//! `objects`: large remote files, spooled by the host. Only `fetch-page` may use it.

use super::refused;
use crate::contract::http::{Error, ErrorKind};
use crate::contract::objects::{Host, Object};
use crate::plugin::guest::{Export, Guest};

impl Host for Guest {
    fn open(
        &mut self,
        endpoint: String,
        path: Vec<String>,
        etag: Option<String>,
    ) -> wasmtime::Result<Result<Object, Error>> {
        self.check_deadline()?;
        if let Err(error) = self.begin_call() {
            return Ok(Err(error));
        }
        let services = self.services.clone();
        let answer = services.object_open(&endpoint, &path, etag.as_deref());
        self.check_deadline()?;
        Ok(answer)
    }

    fn read(
        &mut self,
        endpoint: String,
        path: Vec<String>,
        etag: String,
        offset: u64,
        length: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        self.check_deadline()?;
        if self.export != Export::FetchPage {
            return Ok(Err(refused(
                ErrorKind::Denied,
                "denied-in-this-export",
                "only fetch-page may read objects",
            )));
        }
        let length = length.min(self.limits.object_read);
        let services = self.services.clone();
        let answer = services.object_read(&endpoint, &path, &etag, offset, length);
        self.check_deadline()?;
        // A read is local, but its bytes count like received ones: they bound the unit's size.
        Ok(answer.and_then(|bytes| self.received(bytes.len()).map(|()| bytes)))
    }
}
