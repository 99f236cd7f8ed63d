//! One event as one line for people.

use std::{fmt::Write as _, time::SystemTime};

use super::{
    escape,
    event::{Event, Flow, MAX_TEXT_BYTES, each_value},
    hidden::Hidden,
    time,
};

impl Event<'_> {
    /// Appends `TIME VERDICT DIRECTION SOURCE -> DESTINATION`, then what else
    /// there is as `name=value`. Values of peers are in quotes.
    pub(super) fn text(&self, out: &mut String, hidden: &Hidden, now: SystemTime) {
        let Flow { direction, source, destination, backend } = self.flow;
        // Writing to a String cannot fail; likewise below.
        let _ = write!(
            out,
            "{} {} {direction} {source} -> ",
            time::Rfc3339(now),
            self.outcome.as_str()
        );
        match destination {
            Some(destination) => _ = write!(out, "{destination}"),
            None => out.push('?'),
        }
        if let Some(backend) = backend {
            let _ = write!(out, " backend={backend}");
        }
        match self.identity {
            Some(identity) => _ = write!(out, " identity={identity}"),
            None => out.push_str(" identity=?"),
        }
        if let Some(l7proto) = self.l7proto {
            let _ = write!(out, " l7proto={l7proto}");
        }
        for field in self.request.iter().flat_map(|request| request.fields) {
            let _ = write!(out, " {}=", field.name);
            let whole = each_value(out, field, hidden, |out, first| {
                if !first {
                    out.push(',');
                }
            });
            if !whole {
                out.push('…');
            }
        }
        if let Some(rule) = self.rule {
            out.push_str(" rule=");
            escape::string(out, rule.as_bytes(), MAX_TEXT_BYTES);
        }
        out.push_str(" reason=");
        escape::display(out, self.reason, MAX_TEXT_BYTES);
        if let Some(error) = self.error {
            let _ = write!(out, " error={error}");
        }
    }
}
