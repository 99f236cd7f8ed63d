//! From the documents of a directory to its objects. Of several with one name
//! the first counts, by the order of the files' names.

use std::collections::BTreeMap;
use std::mem;

use remora_parsers::Registry;

use super::object::{Content, Key, Object};
use crate::directory::Document;
use crate::notice::{Notice, Severity};

/// What the documents of the last update held: a document is read once.
#[derive(Debug, Default)]
pub(super) struct Documents(BTreeMap<(u64, usize), Object>);

impl Documents {
    /// The first object of each name.
    pub(super) fn read(
        &mut self,
        documents: &[Document],
        registry: Registry,
        notices: &mut Vec<Notice>,
    ) -> Vec<Object> {
        let mut before = mem::take(&mut self.0);
        let mut holders: BTreeMap<Key, String> = BTreeMap::new();
        let mut first = Vec::new();
        for document in documents {
            let id = (document.revision, document.index);
            let read = || Object::read(&document.node, document.revision, registry);
            let object = before.remove(&id).unwrap_or_else(read);
            let place = document.node.location.file_and_line().to_string();
            let key = object.key();
            if let Some((key, holder)) = key.as_ref().and_then(|key| holders.get_key_value(key)) {
                let text = format!(
                    "{place}: {key} stands in {holder} already, and the first counts; remove one of them"
                );
                notices.push(Notice::new(Severity::Error, document.revision, text));
            } else {
                notices.extend(objection(&object, document.revision, &place));
                holders.extend(key.map(|key| (key, place)));
                first.push(object.clone());
            }
            self.0.insert(id, object);
        }
        first
    }
}

/// Why a document changes nothing.
fn objection(object: &Object, revision: u64, place: &str) -> Option<Notice> {
    let (severity, text) = match &object.0 {
        Content::Nameless(error) => (Severity::Error, format!("{error}: this document is ignored")),
        Content::Other(kind) => (Severity::Warning, ignored(place, kind)),
        // Nobody waits for a pod that the directory does not name.
        Content::Node(_) => (Severity::Warning, ignored(place, "Node")),
        Content::Pod(_)
        | Content::Namespace(_)
        | Content::Service(_)
        | Content::EndpointSlice(_)
        | Content::CidrGroup(_)
        | Content::Policy(_) => return None,
    };
    Some(Notice::new(severity, revision, text))
}

fn ignored(place: &str, kind: &str) -> String {
    format!(
        "{place}: kind: `{kind}` is ignored; the agent reads Pod, Namespace, Service, EndpointSlice, CiliumCIDRGroup and policies"
    )
}
