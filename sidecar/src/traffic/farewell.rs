//! The last bytes of a connection that broke.

use std::io;

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::relay::{Borrowed, retry, with_scratch};

/// Sends what waits for a peer, the pipe's bytes before the others, then the
/// end, and reads until the peer has ended too.
///
/// # Errors
/// The system's; the peer misses the rest.
pub(super) async fn farewell(
    stream: &mut TcpStream,
    pipe: Option<Borrowed>,
    last: &[u8],
) -> io::Result<()> {
    if let Some(mut pipe) = pipe {
        while pipe.held() > 0 {
            stream.writable().await?;
            pipe.drain(stream)?;
        }
    }
    stream.write_all(last).await?;
    stream.shutdown().await?;
    loop {
        stream.readable().await?;
        match with_scratch(|scratch| stream.try_read(scratch)) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if retry(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, Interest},
        net::TcpListener,
    };

    use super::*;
    use crate::relay::Pipes;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (near.unwrap(), accepted.unwrap().0)
    }

    /// Threats row 12: a denial does not land inside another reply.
    #[tokio::test]
    async fn what_is_in_the_pipe_goes_before_what_was_decided_later() {
        let ((mut server, upstream), (mut downstream, mut client)) = (pair().await, pair().await);
        server.write_all(b"the end of a value, ").await.unwrap();
        upstream.ready(Interest::READABLE).await.unwrap();
        let mut pipe = Pipes::new(1).borrow().unwrap();
        assert_eq!(pipe.fill(&upstream, 1 << 10).unwrap(), 20);

        let said = async {
            let mut said = String::new();
            client.read_to_string(&mut said).await.unwrap();
            drop(client);
            said
        };
        let (left, said) = tokio::join!(farewell(&mut downstream, Some(pipe), b"a denial"), said);
        left.unwrap();
        assert_eq!(said, "the end of a value, a denial");
    }
}
