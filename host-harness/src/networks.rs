//! Addresses and networks, written as an operator writes them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// A network: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Why a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNetwork {
    /// It can't be read.
    #[error("this is no address and no network")]
    Unreadable,
    /// There are bits after the prefix.
    #[error("the address has bits after its prefix, so it is not clear what is meant")]
    HostBits,
    /// It is everybody.
    #[error("this is every address there is")]
    Everybody,
}

impl Network {
    /// Whether an address lies in it. An IPv4 address that comes as an IPv6 one (`::ffff:10.0.0.1`)
    /// is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                same(u128::from(network.to_bits()) << 96, u128::from(address.to_bits()) << 96, self.bits)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                same(network.to_bits(), address.to_bits(), self.bits)
            }
            _ => false,
        }
    }
}

/// Whether two numbers agree in their first bits.
fn same(one: u128, other: u128, bits: u8) -> bool {
    let rest = 128 - u32::from(bits.min(128));
    (one ^ other).checked_shr(rest).unwrap_or(0) == 0
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| BadNetwork::Unreadable)?;
        let all: u8 = if written.is_ipv4() { 32 } else { 128 };
        let bits: u8 = match prefix {
            None => all,
            // `parse` would take `+8` and `08`.
            Some(text) if text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().ok().filter(|bits| *bits <= all).ok_or(BadNetwork::Unreadable)?
            }
            Some(_) => return Err(BadNetwork::Unreadable),
        };
        if bits == 0 {
            return Err(BadNetwork::Everybody);
        }
        let number = match written {
            IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
            IpAddr::V6(address) => address.to_bits(),
        };
        if number.checked_shl(u32::from(bits)).unwrap_or(0) != 0 {
            return Err(BadNetwork::HostBits);
        }
        // `::ffff:10.0.0.0/104` is `10.0.0.0/8`; a shorter prefix of it would be all of IPv4.
        match written.to_canonical() {
            IpAddr::V4(address) if written.is_ipv6() => match bits.checked_sub(96) {
                None | Some(0) => Err(BadNetwork::Everybody),
                Some(bits) => Ok(Self { address: address.into(), bits }),
            },
            address => Ok(Self { address, bits }),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// An address as a proxy writes it: alone, with a port, or in brackets.
pub fn written_address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(bracketed).or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn networks_contain_what_their_prefix_says() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.4/31", "192.0.2.5", "192.0.2.6"),
            ("128.0.0.0/1", "255.1.1.1", "127.255.255.255"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.0"),
            ("2001:db8::/32", "2001:db8:1::", "2001:db9::"),
            ("::1", "::1", "::2"),
            ("2001:db8::/32", "2001:db8::1", "10.0.0.1"),
            ("0.0.0.0/1", "1.0.0.0", "::1"),
        ] {
            assert!(network(text).contains(inside.parse().unwrap()), "{text} {inside}");
            assert!(!network(text).contains(outside.parse().unwrap()), "{text} {outside}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "x", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "10.0.0.0/+8", "::/129", "::1%eth0/128"]
        {
            assert_eq!(text.parse::<Network>(), Err(BadNetwork::Unreadable), "{text}");
        }
        for text in ["10.0.0.1/8", "2001:db8::1/32", "::ffff:10.0.0.1/104"] {
            assert_eq!(text.parse::<Network>(), Err(BadNetwork::HostBits), "{text}");
        }
        for text in ["0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96"] {
            assert_eq!(text.parse::<Network>(), Err(BadNetwork::Everybody), "{text}");
        }
    }

    #[test]
    fn addresses_are_read_in_every_spelling_of_a_proxy() {
        let read = |text: &str| written_address(text).map(|address| address.to_string());
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:8080", Some("192.0.2.1")),
            ("2001:DB8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("[::ffff:192.0.2.1]:1", Some("192.0.2.1")),
            ("", None),
            ("unknown", None),
            ("_hidden", None),
            ("192.0.2.1:", None),
            ("192.0.2.1:99999", None),
            ("192.0.2.01", None),
            ("192.0.2", None),
            ("0x7f000001", None),
            ("fe80::1%eth0", None),
            ("192.0.2.1 192.0.2.2", None),
            ("\"192.0.2.1\"", None),
        ] {
            assert_eq!(read(text).as_deref(), expected, "{text}");
        }
    }

    proptest! {
        /// A network of every length contains its own first address and nothing beside it.
        #[test]
        fn a_prefix_is_exact(number: u32, bits in 1u8..=32) {
            let first = number & (u32::MAX << (32 - u32::from(bits)));
            let network: Network = format!("{}/{bits}", std::net::Ipv4Addr::from_bits(first)).parse().unwrap();
            prop_assert!(network.contains(std::net::Ipv4Addr::from_bits(number).into()));
            let beside = number ^ (1 << (32 - u32::from(bits)));
            prop_assert!(!network.contains(std::net::Ipv4Addr::from_bits(beside).into()));
        }

        #[test]
        fn no_text_breaks_it(text in "\\PC{0,40}") {
            let _ = (text.parse::<Network>(), written_address(&text));
        }
    }
}
