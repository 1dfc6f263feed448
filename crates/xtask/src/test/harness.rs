//! Lines of Rust's test harness -> how many tests ran and which failed (pure).

/// What the harness said so far, over any number of test binaries.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Count {
    /// Tests that passed.
    pub(super) passed: usize,
    /// Tests that failed.
    pub(super) failed: usize,
    /// Names of those that failed, in order.
    pub(super) failures: Vec<String>,
}

impl Count {
    /// Takes one line of output into account.
    pub(super) fn line(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += number_before(result, " passed");
            self.failed += number_before(result, " failed");
        } else if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failures.push(name.to_owned());
        }
    }

    /// Tests that ran.
    pub(super) fn ran(&self) -> usize {
        self.passed + self.failed
    }
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
        output.lines().for_each(|line| count.line(line));
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
                failures: vec!["b::c".into()]
            }
        );
        assert_eq!(counted.ran(), 16);
    }

    #[test]
    fn output_that_only_looks_like_a_result_counts_nothing() {
        assert_eq!(
            count("7 passed; 1 failed\ntest result: strange\ntesting ... FAILED\n"),
            Count::default()
        );
    }
}
