//! Signs requests for the tests of the bucket: Signature Version 4, in few lines and apart from
//! the stand-in's own reading of it.
#![allow(clippy::unwrap_used, missing_docs, dead_code)]

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use stand_ins::bucket::{Bucket, Storage};
use stand_ins::clock::rfc3339;

use super::{Answer, Client};

const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[derive(Clone)]
pub struct Signer {
    pub url: String,
    pub bucket: String,
    pub access_key_id: String,
    pub secret: String,
    pub region: String,
    /// Milliseconds since the epoch.
    pub now: i64,
}

impl Signer {
    pub fn of(bucket: &Bucket) -> Self {
        let options = bucket.options();
        let region = match &options.storage {
            Storage::S3 { region } => region.clone(),
            _ => "auto".to_owned(),
        };
        Self {
            url: bucket.url(),
            bucket: options.bucket.clone(),
            access_key_id: options.access_key_id.clone(),
            secret: options.secret.clone(),
            region,
            now: bucket.now(),
        }
    }

    pub fn list(&self, query: &[(&str, &str)]) -> Answer {
        let mut all = vec![("list-type", "2")];
        all.extend(query);
        self.get("", &all, &[])
    }

    /// `GET` of a key; of the bucket where it is empty.
    pub fn get(&self, key: &str, query: &[(&str, &str)], extra: &[(&str, &str)]) -> Answer {
        let encoded: Vec<String> =
            key.split('/').map(|part| utf8_percent_encode(part, PLAIN).to_string()).collect();
        let slash = if key.is_empty() { "" } else { "/" };
        let path = format!("/{}{slash}{}", self.bucket, encoded.join("/"));
        let mut pairs: Vec<String> = query
            .iter()
            .map(|(name, value)| {
                format!("{}={}", utf8_percent_encode(name, PLAIN), utf8_percent_encode(value, PLAIN))
            })
            .collect();
        pairs.sort();
        let query = pairs.join("&");
        let at: String =
            rfc3339(self.now)[..19].chars().filter(|c| !"-:".contains(*c)).collect::<String>() + "Z";
        let host = self.url.trim_start_matches("http://");
        let signed = "host;x-amz-content-sha256;x-amz-date";
        let canonical = format!(
            "GET\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{NOTHING}\nx-amz-date:{at}\n\n{signed}\n{NOTHING}"
        );
        let scope = format!("{}/{}/s3/aws4_request", &at[..8], self.region);
        let hash = hex(&Sha256::digest(canonical));
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [&at[..8], &self.region, "s3", "aws4_request"] {
            key = hmac(&key, part);
        }
        let signature = hex(&hmac(&key, &format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{hash}")));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}",
            self.access_key_id
        );
        let mut headers = vec![
            ("authorization", authorization.as_str()),
            ("x-amz-content-sha256", NOTHING),
            ("x-amz-date", &at),
        ];
        headers.extend(extra);
        let mark = if query.is_empty() { "" } else { "?" };
        Client::new(&self.url, &headers).get(&format!("{path}{mark}{query}"))
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    hmac.update(text.as_bytes());
    hmac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
