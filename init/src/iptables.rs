//! The real tables, behind the `iptables` commands.

use std::fmt::Display;
use std::fs;
use std::io::{self, Write as _};
use std::process::{Command, Output, Stdio};

use crate::state::TABLES;
use crate::{Cause, State, TableError, Tables};

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A family's tables in this network namespace.
#[derive(Debug)]
pub struct Iptables(pub Family);

impl Family {
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::V4 => "iptables",
            Self::V6 => "ip6tables",
        }
    }

    fn restore_command(self) -> &'static str {
        match self {
            Self::V4 => "iptables-restore",
            Self::V6 => "ip6tables-restore",
        }
    }
}

impl Iptables {
    fn error(&self, command: &'static str, cause: Cause, detail: &dyn Display) -> TableError {
        TableError { family: self.0, command, cause, detail: detail.to_string() }
    }

    /// What the command wrote, unless it failed.
    fn checked(&self, command: &'static str, output: &Output) -> Result<String, TableError> {
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        let words: Vec<&str> = stderr.split_whitespace().collect();
        let detail = format!("failed ({}): {}", output.status, words.join(" "));
        Err(self.error(command, Cause::of(&stderr), &detail.trim_end_matches([':', ' '])))
    }

    fn not_started(&self, command: &'static str, error: &io::Error) -> TableError {
        let cause = match error.kind() {
            io::ErrorKind::NotFound => Cause::MissingBinary,
            io::ErrorKind::PermissionDenied => Cause::NotPermitted,
            _ => Cause::Refused,
        };
        self.error(command, cause, &format!("cannot be run: {error}"))
    }

    fn feed(&self, command: &'static str, text: &str) -> io::Result<Output> {
        let mut child = Command::new(command)
            .arg("--noflush")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that fails early closes its input; its status says why.
            match stdin.write_all(text.as_bytes()) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
                _ => {}
            }
        }
        child.wait_with_output()
    }
}

impl Tables for Iptables {
    fn family(&self) -> Family {
        self.0
    }

    fn look(&self) -> Result<State, TableError> {
        let command = self.0.command();
        let failed = |error: Box<dyn std::error::Error>| match error.downcast::<io::Error>() {
            Ok(error) => self.not_started(command, &error),
            Err(error) => self.error(command, Cause::Refused, &error),
        };
        let tables = iptables::new(self.0 == Family::V6).map_err(failed)?;
        // `list_table` would take a command that failed for an empty table.
        let [nat, mangle] = TABLES.map(|table| {
            let output = tables.execute(table, "-S").map_err(failed)?;
            self.checked(command, &output)
        });
        Ok(State::parse(&nat?, &mangle?))
    }

    fn restore(&self, text: &str) -> Result<(), TableError> {
        let command = self.0.restore_command();
        let output = self.feed(command, text).map_err(|error| self.not_started(command, &error))?;
        self.checked(command, &output).map(drop)
    }
}

/// Whether this network namespace has an IPv6 address besides loopback's. Link-local ones
/// count: neighbours reach the pod by them.
///
/// # Errors
/// `/proc` cannot be read. A kernel without IPv6 has no such file, and is no error.
pub fn has_ipv6_address() -> io::Result<bool> {
    match fs::read_to_string("/proc/self/net/if_inet6") {
        Ok(table) => Ok(lists_an_address(&table)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Each line of the kernel's table begins with an address in hexadecimal digits.
fn lists_an_address(table: &str) -> bool {
    let loopback = "00000000000000000000000000000001";
    table.lines().filter_map(|line| line.split_whitespace().next()).any(|it| it != loopback)
}

#[cfg(test)]
mod tests {
    use super::lists_an_address;

    #[test]
    fn loopback_is_no_address_to_be_reached_by() {
        let loopback = "00000000000000000000000000000001 01 80 10 80       lo\n";
        let link_local = "fe80000000000000bc4c6ffffe1c6bd8 02 40 20 80     eth0\n";
        assert!(!lists_an_address(""));
        assert!(!lists_an_address(loopback));
        assert!(lists_an_address(&format!("{loopback}{link_local}")));
    }
}
