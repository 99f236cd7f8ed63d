//! How to start one container, again and again, and commands beside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::start::Host;
use super::volumes::bind_mount;
use crate::manifest::{ContainerSpec, Facts, PodSpec, RestartPolicy, Security, expand};
use crate::net::Addresses;
use crate::run::{Output, run_to_end};
use crate::shim::{BindMount, Files, Root, Spec, User};
use crate::{Error, Result};

/// A container's manifest, image and pod brought together.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// `namespace/name` of the pod.
    pub(super) pod: String,
    pub(crate) container: String,
    pub(super) restart: RestartPolicy,
    pub(super) shim: PathBuf,
    /// Standard output and error, of all runs.
    pub(crate) log: PathBuf,
    pub(super) start: Spec,
    scratch: PathBuf,
}

impl Recipe {
    pub(super) fn new(
        pod: &PodSpec,
        container: &ContainerSpec,
        addresses: Addresses,
        network: String,
        host: &Host<'_>,
    ) -> Result<Self> {
        let image = host.images.find(&container.image).ok_or_else(|| {
            let problem =
                format!("no image {:?} here; there are: {}", container.image, host.images.names());
            Error::field(format!("{}.image", container.path), problem)
        })?;
        let place = Path::new("containers").join(&pod.uid).join(&container.name);
        let scratch = host.scratch.make_dir(&place)?;
        let env = Facts { pod, addresses }.env(&container.env)?;
        let mut mounts: Vec<BindMount> = image
            .files
            .iter()
            .map(|(source, target)| BindMount {
                source: source.clone(),
                target: target.clone(),
                read_only: true,
            })
            .collect();
        for mount in &container.mounts {
            mounts.push(bind_mount(pod, host, mount)?);
        }
        let log = scratch.join("log");
        let root = Root {
            at: host.scratch.make_dir(place.join("root"))?,
            host_dirs: image.host_dirs.clone(),
            mounts,
            hostname: pod.name.clone(),
            read_only: container.security.read_only_root,
        };
        let start = Spec {
            network,
            files: Files::Root(root),
            argv: argv(container, &image.entrypoint, &env)?,
            env,
            working_dir: container.working_dir.clone().unwrap_or_else(|| "/".into()),
            user: Some(user(&container.security)),
            stdout: log.clone(),
            stderr: log.clone(),
        };
        Ok(Self {
            pod: format!("{}/{}", pod.namespace, pod.name),
            container: container.name.clone(),
            restart: container.restart,
            shim: host.shim.to_owned(),
            log,
            start,
            scratch,
        })
    }

    /// Runs a command in the container whose first process is `pid`, as the
    /// container's user.
    pub(crate) fn exec(
        &self,
        pid: i32,
        argv: &[String],
        limit: Duration,
    ) -> Result<Output, String> {
        let output = tempfile::tempdir_in(&self.scratch).map_err(|error| error.to_string())?;
        let spec = Spec {
            network: self.start.network.clone(),
            files: Files::Join { pid },
            argv: argv.to_vec(),
            env: self.start.env.clone(),
            working_dir: self.start.working_dir.clone(),
            user: self.start.user.clone(),
            stdout: output.path().join("stdout"),
            stderr: output.path().join("stderr"),
        };
        run_to_end(&self.shim, &spec, limit)
    }

    /// An error about this container, with its log.
    pub(crate) fn failed(&self, problem: impl Into<String>) -> Error {
        Error::Container {
            pod: self.pod.clone(),
            container: self.container.clone(),
            problem: problem.into(),
            log: crate::run::read_text(&self.log),
        }
    }
}

/// `command` replaces the image's entrypoint; `args` follow either.
fn argv(
    container: &ContainerSpec,
    entrypoint: &[String],
    env: &[(String, String)],
) -> Result<Vec<String>> {
    let command = container.command.as_deref().unwrap_or(entrypoint);
    let args = container.args.as_deref().unwrap_or_default();
    let argv: Vec<String> = command.iter().chain(args).map(|word| expand(word, env)).collect();
    if argv.is_empty() {
        let problem = "is needed: the image has no entrypoint";
        return Err(Error::field(format!("{}.command", container.path), problem));
    }
    Ok(argv)
}

fn user(security: &Security) -> User {
    User {
        uid: security.uid,
        gid: security.gid,
        capabilities: security.capabilities.clone(),
        no_new_privileges: security.no_new_privileges,
    }
}
