//! Both families or none.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use crate::has_ipv6_address;
use crate::{Args, Cause, Command, Family, Iptables, Redirection, State, TableError};

/// A family's tables: the seam to the kernel.
pub trait Tables {
    /// Which family it is.
    fn family(&self) -> Family;

    /// What they have of ours.
    ///
    /// # Errors
    /// They cannot be read.
    fn look(&self) -> Result<State, TableError>;

    /// Changes them as the input of `iptables-restore --noflush` says, each whole or not at
    /// all.
    ///
    /// # Errors
    /// A change was refused; those of an earlier table may be made.
    fn restore(&self, text: &str) -> Result<(), TableError>;
}

/// The network namespace to program.
#[derive(Debug)]
pub struct Pod<T> {
    /// The IPv4 and IPv6 tables, in the order in which they are programmed.
    pub families: [T; 2],
    /// Whether anybody can reach the pod by IPv6.
    pub has_ipv6: bool,
}

/// What was done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// A dry run's rules, for stdout.
    pub output: String,
    /// What a person may want to know, for stderr.
    pub notes: Vec<String>,
}

/// Why nothing was done, or what is not as it should be.
#[derive(Debug, thiserror::Error)]
#[error("{cause}{}", .notes.iter().map(|note| format!("\n{note}")).collect::<String>())]
pub struct InitError {
    /// The failure.
    pub cause: TableError,
    /// What became of what had been programmed before it, or what else is wrong.
    pub notes: Vec<String>,
}

impl From<TableError> for InitError {
    fn from(cause: TableError) -> Self {
        Self { cause, notes: Vec::new() }
    }
}

impl Pod<Iptables> {
    /// The network namespace that this process is in.
    pub fn here() -> Self {
        let families = [Iptables(Family::V4), Iptables(Family::V6)];
        // Without /proc nobody can tell, and then IPv6 has to be redirected.
        Self { families, has_ipv6: has_ipv6_address().unwrap_or(true) }
    }
}

impl<T: Tables> Pod<T> {
    /// Does what the command line says.
    ///
    /// # Errors
    /// A family cannot be programmed, verified or cleaned; nothing is left half redirected.
    pub fn run(&self, args: &Args) -> Result<Outcome, InitError> {
        match &args.command {
            None => self.program(&Redirection::from(&args.rules), args.dry_run),
            Some(Command::Verify(rules)) => self.verify(&Redirection::from(rules)),
            Some(Command::Cleanup { dry_run }) => self.cleanup(*dry_run),
        }
    }

    fn program(&self, redirection: &Redirection, dry_run: bool) -> Result<Outcome, InitError> {
        let mut outcome = Outcome::default();
        // Look everywhere first: most that can fail fails here, before any change.
        let mut planned = Vec::new();
        for tables in &self.families {
            match tables.look() {
                Ok(state) => planned.push((tables, state)),
                Err(error) => outcome.notes.push(self.excuse(error)?),
            }
        }
        let mut done: Vec<(&T, State)> = Vec::new();
        for (tables, before) in planned {
            let text = redirection.program(tables.family(), &before);
            if dry_run {
                outcome.dry_run(tables.family(), &text);
                continue;
            }
            match tables.restore(&text) {
                Ok(()) => done.push((tables, before)),
                Err(error) => {
                    // One of the family's tables may have been changed all the same.
                    let undone = put_back(tables, &before);
                    match self.excuse(error) {
                        Ok(note) => outcome.notes.push(note),
                        Err(error) => return Err(put_all_back(error, undone, &done)),
                    }
                }
            }
        }
        for (tables, _) in &done {
            verify(*tables, redirection).map_err(|error| put_all_back(error, None, &done))?;
            outcome.notes.push(in_force(tables.family(), redirection));
        }
        Ok(outcome)
    }

