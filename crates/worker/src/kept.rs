//! HTTP connections between two requests. Every app thread's epoll set looks at them, so whichever
//! thread is idle takes the next request straight from the socket, and no connection belongs to a
//! thread that is busy. What is not there at once waits with the I/O thread, as everywhere.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::epoll::{self, EventData, EventFlags};

use crate::clock::Moment;
use crate::connection::Connection;
use crate::context::{WorkerContext, token};
use crate::handover::{Wait, Waiting};
use crate::request::Request;
use crate::socket::{self, Read};

/// What a connection gets room for when something came while it was answered.
const ROOM: usize = 4096;

/// The kept connections of a worker. Nothing is dropped or waited for under its lock.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    places: Vec<Place>,
    free: Vec<usize>,
    idle: usize,
    /// The worker drains.
    is_closed: bool,
}

#[derive(Debug)]
enum Place {
    Free,
    /// Nobody has asked anything that a thread has seen.
    Idle {
        connection: Connection,
        deadline: Moment,
    },
    /// A thread has the connection.
    Taken {
        /// Its event came meanwhile, and comes no second time (EPOLLET).
        rung: bool,
    },
}

/// A connection's place in the table and in the epoll sets, until it is closed or waits with the I/O
/// thread.
#[derive(Debug)]
pub(crate) struct Ticket {
    kept: Arc<Kept>,
    place: usize,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut table = self.kept.table();
        table.places[self.place] = Place::Free;
        table.free.push(self.place);
    }
}

/// What became of a connection that was put back.
enum Put {
    Done,
    /// Something came: look first.
    Rung(Connection),
    /// It is not wanted any more.
    Closed(Connection),
}

impl Kept {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place that is taken.
    fn ticket(self: &Arc<Self>) -> Ticket {
        let mut table = self.table();
        let taken = Place::Taken { rung: false };
        let place = match table.free.pop() {
            Some(place) => {
                table.places[place] = taken;
                place
            }
            None => {
                table.places.push(taken);
                table.places.len() - 1
            }
        };
        Ticket {
            kept: Arc::clone(self),
            place,
        }
    }

    /// The connection of an event, unless a thread has it already.
    fn take(&self, place: usize) -> Option<Connection> {
        let mut table = self.table();
        match table.places.get_mut(place)? {
            Place::Free => None,
            Place::Taken { rung } => {
                *rung = true;
                None
            }
            Place::Idle { .. } => table.take(place),
        }
    }

    fn put(&self, connection: Connection, place: usize, deadline: Moment) -> Put {
        let mut table = self.table();
        if table.is_closed {
            return Put::Closed(connection);
        }
        if matches!(table.places[place], Place::Taken { rung: true }) {
            table.places[place] = Place::Taken { rung: false };
            return Put::Rung(connection);
        }
        table.places[place] = Place::Idle {
            connection,
            deadline,
        };
        table.idle += 1;
        Put::Done
    }

    /// Those whose deadline is not after `until`.
    fn take_until(&self, until: Moment) -> Vec<Connection> {
        let mut table = self.table();
        let due = table.deadlines().filter(|(deadline, _)| *deadline <= until);
        let due: Vec<usize> = due.map(|(_, place)| place).collect();
        due.into_iter().filter_map(|it| table.take(it)).collect()
    }

    /// The one that has been idle longest.
    fn take_idlest(&self) -> Option<Connection> {
        let mut table = self.table();
        let (_, place) = table.deadlines().min()?;
        table.take(place)
    }

    /// All of them; from now on none is kept.
    fn close(&self) -> Vec<Connection> {
        self.table().is_closed = true;
        self.take_until(Moment(u64::MAX))
    }
}

impl Table {
    fn deadlines(&self) -> impl Iterator<Item = (Moment, usize)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(place, it)| match it {
            Place::Idle { deadline, .. } => Some((*deadline, place)),
            Place::Free | Place::Taken { .. } => None,
        })
    }

    fn take(&mut self, place: usize) -> Option<Connection> {
        let taken = Place::Taken { rung: false };
        match std::mem::replace(&mut self.places[place], taken) {
            Place::Idle { connection, .. } => {
                self.idle -= 1;
                Some(connection)
            }
            other @ (Place::Free | Place::Taken { .. }) => {
                self.places[place] = other;
                None
            }
        }
    }
}

