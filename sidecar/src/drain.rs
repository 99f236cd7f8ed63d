//! What a sidecar waits for when it is asked to stop.
//!
//! A kubelet asks native sidecars last, when the app has exited, and then
//! there is nothing to wait for. Whoever asks earlier finds the app still at
//! work: it is let work on, in and out, until it is gone or the delay is over.

use std::{fs, time::Duration};

use tokio::time::{Instant, sleep};

/// How often it is looked whether the app is gone.
const LOOK: Duration = Duration::from_millis(50);

/// Where the kernel lists the TCP sockets of this network namespace.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// Waits until nobody else in the pod has a socket, at most for `delay`.
pub(crate) async fn until_the_app_is_gone(delay: Duration) {
    let over = Instant::now() + delay;
    let own = rustix::process::geteuid().as_raw();
    while Instant::now() < over {
        let tables = TABLES.map(|path| fs::read_to_string(path).unwrap_or_default());
        if !tables.iter().any(|table| others_have_sockets(table, own)) {
            tracing::info!("nobody else in the pod has a connection: no more are accepted");
            return;
        }
        sleep(LOOK.min(over.saturating_duration_since(Instant::now()))).await;
    }
}

/// Whether a process of another user holds one of the table's sockets. Those
/// without an inode are nobody's: the kernel only sees them to their end.
fn others_have_sockets(table: &str, own: u32) -> bool {
    table.lines().skip(1).any(|line| {
        let mut columns = line.split_whitespace();
        // sl, addresses, state, queues, timers, retransmits; uid, timeout, inode
        let (uid, inode) = (columns.nth(7), columns.nth(1));
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
        number(inode).is_some_and(|inode| inode != 0)
            && number(uid).is_some_and(|uid| uid != u64::from(own))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when \
                        retrnsmt   uid  timeout inode\n";

    fn table(rows: &[(u32, u64)]) -> String {
        let row = |(uid, inode): &(u32, u64)| {
            format!(
                "   0: 0100007F:2BCB 00000000:0000 0A 00000000:00000000 00:00000000 00000000 \
                 {uid:>5}        0 {inode} 1 0000000000000000 100 0 0 10 0\n"
            )
        };
        HEAD.to_owned() + &rows.iter().map(row).collect::<String>()
    }

    #[test]
    fn the_app_is_there_while_it_holds_a_socket() {
        assert!(others_have_sockets(&table(&[(16006, 7), (65534, 8)]), 16006));
        assert!(others_have_sockets(&table(&[(0, 8)]), 16006), "root is somebody else, too");
        assert!(!others_have_sockets(&table(&[(16006, 7)]), 16006));
        assert!(!others_have_sockets(&table(&[(65534, 0)]), 16006), "it is nobody's any more");
        assert!(!others_have_sockets(HEAD, 16006));
        assert!(!others_have_sockets("", 16006));
    }

    #[test]
    fn this_namespaces_tables_can_be_read() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let table = fs::read_to_string(TABLES[0]).unwrap();
        let own = rustix::process::geteuid().as_raw();
        assert!(others_have_sockets(&table, own + 1), "{listener:?} is ours: {table}");
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_an_end_to_waiting() {
        let begun = Instant::now();
        until_the_app_is_gone(Duration::from_secs(3)).await;
        assert!(begun.elapsed() <= Duration::from_secs(3));
    }
}
