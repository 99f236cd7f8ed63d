//! Where an image's files lie: the one thing about an image that a manifest
//! does not say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The host's directories that a distribution's programs need.
const DISTRO: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/etc"];

/// An image: files of the host, seen read-only in the container.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// What runs when the manifest gives no `command`.
    pub entrypoint: Vec<String>,
    /// Single files: where each lies on the host, and its path in the container.
    pub files: Vec<(PathBuf, String)>,
    /// Directories that the container sees at the host's own paths.
    pub host_dirs: Vec<PathBuf>,
}

impl Image {
    /// The host's own distribution, as an image whose entrypoint is one of its programs.
    pub fn distro(entrypoint: &[&str]) -> Self {
        let host_dirs =
            DISTRO.iter().map(PathBuf::from).filter(|dir| dir.symlink_metadata().is_ok());
        Self {
            entrypoint: entrypoint.iter().map(|&word| word.to_owned()).collect(),
            files: Vec::new(),
            host_dirs: host_dirs.collect(),
        }
    }

    /// One program at the image's root, `/NAME`, on the distribution's
    /// libraries: a debug build is linked dynamically.
    pub fn program(file: &Path) -> Self {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let path = format!("/{name}");
        let mut image = Self::distro(&[&path]);
        image.files.push((file.to_owned(), path));
        image
    }
}

/// The images that a node has, by the name that manifests use.
#[derive(Debug, Clone, Default)]
pub struct Images(BTreeMap<String, Image>);

impl Images {
    /// No image.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an image, or replaces it.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, image: Image) -> Self {
        self.0.insert(name.into(), image);
        self
    }

    /// Remora's own images `remora/init` and `remora/sidecar` of this build,
    /// whose programs lie in `bin`.
    #[must_use]
    pub fn with_remora(self, bin: &Path) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        self.with(format!("remora/init:{version}"), Image::program(&bin.join("remora-init")))
            .with(format!("remora/sidecar:{version}"), Image::program(&bin.join("remora-sidecar")))
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Image> {
        self.0.get(name)
    }

    pub(crate) fn names(&self) -> String {
        self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}
