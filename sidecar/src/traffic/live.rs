//! The connections there are, for who asks.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::access_log::Flow;

/// The most connections that one answer lists.
pub(crate) const MAX_LISTED: usize = 1000;

/// Every connection that is being served, by its number.
#[derive(Debug, Default)]
pub(crate) struct Live(Mutex<BTreeMap<u64, Entry>>);

#[derive(Debug)]
struct Entry {
    since: Instant,
    flow: Flow,
    l7proto: Option<&'static str>,
}

/// Takes a connection out of the list when it is dropped.
#[derive(Debug)]
pub(super) struct Listed<'a> {
    live: &'a Live,
    number: u64,
}

impl Live {
    pub(super) fn enter(
        &self,
        number: u64,
        flow: Flow,
        l7proto: Option<&'static str>,
    ) -> Listed<'_> {
        let entry = Entry { since: Instant::now(), flow, l7proto };
        self.entries().insert(number, entry);
        Listed { live: self, number }
    }

    /// The oldest connections as JSON, a line each, and how many there are.
    pub(crate) fn page(&self) -> String {
        let entries = self.entries();
        let mut page = format!("{{\"connections\":{},\"listed\":[", entries.len());
        for (at, (number, entry)) in entries.iter().take(MAX_LISTED).enumerate() {
            page.push_str(if at == 0 { "\n" } else { ",\n" });
            entry.write(*number, &mut page);
        }
        page.push_str("]}\n");
        page
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn write(&self, number: u64, page: &mut String) {
        let Flow { direction, source, destination, backend } = self.flow;
        let address = |address: Option<SocketAddr>| {
            address.map_or_else(|| "null".to_owned(), |address| format!("\"{address}\""))
        };
        let l7proto = self.l7proto.map_or_else(|| "null".to_owned(), |name| format!("\"{name}\""));
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "{{\"number\":{number},\"direction\":\"{direction}\",\"source\":\"{source}\",\
             \"destination\":{},\"backend\":{},\"l7proto\":{l7proto},\"seconds\":{}}}",
            address(destination),
            address(backend),
            self.since.elapsed().as_secs(),
        );
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.live.entries().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use remora_policy::TrafficDirection;
    use serde_json::Value;

    use super::*;

    #[test]
    fn connections_are_listed_while_they_are_there_up_to_the_cap() {
        let live = Live::default();
        let flow = Flow {
            direction: TrafficDirection::Egress,
            source: "10.0.0.1:4000".parse().unwrap(),
            destination: Some("10.0.0.2:80".parse().unwrap()),
            backend: None,
        };
        let page = |live: &Live| serde_json::from_str::<Value>(&live.page()).unwrap();
        assert_eq!(page(&live)["connections"], 0);
        let mut listed: Vec<_> =
            (0..MAX_LISTED as u64).map(|number| live.enter(number, flow, Some("line"))).collect();
        assert_eq!(page(&live)["listed"].as_array().unwrap().len(), MAX_LISTED);
        let first = &page(&live)["listed"][0];
        assert_eq!(
            (&first["direction"], &first["source"]),
            (&"egress".into(), &"10.0.0.1:4000".into())
        );
        assert_eq!((&first["backend"], &first["l7proto"]), (&Value::Null, &"line".into()));
        listed.push(live.enter(MAX_LISTED as u64, flow, None));
        assert_eq!(page(&live)["connections"], MAX_LISTED + 1);
        assert_eq!(page(&live)["listed"].as_array().unwrap().len(), MAX_LISTED);
        drop(listed);
        assert_eq!(page(&live)["connections"], 0);
    }
}
