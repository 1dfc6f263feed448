//! Lists of cargo and Rust's test harness -> the end-to-end tests, in their order (pure).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::stages::{Placement, STAGES, Stage};

/// A test binary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Suite {
    /// Its target's name, such as `contract`.
    pub(super) name: String,
    /// The binary.
    pub(super) program: PathBuf,
}

/// One test, which runs as a process of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Test {
    pub(super) suite: Suite,
    /// Its name in the suite, such as `rights::who_loses_the_right_may_stop`.
    pub(super) name: String,
}

impl Test {
    /// `suite::module::name`, for output and filters.
    pub(super) fn path(&self) -> String {
        format!("{}::{}", self.suite.name, self.name)
    }

    fn placement(&self) -> Placement {
        Placement::of(&self.path())
    }
}

/// Durations of tests when they last passed, by path.
pub(super) type Times = BTreeMap<String, Duration>;

/// Test binaries, from what `cargo test --no-run --message-format=json` prints.
pub(super) fn suites(messages: &str) -> Vec<Suite> {
    let mut all: Vec<_> = messages.lines().filter_map(suite).collect();
    all.sort();
    all
}

fn suite(line: &str) -> Option<Suite> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_test = message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
    let program = message["executable"].as_str().filter(|_| is_test)?;
    Some(Suite {
        name: message["target"]["name"].as_str()?.to_owned(),
        program: program.into(),
    })
}

/// Tests of a suite, from what its binary prints for `--list --format=terse`.
pub(super) fn tests(suite: &Suite, listed: &str) -> Vec<Test> {
    let names = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    names
        .map(|name| Test {
            suite: suite.clone(),
            name: name.to_owned(),
        })
        .collect()
}

/// The tests whose path contains one of `wanted`; all of them when it is empty.
///
/// # Errors
/// A filter that no test's path contains.
pub(super) fn chosen(tests: Vec<Test>, wanted: &[String]) -> Result<Vec<Test>, String> {
    let has = |test: &Test, filter: &String| test.path().contains(filter.as_str());
    if let Some(filter) = wanted
        .iter()
        .find(|filter| !tests.iter().any(|test| has(test, filter)))
    {
        return Err(filter.clone());
    }
    let keep = |test: &Test| wanted.is_empty() || wanted.iter().any(|filter| has(test, filter));
    Ok(tests.into_iter().filter(keep).collect())
}

/// The next test to start beside the working ones; `None` when all remaining ones must wait.
pub(super) fn next(left: &mut Vec<Test>, working: &[&Test]) -> Option<Test> {
    let working: Vec<_> = working.iter().map(|test| test.placement()).collect();
    let places: Vec<_> = left.iter().map(Test::placement).collect();
    let chosen = places
        .iter()
        .position(|place| place.may_begin(&working, &places))?;
    Some(left.remove(chosen))
}

/// The stages of these tests, and the tests of each. The longest come first, so that none is left over at the end. A test that never passed
/// has no known duration, so it comes before them.
pub(super) fn ordered(mut tests: Vec<Test>, times: &Times) -> Vec<(&'static Stage, Vec<Test>)> {
    let took = |test: &Test| times.get(&test.path()).copied().unwrap_or(Duration::MAX);
    tests.sort_by_key(|test| std::cmp::Reverse(took(test)));
    let mut stages: Vec<_> = STAGES.iter().map(|stage| (stage, Vec::new())).collect();
    for test in tests {
        stages[test.placement().stage].1.push(test);
    }
    stages.retain(|(_, tests)| !tests.is_empty());
    stages
}

