//! Reading a manifest: every problem at once, with the path where it is and what to do.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::grammar::{is_dns_label, is_host_header, is_name, is_setting_path, is_token, origin_template};
use super::senders::Senders;
use super::{Auth, Endpoint, Literal, Manifest, OriginPart, OriginTemplate, Segment, Text, Variable};
use crate::contract::Problem;
use crate::{hex, json};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

pub fn manifest(text: &str) -> Result<Manifest, Vec<Problem>> {
    let mut problems = Problems(Vec::new());
    if let Err(fault) = json::check_object(text) {
        problems.add("manifest-json", "", format!("the manifest is {fault}"), "Correct the JSON.");
        return Err(problems.0);
    }
    let fields = match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => fields,
        _ => Default::default(),
    };
    const KNOWN: [&str; 7] =
        ["connector", "contract", "component", "request-id-header", "endpoints", "inbound", "senders"];
    for key in fields.keys().filter(|key| !KNOWN.contains(&key.as_str())) {
        problems.add(
            "unknown-key",
            key,
            "the manifest has no such key".into(),
            "Remove it, or correct its spelling.",
        );
    }
    let manifest = Manifest {
        connector: problems.text(&fields, "connector").unwrap_or_default(),
        contract: problems.text(&fields, "contract").unwrap_or_default(),
        component: fields.get("component").and_then(|value| problems.component(value)),
        request_id_header: fields.get("request-id-header").and_then(|value| problems.request_id(value)),
        endpoints: problems.named(&fields, "endpoints", Problems::endpoint),
        inbound: problems.named(&fields, "inbound", Problems::inbound),
        senders: fields.get("senders").and_then(|value| problems.senders(value)),
    };
    if !manifest.connector.is_empty() && !is_name(&manifest.connector) {
        problems.add(
            "bad-name",
            "connector",
            "a connector's name is lower-kebab-case, at most 64 characters".into(),
            "Use the name under `connectors` in the configuration.",
        );
    }
    if problems.0.is_empty() { Ok(manifest) } else { Err(problems.0) }
}

/// As written in JSON.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenEndpoint {
    origin: Option<String>,
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    methods: Vec<String>,
    paths: Vec<String>,
    #[serde(default)]
    headers: Vec<String>,
    auth: Value,
    purpose: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenComponent {
    sha256: String,
}

struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, code: &str, path: &str, message: String, remedy: &str) {
        self.0.push(Problem { code: code.into(), path: path.into(), message, remedy: remedy.into() });
    }

    fn text(&mut self, fields: &serde_json::Map<String, Value>, key: &str) -> Option<String> {
        let text = fields.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        if text.is_none() {
            self.add("missing-key", key, "a text is needed here".into(), "Add it.");
        }
        text.map(str::to_owned)
    }

    fn component(&mut self, value: &Value) -> Option<[u8; 32]> {
        let written = WrittenComponent::deserialize(value).ok();
        let digest = written.and_then(|written| hex::decode_sha256(&written.sha256));
        if digest.is_none() {
            self.add(
                "bad-digest",
                "component",
                "this is not { \"sha256\": \"<64 hex digits>\" }".into(),
                "Give the SHA-256 of the component's file (`sha256sum`), or leave the key out.",
            );
        }
        digest
    }

    fn request_id(&mut self, value: &Value) -> Option<String> {
        let name = value.as_str().map(str::to_ascii_lowercase).filter(|name| is_token(name));
        if name.as_ref().is_none_or(|name| is_host_header(name)) {
            self.add(
                "bad-header-name",
                "request-id-header",
                "this is not the name of a header that a request id can go into".into(),
                "Give the vendor's header, for instance `x-request-id`, or leave the key out.",
            );
        }
        name
    }

    fn senders(&mut self, value: &Value) -> Option<Senders> {
        let senders = Senders::deserialize(value).ok();
        let whole = senders.as_ref().is_some_and(|senders| {
            let lists = senders.surfaces.values().flat_map(BTreeMap::values);
            is_setting_path(&senders.by)
                && senders.surfaces.keys().all(|name| is_name(name))
                // An empty list would refuse everything.
                && lists.into_iter().all(|list| !list.is_empty())
        });
        if !whole {
            self.add(
                "bad-senders",
                "senders",
                "this is not { \"by\": setting, \"surfaces\": { surface: { value: [address, ...] } } }"
                    .into(),
                "List addresses, at least one each; leave out what the vendor doesn't name.",
            );
        }
        senders.filter(|_| whole)
    }

    fn named<T>(
        &mut self,
        fields: &serde_json::Map<String, Value>,
        key: &str,
        read: fn(&mut Self, &str, &Value) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let entries = match fields.get(key) {
            None => return BTreeMap::new(),
            Some(Value::Object(entries)) => entries,
            Some(_) => {
                self.add("wrong-type", key, "an object is needed here".into(), "Give names to entries.");
                return BTreeMap::new();
            }
        };
        let mut read_entries = BTreeMap::new();
        for (name, value) in entries {
            let path = format!("{key}.{name}");
            if !is_name(name) {
                let message = "a name is lower-kebab-case, at most 64 characters".into();
                self.add("bad-name", &path, message, "Rename it.");
            }
            if let Some(entry) = read(self, &path, value) {
                read_entries.insert(name.clone(), entry);
            }
        }
        read_entries
    }

    fn endpoint(&mut self, path: &str, value: &Value) -> Option<Endpoint> {
        let written = match WrittenEndpoint::deserialize(value) {
            Ok(written) => written,
            Err(e) => {
                self.add("bad-endpoint", path, e.to_string(), "An endpoint has methods, paths, auth and purpose; origin, unless only the operator knows it; variables and headers where it needs them.");
                return None;
            }
        };
        let auth = self.auth(&format!("{path}.auth"), &written.auth);
        let origin = match &written.origin {
            Some(text) => Some(self.origin(path, text, &written.variables)),
            None => {
                self.used(path, &written.variables, &[]);
                None
            }
        };
        self.methods(path, &written.methods);
        let paths = self.paths(path, &written.paths);
        let mut headers: Vec<_> = written.headers.iter().map(|name| name.to_ascii_lowercase()).collect();
        headers.sort();
        headers.dedup();
        for name in &headers {
            let carries_credential = match &auth {
                Some(Auth::Header { name: Text::Literal(Literal { literal }), .. }) => {
                    literal.eq_ignore_ascii_case(name)
                }
                Some(Auth::Digest(digest)) => digest.header == *name,
                Some(auth) => auth.further_headers().contains(&name.as_str()),
                None => false,
            };
            if !is_token(name) || is_host_header(name) || carries_credential {
                self.add(
                    "header-not-grantable",
                    &format!("{path}.headers"),
                    format!("the header {name:?} can't be left to a connector"),
                    "Remove it: the host writes framing, credentials and request ids itself.",
                );
            }
        }
        if written.purpose.trim().is_empty() {
            let message = "an operator has to see why the connector needs this".into();
            self.add("missing-key", &format!("{path}.purpose"), message, "Say it in one sentence.");
        }
        Some(Endpoint {
            origin: match origin {
                Some(read) => Some(read?),
                None => None,
            },
            variables: written.variables,
            methods: written.methods,
            paths,
            headers,
            auth: auth?,
            purpose: written.purpose,
        })
    }

    fn methods(&mut self, path: &str, methods: &[String]) {
        let unknown = methods.iter().any(|method| !METHODS.contains(&method.as_str()));
        if unknown || methods.is_empty() {
            self.add(
                "bad-method",
                &format!("{path}.methods"),
                "there is no method, or one that the contract doesn't know".into(),
                "Grant some of GET, POST, PUT, PATCH, DELETE, in upper case.",
            );
        }
    }

    fn paths(&mut self, path: &str, prefixes: &[String]) -> Vec<Vec<Segment>> {
        let plain = |s: &str| {
            !s.is_empty()
                && s != "."
                && s != ".."
                && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~@:".contains(&b))
        };
        let segment = |text: &str| match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(setting) => is_setting_path(setting).then(|| Segment::Setting(setting.to_owned())),
            None if text == "*" => Some(Segment::Any),
            None => plain(text).then(|| Segment::Literal(text.to_owned())),
        };
        let segments = |prefix: &String| -> Option<Vec<Segment>> {
            let rest = prefix.strip_prefix('/')?;
            if rest.is_empty() {
                return Some(Vec::new());
            }
            let (rest, end) = rest.strip_suffix('$').map_or((rest, false), |rest| (rest, true));
            let mut segments = rest.split('/').map(segment).collect::<Option<Vec<_>>>()?;
            segments.extend(end.then_some(Segment::End));
            Some(segments)
        };
        let read: Vec<_> = prefixes.iter().map(segments).collect();
        if read.is_empty() || read.iter().any(Option::is_none) {
            self.add(
                "bad-path",
                &format!("{path}.paths"),
                "there is no path prefix, or one that is not plain segments".into(),
                "Write prefixes such as `/v1/fileimports`, without escapes, dots-only or empty segments; \
                 `{setting.path}` may stand for a whole segment, `*` for any one, and a `$` at the end says that \
                 nothing follows.",
            );
        }
        read.into_iter().flatten().collect()
    }

    fn origin(
        &mut self,
        path: &str,
        text: &str,
        variables: &BTreeMap<String, Variable>,
    ) -> Option<OriginTemplate> {
        let at = format!("{path}.origin");
        let template = origin_template(text);
        let Some(template) = template else {
            self.add(
                "bad-origin",
                &at,
                "an origin is `https://`, a host with variables in braces, and nothing else".into(),
                "Write it like `https://api-{data_center}.example.com`; a port may follow.",
            );
            return None;
        };
        for (index, part) in template.0.iter().enumerate() {
            let OriginPart::Variable(name) = part else { continue };
            match variables.get(name) {
                None => self.add(
                    "undeclared-variable",
                    &at,
                    format!("nothing says what {{{name}}} may be"),
                    "Declare it under `variables`.",
                ),
                Some(Variable::Enum(values)) => {
                    if values.is_empty() || !values.iter().all(|value| is_dns_label(value)) {
                        self.add(
                            "bad-variable",
                            &format!("{path}.variables.{name}"),
                            "the values of an enum are lower-case DNS labels, at least one".into(),
                            "List every value.",
                        );
                    }
                }
                Some(Variable::LabelUnder(suffix)) => {
                    let before = index.checked_sub(1).and_then(|i| template.0.get(i));
                    let after = template.0.get(index + 1);
                    let bounded = before == Some(&OriginPart::Literal("https://".into()))
                        && matches!(after, Some(OriginPart::Literal(rest))
                            if rest.strip_prefix('.').map(|rest| rest.split(':').next().unwrap_or(rest))
                                == Some(suffix.as_str()));
                    let proper = suffix.contains('.') && suffix.split('.').all(is_dns_label);
                    if !bounded || !proper {
                        self.add(
                            "bad-variable",
                            &format!("{path}.variables.{name}"),
                            "a label stands alone between `https://` and its fixed suffix of two labels or more"
                                .into(),
                            "Write `https://{name}.suffix.com` and `label-under: suffix.com`.",
                        );
                    }
                }
            }
        }
        self.used(path, variables, &template.0);
        Some(template)
    }

    fn used(&mut self, path: &str, variables: &BTreeMap<String, Variable>, origin: &[OriginPart]) {
        for name in variables.keys() {
            if !origin.contains(&OriginPart::Variable(name.clone())) {
                let message = "the origin doesn't use this variable".into();
                self.add("unused-variable", &format!("{path}.variables.{name}"), message, "Remove it.");
            }
        }
    }

    fn inbound(&mut self, path: &str, value: &Value) -> Option<Auth> {
        if auth_name(value) == Some("aws-sigv4") {
            let message = "this host signs with aws-sigv4 and can't verify it".into();
            self.add("auth-not-built", path, message, "Use basic, header, bearer or digest.");
            return None;
        }
        let auth = self.auth(path, value)?;
        if let Auth::Digest(digest) = &auth
            && !digest.parts.contains(&super::digest::Part::Body)
        {
            self.add(
                "body-not-signed",
                path,
                "an inbound digest that doesn't cover the body can be put on any body".into(),
                "Add the part `body`.",
            );
        }
        Some(auth)
    }

    fn auth(&mut self, path: &str, value: &Value) -> Option<Auth> {
        let name = auth_name(value);
        if name == Some("none") {
            self.add(
                "auth-needs-consent",
                path,
                "a place without a credential needs the operator's consent, which this host can't record yet"
                    .into(),
                "Use basic, header, bearer, digest or aws-sigv4.",
            );
            return None;
        }
        if name == Some("oauth2") {
            self.add(
                "auth-not-built",
                path,
                "the name oauth2 is reserved: this host can't do it yet".into(),
                "Use basic, header, bearer, digest or aws-sigv4, or a host that has it.",
            );
            return None;
        }
        let auth = match Auth::deserialize(value) {
            Ok(auth) => auth,
            Err(e) => {
                self.add(
                    "bad-auth",
                    path,
                    e.to_string(),
                    "Use basic {user, slot}, header {name, slot}, bearer {slot}, digest, or aws-sigv4 \
                     {access-key, slot, region, service}.",
                );
                return None;
            }
        };
        if !is_name(auth.slot()) {
            let message = "a slot's name is lower-kebab-case, at most 64 characters".into();
            self.add("bad-name", path, message, "Rename it.");
        }
        if let Auth::AwsSigv4 { service, .. } = &auth
            && !is_name(service)
        {
            let message = "a service of AWS is lower case, for instance s3".into();
            self.add("bad-auth", path, message, "Name the service that is signed for.");
        }
        let header = match &auth {
            Auth::Header { name: Text::Literal(Literal { literal }), .. } => Some(literal.as_str()),
            Auth::Digest(digest) => Some(digest.header.as_str()),
            _ => None,
        };
        if header.is_some_and(|name| {
            let name = name.to_ascii_lowercase();
            !is_token(&name) || (is_host_header(&name) && name != "authorization")
        }) {
            let message = "this header can't carry a credential".into();
            self.add("bad-header-name", path, message, "Name the vendor's header.");
        }
        Some(auth)
    }
}

/// The scheme that an `auth` names.
fn auth_name(value: &Value) -> Option<&str> {
    match value {
        Value::String(name) => Some(name),
        Value::Object(fields) => fields.keys().next().map(String::as_str),
        _ => None,
    }
}
