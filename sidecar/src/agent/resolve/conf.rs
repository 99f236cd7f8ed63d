//! `/etc/resolv.conf`, as resolv.conf(5) and a kubelet have it.

use std::net::{IpAddr, SocketAddr};

/// The C library looks at no more servers.
const MAX_SERVERS: usize = 3;

/// A kubelet writes no more of these (its limit since 1.28).
const MAX_SEARCH: usize = 32;

const PORT: u16 = 53;

/// Whom to ask, and for what.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conf {
    pub(super) servers: Vec<SocketAddr>,
    /// Domains to look for a name in.
    pub(super) search: Vec<String>,
    /// A name with so many dots is asked for as it is, first.
    pub(super) ndots: usize,
}

impl Conf {
    /// Reads what is of use here; the rest of the file is not an error.
    pub(super) fn read(text: &str) -> Self {
        let mut conf = Self { servers: Vec::new(), search: Vec::new(), ndots: 1 };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") if conf.servers.len() < MAX_SERVERS => {
                    let ip = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    conf.servers.extend(ip.map(|ip| SocketAddr::new(ip, PORT)));
                }
                Some("search" | "domain") => {
                    conf.search = words.take(MAX_SEARCH).map(str::to_owned).collect();
                }
                Some("options") => {
                    let ndots = |word: &str| word.strip_prefix("ndots:")?.parse().ok();
                    conf.ndots = words.find_map(ndots).unwrap_or(conf.ndots);
                }
                _ => {}
            }
        }
        conf
    }

    /// The full names that `name` may stand for, the likeliest first.
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(full) = name.strip_suffix('.') {
            return vec![full.to_owned()];
        }
        let domain = |domain: &String| format!("{name}.{}", domain.trim_end_matches('.'));
        let mut candidates: Vec<_> = self.search.iter().map(domain).collect();
        let first = name.matches('.').count() >= self.ndots;
        candidates.insert(if first { 0 } else { candidates.len() }, name.to_owned());
        candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubelets_file_is_read() {
        let conf = Conf::read(
            "search default.svc.cluster.local svc.cluster.local cluster.local\n\
             nameserver 10.96.0.10\nnameserver fd00::a\noptions ndots:5 edns0\n",
        );
        assert_eq!(conf.servers, ["10.96.0.10:53", "[fd00::a]:53"].map(|s| s.parse().unwrap()));
        assert_eq!(
            conf.candidates("remora-agent.remora.svc"),
            [
                "remora-agent.remora.svc.default.svc.cluster.local",
                "remora-agent.remora.svc.svc.cluster.local",
                "remora-agent.remora.svc.cluster.local",
                "remora-agent.remora.svc",
            ]
        );
    }

    #[test]
    fn dots_and_a_last_one_say_what_is_asked_first() {
        let conf = Conf::read("# nothing\nsearch a. b\nsearch lan.\nnameserver x\n");
        assert_eq!(conf, Conf { servers: vec![], search: vec!["lan.".into()], ndots: 1 });
        assert_eq!(conf.candidates("db.shop"), ["db.shop", "db.shop.lan"]);
        assert_eq!(conf.candidates("db"), ["db.lan", "db"]);
        assert_eq!(conf.candidates("db.shop."), ["db.shop"]);
    }
}
