//! Which addresses a network has, by what the kernel tells of any process in it.
//! Nobody has to enter a network for that, nor to have the right to.

use std::{
    fs::File,
    io::{self, Read as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

/// The most bytes of a table that are read: a pod has few addresses. One that gives
/// itself more routes than fit here may not be found.
const MAX_TABLE: u64 = 256 << 10;

/// The addresses that are local in the network of the process whose folder in
/// `/proc` this is.
///
/// # Errors
/// The system's; the process may have ended.
pub(super) fn of(process: &Path) -> io::Result<Vec<IpAddr>> {
    let mut all: Vec<IpAddr> = local_v4(&table(&process.join("net/fib_trie"))?).collect();
    match table(&process.join("net/if_inet6")) {
        Ok(text) => all.extend(local_v6(&text)),
        // A node without IPv6 has no such table.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(all)
}

fn table(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_TABLE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Of `fib_trie`: an address stands on a line, and what it is on those below.
fn local_v4(text: &str) -> impl Iterator<Item = IpAddr> {
    let mut address: Option<Ipv4Addr> = None;
    text.lines().filter_map(move |line| {
        let line = line.trim_start();
        if let Some(next) = line.strip_prefix("|-- ") {
            address = next.trim_end().parse().ok();
        }
        address.filter(|_| line.trim_end() == "/32 host LOCAL").map(IpAddr::V4)
    })
}

/// Of `if_inet6`: an interface's address a line, as its first column.
fn local_v6(text: &str) -> impl Iterator<Item = IpAddr> {
    text.lines().filter_map(|line| {
        let digits = line.split_whitespace().next().filter(|digits| digits.len() == 32)?;
        u128::from_str_radix(digits, 16).ok().map(|bits| Ipv6Addr::from(bits).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_a_network_are_read_and_nothing_else() {
        let text = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
            \x20    |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.7\n        /32 host LOCAL\n\
            \x20    |-- 10.0.0.255\n        /32 link BROADCAST\nLocal:\n     |-- 10.0.0.9\n\
            \x20       /31 host LOCAL\n        /32 link UNICAST\n     |-- nonsense\n        /32 host LOCAL\n";
        let found: Vec<_> = local_v4(text).collect();
        assert_eq!(found, [IpAddr::from([10, 0, 0, 7])]);
        let text = "fd000000000000000000000000000007 02 40 00 80 eth0\n\
            fe80 02 40 20 80 eth0\n\nxx000000000000000000000000000007 02 40 00 80 eth0\n";
        let found: Vec<_> = local_v6(text).collect();
        assert_eq!(found, ["fd00::7".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn a_table_is_read_up_to_its_cap_and_not_beyond() {
        let process = tempfile::TempDir::new().unwrap();
        std::fs::create_dir(process.path().join("net")).unwrap();
        let entry = "|-- 10.0.0.7\n /32 host LOCAL";
        let most = usize::try_from(MAX_TABLE).unwrap() - entry.len();
        for (before, found) in [(most, 1), (most + 1, 0)] {
            let text = format!("{}{entry}", "\n".repeat(before));
            std::fs::write(process.path().join("net/fib_trie"), text).unwrap();
            assert_eq!(of(process.path()).unwrap().len(), found, "{before} bytes before it");
        }
    }

    #[test]
    fn this_network_has_its_loopback() {
        let own = of(Path::new("/proc/self")).unwrap();
        assert!(own.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)), "{own:?}");
        assert!(!own.contains(&IpAddr::from([198, 51, 100, 7])));
        assert!(of(Path::new("/proc/0")).is_err());
    }
}
