//! A stand-in for the place that MoEngage writes export files to: an S3 bucket, a bucket of
//! Google Cloud Storage reached by its S3-style interface, or a folder behind an nginx.
//!
//! Written from the public documents of the three: Amazon's "Authenticating requests: using the
//! Authorization header", `ListObjectsV2`, `GetObject` and the list of error codes; Google's
//! "Simple migration from Amazon S3"; nginx's `ngx_http_autoindex_module`.
//!
//! - S3 and Google: path-style `GET /{bucket}?list-type=2` and `GET /{bucket}/{key}`, each signed
//!   with Signature Version 4 in the headers.
//! - nginx: `GET /{folder}/` as JSON and `GET /{file}`, with Basic.
//!
//! Files are held in memory, or lie in folders of this machine and are read while they are sent.

mod autoindex;
mod errors;
mod listing;
mod objects;
mod reading;
mod service;
mod signature;

use std::io;
use std::path::PathBuf;

pub use objects::{File, FileChange};

use crate::clock::{Millis, Scale};
use crate::faults::Faults;
use crate::http::Server;
use crate::journal::{Journal, Violation};
use service::Service;

/// What kind of store it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Amazon S3.
    S3 {
        /// The bucket's region, which a signature must name.
        region: String,
    },
    /// Google Cloud Storage by an interoperability key. The region of a signature is `auto`.
    Gcs,
    /// An nginx with `autoindex_format json` and Basic.
    Https,
}

/// One store. `Default` is an S3 bucket in `eu-central-1`, in real time.
#[derive(Clone, Debug)]
pub struct Options {
    /// On loopback; 0 takes a free one.
    pub port: u16,
    /// For how far a signature's time may be off, and the times of files in memory.
    pub scale: Scale,
    /// What kind of store it is.
    pub storage: Storage,
    /// Name of the bucket; nginx has none.
    pub bucket: String,
    /// Id of the key, or the user of Basic.
    pub access_key_id: String,
    /// Secret of the key, or the password of Basic.
    pub secret: String,
    /// Most keys of a page of the listing, whatever `max-keys` says; 1,000 as at S3.
    pub page_limit: usize,
    /// Requests that the journal keeps.
    pub journal_limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            scale: Scale::REAL,
            storage: Storage::S3 { region: "eu-central-1".to_owned() },
            bucket: "acme-moengage".to_owned(),
            access_key_id: "AKIASTANDIN".to_owned(),
            secret: "exports-secret".to_owned(),
            page_limit: 1_000,
            journal_limit: 200_000,
        }
    }
}

/// What the right key may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Permission {
    /// List and read.
    #[default]
    Granted,
    /// Read only; a key that does not exist is refused instead of reported missing, as at S3.
    NoListing,
    /// List only.
    NoReading,
    /// Nothing.
    Denied,
}

/// A running store. Stops when it is dropped.
pub struct Bucket {
    server: Server<Service>,
    options: Options,
}

impl Bucket {
    /// Starts it, empty, on a thread of its own. Fails where the port is taken or no thread can
    /// be had.
    pub fn start(options: Options) -> io::Result<Self> {
        let (port, scale, keep) = (options.port, options.scale, options.journal_limit);
        let server = Server::start("bucket", port, scale, keep, Service::new(options.clone()))?;
        Ok(Self { server, options })
    }

    /// `http://127.0.0.1:port`: the origin, to which bucket and key are added.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// As it was started.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Host time now.
    pub fn now(&self) -> Millis {
        self.server.shared.clock.now()
    }

    /// Holds a file in memory, in place of one of the same key. Gives its `ETag`, with quotes.
    pub fn put(&self, key: &str, bytes: impl Into<bytes::Bytes>) -> String {
        self.put_file(key, File::new(bytes))
    }

    /// As [`Self::put`], with headers.
    pub fn put_file(&self, key: &str, file: File) -> String {
        let now = self.now();
        self.server.shared.with(|service| service.put(key, file, now))
    }

    /// Removes a file from memory; false where there is none.
    pub fn remove(&self, key: &str) -> bool {
        self.server.shared.with(|service| service.objects.remove(key))
    }

    /// Serves the files of a folder of this machine, and of all folders in it, under keys that
    /// begin with `prefix`. What is in it is looked up at each request.
    pub fn serve_folder(&self, prefix: &str, folder: impl Into<PathBuf>) {
        self.server.shared.with(|service| service.objects.add_folder(prefix, folder.into()));
    }

    /// Every key, in the order of the listing.
    pub fn keys(&self) -> Vec<String> {
        self.server.shared.with(|service| service.objects.all("").into_keys().collect())
    }

    /// Makes a change after so many further answered requests, between two calls of a reader.
    pub fn plan(&self, after: u64, change: FileChange) {
        self.server.shared.with(|service| service.plan(after, change));
    }

    /// Replaces id and secret of the key; the old one is refused at once.
    pub fn set_key(&self, access_key_id: &str, secret: &str) {
        self.server.shared.with(|service| {
            service.options.access_key_id = access_key_id.to_owned();
            service.options.secret = secret.to_owned();
        });
    }

    /// Sets what the right key may do.
    pub fn set_permission(&self, permission: Permission) {
        self.server.shared.with(|service| service.permission = permission);
    }

    /// Faults. The paths of rules are `/{bucket}` and `/{bucket}/{key}`, or at an nginx
    /// `/{folder}/` and `/{file}`; `target_contains` picks a key.
    pub fn faults(&self) -> &Faults {
        &self.server.shared.faults
    }

    /// A copy of the journal.
    pub fn journal(&self) -> Journal {
        self.server.shared.journal()
    }

    /// Requests that the documents do not allow. A test of a client wants this empty.
    pub fn violations(&self) -> Vec<Violation> {
        self.server.shared.with_journal(|journal| journal.violations().to_vec())
    }
}
