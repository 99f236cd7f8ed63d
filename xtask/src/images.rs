//! Container images without a container engine: static programs, packed.

use std::{
    ffi::OsStr,
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{cargo, cluster::script, setup::Missing};

/// The programs of the images, each a crate of its own.
const PROGRAMS: [&str; 4] = ["remora-agent", "remora-injector", "remora-sidecar", "remora-init"];

/// The uid and gid of agent and injector; the sidecar's is the one that its
/// redirection knows it by.
const AGENT_USER: &str = "16007:16007";
const SIDECAR_USER: &str = "16006:16006";

/// The commands that `remora-init` runs: one program of many names.
const IPTABLES: &str = "/usr/sbin/xtables-nft-multi";
const IPTABLES_NAMES: [&str; 6] = [
    "iptables",
    "iptables-save",
    "iptables-restore",
    "ip6tables",
    "ip6tables-save",
    "ip6tables-restore",
];

/// An image archive, and how it is packed.
pub(crate) struct Image {
    /// As a pod names it.
    pub(crate) name: String,
    /// The archive.
    pub(crate) archive: PathBuf,
    arguments: Vec<String>,
}

impl Image {
    /// An image `name`, with its tag, of one program, and more arguments for
    /// `pack`.
    pub(crate) fn new(name: &str, folder: &Path, program: &Path, more: &[&str]) -> Self {
        let file = program.file_name().unwrap_or_default().to_string_lossy();
        let archive = folder.join(format!("{}.tar", name.replace(['/', ':'], "-")));
        let mut arguments = vec!["--entrypoint".to_owned(), format!("/{file}")];
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        arguments.extend(["--add".to_owned(), format!("{}:/{file}", program.display())]);
        Self { name: name.to_owned(), archive, arguments }
    }

    /// Packs files into the archive.
    pub(crate) fn pack(&self) -> Result<()> {
        let mut pack = script("pack");
        pack.arg(&self.name).arg(&self.archive).args(&self.arguments);
        cargo::check(&mut pack).with_context(|| format!("packing {}", self.name))
    }

    /// Packs more files, with the libraries that they need.
    fn with_iptables(mut self) -> Result<Self> {
        let modules = modules()?;
        self.arguments.push(format!("{IPTABLES}:{IPTABLES}"));
        self.arguments.push(format!("{0}:{0}", modules.display()));
        self.arguments.extend(["--libraries".to_owned(), "--link".to_owned()]);
        let program = Path::new(IPTABLES).file_name().unwrap_or_default().to_string_lossy();
        let links = IPTABLES_NAMES.map(|name| format!("/usr/sbin/{name}:{program}"));
        self.arguments.extend(links);
        Ok(self)
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = fs::metadata(&self.archive).map_or(0, |file| file.len());
        let tenths = bytes / 100_000;
        let archive = self.archive.display();
        write!(f, "{:<28}{:>6}.{} MB  {archive}", self.name, tenths / 10, tenths % 10)
    }
}

/// Where the matches and targets lie that iptables loads: they are not linked.
fn modules() -> Result<PathBuf> {
    let missing = || {
        Missing::other(format!(
            "{IPTABLES} and its xtables modules are not here: install the package iptables"
        ))
    };
    let library = Path::new("/usr/lib");
    let folders = fs::read_dir(library).context("looking for xtables modules")?;
    let mut candidates: Vec<_> =
        folders.flatten().map(|folder| folder.path().join("xtables")).collect();
    candidates.push(library.join("xtables"));
    let found = candidates.into_iter().find(|folder| folder.is_dir());
    found.filter(|_| Path::new(IPTABLES).is_file()).ok_or_else(|| missing().into())
}

/// Builds the four images of Remora into `folder`, and prints their sizes.
///
/// # Errors
/// A program does not build, or what init's image carries is not here.
pub(crate) fn build(folder: &Path) -> Result<Vec<Image>> {
    let programs = compile()?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let image = |name, program: &str, more: &[&str]| {
        let name = format!("{name}:{}", env!("CARGO_PKG_VERSION"));
        Image::new(&name, folder, &programs.join(program), more)
    };
    let images = vec![
        image("remora/agent", "remora-agent", &["--user", AGENT_USER]),
        image("remora/injector", "remora-injector", &["--user", AGENT_USER]),
        image("remora/sidecar", "remora-sidecar", &["--user", SIDECAR_USER]),
        image("remora/init", "remora-init", &[]).with_iptables()?,
    ];
    images.iter().try_for_each(Image::pack)?;
    for image in &images {
        println!("{image}");
    }
    Ok(images)
}

/// Links the C library in, so that an image holds nothing but the program.
/// Naming the target keeps build scripts and macros as they are: those have
/// to be loaded by the compiler.
pub(crate) fn compile() -> Result<PathBuf> {
    compile_alike(&PROGRAMS.map(|package| format!("--package={package}")))
}

/// Builds what these words name to cargo like an image's programs, into their
/// folder.
pub(crate) fn compile_alike(words: &[impl AsRef<OsStr>]) -> Result<PathBuf> {
    let target = cargo::host()?;
    let mut build =
        cargo::command(&["build", "--locked", "--profile", "image", "--target", &target]);
    build.args(words);
    // What a profile says of one package makes cargo forget that it strips.
    build.env("RUSTFLAGS", "-C target-feature=+crt-static -C strip=symbols");
    cargo::check(&mut build)?;
    Ok(cargo::target()?.join(target).join("image"))
}
