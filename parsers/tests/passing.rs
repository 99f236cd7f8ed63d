//! Bytes that pass without being shown may go by other ways: the driver is
//! told how many went, and holds to the same order and the same ends.

mod support;

use std::num::NonZeroU64;

use remora_parsers::{Blame, Direction, Driver, Op};
use support::{Scripted, Watcher};

use Direction::{Reply, Request};

fn n(n: u64) -> NonZeroU64 {
    NonZeroU64::new(n).expect("not zero")
}

/// A driver that has let ten bytes pass and was shown the first of them.
fn passing(rest: impl IntoIterator<Item = Op>) -> (Driver, Watcher) {
    let ops = [Op::Pass(n(10))].into_iter().chain(rest);
    let mut driver = Driver::new(Box::new(Scripted::new(ops)));
    let mut host = Watcher::allowing();
    driver.data(Request, b"a", &mut host).expect("lawful");
    (driver, host)
}

#[test]
fn bytes_pass_by_other_ways_once_those_before_them_are_gone() {
    let (mut driver, mut host) = passing([Op::Pass(n(2))]);
    assert_eq!(driver.passing(Request), 0, "the first byte still waits");
    driver.output(Request).clear();
    assert_eq!((driver.passing(Request), driver.passing(Reply)), (9, 0));
    driver.passed(Request, 4, &mut host).expect("lawful");
    assert_eq!(driver.passing(Request), 5);
    driver.passed(Request, 5, &mut host).expect("lawful");
    assert_eq!(driver.passing(Request), 0);
    driver.data(Request, b"xy", &mut host).expect("lawful");
    assert_eq!(driver.output(Request), b"xy", "what follows is shown again");
}

#[test]
fn what_was_injected_meanwhile_comes_after_them() {
    let denial = Op::Inject { into: Request, data: b"no".as_slice().into() };
    let (mut driver, mut host) = passing([denial, Op::Pass(n(1))]);
    driver.output(Request).clear();
    driver.data(Reply, b"r", &mut host).expect("lawful");
    driver.passed(Request, 9, &mut host).expect("lawful");
    assert_eq!(driver.output(Request), b"no");
}

#[test]
fn no_more_pass_than_were_let_and_none_where_none_were() {
    let (mut driver, mut host) = passing([]);
    driver.output(Request).clear();
    assert_eq!(driver.passed(Request, 10, &mut host).expect_err("one more").blame, Blame::Parser);
    assert_eq!(driver.passing(Request), 0, "it is dead");
    let (mut driver, mut host) = passing([]);
    assert_eq!(driver.passed(Reply, 1, &mut host).expect_err("none").blame, Blame::Parser);
}

#[test]
fn an_end_among_them_is_refused() {
    let (mut driver, mut host) = passing([]);
    driver.output(Request).clear();
    driver.passed(Request, 8, &mut host).expect("lawful");
    assert_eq!(driver.end(Request, &mut host).expect_err("one is missing").blame, Blame::Client);
}

#[test]
fn what_is_dropped_is_not_passed() {
    let mut driver = Driver::new(Box::new(Scripted::new([Op::Drop(n(10))])));
    driver.data(Request, b"a", &mut Watcher::allowing()).expect("lawful");
    assert_eq!(driver.passing(Request), 0);
}