    /// Looks at every family, so that all that is wrong is said at once.
    fn verify(&self, redirection: &Redirection) -> Result<Outcome, InitError> {
        let mut outcome = Outcome::default();
        let mut wrong = Vec::new();
        for tables in &self.families {
            let verified = verify(tables, redirection);
            let note = verified.map(|()| in_force(tables.family(), redirection));
            match note.or_else(|error| self.excuse(error)) {
                Ok(note) => outcome.notes.push(note),
                Err(error) => wrong.push(error),
            }
        }
        let mut wrong = wrong.into_iter();
        match wrong.next() {
            None => Ok(outcome),
            Some(cause) => {
                Err(InitError { cause, notes: wrong.map(|error| error.to_string()).collect() })
            }
        }
    }

    fn cleanup(&self, dry_run: bool) -> Result<Outcome, InitError> {
        let mut outcome = Outcome::default();
        let mut failed = None;
        // One family's failure is no reason to leave the other's rules behind.
        for tables in &self.families {
            let cleaned = outcome.clean(tables, dry_run).or_else(|error| self.excuse(error));
            match cleaned {
                Ok(note) => outcome.notes.push(note),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(outcome), |cause| Err(cause.into()))
    }

    /// The one failure that leaves nothing open: no NAT for IPv6 in a pod without IPv6.
    fn excuse(&self, error: TableError) -> Result<String, TableError> {
        let is_ipv6 = error.family == Family::V6;
        if is_ipv6 && !self.has_ipv6 && error.cause == Cause::NoKernelSupport {
            return Ok(format!("IPv6: not redirected: the pod has no IPv6 address ({error})"));
        }
        Err(error)
    }
}

impl Outcome {
    /// Cleans one family, and says what was done.
    fn clean(&mut self, tables: &impl Tables, dry_run: bool) -> Result<String, TableError> {
        let family = tables.family();
        match tables.look()?.cleanup() {
            None => Ok(format!("{family}: nothing to clean")),
            Some(text) if dry_run => {
                self.dry_run(family, &text);
                Ok(format!("{family}: would be cleaned"))
            }
            Some(text) => tables.restore(&text).map(|()| format!("{family}: cleaned")),
        }
    }

    fn dry_run(&mut self, family: Family, text: &str) {
        // A String takes whatever is written to it.
        let _ = write!(self.output, "# {family}\n{text}");
    }
}

fn in_force(family: Family, redirection: &Redirection) -> String {
    let Redirection { inbound_port, outbound_port, .. } = redirection;
    format!(
        "{family}: TCP that comes in goes to port {inbound_port}, that goes out to {outbound_port}"
    )
}

/// Reads back what should be there: a command's word is not proof.
fn verify(tables: &impl Tables, redirection: &Redirection) -> Result<(), TableError> {
    let family = tables.family();
    let faults = redirection.faults(family, &tables.look()?);
    if faults.is_empty() {
        return Ok(());
    }
    Err(TableError {
        family,
        command: family.command(),
        cause: Cause::NotInForce,
        detail: format!("the rules are not in force: {}", faults.join("; ")),
    })
}

/// What became of the family that failed, then of those that this run programmed before.
fn put_all_back<T: Tables>(
    cause: impl Into<InitError>,
    failed: Option<String>,
    done: &[(&T, State)],
) -> InitError {
    let mut error = cause.into();
    error.notes.extend(failed);
    error.notes.extend(done.iter().filter_map(|(tables, before)| put_back(*tables, before)));
    error
}

/// Takes back what this run changed in a family, and says so; nothing where it changed
/// nothing. Where our chains stood before, an earlier run redirects a pod that may be
/// running, and the safe thing is to let it.
fn put_back(tables: &impl Tables, before: &State) -> Option<String> {
    let family = tables.family();
    if before.has_a_chain() {
        return Some(format!("{family}: left redirected, as it was before"));
    }
    let cleaned = match tables.look().map(|state| state.cleanup()) {
        Ok(None) => return None,
        Ok(Some(text)) => tables.restore(&text),
        Err(error) => Err(error),
    };
    Some(match cleaned {
        Ok(()) => format!("{family}: taken back"),
        Err(error) => format!("{family}: could not be taken back: {error}"),
    })
}
