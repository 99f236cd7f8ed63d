//! What runs in the pods of the suite on a real Kubernetes: clients and an app.

mod connection;
mod kill;
mod once;
mod session;
mod web;

use std::{process::ExitCode, thread, time::Duration};

const USAGE: &str = "\
remora-test-app idle                            do nothing
remora-test-app session                         obey the lines of standard input
remora-test-app once HOST:PORT REQUEST          connect at once, ask, print the answer; then idle
remora-test-app ask HOST:PORT REQUEST           the same, without idling after
remora-test-app hammer HOST:PORT REQUEST SECONDS  ask over and over; then idle
remora-test-app kill PROGRAM                    kill every process of that name
remora-test-app web PORT [SECONDS]              an app that listens that late";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["idle"] => idle(),
        ["session"] => session::run(),
        ["once", to, request] => once::run(to, request).and_then(|()| idle()),
        ["ask", to, request] => once::run(to, request),
        ["hammer", to, request, seconds] => match seconds.parse() {
            Ok(seconds) => once::hammer(to, request, seconds).and_then(|()| idle()),
            Err(_) => Err(format!("{seconds} is no number of seconds")),
        },
        ["kill", program] => kill::run(program),
        ["web", port] => web::run(port, Duration::ZERO),
        ["web", port, late] => match late.parse() {
            Ok(seconds) => web::run(port, Duration::from_secs(seconds)),
            Err(_) => Err(format!("{late} is no number of seconds")),
        },
        _ => Err(USAGE.to_owned()),
    };
    outcome.map_or_else(
        |error| {
            eprintln!("{error}");
            ExitCode::from(2)
        },
        |()| ExitCode::SUCCESS,
    )
}

fn idle() -> Result<(), String> {
    loop {
        thread::park();
    }
}
