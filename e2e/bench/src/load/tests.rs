//! Loads against small servers of their own.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use super::*;

const SHORT: Window =
    Window { warm_up: Duration::from_millis(5), measured: Duration::from_millis(200) };

/// Answers each line that comes by what `answer` makes of it.
fn server(answer: impl Fn(&str) -> Vec<u8> + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            thread::spawn(move || converse(&stream, &answer));
        }
    });
    address
}

fn converse(stream: &TcpStream, answer: &impl Fn(&str) -> Vec<u8>) {
    let mut lines = BufReader::new(stream);
    let (mut line, mut writer) = (String::new(), stream);
    while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
        if writer.write_all(&answer(&line)).is_err() {
            return;
        }
        line.clear();
    }
}

/// What memcached says to a `get` of a script with values of this size.
fn store(script: Script) -> impl Fn(&str) -> Vec<u8> + Clone + Send + 'static {
    move |line| {
        let requests = script.requests.chunks(script.request);
        let index = requests.enumerate().find(|(_, request)| *request == line.as_bytes());
        let index = index.expect("a request of the script").0;
        script.replies[index * script.reply..(index + 1) * script.reply].to_vec()
    }
}

fn run(address: SocketAddr, script: &Script, pace: Pace) -> Result<Outcome> {
    let plan = Plan { addresses: &[address], connections: 3, script, pace, window: SHORT };
    drive(&plan, &|| Ok(Duration::ZERO))
}

#[test]
fn scripts_repeat_exchanges_of_one_length() {
    let all = [
        Script::memcached_get(100),
        Script::memcached_set(100),
        Script::redis_get(100),
        Script::redis_set(100),
        Script::memcached_get(100_000),
    ];
    for script in all {
        assert_eq!(script.requests.len(), script.len() * script.request);
        assert_eq!(script.replies.len(), script.len() * script.reply);
        assert!(script.len() > 1);
    }
    let script = Script::memcached_get(3);
    let text = String::from_utf8(script.requests[..script.request].to_vec()).expect("text");
    assert_eq!(text, "get bench:000003:00\r\n");
    let text = String::from_utf8(script.replies[..script.reply].to_vec()).expect("text");
    assert_eq!(text, "VALUE bench:000003:00 0 3\r\naaa\r\nEND\r\n");
}

#[test]
fn every_pace_is_answered() {
    let script = Script::memcached_get(5000);
    let address = server(store(script.clone()));
    for pace in [Pace::Closed { depth: 1 }, Pace::Closed { depth: 16 }, Pace::Reconnect] {
        let outcome = run(address, &script, pace).expect("served");
        assert!(outcome.amount > 0 && outcome.latencies.is_empty(), "{pace:?}: {outcome:?}");
        assert!(outcome.elapsed >= SHORT.measured);
    }
}

#[test]
fn a_fixed_rate_is_kept_and_every_request_is_timed() {
    let script = Script::memcached_get(10);
    let address = server(store(script.clone()));
    let outcome = run(address, &script, Pace::Fixed { per_second: 500 }).expect("served");
    // 200 ms at 500/s, however busy the machine is.
    assert!((99..=101).contains(&outcome.latencies.len()), "{}", outcome.latencies.len());
    assert!(outcome.latencies.is_sorted());
}

/// A server that stalls delays requests that were never sent: they count too.
#[test]
fn a_stall_is_felt_by_all_that_it_delays() {
    const STALL: Duration = Duration::from_millis(100);
    let script = Script::memcached_get(10);
    let stored = store(script.clone());
    let first = std::sync::Arc::new(std::sync::Once::new());
    let address = server(move |line| {
        first.call_once(|| thread::sleep(STALL));
        stored(line)
    });
    let plan = Plan {
        addresses: &[address],
        connections: 1,
        script: &script,
        pace: Pace::Fixed { per_second: 1000 },
        window: Window { warm_up: Duration::ZERO, measured: Duration::from_millis(200) },
    };
    let outcome = drive(&plan, &|| Ok(Duration::ZERO)).expect("served");
    let late = outcome.latencies.iter().filter(|latency| **latency > STALL / 4).count();
    assert!(late >= 70, "{late} of {} were delayed by a quarter of it", outcome.latencies.len());
}

#[test]
fn a_wrong_answer_is_no_speed() {
    let address = server(|_| b"CLIENT_ERROR access denied\r\n".to_vec());
    let script = Script::memcached_get(10);
    let error = run(address, &script, Pace::Closed { depth: 1 }).expect_err("denied");
    assert!(error.to_string().contains("access denied"), "{error}");
    assert!(ask(address, &Script::memcached_set(10)).is_err());
}

#[test]
fn a_closed_connection_is_no_speed() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || listener.incoming().take(3).for_each(drop));
    let script = Script::memcached_get(10);
    assert!(run(address, &script, Pace::Closed { depth: 1 }).is_err());
}

#[test]
fn bytes_are_counted_both_ways() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || crate::serve::accept(&listener));
    for direction in [Direction::Up, Direction::Down] {
        let outcome = bulk(address, direction, SHORT, &|| Ok(Duration::ZERO)).expect("moved");
        assert!(outcome.amount > 1 << 20, "{direction:?}: {outcome:?}");
    }
}

#[test]
fn what_an_outcome_says() {
    let outcome = Outcome {
        amount: 1000,
        elapsed: Duration::from_millis(500),
        cpu: Duration::from_millis(20),
        latencies: vec![],
    };
    assert!((outcome.rate() - 2000.0).abs() < 1e-9);
    assert!((outcome.microseconds_each() - 20.0).abs() < 1e-9);
}
