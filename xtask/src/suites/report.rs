//! What came of each suite, as a table.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// What came of all suites.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// In the order in which they ran.
    pub(crate) suites: Vec<Suite>,
    /// Cargo says that something failed.
    pub(crate) cargo_failed: bool,
}

/// One test program.
#[derive(Debug)]
pub(crate) struct Suite {
    /// The package, and the file where it is not the library.
    pub(crate) name: String,
    /// When it started.
    pub(crate) begin: Instant,
    /// How long it took, once it has ended.
    pub(crate) took: Duration,
    /// How many of its tests passed.
    pub(crate) passed: usize,
    /// How many failed.
    pub(crate) failed: usize,
    /// It lived to tell its result.
    pub(crate) answered: bool,
    /// It was stopped for taking too long.
    pub(crate) late: bool,
}

impl Suite {
    /// A suite that starts now.
    pub(crate) const fn new(name: String, begin: Instant) -> Self {
        let took = Duration::ZERO;
        Self { name, begin, took, passed: 0, failed: 0, answered: false, late: false }
    }

    const fn passed(&self) -> bool {
        self.answered && self.failed == 0 && !self.late
    }

    const fn verdict(&self) -> &'static str {
        match self {
            Self { late: true, .. } => "too slow",
            Self { answered: false, .. } => "died",
            Self { failed: 1.., .. } => "FAILED",
            Self { .. } => "ok",
        }
    }
}

impl Report {
    /// Whether every suite passed, and there was something to pass.
    pub(crate) fn passed(&self) -> bool {
        let tests: usize = self.suites.iter().map(|suite| suite.passed).sum();
        !self.cargo_failed && tests > 0 && self.suites.iter().all(Suite::passed)
    }

    /// The package of the suite that was announced last.
    pub(crate) fn package(&self) -> Option<&str> {
        self.suites.last()?.name.split(' ').next()
    }

    /// Ends the suite under way.
    pub(crate) fn close(&mut self, now: Instant) {
        if let Some(suite) = self.suites.last_mut() {
            suite.took = now.duration_since(suite.begin);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for suite in &self.suites {
            if suite.passed() && suite.passed == 0 {
                continue;
            }
            let (verdict, seconds) = (suite.verdict(), suite.took.as_secs_f64());
            write!(f, "{verdict:>8} {seconds:7.1} s {:5} passed", suite.passed)?;
            if suite.failed > 0 {
                write!(f, ", {} failed", suite.failed)?;
            }
            writeln!(f, "  {}", suite.name)?;
        }
        let passed: usize = self.suites.iter().map(|suite| suite.passed).sum();
        let failed: usize = self.suites.iter().map(|suite| suite.failed).sum();
        write!(f, "{passed} tests passed, {failed} failed")?;
        match (self.cargo_failed, passed) {
            (false, 0) => write!(f, ": no test has such a name"),
            (true, _) if self.suites.iter().all(Suite::passed) => {
                write!(f, ", and cargo could not run them all: its reason stands above")
            }
            _ => Ok(()),
        }
    }
}
