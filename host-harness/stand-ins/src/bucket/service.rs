//! Which call a request is, who may make it, and what changes between two of them.

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};

use super::objects::{File, FileChange, Objects};
use super::reading::{Read, read};
use super::signature::{Wanted, verify};
use super::{Options, Permission, Storage, autoindex, errors, listing};
use crate::clock::Millis;
use crate::http::{Reply, Request, Vendor};
use crate::journal::FindingKind;

pub(super) struct Service {
    pub(super) options: Options,
    pub(super) permission: Permission,
    pub(super) objects: Objects,
    /// Answered requests.
    answered: u64,
    /// After which of them, and what.
    planned: Vec<(u64, FileChange)>,
}

impl Service {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            permission: Permission::Granted,
            objects: Objects::default(),
            answered: 0,
            planned: Vec::new(),
        }
    }

    pub(super) fn put(&mut self, key: &str, file: File, at: Millis) -> String {
        self.objects.put(key, file, at);
        let meta = self.objects.open(key).map(|(meta, _)| meta);
        meta.map(|meta| self.etag(&meta)).unwrap_or_default()
    }

    pub(super) fn plan(&mut self, after: u64, change: FileChange) {
        self.planned.push((self.answered + after, change));
    }

    fn etag(&self, meta: &super::objects::Meta) -> String {
        match self.options.storage {
            Storage::Https => autoindex::etag(meta),
            Storage::S3 { .. } | Storage::Gcs => format!("\"{}\"", meta.digest),
        }
    }

    /// Bucket and key as they are written in a path; an empty key is the bucket itself.
    fn parts(path: &str) -> (&str, &str) {
        let path = path.strip_prefix('/').unwrap_or(path);
        path.split_once('/').unwrap_or((path, ""))
    }

    fn signed(&self, request: &Request, region: &str) -> Reply {
        let options = &self.options;
        let wanted = Wanted { access_key_id: &options.access_key_id, secret: &options.secret, region };
        if let Err(why) = verify(request, &wanted) {
            return errors::unsigned(&why, request.at);
        }
        let (bucket, key) = Self::parts(&request.path);
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(|text| text.into_owned());
        let (Ok(bucket), Ok(key)) = (decoded(bucket), decoded(key)) else {
            return errors::violation(400, "InvalidURI", "Couldn't parse the specified URI.", &[]);
        };
        if request.method != "GET" {
            let message = "The specified method is not allowed against this resource.";
            return errors::violation(405, "MethodNotAllowed", message, &[]);
        }
        if bucket.is_empty() {
            return errors::access_denied()
                .with(FindingKind::Violation, "the list of buckets is not served here");
        }
        if bucket != options.bucket {
            let message = "The specified bucket does not exist";
            return errors::error(404, "NoSuchBucket", message, &[("BucketName", &bucket)]);
        }
        match (self.permission, key.is_empty()) {
            (Permission::Denied, _) | (Permission::NoListing, true) | (Permission::NoReading, false) => {
                errors::access_denied()
            }
            (_, true) => listing::list(request, &bucket, &self.objects, options.page_limit.clamp(1, 1_000)),
            (_, false) => self.get(request, &key),
        }
    }

    fn get(&self, request: &Request, key: &str) -> Reply {
        let Some((meta, content)) = self.objects.open(key) else {
            // S3 tells only those who may list that a key does not exist.
            return match self.permission {
                Permission::NoListing => errors::access_denied(),
                _ => errors::no_such_key(key),
            };
        };
        match read(request, &meta, content, &self.etag(&meta)) {
            Read::Answer(reply) => reply.header("x-amz-request-id", "4442587FB7D0A2F9"),
            Read::Unchanged(reply) => reply,
            Read::Changed => {
                let message = "At least one of the pre-conditions you specified did not hold";
                errors::error(412, "PreconditionFailed", message, &[("Condition", "If-Match")])
            }
            Read::OutOfRange(_) => {
                let size = meta.size.to_string();
                let message = "The requested range is not satisfiable";
                errors::error(416, "InvalidRange", message, &[("ActualObjectSize", &size)])
            }
        }
    }
}

impl Vendor for Service {
    fn template(&self, _method: &str, path: &str) -> Option<&'static str> {
        Some(match (&self.options.storage, Self::parts(path).1) {
            (Storage::Https, _) if path.ends_with('/') => "/{folder}/",
            (Storage::Https, _) => "/{file}",
            (Storage::S3 { .. } | Storage::Gcs, "") => "/{bucket}",
            (Storage::S3 { .. } | Storage::Gcs, _) => "/{bucket}/{key}",
        })
    }

    fn answer(&mut self, request: &Request) -> Reply {
        let reply = match &self.options.storage {
            Storage::S3 { region } => self.signed(request, region),
            Storage::Gcs => self.signed(request, "auto"),
            Storage::Https => autoindex::answer(request, &self.options, self.permission, &self.objects),
        };
        self.answered += 1;
        let due = |planned: &(u64, FileChange)| planned.0 <= self.answered;
        let (now, later) = std::mem::take(&mut self.planned).into_iter().partition(due);
        self.planned = later;
        let now: Vec<(u64, FileChange)> = now;
        for (_, change) in now {
            // What was to be removed may be gone already.
            let _ = change.apply(&mut self.objects, request.at);
        }
        reply
    }

    fn rate_limited(&self, _request: &Request, headers: bool) -> Reply {
        let reply = match &self.options.storage {
            Storage::S3 { .. } => errors::error(503, "SlowDown", "Please reduce your request rate.", &[]),
            Storage::Gcs => errors::error(429, "SlowDown", "The object exceeded the rate limit.", &[]),
            Storage::Https => autoindex::page(503, "503 Service Temporarily Unavailable"),
        };
        if headers { reply.header("retry-after", 1) } else { reply }
    }

    fn state(&mut self, _at: Millis) -> Value {
        let files: Vec<Value> = self
            .objects
            .all("")
            .iter()
            .map(|(key, meta)| json!({"key": key, "size": meta.size, "etag": self.etag(meta)}))
            .collect();
        json!({"bucket": self.options.bucket, "objects": files})
    }

    fn control(&mut self, call: &str, body: &Value, at: Millis) -> Option<Reply> {
        if call != "objects" {
            return None;
        }
        let change = FileChange::deserialize(body).map_err(|e| e.to_string());
        Some(match change.and_then(|change| change.apply(&mut self.objects, at)) {
            Ok(()) => Reply::empty(204),
            Err(message) => Reply::json(400, &json!({"error": message})),
        })
    }
}
