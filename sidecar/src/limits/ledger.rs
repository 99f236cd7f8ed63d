//! Who holds what: connections in all and by source, and bytes in all.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// What a connection counts for before a byte of it is held: its task, its
/// parser and its sockets.
pub(crate) const CONNECTION_BYTES: usize = 8 << 10;

/// A connection that holds at most so much is small: it goes on while memory
/// runs short, and has the last eighth of the room to itself.
const SMALL_BYTES: usize = 16 << 10;

/// What there is no more room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// Connections at a time.
    Connections(usize),
    /// Connections from one address.
    Source(usize),
    /// Bytes held.
    Held(usize),
    /// The container's memory.
    Memory,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connections(most) => write!(f, "there are {most} connections already"),
            Self::Source(most) => write!(f, "the client has {most} connections already"),
            Self::Held(most) => write!(f, "{most} bytes are held for connections already"),
            Self::Memory => f.write_str("the container's memory is nearly used up"),
        }
    }
}

/// How much there is of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) connections: usize,
    pub(crate) per_source: usize,
    pub(crate) held: usize,
}

/// The books of one sidecar.
#[derive(Debug)]
pub(crate) struct Ledger {
    room: Room,
    connections: AtomicUsize,
    /// No longer than the connections there are.
    sources: Mutex<HashMap<IpAddr, usize>>,
    held: AtomicUsize,
    /// Memory runs short: nobody new, and nobody large.
    short: AtomicBool,
}

impl Ledger {
    pub(crate) fn new(room: Room) -> Arc<Self> {
        Arc::new(Self {
            room,
            connections: AtomicUsize::new(0),
            sources: Mutex::default(),
            held: AtomicUsize::new(0),
            short: AtomicBool::new(false),
        })
    }

    /// Enters a connection from `source`; of no use where all come from one
    /// address, which `None` stands for.
    ///
    /// # Errors
    /// What there is no room for.
    pub(crate) fn admit(self: &Arc<Self>, source: Option<IpAddr>) -> Result<Ticket, Full> {
        if self.short.load(Ordering::Relaxed) {
            return Err(Full::Memory);
        }
        // What is taken here is given back by the ticket, also if it goes no further.
        let mut ticket = Ticket { ledger: Arc::clone(self), source: None, held: 0 };
        if self.connections.fetch_add(1, Ordering::Relaxed) >= self.room.connections {
            return Err(Full::Connections(self.room.connections));
        }
        if let Some(source) = source {
            let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
            let count = sources.entry(source).or_insert(0);
            if *count >= self.room.per_source {
                return Err(Full::Source(self.room.per_source));
            }
            *count = count.saturating_add(1);
            ticket.source = Some(source);
        }
        ticket.hold(0)?;
        Ok(ticket)
    }

    /// Says whether memory runs short.
    pub(crate) fn memory_is_short(&self, short: bool) {
        self.short.store(short, Ordering::Relaxed);
    }

    /// Connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Bytes held for them.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// A connection's entry, struck out when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    ledger: Arc<Ledger>,
    source: Option<IpAddr>,
    held: usize,
}

