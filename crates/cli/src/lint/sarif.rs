//! Report -> SARIF 2.1.0, for code scanning (pure).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Problem, Report};

/// The format's schema, of OASIS.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// One run with a result for each problem. A rule is a field of a kind, so that results of later runs can be compared.
pub(crate) fn render(report: &Report) -> Value {
    let fields = report.problems.iter().map(|problem| (rule(problem), problem));
    let rules: BTreeMap<_, _> = fields.collect();
    let places: BTreeMap<_, _> = rules.keys().cloned().zip(0..).collect();
    let results: Vec<_> = report
        .problems
        .iter()
        .map(|problem| result(problem, places.get(&rule(problem))))
        .collect();
    let rules: Vec<_> = rules
        .iter()
        .map(|(id, problem)| {
            let text = format!("Rules of {} in {}", general(&problem.field), kind(problem));
            json!({"id": id, "shortDescription": {"text": text}})
        })
        .collect();
    let driver = json!({
        "name": api::names::CLI, "version": env!("CARGO_PKG_VERSION"), "informationUri": env!("CARGO_PKG_REPOSITORY"),
        "rules": rules,
    });
    json!({
        "$schema": SCHEMA, "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    })
}

fn result(problem: &Problem, rule_index: Option<&usize>) -> Value {
    let physical = json!({
        "artifactLocation": {"uri": uri(&problem.file)},
        "region": {"startLine": problem.line, "startColumn": problem.column},
    });
    json!({
        "ruleId": rule(problem),
        "ruleIndex": rule_index,
        "level": "error",
        "message": {"text": problem.text()},
        "locations": [{
            "physicalLocation": physical,
            "logicalLocations": [{"fullyQualifiedName": format!("{}/{}", problem.object, problem.field)}],
        }],
    })
}

fn kind(problem: &Problem) -> &str {
    problem.object.split(' ').next().unwrap_or_default()
}

fn rule(problem: &Problem) -> String {
    match problem.field.as_str() {
        "" => kind(problem).to_owned(),
        field => format!("{}/{}", kind(problem), general(field)),
    }
}

/// The field without the places of entries in lists.
fn general(field: &str) -> String {
    let mut general = String::new();
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('[') {
        general.push_str(before);
        let (place, next) = after.split_once(']').unwrap_or((after, ""));
        if place.parse::<usize>().is_err() {
            general.extend(["[", place, "]"]);
        }
        rest = next;
    }
    general + rest
}

/// The path as a relative URI reference; an absolute one as a file's.
fn uri(path: &str) -> String {
    let scheme = if path.starts_with('/') { "file://" } else { "" };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let bytes = path.trim_start_matches("./").bytes();
    let encoded: String = bytes
        .map(|byte| {
            if is_plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect();
    format!("{scheme}{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(file: &str, field: &str) -> Problem {
        Problem {
            file: file.to_owned(),
            document: 1,
            object: "Workspace demo".to_owned(),
            line: 7,
            column: 3,
            field: field.to_owned(),
            value: "5".to_owned(),
            message: "\"5\" is too much".to_owned(),
        }
    }

    /// What SARIF 2.1.0 requires of a log, a run, a tool, a rule and a result (3.13, 3.14, 3.18, 3.19, 3.27, 3.49 of the specification).
    #[test]
    fn the_log_has_what_the_specification_requires() {
        let report = Report {
            problems: vec![
                problem("./a b/x.yaml", "spec.env[2].name"),
                problem("/abs/y.yaml", "spec.env[0].name"),
                problem("z.yaml", "spec.resources.limits[nvidia.com/gpu]"),
            ],
            ..Report::default()
        };
        let log = render(&report);
        assert_eq!(log["version"], "2.1.0");
        assert!(
            log["$schema"]
                .as_str()
                .unwrap()
                .ends_with("sarif-schema-2.1.0.json")
        );
        let run = &log["runs"][0];
        let driver = &run["tool"]["driver"];
        assert!(!driver["name"].as_str().unwrap().is_empty());
        assert!(driver["informationUri"].as_str().unwrap().starts_with("https://"));
        assert_eq!(run["columnKind"], "unicodeCodePoints");
        let rules = driver["rules"].as_array().unwrap();
        let ids: Vec<_> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
        assert_eq!(
            ids,
            [
                "Workspace/spec.env.name",
                "Workspace/spec.resources.limits[nvidia.com/gpu]"
            ]
        );
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), 3);
        for result in results {
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            assert_eq!(result["level"], "error");
            let place = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[place]["id"], result["ruleId"]);
            let region = &result["locations"][0]["physicalLocation"]["region"];
            assert_eq!(
                (&region["startLine"], &region["startColumn"]),
                (&json!(7), &json!(3))
            );
        }
        let uris: Vec<_> = results
            .iter()
            .map(|result| &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
            .collect();
        assert_eq!(uris, ["a%20b/x.yaml", "file:///abs/y.yaml", "z.yaml"]);
    }

    #[test]
    fn a_report_without_problems_has_an_empty_list_of_results() {
        assert_eq!(render(&Report::default())["runs"][0]["results"], json!([]));
    }
}
