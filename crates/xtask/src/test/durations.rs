//! Durations of suites and tests -> tables at the end of the run (pure).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Shorter suites are left out.
const MIN_LISTED: Duration = Duration::from_secs(2);
/// Maximum number of listed tests.
const SLOWEST: usize = 10;

/// Durations of suites and tests.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Durations {
    /// Suite -> tests, and the sum of their times.
    suites: BTreeMap<String, (usize, Duration)>,
    /// Tests with a known duration of their own, by path.
    tests: Vec<(String, Duration)>,
}

impl Durations {
    /// Adds the tests of a suite, with their total duration.
    pub(super) fn suite(&mut self, suite: &str, tests: usize, took: Duration) {
        let sum = self.suites.entry(suite.to_owned()).or_default();
        sum.0 += tests;
        sum.1 += took;
    }

    /// Adds one test of a suite.
    pub(super) fn test(&mut self, suite: &str, path: &str, took: Duration) {
        self.suite(suite, 1, took);
        self.tests.push((path.to_owned(), took));
    }

    /// Adds the durations of another run.
    pub(super) fn add(&mut self, other: Self) {
        for (suite, (tests, took)) in other.suites {
            self.suite(&suite, tests, took);
        }
        self.tests.extend(other.tests);
    }

    /// One line per suite and per slow test, the longest first; empty when there are none.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let mut suites: Vec<_> = self.suites.iter().collect();
        suites.retain(|(_, (_, took))| *took >= MIN_LISTED);
        suites.sort_by_key(|(_, (_, took))| std::cmp::Reverse(*took));
        if !suites.is_empty() {
            text.push_str("\nsuites, by the sum of their tests' times\n");
        }
        for (suite, (tests, took)) in suites {
            let _ = writeln!(text, "{:>7.1} s  {suite} ({tests} tests)", took.as_secs_f64());
        }
        let mut slowest: Vec<_> = self.tests.iter().collect();
        slowest.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
        if !slowest.is_empty() {
            text.push_str("\nthe slowest end-to-end tests\n");
        }
        for (path, took) in slowest.into_iter().take(SLOWEST) {
            let _ = writeln!(text, "{:>7.1} s  {path}", took.as_secs_f64());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_and_the_slowest_tests_are_listed_longest_first() {
        let mut durations = Durations::default();
        durations.suite("rules src/lib.rs", 300, Duration::from_millis(2500));
        durations.suite("api src/lib.rs", 30, Duration::from_millis(100));
        let mut elsewhere = Durations::default();
        for index in 0..11 {
            let some = if index % 2 == 0 {
                &mut durations
            } else {
                &mut elsewhere
            };
            some.test(
                "failures",
                &format!("failures::t{index}"),
                Duration::from_secs(index),
            );
        }
        durations.add(elsewhere);
        let text = durations.table();
        assert!(
            text.starts_with(
                "\nsuites, by the sum of their tests' times\n   55.0 s  failures (11 tests)\n    2.5 s  rules src/lib.rs (300 tests)\n\n\
                 the slowest end-to-end tests\n   10.0 s  failures::t10\n    9.0 s  failures::t9\n"
            ),
            "{text}"
        );
        assert!(text.ends_with("    1.0 s  failures::t1\n"), "{text}");
    }

    #[test]
    fn no_durations_give_no_table() {
        assert_eq!(Durations::default().table(), "");
    }
}
