//! What is committed is what the types say.

use std::path::{Path, PathBuf};
use std::{env, fs};

use super::*;

/// For those who apply files, and for the chart.
fn folders() -> [PathBuf; 2] {
    ["../deploy/crds", "../charts/remora/files/crds"]
        .map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
}

/// With `REMORA_UPDATE=1` it writes what it would otherwise compare.
#[test]
fn the_committed_definitions_are_those_of_the_types() {
    for (definition, folder) in all().iter().flat_map(|one| folders().map(|folder| (one, folder))) {
        let name = definition.metadata.name.clone().expect("a name");
        let path = folder.join(format!("{name}.yaml"));
        let text = yaml(definition).expect("YAML");
        if env::var_os("REMORA_UPDATE").is_some() {
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(&path, &text).expect("written");
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{}: write it anew: REMORA_UPDATE=1 cargo test -p remora-agent",
            path.display()
        );
    }
}

#[test]
fn the_api_server_keeps_every_field_of_a_spec() {
    for definition in all() {
        let [version] = definition.spec.versions.as_slice() else { panic!("one version") };
        let schema = version.schema.as_ref().and_then(|own| own.open_api_v3_schema.as_ref());
        let spec = &schema.and_then(|own| own.properties.as_ref()).expect("properties")["spec"];
        assert_eq!(spec.x_kubernetes_preserve_unknown_fields, Some(true));
        assert!(version.subresources.as_ref().is_some_and(|own| own.status.is_some()));
        let columns = version.additional_printer_columns.iter().flatten();
        let names: Vec<_> = columns.map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["Accepted", "Selected", "Age", "Reason"]);
    }
}
