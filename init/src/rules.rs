//! What a family's tables should say: pure functions.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use crate::state::{Found, PLACES, Place, State, TABLES};
use crate::{Cidr, Family, Ports};

/// Our chain for connections that come in, in either table.
pub(crate) const INBOUND: &str = "REMORA_INBOUND";
/// Our chain for connections that go out, in either table.
pub(crate) const OUTBOUND: &str = "REMORA_OUTBOUND";

/// The sidecar's own ports besides the two that are redirected to: admin, metrics, health.
const OWN_PORTS: [u16; 3] = [16000, 16020, 16021];
/// The bit of a connection's mark that says it has come by our rules. Only rules set marks
/// of connections; those that an app gives its packets are something else.
const SEEN: &str = "0x10000/0x10000";

/// What is redirected where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirection {
    /// Where redirected connections go that come in.
    pub inbound_port: u16,
    /// Where redirected connections go that go out.
    pub outbound_port: u16,
    /// Whose own connections go out as they are: the sidecar's.
    pub proxy_uid: u32,
    /// The application's ports that others reach directly.
    pub skip_inbound_ports: Vec<Ports>,
    /// Others' ports that the application reaches directly.
    pub skip_outbound_ports: Vec<Ports>,
    /// Others' addresses that the application reaches directly.
    pub skip_outbound_cidrs: Vec<Cidr>,
}

impl Redirection {
    /// What makes a family's tables in this state redirect, as input of
    /// `iptables-restore --noflush`. The redirection comes before the guard, which would
    /// cut connections that nobody has marked.
    pub fn program(&self, family: Family, before: &State) -> String {
        let mut text = String::new();
        for table in TABLES {
            let mut lines = Vec::new();
            for (place, found) in before.of_table(table) {
                lines.push(format!(":{} - [0:0]", place.chain));
                lines.extend(self.rules(family, place));
                if !found.has_the_jump(place) {
                    lines.extend(found.deletions(place));
                    lines.push(format!("-I {} 1 {}", place.hook, place.jump()));
                }
            }
            text += &restorable(table, &lines);
        }
        text
    }

    /// What a family's tables in this state lack, or have too much; nothing where they
    /// redirect as asked for.
    pub fn faults(&self, family: Family, state: &State) -> Vec<String> {
        let faults = PLACES.iter().zip(state.found());
        faults.flat_map(|(place, found)| self.faults_at(family, place, found)).collect()
    }

    fn faults_at(&self, family: Family, place: &Place, found: &Found) -> Vec<String> {
        let Place { table, hook, chain } = place;
        let mut faults = Vec::new();
        if !found.has_the_jump(place) {
            faults.push(format!("{table}: {hook} does not go to {chain} first, and once"));
        }
        let Some(rules) = &found.chain else {
            faults.push(format!("{table}: there is no chain {chain}"));
            return faults;
        };
        // Some versions of iptables print the match that `--dport` implies, some do not.
        let bare = |rule: &String| rule.replace(" -m tcp", "");
        let is: Vec<String> = rules.iter().map(bare).collect();
        let should: Vec<String> = self.rules(family, place).iter().map(bare).collect();
        let lacks = should.iter().filter(|rule| !is.contains(rule));
        faults.extend(lacks.map(|rule| format!("{table}: lacks {rule}")));
        let others = is.iter().filter(|rule| !should.contains(rule));
        faults.extend(others.map(|rule| format!("{table}: has {rule}, which is not ours")));
        if faults.is_empty() && is != should {
            faults.push(format!("{table}: the rules of {chain} are doubled or out of order"));
        }
        faults
    }

    /// The rules of our chain at a place, as `iptables -S` prints them.
    fn rules(&self, family: Family, place: &Place) -> Vec<String> {
        let rules = match (place.table, place.chain) {
            ("nat", INBOUND) => self.inbound(),
            ("nat", _) => self.outbound(family),
            (_, INBOUND) => guard("-i lo"),
            _ => guard("-o lo"),
        };
        rules.into_iter().map(|rule| format!("-A {} {rule}", place.chain)).collect()
    }

    fn inbound(&self) -> Vec<String> {
        let own = OWN_PORTS.iter().chain([&self.inbound_port, &self.outbound_port]);
        let skipped = own.map(|port| Ports::from(*port)).chain(self.skip_inbound_ports.clone());
        let mut rules = vec!["-i lo -j RETURN".to_owned(), mark()];
        rules.extend(skipped.map(|ports| to_ports_returns(&ports)));
        rules.push(redirect(self.inbound_port));
        rules
    }

    /// A connection to a pod's own address goes by loopback, too.
    fn outbound(&self, family: Family) -> Vec<String> {
        let mut rules = vec!["-o lo -j RETURN".to_owned(), mark()];
        rules.push(format!("-m owner --uid-owner {} -j RETURN", self.proxy_uid));
        let cidrs = self.skip_outbound_cidrs.iter().filter(|cidr| cidr.family() == family);
        rules.extend(cidrs.map(|cidr| format!("-d {cidr} -j RETURN")));
        rules.extend(self.skip_outbound_ports.iter().map(to_ports_returns));
        rules.push(redirect(self.outbound_port));
        rules
    }
}

/// `nat` sees the first packet of a connection and no other. What connection tracking takes
/// for no connection at all it never sees, nor a connection that was there before: both
/// would pass as if there were no redirection.
fn guard(loopback: &str) -> Vec<String> {
    vec![
        format!("{loopback} -j RETURN"),
        "-m conntrack --ctstate INVALID -j DROP".to_owned(),
        format!("-m conntrack --ctstate ESTABLISHED -m connmark ! --mark {SEEN} -j DROP"),
    ]
}

fn mark() -> String {
    format!("-j CONNMARK --set-xmark {SEEN}")
}

fn to_ports_returns(ports: &Ports) -> String {
    format!("-p tcp -m tcp --dport {ports} -j RETURN")
}

fn redirect(port: u16) -> String {
    format!("-p tcp -j REDIRECT --to-ports {port}")
}

/// The lines as input of `iptables-restore`.
pub(crate) fn restorable(table: &str, lines: &[String]) -> String {
    let mut text = format!("*{table}\n");
    for line in lines {
        // A String takes whatever is written to it.
        let _ = writeln!(text, "{line}");
    }
    text + "COMMIT\n"
}
