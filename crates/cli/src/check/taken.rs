//! Who listens on this machine now, by the kernel's tables: no connection is made to anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use imperator_core::address::Address;

/// A process that holds a listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) pid: i32,
    pub(crate) name: String,
}

/// The listening sockets of this machine: inodes by port and by path.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    ports: Vec<(IpAddr, u16, u64)>,
    names: BTreeMap<String, u64>,
    owners: Option<BTreeMap<u64, Vec<i32>>>,
}

impl Listening {
    pub(crate) fn look() -> Self {
        let mut found = Self::default();
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            let text = std::fs::read_to_string(table).unwrap_or_default();
            found.ports.extend(text.lines().skip(1).filter_map(tcp));
        }
        let text = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
        found.names = text.lines().skip(1).filter_map(unix).collect();
        found
    }

    /// Who would be in the way of this address; `None`: nobody, or an Imperator, which keeps its
    /// sockets over a reload.
    pub(crate) fn owner(&mut self, address: &Address) -> Option<Owner> {
        let inodes = self.inodes(address);
        if inodes.is_empty() {
            return None;
        }
        let owners = self.owners.get_or_insert_with(owners);
        let pids = inodes.iter().filter_map(|inode| owners.get(inode));
        let pids: BTreeSet<i32> = pids.flatten().copied().collect();
        let named = |pid: i32| Owner {
            pid,
            name: read(&format!("/proc/{pid}/comm")).trim().to_owned(),
        };
        let mut found: Vec<Owner> = pids.into_iter().map(named).collect();
        let ours = found.iter().any(|owner| is_ours(owner.pid));
        if ours {
            return None;
        }
        // Workers hold their master's socket; the master is the oldest.
        found.sort_by_key(|owner| started(owner.pid));
        Some(found.into_iter().next().unwrap_or(Owner {
            pid: 0,
            name: "a process of another user".to_owned(),
        }))
    }

    fn inodes(&self, address: &Address) -> Vec<u64> {
        match address {
            Address::Tcp(address) => {
                let same = |ip: IpAddr| {
                    ip == address.ip() || ip.is_unspecified() || address.ip().is_unspecified()
                };
                let ports = self.ports.iter();
                ports
                    .filter(|(ip, port, _)| *port == address.port() && same(*ip))
                    .map(|(_, _, inode)| *inode)
                    .collect()
            }
            Address::Unix(path) => self.named(&path.to_string_lossy()),
            Address::Abstract(name) => self.named(&format!("@{name}")),
        }
    }

    fn named(&self, name: &str) -> Vec<u64> {
        self.names.get(name).copied().into_iter().collect()
    }
}

/// One line of /proc/net/tcp (proc(5)): local address, state 0A = LISTEN, inode.
fn tcp(line: &str) -> Option<(IpAddr, u16, u64)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (address, port) = fields.next()?.rsplit_once(':')?;
    if fields.nth(1)? != "0A" {
        return None;
    }
    // Words of the machine's byte order.
    let words = address.as_bytes().chunks(8).map(|word| {
        let word = std::str::from_utf8(word).ok()?;
        Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
    });
    let bytes: Vec<u8> = words.collect::<Option<Vec<_>>>()?.concat();
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(v4) => IpAddr::from(v4),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?),
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((ip, port, fields.nth(5)?.parse().ok()?))
}

/// One line of /proc/net/unix: flags with `__SO_ACCEPTCON`, inode, name.
fn unix(line: &str) -> Option<(String, u64)> {
    let mut fields = line.split_ascii_whitespace();
    let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
    let inode = fields.nth(2)?.parse().ok()?;
    let name = fields.next()?;
    (flags & 0x1_0000 != 0).then(|| (name.to_owned(), inode))
}

fn owners() -> BTreeMap<u64, Vec<i32>> {
    let mut owners: BTreeMap<u64, Vec<i32>> = BTreeMap::new();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for entry in processes {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let fds = std::fs::read_dir(entry.path().join("fd"));
        for fd in fds.into_iter().flatten().flatten() {
            let link = std::fs::read_link(fd.path()).unwrap_or_default();
            let inode = link.to_str().and_then(|link| {
                let number = link.strip_prefix("socket:[")?.strip_suffix(']')?;
                number.parse().ok()
            });
            if let Some(inode) = inode {
                owners.entry(inode).or_default().push(pid);
            }
        }
    }
    owners
}

/// Whether a process runs this very command, or calls itself so: another build of it.
fn is_ours(pid: i32) -> bool {
    let same = |a: &Path, b: &Path| {
        let inode = |path: &Path| std::fs::metadata(path).map(|it| (it.dev(), it.ino())).ok();
        inode(a).is_some_and(|a| Some(a) == inode(b))
    };
    let exe = format!("/proc/{pid}/exe");
    read(&format!("/proc/{pid}/comm")).trim() == "imperator"
        || same(Path::new(&exe), Path::new("/proc/self/exe"))
}

/// When a process was started, in the kernel's ticks.
fn started(pid: i32) -> u64 {
    let stat = read(&format!("/proc/{pid}/stat"));
    let behind = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = behind.split_ascii_whitespace().nth(19);
    field.and_then(|it| it.parse().ok()).unwrap_or(u64::MAX)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_taken_port_names_its_owner_and_a_free_one_nobody() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connected = TcpStream::connect(address).unwrap();
        let mut listening = Listening::look();
        let inodes = listening.inodes(&Address::Tcp(address));
        assert_eq!(inodes.len(), 1, "only the listener");
        // The owner is this test program, which is this very command.
        assert_eq!(listening.owner(&Address::Tcp(address)), None);
        let owners = listening.owners.unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(owners[&inodes[0]].contains(&pid));
        drop((connected, listener));
    }

    #[test]
    fn lines_of_the_kernels_tables_are_read() {
        let line =
            "0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 77 1";
        assert_eq!(tcp(line), Some((IpAddr::from([127, 0, 0, 1]), 8080, 77)));
        assert_eq!(tcp(&line.replace(" 0A ", " 01 ")), None);
        let line = "0000: 00000002 00000000 00010000 0001 01 4711 /run/a.sock";
        assert_eq!(unix(line), Some(("/run/a.sock".to_owned(), 4711)));
        assert_eq!(unix(&line.replace("00010000", "00000000")), None);
    }
}
