//! The network namespace that an endpoint's sockets belong to.
//!
//! In a pod that is the process's own. On a node each endpoint has its pod's:
//! sockets are made inside it and stay there, whoever uses them afterwards. So
//! original destinations, addresses, loopback and the pod's own redirection
//! mean the same in both modes.

use std::{
    fs::File, io, net::SocketAddr, os::unix::fs::MetadataExt as _, path::Path, process, sync::Arc,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::{TcpSocket, TcpStream};

/// Where a thread finds its own namespace.
const OWN: &str = "/proc/thread-self/ns/net";

/// The network of one endpoint.
#[derive(Debug, Clone, Default)]
pub struct Network(Option<Arc<Away>>);

/// A namespace that this process does not live in, and the one that it does.
#[derive(Debug)]
struct Away {
    pod: File,
    home: File,
}

impl Network {
    /// The namespace at `path`, such as `/proc/PID/ns/net`. To be asked for
    /// where this process is at home.
    ///
    /// # Errors
    /// It cannot be opened, is no network's, or is this process's own: a pod
    /// that has none of its own cannot be told from its node.
    pub fn at(path: &Path) -> io::Result<Self> {
        let (pod, home) = (File::open(path)?, File::open(OWN)?);
        let place = |file: &File| file.metadata().map(|data| (data.dev(), data.ino()));
        if place(&pod)? == place(&home)? {
            return Err(io::Error::other("it is the node's own network"));
        }
        let network = Self(Some(Arc::new(Away { pod, home })));
        network.enter(|| Ok(()))?;
        Ok(network)
    }

    /// By which number the system tells it from others, for as long as it is
    /// there; none of this process's own.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn inode(&self) -> io::Result<Option<u64>> {
        let inode = |away: &Arc<Away>| away.pod.metadata().map(|data| data.ino());
        self.0.as_ref().map(inode).transpose()
    }

    /// Does `work` inside. It must not wait: meanwhile this thread, and all
    /// that it makes, belongs to the pod.
    ///
    /// # Errors
    /// The system's, and those of `work`.
    pub(crate) fn enter<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let Some(away) = &self.0 else { return work() };
        go(&away.pod)?;
        let _way_back = WayBack(&away.home);
        work()
    }

    /// Connects from inside.
    ///
    /// # Errors
    /// The system's.
    pub(crate) async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = self.enter(|| match to {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        })?;
        socket.connect(to).await
    }
}

/// Brings the thread home, also out of a panic.
struct WayBack<'a>(&'a File);

impl Drop for WayBack<'_> {
    fn drop(&mut self) {
        if let Err(error) = go(self.0) {
            // Whatever it would open next would be in another pod's network.
            tracing::error!(%error, "cannot leave a pod's network: ending");
            process::abort();
        }
    }
}

fn go(namespace: &File) -> io::Result<()> {
    Ok(move_into_link_name_space(
        std::os::fd::AsFd::as_fd(namespace),
        Some(LinkNameSpaceType::Network),
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_is_none_of_a_pods_is_refused() {
        let refused = |path| Network::at(Path::new(path)).unwrap_err().to_string();
        assert_eq!(refused(OWN), "it is the node's own network");
        assert_eq!(refused("/proc/self/ns/net"), "it is the node's own network");
        assert!(refused("/proc/self/ns/nothing").contains("No such file"));
        // Neither another kind of namespace, nor a file.
        for path in ["/proc/self/ns/uts", "/proc/self/status"] {
            assert!(Network::at(Path::new(path)).is_err(), "{path}");
        }
    }

    #[tokio::test]
    async fn at_home_nothing_is_entered() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let home = Network::default();
        assert_eq!(home.enter(|| Ok(7)).unwrap(), 7);
        home.connect(listener.local_addr().unwrap()).await.unwrap();
    }
}