/// Of the failed tests of a stage: those that run again, alone, and those that have failed for good. If more failed than repetitions are
/// left, none is repeated.
pub(super) fn retried(failed: Vec<Test>, retries: &mut usize) -> (Vec<Test>, Vec<Test>) {
    match retries.checked_sub(failed.len()) {
        Some(left) => {
            *retries = left;
            (failed, Vec::new())
        }
        None => (Vec::new(), failed),
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    fn test(suite: &str, name: &str) -> Test {
        let suite = Suite {
            name: suite.to_owned(),
            program: format!("/target/{suite}").into(),
        };
        Test {
            suite,
            name: name.to_owned(),
        }
    }

    fn paths(tests: &[Test]) -> Vec<String> {
        tests.iter().map(Test::path).collect()
    }

    #[test]
    fn test_binaries_are_found_among_the_messages_of_cargo() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"failures"},"profile":{"test":true},"executable":"/t/failures-1"}
{"reason":"compiler-artifact","target":{"name":"cleanup"},"profile":{"test":false},"executable":"/t/cleanup"}
{"reason":"compiler-artifact","target":{"name":"e2e"},"profile":{"test":false},"executable":null}
not JSON
{"reason":"build-finished","success":true}
{"reason":"compiler-artifact","target":{"name":"flow"},"profile":{"test":true},"executable":"/t/flow-1"}"#;
        let found: Vec<_> = suites(messages)
            .into_iter()
            .map(|suite| (suite.name, suite.program))
            .collect();
        let expected = [("failures", "/t/failures-1"), ("flow", "/t/flow-1")];
        assert_eq!(
            found,
            expected.map(|(name, program)| (name.into(), program.into()))
        );
    }

    #[test]
    fn tests_are_named_by_suite_and_name() {
        let listed = "rights::a: test\nb: test\nc: benchmark\n\n2 tests, 1 benchmark\n";
        let all = tests(&test("contract", "").suite, listed);
        assert_eq!(paths(&all), ["contract::rights::a", "contract::b"]);
    }

    #[test]
    fn filters_choose_tests_by_any_part_of_their_path() {
        let all = || {
            vec![
                test("failures", "a::x"),
                test("flow", "a::y"),
                test("flow", "b::z"),
            ]
        };
        let choose = |filters: &[&str]| {
            let filters: Vec<_> = filters.iter().map(|filter| (*filter).to_owned()).collect();
            chosen(all(), &filters).map(|tests| paths(&tests))
        };
        assert_eq!(choose(&[]).unwrap().len(), 3);
        assert_eq!(choose(&["flow::"]).unwrap(), ["flow::a::y", "flow::b::z"]);
        assert_eq!(
            choose(&["failures::a", "z"]).unwrap(),
            ["failures::a::x", "flow::b::z"]
        );
        assert_eq!(choose(&["failures", "typo"]), Err("typo".to_owned()));
    }

    #[test]
    fn a_few_failed_tests_are_retried_and_many_are_not() {
        let mut retries = 3;
        let some = |names: &[&str]| {
            names
                .iter()
                .map(|name| test("failures", name))
                .collect::<Vec<_>>()
        };
        let (again, lost) = retried(some(&["a", "b"]), &mut retries);
        assert_eq!((again.len(), lost.len(), retries), (2, 0, 1));
        let (again, lost) = retried(some(&["c", "d"]), &mut retries);
        assert_eq!((again.len(), lost.len(), retries), (0, 2, 1));
        let (again, lost) = retried(some(&["e"]), &mut retries);
        assert_eq!((again.len(), lost.len(), retries), (1, 0, 0));
    }

    #[test]
    fn long_and_unknown_tests_run_first_and_disruptive_ones_in_later_stages() {
        let all = vec![
            test("contract", "short"),
            test("disruption", "kill"),
            test("failures", "long"),
            test("tokens", "count"),
            test("flow", "new"),
        ];
        let seconds = |path: &str, took| (path.to_owned(), Duration::from_secs(took));
        let times = Times::from([
            seconds("contract::short", 1),
            seconds("failures::long", 60),
            seconds("disruption::kill", 300),
        ]);
        let stages = ordered(all, &times);
        let reported: Vec<_> = stages
            .iter()
            .map(|(stage, tests)| (stage.name, paths(tests)))
            .collect();
        let of = |tests: &[&str]| tests.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            reported,
            [
                (
                    "as installed",
                    of(&["flow::new", "failures::long", "contract::short"])
                ),
                ("with other settings", of(&["tokens::count"])),
                ("one at a time", of(&["disruption::kill"])),
            ]
        );
    }

    #[test]
    fn time_critical_tests_run_in_a_small_group_without_delaying_others() {
        let mut left = vec![
            test("failures", "a"),
            test("failures", "b"),
            test("failures", "c"),
            test("flow", "d"),
        ];
        let mut working = Vec::new();
        while let Some(next) = next(&mut left, &working.iter().collect::<Vec<_>>()) {
            working.push(next);
        }
        assert_eq!(paths(&working), ["failures::a", "failures::b", "flow::d"]);
        assert_eq!(paths(&left), ["failures::c"]);
        working.remove(0);
        let next = next(&mut left, &working.iter().collect::<Vec<_>>());
        assert_eq!(next.unwrap().path(), "failures::c");
    }
}
