//! `remora droid`: a droid that takes orders over the r2d2 protocol, for the
//! demo and the tests.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;

/// What `remora droid` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The port to listen on.
    #[arg(long, default_value_t = 4242)]
    port: u16,
}

/// Serves until it is killed. Prints every order before it is answered, so that
/// one which was never printed never arrived.
pub(crate) fn run(args: &Args) -> ExitCode {
    match listen(args.port).and_then(|listener| serve(&listener)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("droid: {error}");
            ExitCode::FAILURE
        }
    }
}

/// IPv6 takes IPv4 as well, where there is any.
fn listen(port: u16) -> io::Result<TcpListener> {
    let any =
        [SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), (Ipv4Addr::UNSPECIFIED, port).into()];
    TcpListener::bind(&any[..])
}

fn serve(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        // A client that goes away in the middle is no matter of the others.
        thread::spawn(move || obey(&stream));
    }
}

fn obey(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    for order in BufReader::new(stream).split(b'\n') {
        let order = String::from_utf8_lossy(&order?).trim_end().to_owned();
        writeln!(io::stdout(), "{order}")?;
        stream.write_all(answer(&order).as_bytes())?;
    }
    Ok(())
}

/// One line for each order.
fn answer(order: &str) -> String {
    let words: Vec<&str> = order.split(' ').collect();
    match words[..] {
        ["READ" | "WRITE", _] | ["HALT" | "RESET"] => format!("OK {order}\r\n"),
        _ => "WHISTLE\r\n".to_owned(),
    }
}
