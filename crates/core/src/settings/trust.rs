//! Peers whose word counts: addresses, networks, and whoever reaches a Unix socket.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// A Unix socket's peers have no address: who reaches them is the matter of the file's mode.
    Unix,
    Net {
        address: IpAddr,
        bits: u8,
    },
}

impl Peer {
    /// `unix`, `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| format!("\"{address}\" is no IP address"))?;
        let most = width(address);
        let bits = match bits {
            None => most,
            Some(bits) => bits
                .parse()
                .ok()
                .filter(|bits| *bits <= most)
                .ok_or_else(|| format!("a network of {address} has 0 to {most} bits"))?,
        };
        Ok(Self::Net { address, bits })
    }

    /// Whether it is the peer of a request with this REMOTE_ADDR.
    pub fn is(self, remote: &[u8]) -> bool {
        let Self::Net { address, bits } = self else {
            return remote.is_empty();
        };
        let remote = std::str::from_utf8(remote).ok();
        let Some(remote) = remote.and_then(|text| text.parse::<IpAddr>().ok()) else {
            return false;
        };
        let remote = remote.to_canonical();
        if width(remote) != width(address) {
            return false;
        }
        let differs = number(remote) ^ number(address);
        // A shift by all bits of the type would be none.
        bits == 0 || differs >> (width(address) - bits) == 0
    }
}

fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_networks_and_unix_are_told_apart() {
        for (peer, yes, no) in [
            ("unix", "", "127.0.0.1"),
            ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("10.0.0.0/8", "10.255.3.4", "11.0.0.1"),
            ("10.0.0.0/8", "::ffff:10.1.1.1", "fd00::1"),
            ("0.0.0.0/0", "8.8.8.8", "::1"),
            ("::/0", "::1", "8.8.8.8"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("192.168.1.128/25", "192.168.1.129", "192.168.1.127"),
        ] {
            let it = Peer::parse(peer).unwrap();
            assert!(it.is(yes.as_bytes()), "{peer} {yes}");
            assert!(!it.is(no.as_bytes()), "{peer} {no}");
            assert!(!it.is(b"\xff, evil"), "{peer}");
        }
    }

    #[test]
    fn what_is_no_peer_is_refused() {
        for text in [
            "",
            "*",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/x",
            "example.org",
            "10.0.0.0/-1",
        ] {
            Peer::parse(text).unwrap_err();
        }
    }
}
