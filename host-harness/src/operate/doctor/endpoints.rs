//! The ways out, and the way in. Nobody gets a request or a credential.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::Line;
use super::versions::Declared;
use crate::brevo::account::BASE_URL;
use crate::config::HostConfig;
use crate::egress::policy::Grant;
use crate::egress::transport::{Reach, Unreached};

const PART: &str = "endpoints";
/// Connections that are tried at once.
const AT_ONCE: usize = 16;

/// One line for each origin that some tenant's resources or deliveries go to.
pub(super) fn lines(config: &HostConfig, declared: &[Declared], offline: bool) -> Vec<Line> {
    let (origins, mut lines) = origins(config, declared);
    let origins: Vec<_> = origins.into_iter().collect();
    if offline {
        lines.extend(origins.iter().map(|((origin, _), users)| {
            Line::cannot_tell(PART, shown(origin), format!("not tried, as was asked for ({})", list(users)))
                .operator("not-tried", "Leave --offline out to have it tried.")
        }));
        return lines;
    }
    let reach = Reach::default();
    for some in origins.chunks(AT_ONCE) {
        let tried = std::thread::scope(|scope| {
            let one = |(place, users): &'_ (Place, BTreeSet<String>)| {
                line(&place.0, users, reach.reach(&place.0, place.1))
            };
            let threads: Vec<_> = some.iter().map(|given| scope.spawn(move || one(given))).collect();
            threads
                .into_iter()
                .zip(some)
                .map(|(thread, (place, users))| {
                    let broken =
                        || line(&place.0, users, Err(Unreached::Connection("it could not be tried".into())));
                    thread.join().unwrap_or_else(|_| broken())
                })
                .collect::<Vec<_>>()
        });
        lines.extend(tried);
    }
    lines
}

/// An origin, and whether private addresses may be dialled there.
type Place = (String, bool);

/// Who goes where; a line for each that nobody can place.
fn origins(config: &HostConfig, declared: &[Declared]) -> (BTreeMap<Place, BTreeSet<String>>, Vec<Line>) {
    let mut origins: BTreeMap<Place, BTreeSet<String>> = BTreeMap::new();
    let mut lines = Vec::new();
    for tenant in &config.tenants {
        let brevo = tenant.brevo.base_url.as_deref().unwrap_or(BASE_URL).to_owned();
        let account = format!("Brevo account {}", tenant.brevo.account);
        origins.entry((brevo, config.allow_private_addresses)).or_default().insert(account);
        for connector in &tenant.connectors {
            let of_this = |one: &&Declared| one.tenant == tenant.name && one.connector == connector.name;
            let Some(one) = declared.iter().find(of_this) else { continue };
            let settings = serde_json::from_str(&connector.settings_json).unwrap_or(Value::Null);
            let grant = Grant {
                manifest: &one.manifest,
                settings: &settings,
                overrides: &connector.endpoints,
                allow_private: config.allow_private_addresses,
            };
            let used: BTreeSet<&str> =
                one.profile.resources.iter().map(|resource| resource.endpoint.as_str()).collect();
            for endpoint in used {
                let user = format!("{} / {}: {endpoint}", tenant.name, connector.name);
                match grant.origin_of(endpoint) {
                    Ok(place) => drop(origins.entry(place).or_default().insert(user)),
                    Err(error) => lines.push(Line::fails(PART, user, error.message).operator(
                        error.code,
                        "Correct the settings, or `endpoints` in the connector's block.",
                    )),
                }
            }
        }
    }
    (origins, lines)
}

fn line(origin: &str, users: &BTreeSet<String>, tried: Result<(), Unreached>) -> Line {
    let users = list(users);
    let Err(error) = tried else {
        let how = if origin.starts_with("https:") { "a trusted TLS connection" } else { "a connection" };
        return Line::holds(PART, shown(origin), format!("{how} came to be ({users})"));
    };
    let (code, remedy) = match &error {
        Unreached::Name => (
            "endpoint-name-unknown",
            "Correct the name in the settings, and look at this machine's resolver (/etc/resolv.conf).",
        ),
        Unreached::Denied => (
            "endpoint-address-denied",
            "Correct the origin; a private address needs `host.allow_private_addresses`, which is for tests.",
        ),
        Unreached::Connection(_) => (
            "endpoint-unreachable",
            "Look at this machine's way out (routes, firewall), and whether the server works.",
        ),
        Unreached::Tls => (
            "endpoint-tls-untrusted",
            "Correct the name, or find out who stands between this machine and the server; look at the clock as well.",
        ),
    };
    Line::fails(PART, shown(origin), format!("{error} ({users})")).operator(code, remedy)
}

/// Scheme and host.
fn shown(origin: &str) -> String {
    let host = origin.find("://").map_or(0, |at| at + 3);
    let end = origin[host..].find('/').map_or(origin.len(), |at| host + at);
    origin[..end].to_owned()
}

fn list(users: &BTreeSet<String>) -> String {
    const MOST: usize = 4;
    let named: Vec<_> = users.iter().take(MOST).map(String::as_str).collect();
    let more = users.len().saturating_sub(MOST);
    if more == 0 { named.join(", ") } else { format!("{}, and {more} more", named.join(", ")) }
}

/// Where webhooks come in.
pub(super) fn intake(config: &HostConfig, served: bool) -> Line {
    const PART: &str = "intake";
    let address = config.intake;
    let name = address.to_string();
    if served && address.port() == 0 {
        return Line::cannot_tell(
            PART,
            name,
            "the running host has a port that the configuration doesn't know",
        )
        .operator("intake-any-port", "Write a port under `host.intake`.");
    }
    let message = if served {
        if TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_err() {
            let remedy = "Look at the log of the host, and whether it was started with this configuration.";
            return Line::fails(PART, name, "a host has the store, and nothing listens here")
                .operator("intake-not-served", remedy);
        }
        "a host has the store, and something listens here"
    } else {
        if let Err(error) = TcpListener::bind(address) {
            let remedy = "Choose another address or port under `host.intake`, or end what has it.";
            return Line::fails(PART, name, format!("it can't be listened at: {}", error.kind()))
                .operator("not-listening", remedy);
        }
        "it is free to be listened at"
    };
    if address.ip().is_loopback() {
        return Line::holds(PART, name, format!("{message}; this machine alone can reach it"));
    }
    let message = format!("{message}; others can reach it, and it speaks plain HTTP");
    let remedy =
        "Make sure that only the proxy that ends TLS can reach this address, as the configuration says.";
    Line::look(PART, name, message).operator("intake-beyond-loopback", remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_shown_without_its_path() {
        assert_eq!(shown("https://api.brevo.com/v3"), "https://api.brevo.com");
        assert_eq!(shown("http://127.0.0.1:8080"), "http://127.0.0.1:8080");
        assert_eq!(shown("nothing/else"), "nothing");
    }
}
