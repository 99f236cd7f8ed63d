//! What users apply names what this version builds.

use std::{fs, path::Path};

#[test]
fn deploy_names_the_images_of_this_version() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let version = env!("CARGO_PKG_VERSION");
    for file in ["deploy/agent.yaml", "deploy/docker/Dockerfile", "docs/install.md"] {
        let text = fs::read_to_string(root.join(file)).expect("a file");
        let mut named = 0;
        for (at, _) in text.match_indices("remora/") {
            // Not every mention of a repository has a tag.
            let word = text[at..].split([' ', '\n', '`']).next().unwrap_or_default();
            let Some((image, tag)) = word.split_once(':') else { continue };
            named += 1;
            assert_eq!(tag, version, "{file} names {image} in another version");
        }
        assert!(named > 0, "{file} names no image");
    }
}
