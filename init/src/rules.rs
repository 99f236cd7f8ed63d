//! The rules as text, and what is read back from the kernel: pure functions.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

/// Our chain in the `nat` table of either family.
pub const CHAIN: &str = "REMORA_INBOUND";
/// The one jump to it, without `-A PREROUTING`.
const JUMP: &str = "-p tcp -j REMORA_INBOUND";
/// The sidecar's own ports besides the inbound one: admin, outbound, metrics, health.
const OWN_PORTS: [u16; 4] = [16000, 16001, 16020, 16021];

/// What is redirected where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirection {
    /// Where redirected connections go.
    pub inbound_port: u16,
    /// The application's ports that are not redirected.
    pub excluded_ports: Vec<u16>,
}

/// What a family's `nat` table has of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Our chain's rules in order, if the chain exists.
    pub chain: Option<Vec<String>>,
    /// Every rule of PREROUTING that jumps to our chain, without `-A PREROUTING`.
    pub jumps: Vec<String>,
    /// Whether the first of them is PREROUTING's first rule.
    pub is_first: bool,
}

impl Redirection {
    /// Our chain's rules, as `iptables -S` prints them.
    pub fn rules(&self) -> Vec<String> {
        let returns = OWN_PORTS
            .iter()
            .chain([&self.inbound_port])
            .chain(&self.excluded_ports)
            .map(|port| format!("-A {CHAIN} -p tcp -m tcp --dport {port} -j RETURN"));
        let redirect = format!("-A {CHAIN} -p tcp -j REDIRECT --to-ports {}", self.inbound_port);
        [format!("-A {CHAIN} -i lo -j RETURN")]
            .into_iter()
            .chain(returns)
            .chain([redirect])
            .collect()
    }

    /// What makes a table in this state redirect, as input of `iptables-restore --noflush`.
    pub fn program(&self, state: &State) -> String {
        let mut lines = vec![format!(":{CHAIN} - [0:0]")];
        lines.extend(self.rules());
        if !state.has_the_jump() {
            lines.extend(state.deletions());
            lines.push(format!("-I PREROUTING 1 {JUMP}"));
        }
        table(&lines)
    }

    /// Whether a table in this state redirects as asked for.
    pub fn is_in(&self, state: &State) -> bool {
        // Some versions of iptables print the match that `--dport` implies, some do not.
        let bare = |rule: &String| rule.replace(" -m tcp", "");
        let is_same =
            |chain: &Vec<String>| chain.iter().map(bare).eq(self.rules().iter().map(bare));
        state.has_the_jump() && state.chain.as_ref().is_some_and(is_same)
    }
}

impl State {
    /// Reads the output of `iptables -t nat -S`.
    pub fn parse(listing: &str) -> Self {
        let mut state = Self::default();
        let mut is_first_rule = true;
        for line in listing.lines().map(str::trim_end) {
            if line == format!("-N {CHAIN}") {
                state.chain.get_or_insert_default();
            } else if line.starts_with(&format!("-A {CHAIN} ")) {
                state.chain.get_or_insert_default().push(line.to_owned());
            } else if let Some(rule) = line.strip_prefix("-A PREROUTING ") {
                if rule.split(' ').any(|word| word == CHAIN) {
                    state.is_first |= is_first_rule && state.jumps.is_empty();
                    state.jumps.push(rule.to_owned());
                }
                is_first_rule = false;
            }
        }
        state
    }

    /// Whether there is nothing of ours.
    pub fn is_clean(&self) -> bool {
        self.chain.is_none() && self.jumps.is_empty()
    }

    /// What takes everything of ours out of a table in this state, as input of
    /// `iptables-restore --noflush`; none if there is nothing.
    pub fn cleanup(&self) -> Option<String> {
        if self.is_clean() {
            return None;
        }
        let mut lines = self.deletions();
        if self.chain.is_some() {
            lines.extend([format!("-F {CHAIN}"), format!("-X {CHAIN}")]);
        }
        Some(table(&lines))
    }

    fn has_the_jump(&self) -> bool {
        self.is_first && self.jumps == [JUMP]
    }

    fn deletions(&self) -> Vec<String> {
        self.jumps.iter().map(|jump| format!("-D PREROUTING {jump}")).collect()
    }
}

fn table(lines: &[String]) -> String {
    let mut text = String::from("*nat\n");
    for line in lines {
        // A String takes whatever is written to it.
        let _ = writeln!(text, "{line}");
    }
    text + "COMMIT\n"
}
