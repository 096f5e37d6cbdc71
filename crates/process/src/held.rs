//! What a process holds that its forks would share to nobody's good: connections, and SQLite's
//! databases.

use std::os::fd::{BorrowedFd, RawFd};

use rustix::net::SocketAddrAny;

/// How an SQLite database begins (its file format, §1.3.1).
const SQLITE: &[u8; 16] = b"SQLite format 3\0";
/// More than this are not named.
const MAX: usize = 8;

/// In words: `a connection to 127.0.0.1:5432`. Standard streams, `ours`, and pairs of sockets
/// without a name (a process speaks with itself there) are left out.
pub fn shared_by_forks(ours: &[RawFd]) -> Vec<String> {
    let entries = std::fs::read_dir("/proc/self/fd");
    let entries = entries.into_iter().flatten().flatten();
    let mut numbers: Vec<RawFd> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2 && !ours.contains(number))
        .collect();
    numbers.sort_unstable();
    let mut found: Vec<String> = Vec::new();
    for number in numbers {
        let what = what_is(number);
        found.extend(what.filter(|it| !found.contains(it)));
        if found.len() == MAX {
            found.push("more".to_owned());
            break;
        }
    }
    found
}

fn what_is(number: RawFd) -> Option<String> {
    let link = std::fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
    // SAFETY: borrowed for two system calls; a number that was closed meanwhile is EBADF, or another
    // file of this process, which is then described.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    if link.as_os_str().as_encoded_bytes().starts_with(b"socket:") {
        return peer(rustix::net::getpeername(fd).ok()??);
    }
    // Never by its path: to close it again would drop the database's own locks.
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(fd).ok()?.st_mode);
    let mut start = [0; 16];
    let is_database = kind == rustix::fs::FileType::RegularFile
        && rustix::io::pread(fd, &mut start, 0) == Ok(16)
        && start == *SQLITE;
    is_database.then(|| format!("the database {}", link.display()))
}

fn peer(address: SocketAddrAny) -> Option<String> {
    if let Ok(address) = std::net::SocketAddr::try_from(address.clone()) {
        return Some(format!("a connection to {address}"));
    }
    let address = rustix::net::SocketAddrUnix::try_from(address).ok()?;
    let name = match (address.path_bytes(), address.abstract_name()) {
        (Some(path), _) => String::from_utf8_lossy(path).into_owned(),
        (None, Some(name)) if !name.is_empty() => format!("@{}", String::from_utf8_lossy(name)),
        (None, _) => return None,
    };
    Some(format!("a connection to {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;

    #[test]
    fn connections_and_databases_are_named_and_pairs_are_not() {
        let directory = std::env::temp_dir().join(format!("imp.held.{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = std::net::TcpStream::connect(address).unwrap();
        let path = directory.join("shop.db");
        let mut database = std::fs::File::options()
            .create_new(true)
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        database.write_all(SQLITE).unwrap();
        let named = directory.join("s");
        let _listener = std::os::unix::net::UnixListener::bind(&named).unwrap();
        let local = std::os::unix::net::UnixStream::connect(&named).unwrap();
        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(
            what_is(client.as_raw_fd()),
            Some(format!("a connection to {address}"))
        );
        assert_eq!(
            what_is(local.as_raw_fd()),
            Some(format!("a connection to {}", named.display()))
        );
        assert_eq!(
            what_is(database.as_raw_fd()),
            Some(format!("the database {}", path.display()))
        );
        for fd in [
            listener.as_raw_fd(),
            one.as_raw_fd(),
            other.as_raw_fd(),
            1_000_000,
        ] {
            assert_eq!(what_is(fd), None);
        }
        let all = shared_by_forks(&[]);
        assert!(
            all.contains(&format!("a connection to {address}")),
            "{all:?}"
        );
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
