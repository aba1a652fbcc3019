//! Intervals and tests against `SciPy`.

use lowshot::{
    experiment::report::statistics::{Kind, accuracy_interval, mcnemar, paired_t, sample_std, student_interval},
    train::metrics::wilson,
};
use serde_json::Value;

use super::folders::{numbers, reference};

/// To eight digits of the larger, and where both are nothing to a computer, that.
#[track_caller]
fn close(ours: f64, theirs: f64, what: &Value) {
    assert!((ours - theirs).abs() <= 1e-8 * ours.abs().max(theirs.abs()) + 1e-300, "{ours}, SciPy {theirs}: {what}");
}

fn cases(key: &str) -> Vec<Value> {
    let cases = reference(key).as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

#[test]
fn students_interval_is_scipys() {
    for case in cases("intervals") {
        let values = numbers(&case["values"]);
        let [low, high] = student_interval(&values).unwrap();
        close(sample_std(&values).unwrap(), case["std"].as_f64().unwrap(), &case);
        close(low, case["low"].as_f64().unwrap(), &case);
        close(high, case["high"].as_f64().unwrap(), &case);
    }
    assert_eq!((student_interval(&[0.5]), sample_std(&[0.5])), (None, None));
}

#[test]
fn the_paired_t_test_is_scipys() {
    for case in cases("paired") {
        let (first, second) = (numbers(&case["first"]), numbers(&case["second"]));
        let differences: Vec<f64> = second.iter().zip(&first).map(|(second, first)| second - first).collect();
        close(paired_t(&differences).unwrap(), case["p"].as_f64().unwrap(), &case);
    }
    // Differences that are all equal have no statistic, nor has a single one.
    assert_eq!((paired_t(&[0.1, 0.1, 0.1]), paired_t(&[0.0, 0.0]), paired_t(&[0.3])), (None, None, None));
}

#[test]
fn mcnemars_exact_test_is_scipys_binomial_test() {
    for case in cases("mcnemar") {
        let count = |key: &str| case[key].as_u64().unwrap() as usize;
        let ours = mcnemar(count("only_first"), count("only_second"));
        close(ours, case["p"].as_f64().unwrap(), &case);
    }
}

#[test]
fn wilsons_interval_is_scipys() {
    for case in cases("wilson") {
        let [low, high] = wilson(case["correct"].as_u64().unwrap() as usize, case["n"].as_u64().unwrap() as usize);
        assert!((low - case["low"].as_f64().unwrap()).abs() < 1e-12, "{case}");
        assert!((high - case["high"].as_f64().unwrap()).abs() < 1e-12, "{case}");
    }
}

#[test]
fn runs_that_do_not_differ_have_the_interval_of_one() {
    let [low, high] = wilson(30, 40);
    for accuracies in [&[0.75][..], &[0.75, 0.75, 0.75]] {
        let interval = accuracy_interval(accuracies, 40);
        assert_eq!((interval.low, interval.high, interval.kind), (low, high, Kind::Wilson));
    }
    let interval = accuracy_interval(&[0.99, 0.5], 40);
    assert_eq!((interval.low, interval.high, interval.kind), (0.0, 1.0, Kind::Student));
}
