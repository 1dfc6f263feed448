//! Output lines of Rust's test harness -> number of tests, failed ones, and durations (pure).

use std::time::Duration;

/// The results so far, of any number of test binaries.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Count {
    /// Tests that passed.
    pub(super) passed: usize,
    /// Tests that failed.
    pub(super) failed: usize,
    /// Names of failed tests, in order.
    pub(super) failures: Vec<String>,
    /// Names of tests that failed and then passed alone.
    pub(super) flaky: Vec<String>,
    /// The running binary.
    pub(super) suite: String,
}

impl Count {
    /// Processes one line of output. For a binary's last line it returns its name, number of tests and duration.
    pub(super) fn line(&mut self, line: &str) -> Option<(String, usize, Duration)> {
        if let Some(suite) = running(line) {
            self.suite = suite;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            let (passed, failed) = (number_before(result, " passed"), number_before(result, " failed"));
            self.passed += passed;
            self.failed += failed;
            let took = result.rsplit("finished in ").next()?.strip_suffix('s')?;
            let took = Duration::try_from_secs_f64(took.parse().ok()?).ok()?;
            return Some((self.suite.clone(), passed + failed, took));
        } else if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failures.push(name.to_owned());
        }
        None
    }

    /// Adds one test that ran alone.
    pub(super) fn ended(&mut self, path: &str, ok: bool) {
        if ok {
            self.passed += 1;
        } else {
            self.failed += 1;
            self.failures.push(path.to_owned());
        }
    }

    /// Adds other results.
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.flaky.extend(other.flaky);
    }

    /// Tests that ran.
    pub(super) fn ran(&self) -> usize {
        self.passed + self.failed
    }
}

/// The binary that cargo is about to run, from its (possibly coloured) message: `target file`, such as `rules src/lib.rs`.
fn running(line: &str) -> Option<String> {
    let plain = line
        .replace(['\u{1b}', '\r'], "")
        .replace("[1m", "")
        .replace("[92m", "")
        .replace("[0m", "");
    let (what, program) = plain.trim_start().strip_prefix("Running ")?.split_once(" (")?;
    let program = program.strip_suffix(')')?.rsplit('/').next()?;
    let (target, _) = program.rsplit_once('-')?;
    let file = what.trim_start_matches("unittests ");
    Some(format!("{target} {file}"))
}

fn number_before(text: &str, word: &str) -> usize {
    let before = text.split(word).next().unwrap_or_default();
    let digits = before
        .rsplit(|c: char| !c.is_ascii_digit())
        .next()
        .unwrap_or_default();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(output: &str) -> Count {
        let mut count = Count::default();
        for line in output.lines() {
            count.line(line);
        }
        count
    }

    #[test]
    fn results_of_several_binaries_add_up_and_ignored_tests_do_not_count() {
        let counted = count(
            "     Running unittests src/lib.rs (target/debug/deps/api-1)\n\nrunning 3 tests\ntest a ... ok\n\
             test result: ok. 12 passed; 0 failed; 2 ignored; 0 measured; 4 filtered out; finished in 0.62s\n\
             test b::c ... FAILED\ntest result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n",
        );
        assert_eq!(
            counted,
            Count {
                passed: 15,
                failed: 1,
                failures: vec!["b::c".into()],
                suite: "api src/lib.rs".into(),
                ..Count::default()
            }
        );
        assert_eq!(counted.ran(), 16);
    }

    #[test]
    fn the_last_line_of_a_binary_has_its_name_and_duration() {
        let mut count = Count::default();
        assert_eq!(
            count.line("     Running tests/chart/main.rs (/t/debug/deps/chart-0a1b)"),
            None
        );
        let reported = count.line(
            "test result: ok. 12 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s",
        );
        assert_eq!(
            reported,
            Some((
                "chart tests/chart/main.rs".into(),
                13,
                Duration::from_millis(1500)
            ))
        );
    }

    #[test]
    fn a_binary_is_recognized_in_colours_too() {
        let line =
            "\u{1b}[1m\u{1b}[92m     Running\u{1b}[0m unittests src/lib.rs (target/debug/deps/rules-1)";
        assert_eq!(running(line).as_deref(), Some("rules src/lib.rs"));
        assert_eq!(running("     Running late (again)"), None);
    }

    #[test]
    fn tests_that_ran_alone_count_too() {
        let mut count = Count::default();
        count.ended("failures::a", true);
        count.ended("failures::b", false);
        assert_eq!((count.ran(), count.failures), (2, vec!["failures::b".to_owned()]));
    }

    #[test]
    fn counts_of_two_runs_are_added() {
        let mut all = Count::default();
        all.ended("a", false);
        let mut other = Count::default();
        other.ended("b", false);
        other.ended("c", true);
        other.flaky.push("c".to_owned());
        all.add(other);
        assert_eq!((all.ran(), all.failed), (3, 2));
        assert_eq!(all.failures, ["a", "b"]);
        assert_eq!(all.flaky, ["c"]);
    }

    #[test]
    fn output_similar_to_a_result_is_not_counted() {
        assert_eq!(
            count("7 passed; 1 failed\ntest result: strange\ntesting ... FAILED\n"),
            Count::default()
        );
    }
}