impl Ticket {
    /// Notes how many bytes are held for the connection now.
    ///
    /// # Errors
    /// It is this connection's growth that there is no room for. It is to end.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), Full> {
        let bytes = bytes.saturating_add(CONNECTION_BYTES);
        if bytes == self.held {
            return Ok(());
        }
        let Ledger { held, room, short, .. } = self.ledger.as_ref();
        let before = std::mem::replace(&mut self.held, bytes);
        if bytes < before {
            held.fetch_sub(before.saturating_sub(bytes), Ordering::Relaxed);
            return Ok(());
        }
        let growth = bytes.saturating_sub(before);
        let all = held.fetch_add(growth, Ordering::Relaxed).saturating_add(growth);
        let small = bytes <= SMALL_BYTES.saturating_add(CONNECTION_BYTES);
        let most = if small { room.held } else { room.held.saturating_sub(room.held / 8) };
        if all > most {
            Err(Full::Held(most))
        } else if !small && short.load(Ordering::Relaxed) {
            Err(Full::Memory)
        } else {
            Ok(())
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Ledger { connections, sources, held, .. } = self.ledger.as_ref();
        connections.fetch_sub(1, Ordering::Relaxed);
        held.fetch_sub(self.held, Ordering::Relaxed);
        let Some(source) = self.source else { return };
        let mut sources = sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = sources.get_mut(&source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                sources.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { connections: 3, per_source: 2, held: 1 << 20 };

    fn from(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn connections_fit_up_to_the_cap_and_no_further() {
        let ledger = Ledger::new(ROOM);
        let held: Vec<_> = (1..=3).map(|last| ledger.admit(from(last)).unwrap()).collect();
        assert_eq!(ledger.admit(from(4)).unwrap_err(), Full::Connections(3));
        assert_eq!(ledger.connections(), 3, "who was refused is not counted");
        drop(held);
        assert!(ledger.admit(from(4)).is_ok());
        assert_eq!((ledger.connections(), ledger.held()), (0, 0));
    }

    #[test]
    fn one_source_fits_up_to_its_cap_and_leaves_room_for_others() {
        let ledger = Ledger::new(ROOM);
        let first = [ledger.admit(from(1)).unwrap(), ledger.admit(from(1)).unwrap()];
        assert_eq!(ledger.admit(from(1)).unwrap_err(), Full::Source(2));
        let other = ledger.admit(from(2)).unwrap();
        drop(first);
        assert!(ledger.admit(from(1)).is_ok());
        drop(other);
        assert!(ledger.sources.lock().unwrap().is_empty(), "nobody is remembered");
        let one_address = ledger.admit(None).unwrap();
        assert!(ledger.admit(None).is_ok(), "where all come from one address");
        drop(one_address);
    }

    #[test]
    fn bytes_fit_up_to_the_cap_and_no_further() {
        let ledger = Ledger::new(Room { held: 4 * CONNECTION_BYTES, ..ROOM });
        let (mut one, mut other) = (ledger.admit(from(1)).unwrap(), ledger.admit(from(2)).unwrap());
        one.hold(2 * CONNECTION_BYTES).unwrap();
        assert_eq!(ledger.held(), 4 * CONNECTION_BYTES);
        assert_eq!(other.hold(1), Err(Full::Held(4 * CONNECTION_BYTES)));
        assert_eq!(ledger.admit(from(3)).unwrap_err(), Full::Held(4 * CONNECTION_BYTES));
        drop(other);
        one.hold(0).unwrap();
        assert_eq!(ledger.held(), CONNECTION_BYTES);
        drop(one);
        assert_eq!(ledger.held(), 0);
    }

    #[test]
    fn the_last_eighth_is_for_the_small() {
        let ledger = Ledger::new(ROOM);
        let (mut large, mut small) =
            (ledger.admit(from(1)).unwrap(), ledger.admit(from(2)).unwrap());
        let most = ROOM.held - ROOM.held / 8;
        large.hold(most - 2 * CONNECTION_BYTES).unwrap();
        assert_eq!(ledger.held(), most);
        small.hold(SMALL_BYTES).unwrap();
        assert_eq!(small.hold(SMALL_BYTES + 1), Err(Full::Held(most)));
    }

    #[test]
    fn with_memory_short_nobody_comes_and_nobody_grows_large() {
        let ledger = Ledger::new(ROOM);
        let mut one = ledger.admit(from(1)).unwrap();
        ledger.memory_is_short(true);
        assert_eq!(ledger.admit(from(2)).unwrap_err(), Full::Memory);
        one.hold(SMALL_BYTES).unwrap();
        assert_eq!(one.hold(SMALL_BYTES + 1), Err(Full::Memory));
        ledger.memory_is_short(false);
        assert!(ledger.admit(from(2)).is_ok());
    }
}
