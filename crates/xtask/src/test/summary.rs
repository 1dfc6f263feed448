//! Steps that ran -> the text that ends the run (pure).

use std::fmt::Write as _;
use std::time::Duration;

use super::harness::Count;

/// One step that ran.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) name: &'static str,
    pub(super) took: Duration,
    /// Tests that ran in this step.
    pub(super) tests: usize,
    pub(super) ok: bool,
}

/// One line per step, then the failures, then the line with the number of tests.
pub(super) fn summary(steps: &[Done], planned: usize, count: &Count, took: Duration) -> String {
    let mut text = String::from("\n");
    for step in steps {
        let mark = if step.ok { "ok    " } else { "FAILED" };
        let tests = if step.tests > 0 {
            format!(", {} tests", step.tests)
        } else {
            String::new()
        };
        let _ = writeln!(text, "{mark}  {} ({}{tests})", step.name, time(step.took));
    }
    let left = planned - steps.len();
    if let Some(step) = steps.iter().find(|step| !step.ok) {
        let _ = writeln!(
            text,
            "\nThe step \"{}\" failed. {left} later steps did not run.",
            step.name
        );
    }
    for name in &count.failures {
        let _ = writeln!(text, "failed test: {name}");
    }
    for name in &count.flaky {
        let _ = writeln!(
            text,
            "flaky test: it failed, and passed when it ran again alone: {name}"
        );
    }
    let _ = write!(
        text,
        "{} tests ran, {} failed, in {}",
        count.ran(),
        count.failed,
        time(took)
    );
    text
}

fn time(took: Duration) -> String {
    match took.as_secs() {
        0..60 => format!("{:.1} s", took.as_secs_f64()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(name: &'static str, seconds: u64, tests: usize, ok: bool) -> Done {
        Done {
            name,
            took: Duration::from_secs(seconds),
            tests,
            ok,
        }
    }

    #[test]
    fn the_last_line_says_how_many_tests_ran() {
        let count = Count {
            passed: 312,
            failed: 0,
            ..Count::default()
        };
        let text = summary(
            &[done("format", 2, 0, true), done("unit tests", 130, 312, true)],
            2,
            &count,
            Duration::from_secs(131),
        );
        assert_eq!(
            text,
            "\nok      format (2.0 s)\nok      unit tests (2 min 10 s, 312 tests)\n312 tests ran, 0 failed, in 2 min 11 s"
        );
    }

    #[test]
    fn a_failed_step_is_named_with_its_tests_and_what_did_not_run() {
        let count = Count {
            passed: 1,
            failed: 1,
            failures: vec!["a::b".into()],
            flaky: vec!["c".into()],
            ..Count::default()
        };
        let text = summary(
            &[done("format", 2, 0, true), done("unit tests", 3, 2, false)],
            5,
            &count,
            Duration::from_secs(5),
        );
        let expected = "\nThe step \"unit tests\" failed. 3 later steps did not run.\nfailed test: a::b\nflaky test: it failed, and passed when it ran again alone: c\n2 tests ran, 1 failed, in 5.0 s";
        assert!(text.ends_with(expected), "{text}");
    }
}
