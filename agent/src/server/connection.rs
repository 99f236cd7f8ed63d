//! A connection together with what it is worth to us: a place that it takes, a
//! deadline that it is under.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

/// What goes with a connection for as long as it is open.
pub(super) trait Visit: Send + Unpin + 'static {
    /// What each of its requests carries along.
    type Info: Clone + Send + Sync + 'static;

    /// See [`Visit::Info`].
    fn info(&self) -> Self::Info;

    /// Whether the connection has lasted long enough; asked before each read,
    /// and the task is to be woken when that changes.
    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()>;
}

/// A connection and its visit.
#[derive(Debug)]
pub(super) struct Connection<S, V> {
    pub(super) stream: S,
    pub(super) visit: V,
}

impl<S, V: Visit> Connected for Connection<S, V> {
    type ConnectInfo = V::Info;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.visit.info()
    }
}

impl<S: AsyncRead + Unpin, V: Visit> AsyncRead for Connection<S, V> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.visit.poll_over(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin, V: Visit> AsyncWrite for Connection<S, V> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
