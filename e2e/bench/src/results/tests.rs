//! Medians, percentiles and ratios.

use super::*;

fn results(samples: &[(&str, usize, f64)]) -> Results {
    let mut results = Results::new(true, Machine::look().expect("a machine"), vec![]);
    let figure = Figure::new("get.rate", "get", "/s", Better::More);
    for (partner, round, value) in samples {
        results.record(&figure, partner, *round, *value);
    }
    results
}

#[test]
fn the_median_lies_in_the_middle() {
    assert_eq!(median(vec![]), None);
    assert_eq!(median(vec![3.0]), Some(3.0));
    assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), Some(3.0));
}

#[test]
fn percentiles_are_values_that_occurred() {
    let values: Vec<u32> = (1..=1000).collect();
    assert_eq!(percentile(&values, 0.5), Some(500));
    assert_eq!(percentile(&values, 0.99), Some(990));
    assert_eq!(percentile(&values, 0.999), Some(999));
    assert_eq!(percentile(&values, 1.0), Some(1000));
    assert_eq!(percentile(&values[..1], 0.999), Some(1));
    assert_eq!(percentile::<u32>(&[], 0.5), None);
}

#[test]
fn ratios_are_those_of_the_same_round() {
    // The machine was twice as fast in round 1: the ratio has not changed.
    let results =
        results(&[(DIRECT, 0, 100.0), ("x", 0, 50.0), (DIRECT, 1, 200.0), ("x", 1, 100.0)]);
    assert_eq!(results.ratio("get.rate", "x", DIRECT), Some(0.5));
    assert_eq!(results.median("get.rate", "x"), Some(75.0));
    assert_eq!(results.range("get.rate", "x"), Some((50.0, 100.0)));
    assert_eq!(results.figures.len(), 1);
}

#[test]
fn a_round_without_its_base_gives_no_ratio() {
    let results = results(&[(DIRECT, 0, 0.0), ("x", 0, 50.0), ("x", 1, 50.0)]);
    assert_eq!(results.ratio("get.rate", "x", DIRECT), None);
    assert_eq!(results.ratio("get.rate", "nobody", DIRECT), None);
}
