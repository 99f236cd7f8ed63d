//! From one CA to the next without a client that is left behind.
//!
//! ```text
//! Steady ─2/3 of its life▶ Announced ─bundle with both is out, then the grace▶ Retiring ─old leaves over▶ Steady
//! ```
//!
//! The new CA signs only when every client has had the time to read a bundle
//! with both; the old one leaves the bundle only when none of its leaves counts
//! any more. One rotation at a time, so a bundle never holds more than two.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::given::validity;
use crate::leaf::two_thirds;
use crate::{Ca, Error, Leaf};

/// How long things last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// A CA's life.
    pub ca_life: Duration,
    /// A leaf's life, unless its CA ends before.
    pub leaf_life: Duration,
    /// How long a bundle must have been out before a CA that is new in it signs:
    /// the time a kubelet takes to renew a mounted ConfigMap, and much to spare.
    pub grace: Duration,
}

impl Default for Schedule {
    /// A year, a day, an hour.
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        Self { ca_life: HOUR * 24 * 365, leaf_life: HOUR * 24, grace: HOUR }
    }
}

/// The CA that signs, and the one that comes or goes.
#[derive(Debug)]
pub struct Authority {
    active: Ca,
    phase: Phase,
}

/// What goes on beside the active CA.
#[derive(Debug)]
pub enum Phase {
    /// Nothing.
    Steady,
    /// Another CA is in the bundle, but does not sign yet.
    Announced {
        /// It.
        next: Box<Ca>,
        /// Since when everybody can read the bundle with it; none: not yet.
        published: Option<SystemTime>,
    },
    /// The last CA is still in the bundle, but does not sign any more.
    Retiring {
        /// Its certificate in PEM.
        old: String,
        /// When its last leaf is over.
        until: SystemTime,
    },
}

/// The fields of the agent's Secret.
const ACTIVE: &str = "ca.crt";
const ACTIVE_KEY: &str = "ca.key";
const BUNDLE: &str = "bundle";
const NEXT: &str = "next.crt";
const NEXT_KEY: &str = "next.key";
const PUBLISHED: &str = "next.published";
const OLD: &str = "old.crt";
const UNTIL: &str = "old.until";

impl Authority {
    /// A first CA.
    ///
    /// # Errors
    /// As [`Ca::generate`].
    pub fn generate(now: SystemTime, schedule: &Schedule) -> Result<Self, Error> {
        Ok(Self { active: Ca::generate(now, schedule.ca_life)?, phase: Phase::Steady })
    }

    /// The CA that signs.
    #[must_use]
    pub fn active(&self) -> &Ca {
        &self.active
    }

    /// What goes on beside it.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// What clients are to trust, in PEM: the active CA first.
    #[must_use]
    pub fn bundle(&self) -> String {
        let second = match &self.phase {
            Phase::Steady => "",
            Phase::Announced { next, .. } => next.certificate(),
            Phase::Retiring { old, .. } => old,
        };
        format!("{}{second}", self.active.certificate())
    }

    /// A leaf of the active CA. As [`Ca::issue`].
    ///
    /// # Errors
    /// As [`Ca::issue`].
    pub fn issue(
        &self,
        names: &[String],
        now: SystemTime,
        schedule: &Schedule,
    ) -> Result<Leaf, Error> {
        self.active.issue(names, now, schedule.leaf_life)
    }

    /// When [`Authority::step`] is due next. It may come earlier, once the bundle
    /// has been published.
    #[must_use]
    pub fn next_step(&self, schedule: &Schedule) -> SystemTime {
        match &self.phase {
            Phase::Steady => self.renew_at(),
            Phase::Announced { published, .. } => {
                let last = self.last_resort(schedule);
                let due = published.and_then(|since| since.checked_add(schedule.grace));
                due.map_or(last, |due| due.min(last))
            }
            Phase::Retiring { until, .. } => *until,
        }
    }

    /// Does what is due at `now`; says whether that changed anything, in which
    /// case the Secret is to be written and the bundle to be published.
    ///
    /// # Errors
    /// As [`Ca::generate`]; nothing has changed then.
    pub fn step(&mut self, now: SystemTime, schedule: &Schedule) -> Result<bool, Error> {
        if now < self.next_step(schedule) {
            return Ok(false);
        }
        match std::mem::replace(&mut self.phase, Phase::Steady) {
            Phase::Retiring { .. } => {}
            Phase::Announced { next, .. } => self.promote(*next, now, schedule),
            Phase::Steady => {
                let next = Ca::generate(now, schedule.ca_life)?;
                if now < self.last_resort(schedule) {
                    self.phase = Phase::Announced { next: Box::new(next), published: None };
                } else {
                    // Nobody renewed it for months: what it signed is over, or soon will be.
                    self.promote(next, now, schedule);
                }
            }
        }
        Ok(true)
    }

