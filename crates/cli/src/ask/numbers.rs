//! Times, users and sizes as a person reads them.

use std::time::SystemTime;

use nix::unistd::{Uid, User};

#[expect(
    clippy::disallowed_methods,
    reason = "a client that runs once reads the clock itself"
)]
pub(crate) fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |time| time.as_secs())
}

/// Who runs this command, as an emperor would note it.
pub(crate) fn who() -> String {
    let uid = Uid::current();
    match std::env::var("SUDO_USER") {
        Ok(user) if uid.is_root() => format!("uid {uid}, sudo by {user}"),
        Ok(_) | Err(_) => format!("uid {uid}"),
    }
}

/// `uid 0, sudo by alice` as `root, sudo by alice`.
pub(crate) fn named(by: &str) -> String {
    let Some(rest) = by.strip_prefix("uid ") else {
        return by.to_owned();
    };
    let end = rest.find(|letter: char| !letter.is_ascii_digit());
    let (number, more) = rest.split_at(end.unwrap_or(rest.len()));
    let user = number
        .parse()
        .ok()
        .map(Uid::from_raw)
        .and_then(|uid| User::from_uid(uid).ok()?);
    match user {
        Some(user) => format!("{}{more}", user.name),
        None => by.to_owned(),
    }
}

/// Columns of the terminal, and at least what a table needs; `None`: what is printed goes to a file or
/// another program, which wants whole lines.
pub(crate) fn columns() -> Option<usize> {
    const LEAST: usize = 80;
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col).max(LEAST))
}
