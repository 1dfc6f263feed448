//! Reports for machines -> SARIF by its schema, and `JUnit`'s XML by what its readers require (IO: processes).

use std::fs;
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node};
use serde_json::{Value, json};

use crate::process::{out, plugin};

/// The schema of SARIF 2.1.0 (tests/sarif/README.md says where it is from).
const SCHEMA: &str = include_str!("sarif/sarif-schema-2.1.0.json");

const HEAD: &str = "apiVersion: workspaces.jupyter.org/v1alpha1\nkind: Workspace\nmetadata: {name: demo}\n";

/// A folder with manifests. Dropping it removes it.
struct Folder(PathBuf);

impl Folder {
    fn with(test: &str, files: &[(&str, String)]) -> Self {
        let folder = std::env::temp_dir().join(format!("cli-reports-{}-{test}", std::process::id()));
        for (name, text) in files {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        Self(folder)
    }

    /// What the program prints in this folder, and its code.
    fn run(&self, words: &[&str]) -> (String, Option<i32>) {
        let output = plugin().args(words).current_dir(&self.0).output().unwrap();
        (out(&output), output.status.code())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Files with no fault, with several in objects and in the items of a list, with no YAML, and with names and values that have to be escaped.
fn manifests(test: &str) -> Folder {
    let spec = |rest: &str| format!("{HEAD}spec:\n  displayName: d\n{rest}");
    let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: workspaces.jupyter.org/v1alpha1\n  kind: Workspace\n  \
                metadata: {name: in-a-list}\n  spec: {displayName: d, port: 80}\n";
    Folder::with(
        test,
        &[
            ("right.yaml", spec("  port: 8888\n")),
            (
                "wrong.yaml",
                spec("  port: 80\n  colour: red\n  resources: {limits: {nvidia.com/gpu: x}}\n"),
            ),
            (
                "a b/ä%<&\"'.yaml",
                format!("{HEAD}spec:\n  displayName: \"<b>&amp;]]>\\e[1m\\x07\"\n"),
            ),
            ("list.yaml", list.to_owned()),
            ("none.yaml", "a: [\n".to_owned()),
            (
                "two.yaml",
                format!("{HEAD}spec: {{displayName: d}}\n---\n{HEAD}spec: {{}}\n"),
            ),
        ],
    )
}

/// What the schema refuses in a log.
fn faults(log: &Value) -> Vec<String> {
    // One of its patterns is no regular expression with Unicode; no report has that field.
    let schema = SCHEMA.replace("{2}]?$", "{2}\\\\]?$");
    let schema = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap();
    let errors = validator.iter_errors(log);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn reports_are_sarif_by_its_schema() {
    let folder = manifests("sarif");
    let absolute = folder.0.join("wrong.yaml").display().to_string();
    for (paths, code, results) in [
        (&["right.yaml"][..], 0, 0),
        (&["."], 3, 7),
        (&["./wrong.yaml", "a b"], 3, 4),
        (&[&absolute], 3, 3),
        (&["none.yaml"], 3, 1),
    ] {
        let (text, ended) = folder.run(&[&["lint", "-o", "sarif"], paths].concat());
        assert_eq!(ended, Some(code), "{paths:?}: {text}");
        let log: Value = serde_json::from_str(&text).unwrap();
        let found = faults(&log);
        assert!(found.is_empty(), "{paths:?}: {found:#?}\n{text}");
        assert_eq!(
            log["runs"][0]["results"].as_array().unwrap().len(),
            results,
            "{text}"
        );
    }
    // The schema would say it.
    let (text, _) = folder.run(&["lint", "-o", "sarif", "wrong.yaml"]);
    let log: Value = serde_json::from_str(&text).unwrap();
    for (place, value) in [
        ("/version", json!("2.2")),
        ("/runs/0/results/0/level", json!("bad")),
        ("/runs/0/results/0/message", json!({})),
        (
            "/runs/0/results/0/locations/0/physicalLocation/region/startLine",
            json!(0),
        ),
        (
            "/runs/0/results/0/locations/0/physicalLocation/artifactLocation/uri",
            json!("a b.yaml"),
        ),
        ("/runs/0/columnKind", json!("bytes")),
    ] {
        let mut other = log.clone();
        *other.pointer_mut(place).unwrap() = value;
        assert!(!faults(&other).is_empty(), "{place}");
    }
}

fn number(node: Node<'_, '_>, attribute: &str) -> usize {
    node.attribute(attribute).unwrap().parse().unwrap()
}

/// The elements in a node: nothing else is there but space.
fn elements<'a, 'd>(node: Node<'a, 'd>, name: &str) -> Vec<Node<'a, 'd>> {
    let texts = node.children().filter(Node::is_text);
    assert!(
        texts
            .filter_map(|it| it.text())
            .all(|text| text.trim().is_empty())
    );
    let found: Vec<_> = node.children().filter(Node::is_element).collect();
    assert!(
        found.iter().all(|it| it.has_tag_name(name)),
        "only {name} is in {node:?}"
    );
    found
}

/// Checks what readers of the format require, since it has no schema of its own: one suite with counts, cases with class, name and time, and
/// at most one failure with message, type and text. Gives each case: class, name, lines of its failure.
fn cases(text: &str) -> Vec<(String, String, Vec<String>)> {
    let document = Document::parse(text).unwrap();
    let root = document.root_element();
    assert!(root.has_tag_name("testsuites"));
    let suites = elements(root, "testsuite");
    assert_eq!(suites.len(), 1);
    let cases = elements(suites[0], "testcase");
    let mut failed = 0;
    let mut all = Vec::new();
    for case in &cases {
        let attribute = |name: &str| case.attribute(name).unwrap();
        assert!(attribute("time").parse::<f64>().is_ok());
        let failures = elements(*case, "failure");
        assert!(failures.len() <= 1, "{case:?}");
        failed += failures.len();
        let lines = failures.iter().flat_map(|failure| {
            assert!(failure.attribute("message").is_some_and(|text| !text.is_empty()));
            assert!(failure.attribute("type").is_some_and(|text| !text.is_empty()));
            failure.text().unwrap_or_default().lines()
        });
        let lines = lines.map(str::to_owned).collect();
        all.push((
            attribute("classname").to_owned(),
            attribute("name").to_owned(),
            lines,
        ));
    }
    for node in [root, suites[0]] {
        assert!(node.attribute("name").is_some_and(|name| !name.is_empty()));
        assert_eq!(
            (
                number(node, "tests"),
                number(node, "failures"),
                number(node, "errors")
            ),
            (cases.len(), failed, 0)
        );
    }
    assert_eq!(number(suites[0], "skipped"), 0);
    all
}

#[test]
fn reports_are_xml_that_readers_of_junit_take() {
    let folder = manifests("junit");
    let (text, code) = folder.run(&["lint", "-o", "junit", "."]);
    assert_eq!(code, Some(3), "{text}");
    let cases_ = cases(&text);
    let case = |file: &str| {
        let found = cases_
            .iter()
            .filter(|(class, ..)| Path::new(class).file_name() == Path::new(file).file_name());
        found
            .map(|(_, name, lines)| (name.as_str(), lines.len()))
            .collect::<Vec<_>>()
    };
    assert_eq!(case("right.yaml"), [("Workspace demo (object 1)", 0)]);
    assert_eq!(case("wrong.yaml"), [("Workspace demo (object 1)", 3)]);
    assert_eq!(case("ä%<&\"'.yaml"), [("Workspace demo (object 1)", 1)]);
    assert_eq!(case("list.yaml"), [("Workspace in-a-list (object 1)", 1)]);
    assert_eq!(case("none.yaml"), [("YAML", 1)]);
    assert_eq!(
        case("two.yaml"),
        [("Workspace demo (object 1)", 0), ("Workspace demo (object 2)", 1)]
    );

    let template = json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceTemplate", "metadata": {"name": "t"},
        "spec": {"displayName": "T", "defaultImage": "uv", "resourceBounds": {"cpu": {"min": "100m", "max": "4"}}},
    });
    let of_template = "template: t.yaml\ncases:\n- name: too <many>\n  workspace: {resources: {limits: {cpu: \"5\"}}}\n  \
                       refused: [{field: spec.resources.limits.cpu}]\n- name: wrong\n  workspace: {resources: {limits: {cpu: \"5\"}}}\n  \
                       admitted: {}\n";
    let folder = Folder::with(
        "template",
        &[
            ("t.yaml", template.to_string()),
            ("cases.yaml", of_template.to_owned()),
        ],
    );
    let (text, code) = folder.run(&["template", "test", "-o", "junit", "cases.yaml"]);
    assert_eq!(code, Some(3), "{text}");
    let found = cases(&text);
    assert!(
        found
            .iter()
            .any(|(_, name, lines)| name == "too <many>" && lines.is_empty()),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|(_, name, lines)| name == "wrong" && !lines.is_empty()),
        "{found:?}"
    );
}
