//! One event as one line for people.

use std::{fmt::Write as _, time::SystemTime};

use super::{
    digits::{address, number},
    escape,
    event::{Event, Flow, MAX_TEXT_BYTES, direction, each_value},
    hidden::Hidden,
    time::rfc3339,
};

impl Event<'_> {
    /// Appends `TIME VERDICT DIRECTION SOURCE -> DESTINATION`, then what else
    /// there is as `name=value`. Values of peers are in quotes.
    pub(super) fn text(&self, out: &mut String, hidden: &Hidden, now: SystemTime) {
        let Flow { source, destination, backend, .. } = self.flow;
        rfc3339(out, now);
        for word in [self.outcome.as_str(), direction(self.flow)] {
            out.push(' ');
            out.push_str(word);
        }
        out.push(' ');
        address(out, source);
        out.push_str(" -> ");
        match destination {
            Some(destination) => address(out, destination),
            None => out.push('?'),
        }
        if let Some(backend) = backend {
            out.push_str(" backend=");
            address(out, backend);
        }
        out.push_str(" identity=");
        match self.identity {
            Some(identity) => number(out, identity),
            None => out.push('?'),
        }
        // Writing to a String cannot fail; likewise below.
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
            escape::string_of(out, rule, MAX_TEXT_BYTES);
        }
        out.push_str(" reason=");
        escape::display(out, self.reason, MAX_TEXT_BYTES);
        if let Some(error) = self.error {
            let _ = write!(out, " error={error}");
        }
    }
}
