//! What /proc tells of TCP sockets: only for messages and numbers.

use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;

/// Who listens on a TCP port: /proc/net/tcp has the socket's inode, /proc/PID/fd its owner. Only
/// for a message; `None` when it is hidden from us.
pub(super) fn owner_of_port(port: u16) -> Option<i32> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .find_map(|table| {
            let table = std::fs::read_to_string(table).ok()?;
            table
                .lines()
                .skip(1)
                .find_map(|line| listening_inode(line, port))
        })?;
    let wanted = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let mut owners = processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let fds = std::fs::read_dir(format!("/proc/{pid}/fd"));
            let mut links = fds.into_iter().flatten().filter_map(Result::ok);
            links.any(|entry| {
                let link = std::fs::read_link(entry.path());
                link.is_ok_and(|link| link.as_os_str().as_bytes() == wanted.as_bytes())
            })
        });
    // An app of ours: its emperor has a copy, and would be stopped in its place.
    let first = owners.next()?;
    let is_master = |pid: &i32| app_of(*pid).is_some();
    if is_master(&first) {
        return Some(first);
    }
    owners.find(is_master).or(Some(first))
}

/// Whose master this process is.
pub(super) fn app_of(pid: i32) -> Option<String> {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    master_in(&command)
}

fn master_in(command: &[u8]) -> Option<String> {
    let mut words = command.split(|byte| *byte == 0);
    let program = std::path::Path::new(std::ffi::OsStr::from_bytes(words.next()?));
    let is_ours = program.file_name() == Some("imperator".as_ref());
    if !is_ours || words.next() != Some(b"master") {
        return None;
    }
    let name = std::str::from_utf8(words.next()?).ok()?;
    (!name.is_empty() && !name.starts_with('-')).then(|| name.to_owned())
}

/// One line of /proc/net/tcp (proc(5)): local address, state 0A = LISTEN, inode.
fn listening_inode(line: &str, port: u16) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = fields.next()?;
    let state = fields.nth(1)?;
    let (_, hex) = local.rsplit_once(':')?;
    if state != "0A" || u16::from_str_radix(hex, 16).ok()? != port {
        return None;
    }
    fields.nth(5)?.parse().ok()
}

/// Connections that wait to be accepted on a TCP listener: its receive queue in /proc/net/tcp.
pub(crate) fn queue_of(local: SocketAddr) -> Option<u64> {
    let table = if local.is_ipv4() {
        "/proc/net/tcp"
    } else {
        "/proc/net/tcp6"
    };
    let table = std::fs::read_to_string(table).ok()?;
    let port = local.port();
    let mut lines = table.lines().skip(1);
    let line = lines.find(|line| listening_inode(line, port).is_some())?;
    let queues = line.split_ascii_whitespace().nth(4)?;
    u64::from_str_radix(queues.split_once(':')?.1, 16).ok()
}

/// How the kernel cuts a backlog.
pub(crate) fn somaxconn() -> u32 {
    let text = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
    text.ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_of_ours_is_known_by_its_command_line() {
        for (command, app) in [
            (&b"imperator\0master\0shop/uwsgi\0"[..], Some("shop/uwsgi")),
            (b"/usr/bin/imperator\0master\0b\0--x\0", Some("b")),
            (b"imperator\0/etc/apps\0", None),
            (b"nginx: master process\0", None),
            (b"", None),
        ] {
            assert_eq!(master_in(command).as_deref(), app);
        }
    }
}
