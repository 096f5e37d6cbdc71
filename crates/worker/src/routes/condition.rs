//! What `route-if` asks.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use imperator_core::pattern::Matcher;
use imperator_core::settings::routes::Condition;

use super::expand::{Matched, Template};
use crate::context::WorkerContext;
use crate::request::Request;
use crate::static_files::Files;

#[derive(Debug)]
pub(super) enum Test {
    Never,
    One(One, Template),
    Two(Two, Template, Template),
    Matches(Template, Matcher),
}

/// Questions about one text.
#[derive(Debug, Clone, Copy)]
pub(super) enum One {
    Empty,
    Exists,
    IsFile,
    IsDir,
    IsLink,
    IsExecutable,
}

/// Questions about two.
#[derive(Debug, Clone, Copy)]
pub(super) enum Two {
    Equal,
    StartsWith,
    EndsWith,
    Contains,
    Higher,
    HigherOrEqual,
    Lower,
    LowerOrEqual,
    InNetwork,
}

impl Test {
    pub(super) fn new(condition: &Condition) -> Option<Self> {
        let one = |one, text: &str| Self::One(one, Template::of_condition(text));
        let two = |two, left: &str, right: &str| {
            Self::Two(
                two,
                Template::of_condition(left),
                Template::of_condition(right),
            )
        };
        Some(match condition {
            Condition::Never => Self::Never,
            Condition::Empty(text) => one(One::Empty, text),
            Condition::Exists(path) => one(One::Exists, path),
            Condition::IsFile(path) => one(One::IsFile, path),
            Condition::IsDir(path) => one(One::IsDir, path),
            Condition::IsLink(path) => one(One::IsLink, path),
            Condition::IsExecutable(path) => one(One::IsExecutable, path),
            Condition::Equal(left, right) => two(Two::Equal, left, right),
            Condition::StartsWith(left, right) => two(Two::StartsWith, left, right),
            Condition::EndsWith(left, right) => two(Two::EndsWith, left, right),
            Condition::Contains(left, right) => two(Two::Contains, left, right),
            Condition::Higher(left, right) => two(Two::Higher, left, right),
            Condition::HigherOrEqual(left, right) => two(Two::HigherOrEqual, left, right),
            Condition::Lower(left, right) => two(Two::Lower, left, right),
            Condition::LowerOrEqual(left, right) => two(Two::LowerOrEqual, left, right),
            Condition::InNetwork(left, right) => two(Two::InNetwork, left, right),
            Condition::Matches(subject, pattern) => {
                Self::Matches(Template::of_condition(subject), pattern.compile()?)
            }
        })
    }

    /// `None`: no. What a pattern matched is kept for the action.
    pub(super) fn holds(
        &self,
        worker: &WorkerContext,
        files: &Files,
        request: &Request,
    ) -> Option<Matched> {
        let nothing = Matched::default();
        let fill = |template: &Template| template.fill(worker, files, request, &nothing);
        let holds = match self {
            Self::Never => false,
            Self::One(question, text) => question.ask(&fill(text)),
            Self::Two(question, left, right) => question.ask(&fill(left), &fill(right)),
            Self::Matches(subject, pattern) => {
                let subject = fill(subject);
                let groups = pattern.groups(&subject)?;
                return Some(Matched::new(&subject, groups));
            }
        };
        holds.then(Matched::default)
    }
}

impl One {
    fn ask(self, text: &[u8]) -> bool {
        let path = Path::new(OsStr::from_bytes(text));
        match self {
            Self::Empty => text.is_empty(),
            Self::Exists => path.exists(),
            Self::IsFile => path.is_file(),
            Self::IsDir => path.is_dir(),
            Self::IsLink => path.is_symlink(),
            Self::IsExecutable => {
                let stat = path.metadata();
                stat.is_ok_and(|stat| stat.permissions().mode() & 0o111 != 0)
            }
        }
    }
}

impl Two {
    fn ask(self, left: &[u8], right: &[u8]) -> bool {
        match self {
            Self::Equal => left == right,
            Self::StartsWith => left.starts_with(right),
            Self::EndsWith => left.ends_with(right),
            Self::Contains => memchr::memmem::find(left, right).is_some(),
            Self::Higher => number(left) > number(right),
            Self::HigherOrEqual => number(left) >= number(right),
            Self::Lower => number(left) < number(right),
            Self::LowerOrEqual => number(left) <= number(right),
            Self::InNetwork => in_network(left, right).unwrap_or(false),
        }
    }
}

/// As C's `strtol`: the number at the start, 0 without one.
fn number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (sign, digits) = match text.split_first() {
        Some((b'-', rest)) => (-1, rest),
        Some((b'+', rest)) => (1, rest),
        Some(_) | None => (1, text),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(0i64, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
    });
    sign * number
}

/// Whether an address is in `network/prefix`.
fn in_network(address: &[u8], network: &[u8]) -> Option<bool> {
    let address: IpAddr = std::str::from_utf8(address).ok()?.parse().ok()?;
    let network = std::str::from_utf8(network).ok()?;
    let (network, prefix) = match network.split_once('/') {
        Some((network, prefix)) => (network, Some(prefix.parse::<u32>().ok()?)),
        None => (network, None),
    };
    let (address, network, bits) = match (address, network.parse().ok()?) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let wide = |ip: std::net::Ipv4Addr| u128::from(u32::from(ip)) << 96;
            (wide(address), wide(network), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            (u128::from(address), u128::from(network), 128)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return Some(false),
    };
    let prefix = prefix.unwrap_or(bits);
    if prefix > bits {
        return None;
    }
    let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
    Some(address & mask == network & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_strtol_reads_them() {
        for (text, expected) in [
            ("12", 12),
            (" -3x", -3),
            ("+4", 4),
            ("", 0),
            ("x", 0),
            ("99999999999999999999", i64::MAX),
        ] {
            assert_eq!(number(text.as_bytes()), expected, "{text}");
        }
        assert!(Two::Higher.ask(b"10", b"9"));
        assert!(Two::LowerOrEqual.ask(b"9", b"9"));
    }

    #[test]
    fn networks_hold_their_addresses() {
        for (address, network, expected) in [
            ("10.1.2.3", "10.0.0.0/8", true),
            ("11.1.2.3", "10.0.0.0/8", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "0.0.0.0/0", true),
            ("fe80::1", "fe80::/10", true),
            ("::1", "fe80::/10", false),
            ("::1", "10.0.0.0/8", false),
        ] {
            let found = in_network(address.as_bytes(), network.as_bytes());
            assert_eq!(found, Some(expected), "{address} in {network}");
        }
        for (address, network) in [("", "10.0.0.0/8"), ("10.0.0.1", "10.0.0.0/33"), ("x", "y")] {
            assert_eq!(in_network(address.as_bytes(), network.as_bytes()), None);
        }
    }
}