impl WorkerContext {
    /// Keeps a connection that was answered and of which nothing is left over.
    pub(crate) fn keep(&self, mut connection: Connection, now: Moment) {
        let Some(patience) = self.settings().http_keepalive else {
            return;
        };
        if connection.ticket.is_none() {
            connection.ticket = self.look_at(&connection.socket);
        }
        // It may end at any time; the client asks again on a new one.
        if !self.hold() {
            return;
        }
        let Some(ticket) = &connection.ticket else {
            return self.wait_idle(connection, Vec::new());
        };
        let place = ticket.place;
        loop {
            match self.kept.put(connection, place, now.after(patience)) {
                Put::Done => break,
                Put::Closed(closed) => {
                    drop(closed);
                    return self.let_go();
                }
                Put::Rung(back) => connection = back,
            }
            let mut buffer = Vec::with_capacity(ROOM);
            match socket::receive(&connection.socket, &mut buffer) {
                Read::Nothing => (),
                // The I/O thread sees an end again.
                Read::Bytes(_) | Read::End => return self.wait_idle(connection, buffer),
            }
        }
        if self.handover.is_crowded() {
            self.drop_idlest();
        }
    }

    /// Has the I/O thread wait for the next request; the connection has its place.
    fn wait_idle(&self, connection: Connection, buffer: Vec<u8>) {
        let mut request = Request::new(0);
        request.clear(connection.protocol);
        request.buffer = buffer;
        self.hand_over(Waiting {
            connection,
            request,
            wait: Wait::Idle,
        });
    }

    /// A connection goes to the I/O thread; its place is held. No app thread looks at it any more.
    pub(crate) fn hand_over(&self, mut waiting: Waiting) {
        self.forget(&mut waiting.connection);
        self.handover.park(waiting);
    }

    /// The next request of a kept connection whose event came; `None`: somebody else was faster.
    pub(crate) fn take_kept(&self, token: u64) -> Option<Connection> {
        let place = usize::try_from(token.checked_sub(token::KEPT)?).ok()?;
        let connection = self.kept.take(place)?;
        self.let_go();
        Some(connection)
    }

    /// Those that have been idle for too long, each with its place held.
    pub(crate) fn take_overdue(&self, now: Moment) -> Vec<Connection> {
        let overdue = self.kept.take_until(now);
        self.forgotten(overdue)
    }

    /// The worker drains: all of them, each with its place held.
    pub(crate) fn close_kept(&self) -> Vec<Connection> {
        let closed = self.kept.close();
        self.forgotten(closed)
    }

    /// Closes the one that has been idle longest; whether there was one.
    pub(crate) fn drop_idlest(&self) -> bool {
        let idlest = self.kept.take_idlest();
        let found = idlest.is_some();
        if let Some(connection) = idlest {
            drop(connection);
            self.let_go();
        }
        found
    }

    /// Whether any connection is kept.
    pub(crate) fn keeps_any(&self) -> bool {
        self.kept.table().idle > 0
    }

    /// All app threads look at the socket from now on. `None`: some have not begun yet, or there is
    /// no memory for it.
    fn look_at(&self, socket: &OwnedFd) -> Option<Ticket> {
        let ticket = self.kept.ticket();
        let threads = self.threads();
        let all = match self.settings().interpreter.gevent {
            Some(_) => 1,
            None => self.settings().cores(),
        };
        let is_seen = threads.len() == all
            && threads
                .iter()
                .all(|set| watch(set, socket, ticket.place).is_ok());
        if is_seen {
            return Some(ticket);
        }
        for set in threads.iter() {
            let _ = epoll::delete(set.as_ref(), socket);
        }
        None
    }

    /// The app threads no longer look at it.
    fn forget(&self, connection: &mut Connection) {
        if let Some(ticket) = connection.ticket.take() {
            for set in self.threads().iter() {
                let _ = epoll::delete(set.as_ref(), &connection.socket);
            }
            drop(ticket);
        }
    }

    fn forgotten(&self, mut connections: Vec<Connection>) -> Vec<Connection> {
        connections.iter_mut().for_each(|it| self.forget(it));
        connections
    }
}

/// Edge-triggered: what comes while the connection is answered wakes nobody twice. Exclusive: it
/// wakes one of the threads that wait.
fn watch(set: &OwnedFd, socket: &OwnedFd, place: usize) -> rustix::io::Result<()> {
    let data = EventData::new_u64(token::KEPT + place as u64);
    let flags = EventFlags::IN | EventFlags::ET | EventFlags::EXCLUSIVE;
    epoll::add(set, socket.as_fd(), data, flags)
}