    /// Notes that everybody can read the bundle of now; says whether that is news.
    pub fn mark_published(&mut self, now: SystemTime) -> bool {
        match &mut self.phase {
            Phase::Announced { published: published @ None, .. } => {
                *published = Some(now);
                true
            }
            _ => false,
        }
    }

    /// The fields of the Secret that keeps it.
    #[must_use]
    pub fn to_fields(&self) -> BTreeMap<String, Vec<u8>> {
        let mut fields = vec![
            (ACTIVE, self.active.certificate().to_owned()),
            (ACTIVE_KEY, self.active.key()),
            (BUNDLE, self.bundle()),
        ];
        match &self.phase {
            Phase::Steady => {}
            Phase::Announced { next, published } => {
                fields.push((NEXT, next.certificate().to_owned()));
                fields.push((NEXT_KEY, next.key()));
                fields.extend(published.map(|since| (PUBLISHED, to_text(since))));
            }
            Phase::Retiring { old, until } => {
                fields.push((OLD, old.clone()));
                fields.push((UNTIL, to_text(*until)));
            }
        }
        fields.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect()
    }

    /// What [`Authority::to_fields`] wrote; `origin` is the Secret's name.
    ///
    /// # Errors
    /// A field is missing or not what it should be; the error names it.
    pub fn from_fields(fields: &BTreeMap<String, Vec<u8>>, origin: &str) -> Result<Self, Error> {
        let fields = Fields { fields, origin };
        let active = fields.ca(ACTIVE, ACTIVE_KEY)?;
        let phase = if fields.has(NEXT) {
            let published = fields.has(PUBLISHED).then(|| fields.time(PUBLISHED)).transpose()?;
            Phase::Announced { next: Box::new(fields.ca(NEXT, NEXT_KEY)?), published }
        } else if fields.has(OLD) {
            let old = fields.text(OLD)?;
            validity(old, &fields.place(OLD))?;
            Phase::Retiring { old: old.to_owned(), until: fields.time(UNTIL)? }
        } else {
            Phase::Steady
        };
        Ok(Self { active, phase })
    }

    fn promote(&mut self, next: Ca, now: SystemTime, schedule: &Schedule) {
        let old = std::mem::replace(&mut self.active, next);
        // Another replica may still issue from what it read a moment ago.
        let until = now.checked_add(schedule.leaf_life + schedule.grace).unwrap_or(now);
        self.phase = Phase::Retiring { old: old.certificate().to_owned(), until };
    }

    fn renew_at(&self) -> SystemTime {
        let start = self.active.issued();
        two_thirds(start, self.active.not_after().duration_since(start).unwrap_or_default())
    }

    /// When a new CA has to sign whether or not everybody can have heard of it:
    /// the old one could not even sign a leaf of full length.
    fn last_resort(&self, schedule: &Schedule) -> SystemTime {
        let end = self.active.not_after();
        end.checked_sub(schedule.leaf_life).unwrap_or(end)
    }
}

/// The fields of a Secret, and what errors call them.
struct Fields<'a> {
    fields: &'a BTreeMap<String, Vec<u8>>,
    origin: &'a str,
}

impl<'a> Fields<'a> {
    fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    fn place(&self, name: &str) -> String {
        format!("{}: {name}", self.origin)
    }

    fn text(&self, name: &str) -> Result<&'a str, Error> {
        let bytes = self.fields.get(name);
        let bytes = bytes.ok_or_else(|| Error::content(&self.place(name), "it is missing"))?;
        std::str::from_utf8(bytes).map_err(|_| Error::content(&self.place(name), "it is no text"))
    }

    fn ca(&self, certificate: &str, key: &str) -> Result<Ca, Error> {
        let place = format!("{} and {key}", self.place(certificate));
        Ca::parse(self.text(certificate)?, self.text(key)?, &place)
    }

    fn time(&self, name: &str) -> Result<SystemTime, Error> {
        let seconds = self.text(name)?.parse().ok().map(Duration::from_secs);
        seconds
            .and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since))
            .ok_or_else(|| Error::content(&self.place(name), "it is no time in unix seconds"))
    }
}

fn to_text(time: SystemTime) -> String {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().to_string()
}
