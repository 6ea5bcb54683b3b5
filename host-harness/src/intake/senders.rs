//! Who sent a webhook, by address: an additional check where a vendor names its addresses.
//!
//! A connection's own address is the proxy's. What stands in `X-Forwarded-For` is worth something
//! only where a proxy that the operator declared wrote it, and proxies append: so the list is read
//! from the right, declared proxies are skipped, and the first address that is none of them is the
//! sender. Everything left of it was written by the sender and is not looked at. What can't be read
//! is refused: this check never passes by accident.

use std::net::IpAddr;

use http::HeaderMap;

use crate::networks::{Network, written_address};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Addresses that a surface takes webhooks from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedSenders {
    /// The vendor's.
    pub listed: Vec<IpAddr>,
    /// Who may say for whom it speaks.
    pub proxies: Vec<Network>,
}

impl AllowedSenders {
    /// Whether a request may come in. `peer` is the other end of its connection.
    ///
    /// # Errors
    /// A stable code, for counters.
    pub fn check(&self, peer: IpAddr, headers: &HeaderMap) -> Result<(), &'static str> {
        let sender = sender(peer, headers, &self.proxies).ok_or("sender-unknown")?;
        let listed = self.listed.iter().any(|address| address.to_canonical() == sender);
        if listed { Ok(()) } else { Err("sender-not-listed") }
    }
}

/// The right-most address that is no declared proxy; nothing where it can't be told.
fn sender(peer: IpAddr, headers: &HeaderMap, proxies: &[Network]) -> Option<IpAddr> {
    let trusted = |address: IpAddr| proxies.iter().any(|network| network.contains(address));
    let peer = peer.to_canonical();
    if !trusted(peer) {
        return Some(peer);
    }
    // Several lines are one list, in their order (RFC 9110, 5.3).
    for line in headers.get_all(FORWARDED_FOR).iter().rev() {
        for entry in line.to_str().ok()?.rsplit(',') {
            let address = written_address(entry.trim_matches([' ', '\t']))?;
            if !trusted(address) {
                return Some(address);
            }
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn found(peer: &str, lines: &[&str]) -> Option<String> {
        let proxies = ["127.0.0.1", "10.0.0.0/8", "2001:db8:aa::/48"].map(|text| text.parse().unwrap());
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        sender(peer.parse().unwrap(), &headers, &proxies).map(|address| address.to_string())
    }

    #[test]
    fn the_right_most_address_that_is_no_declared_proxy_is_the_sender() {
        let vendor = "52.6.248.125";
        for (case, peer, lines, expected) in [
            ("one proxy", "127.0.0.1", &[vendor][..], Some(vendor)),
            ("two proxies", "127.0.0.1", &["52.6.248.125, 10.1.2.3"], Some(vendor)),
            ("proxies over two lines", "127.0.0.1", &[vendor, "10.1.2.3, 10.9.9.9"], Some(vendor)),
            ("spoofed on the left", "127.0.0.1", &["52.6.248.125, 203.0.113.9"], Some("203.0.113.9")),
            ("spoofed in a line before", "127.0.0.1", &[vendor, "203.0.113.9"], Some("203.0.113.9")),
            ("garbage on the left is not looked at", "127.0.0.1", &["%&/, 52.6.248.125"], Some(vendor)),
            ("a peer that is no proxy speaks for itself", "203.0.113.9", &[vendor], Some("203.0.113.9")),
            ("no header", "127.0.0.1", &[], None),
            ("an empty one", "127.0.0.1", &[""], None),
            ("proxies only", "127.0.0.1", &["10.1.1.1, 127.0.0.1"], None),
            ("an empty entry on the right", "127.0.0.1", &["52.6.248.125,"], None),
            ("unknown", "127.0.0.1", &["52.6.248.125, unknown"], None),
            ("garbage on the right", "127.0.0.1", &["52.6.248.125, x"], None),
            ("not ASCII", "127.0.0.1", &["52.6.248.125\u{e9}"], None),
            ("blanks and tabs", "127.0.0.1", &[" \t52.6.248.125 ,\t10.1.1.1 "], Some(vendor)),
            ("with a port", "127.0.0.1", &["52.6.248.125:4711"], Some(vendor)),
            ("IPv6", "127.0.0.1", &["2001:db8::7"], Some("2001:db8::7")),
            ("IPv6 in brackets", "127.0.0.1", &["[2001:db8::7]:443"], Some("2001:db8::7")),
            ("an IPv6 proxy", "2001:db8:aa::1", &[vendor], Some(vendor)),
            ("mapped", "::ffff:127.0.0.1", &["::ffff:52.6.248.125, ::ffff:10.0.0.9"], Some(vendor)),
            ("a zone", "127.0.0.1", &["fe80::1%eth0"], None),
            ("octal", "127.0.0.1", &["052.6.248.125"], None),
        ] {
            assert_eq!(found(peer, lines).as_deref(), expected, "{case}");
        }
    }

    #[test]
    fn a_listed_address_passes_and_no_other() {
        let allowed = AllowedSenders {
            listed: vec!["52.6.248.125".parse().unwrap(), "2001:db8::7".parse().unwrap()],
            proxies: vec!["127.0.0.1".parse().unwrap()],
        };
        let check = |peer: &str, forwarded: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(text) = forwarded {
                headers.insert(FORWARDED_FOR, HeaderValue::from_str(text).unwrap());
            }
            allowed.check(peer.parse().unwrap(), &headers)
        };
        assert_eq!(check("127.0.0.1", Some("52.6.248.125")), Ok(()));
        assert_eq!(check("127.0.0.1", Some("2001:DB8:0::7")), Ok(()));
        assert_eq!(check("52.6.248.125", None), Ok(()), "without a proxy the peer is the sender");
        assert_eq!(check("127.0.0.1", Some("52.6.248.126")), Err("sender-not-listed"));
        assert_eq!(check("203.0.113.9", Some("52.6.248.125")), Err("sender-not-listed"));
        assert_eq!(check("127.0.0.1", None), Err("sender-unknown"));
        let none = AllowedSenders { listed: vec![], ..allowed };
        assert_eq!(none.check("127.0.0.1".parse().unwrap(), &HeaderMap::new()), Err("sender-unknown"));
    }

    proptest! {
        /// Whatever a sender writes into the header, a proxy's own entry decides.
        #[test]
        fn nothing_that_a_sender_writes_makes_it_another(forged in "[ -~]{0,60}") {
            let line = format!("{forged}, 203.0.113.9");
            for lines in [vec![line.as_str()], vec![forged.as_str(), "203.0.113.9"]] {
                let sender = found("127.0.0.1", &lines);
                prop_assert_eq!(sender.as_deref(), Some("203.0.113.9"));
            }
        }
    }
}
