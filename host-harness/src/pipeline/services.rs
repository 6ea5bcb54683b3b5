//! What the imports of one unit reach.

use std::sync::Arc;

use crate::contract::{http, objects, storage};
use crate::egress::Egress;
use crate::store::installations::InstallationId;
use crate::store::{self, Store, StoreError};
use crate::unit::Services;

/// The network side of one unit: budgets are counted from its making.
pub trait Outside: Send + Sync {
    /// `http.send`.
    fn http(&self, request: http::Request) -> Result<http::Response, http::Error>;
    /// `objects.open`.
    fn object_open(
        &self,
        endpoint: &str,
        path: &[String],
        etag: Option<&str>,
    ) -> Result<objects::Object, http::Error>;
    /// `objects.read`.
    fn object_read(
        &self,
        endpoint: &str,
        path: &[String],
        etag: &str,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, http::Error>;
}

impl Outside for Egress {
    fn http(&self, request: http::Request) -> Result<http::Response, http::Error> {
        Self::http(self, request)
    }

    fn object_open(
        &self,
        endpoint: &str,
        path: &[String],
        etag: Option<&str>,
    ) -> Result<objects::Object, http::Error> {
        Self::object_open(self, endpoint, path, etag)
    }

    fn object_read(
        &self,
        endpoint: &str,
        path: &[String],
        etag: &str,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, http::Error> {
        Self::object_read(self, endpoint, path, etag, offset, length)
    }
}

/// Storage from the store, the rest from outside.
pub(super) struct UnitServices {
    pub store: Arc<Store>,
    pub installation: InstallationId,
    pub outside: Arc<dyn Outside>,
}

impl Services for UnitServices {
    fn http(&self, request: http::Request) -> Result<http::Response, http::Error> {
        self.outside.http(request)
    }

    fn object_open(
        &self,
        endpoint: &str,
        path: &[String],
        etag: Option<&str>,
    ) -> Result<objects::Object, http::Error> {
        self.outside.object_open(endpoint, path, etag)
    }

    fn object_read(
        &self,
        endpoint: &str,
        path: &[String],
        etag: &str,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, http::Error> {
        self.outside.object_read(endpoint, path, etag, offset, length)
    }

    // Reads are validated by version when the unit commits, so a read that fails here as absent
    // makes the commit a conflict, and the unit is run again.
    fn storage_get(&self, key: &str) -> Option<storage::Entry> {
        self.store.read::<_, StoreError>(|tx| store::storage::get(tx, self.installation, key)).ok().flatten()
    }

    fn storage_list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
        self.store
            .read::<_, StoreError>(|tx| store::storage::list(tx, self.installation, prefix, after, limit))
            .unwrap_or_default()
    }

    fn storage_room(&self) -> u64 {
        // Without an answer the commit tells.
        self.store.read::<_, StoreError>(|tx| store::storage::room(tx, self.installation)).unwrap_or(u64::MAX)
    }
}
