//! The buffers that drivers write into, of all connections of a thread: so an
//! idle connection holds none, and a small request allocates none.

use std::{cell::RefCell, mem};

use remora_parsers::{Direction, Driver};

/// A buffer of more than this is not kept.
const KEPT_BYTES: usize = 16 << 10;

thread_local! {
    static SPARE: RefCell<[Vec<u8>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// Gives the driver buffers to write into, where it has none of its own.
pub(super) fn lend(driver: &mut Driver) {
    each(driver, |own, spare| {
        if own.capacity() == 0 {
            mem::swap(own, spare);
        }
    });
}

/// Takes its buffers, where nothing waits in them.
pub(super) fn reclaim(driver: &mut Driver) {
    each(driver, |own, spare| {
        if own.is_empty() {
            let free = mem::take(own);
            if (spare.capacity()..=KEPT_BYTES).contains(&free.capacity()) {
                *spare = free;
            }
        }
    });
}

fn each(driver: &mut Driver, mut work: impl FnMut(&mut Vec<u8>, &mut Vec<u8>)) {
    SPARE.with_borrow_mut(|spares| {
        for (spare, direction) in spares.iter_mut().zip([Direction::Request, Direction::Reply]) {
            work(driver.output(direction), spare);
        }
    });
}
