//! Who may hold how many connections: one source cannot take them all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many connections there may be at a time. An API server needs a handful.
pub(super) const MAX_CONNECTIONS: usize = 512;
/// How many of them from one address.
pub(super) const MAX_PER_SOURCE: usize = 64;

/// The connections that there are.
#[derive(Debug, Default)]
pub(super) struct Door(Mutex<HashMap<IpAddr, usize>>);

/// A connection's place, given back at its end.
#[derive(Debug)]
pub(super) struct Place {
    door: Arc<Door>,
    source: IpAddr,
}

impl Door {
    /// A place, if there is one for this source.
    pub(super) fn enter(self: &Arc<Self>, source: IpAddr) -> Option<Place> {
        let source = source.to_canonical();
        let mut held = self.held();
        let all: usize = held.values().sum();
        let own = held.entry(source).or_default();
        if all >= MAX_CONNECTIONS || *own >= MAX_PER_SOURCE {
            if *own == 0 {
                held.remove(&source);
            }
            return None;
        }
        *own = own.saturating_add(1);
        Some(Place { door: Arc::clone(self), source })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.door.held();
        if let Some(own) = held.get_mut(&self.source) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                held.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_cannot_take_all_places() {
        let door = Arc::new(Door::default());
        let one: IpAddr = "10.0.0.1".parse().expect("an address");
        let places: Vec<_> = (0..MAX_PER_SOURCE).map(|_| door.enter(one)).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(door.enter(one).is_none());
        assert!(door.enter("::ffff:10.0.0.1".parse().expect("an address")).is_none());
        assert!(door.enter("10.0.0.2".parse().expect("an address")).is_some());
        drop(places);
        assert!(door.enter(one).is_some());
        assert!(door.held().is_empty(), "nothing is kept of who has left");
    }

    #[test]
    fn all_places_at_the_cap_and_one_more() {
        let door = Arc::new(Door::default());
        let source =
            |n: usize| IpAddr::from([10, 0, 1, u8::try_from(n / MAX_PER_SOURCE).expect("small")]);
        let places: Vec<_> = (0..MAX_CONNECTIONS).map(|n| door.enter(source(n))).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(door.enter("10.9.9.9".parse().expect("an address")).is_none());
    }
}
