//! Broken documents -> line, column and words; written manifests -> the same workspace (tests).

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use testkit::random as objects;

use super::parse::{MAX_BYTES, work};
use super::*;
use crate::admission::property_tests;
use crate::form::{Offer, form};
use crate::violation::Violation;
use crate::{References, judge};

const HEAD: &str = "apiVersion: workspaces.jupyter.org/v1alpha1\nkind: Workspace\n";
pub(super) const NAMED: &str =
    "apiVersion: workspaces.jupyter.org/v1alpha1\nkind: Workspace\nmetadata:\n  name: demo\n";

/// Each finding of a text in a line; a text that is read is one, too.
pub(super) fn lines(text: &str) -> Vec<String> {
    match workspace(text) {
        Ok(_) => vec!["the text is read".to_owned()],
        Err(findings) => findings
            .iter()
            .map(|it| format!("{}:{} {}", it.place.line, it.place.column, it.violation()))
            .collect(),
    }
}

#[test]
fn what_names_the_object_is_checked_too() {
    let spec = "spec:\n  displayName: a\n";
    for (head, place, words) in [
        (
            String::new(),
            "1:1",
            "apiVersion: is missing: write apiVersion: workspaces.jupyter.org/v1alpha1",
        ),
        (
            "apiVersion: v1\nkind: Workspace\nmetadata: {name: a}\n".to_owned(),
            "1:13",
            "apiVersion: \"v1\" must be",
        ),
        (
            HEAD.to_owned() + "metadata: {}\n",
            "3:1",
            "metadata.name: is missing",
        ),
        (HEAD.to_owned(), "1:1", "metadata.name: is missing"),
        (
            HEAD.to_owned() + "metadata: a\n",
            "3:11",
            "metadata: must be an object",
        ),
        (
            HEAD.to_owned() + "metadata:\n  name: Demo\n",
            "4:9",
            "metadata.name: \"Demo\" must be a name",
        ),
        (
            HEAD.to_owned() + "metadata:\n  name: 5\n",
            "4:9",
            "metadata.name: must be text",
        ),
        (
            HEAD.to_owned() + "metadata:\n  nmae: a\n  name: a\n",
            "4:3",
            "metadata.nmae: is an unknown field: see `kubectl explain workspace.metadata`",
        ),
        (
            HEAD.to_owned() + "metadata:\n  name: a\n  labels:\n    x.org/course: 5\n",
            "6:19",
            "metadata.labels.x.org/course: must be text",
        ),
        (
            HEAD.replace("Workspace", "Pod") + "metadata: {name: a}\n",
            "2:7",
            "kind: \"Pod\" must be Workspace",
        ),
    ] {
        let found = lines(&format!("{head}{spec}"));
        assert!(
            found
                .iter()
                .any(|line| line.starts_with(&format!("{place} {words}"))),
            "{head}: {found:#?}"
        );
    }
    for text in ["", "---\n", "# only a comment\n", "null\n"] {
        assert!(lines(text)[0].contains("the text is empty"), "{text:?}");
    }
    assert!(
        lines("- a\n")[0].starts_with("1:1 : must be an object"),
        "{:?}",
        lines("- a\n")
    );
}

#[test]
fn a_text_that_is_too_long_is_refused_where_the_limit_is() {
    let text = format!("{NAMED}spec:\n  displayName: {}\n", "é".repeat(MAX_BYTES));
    let found = lines(&text);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("6:") && found[0].contains("more than the maximum 65536"),
        "{found:?}"
    );
    let fits = format!("{NAMED}spec:\n  displayName: a\n# {}", "x".repeat(MAX_BYTES));
    assert!(workspace(&fits[..MAX_BYTES]).is_ok());
}

#[test]
fn bombs_are_refused_within_bounds() {
    // Each alias stands for nine of those before: 9^9 values, of which none is expanded.
    let level = |level: usize| {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        format!("a{level}: &a{level} [{aliases}]\n")
    };
    let bomb = "a0: &a0 [x]\n".to_owned() + &(1..10).map(level).collect::<Vec<_>>().concat();
    let found = lines(&bomb);
    assert!(
        found.len() <= 50
            && found
                .iter()
                .all(|line| line.contains("anchor") || line.contains("alias")),
        "{found:?}"
    );
    assert!(work(&bomb) <= bomb.len());
    for deep in ["[".repeat(30_000), "- ".repeat(30_000), "{a: ".repeat(15_000)] {
        // As deep as any workspace, and then not a step more.
        assert!(work(&deep) <= 200, "{}", &deep[..9]);
        let found = lines(&deep);
        assert!(
            found.len() == 1 && found[0].contains("is not valid YAML"),
            "{found:?}"
        );
    }
    let tags = "- !t a\n".repeat(9_000);
    assert_eq!(lines(&tags).len(), 50, "at most as many findings as a user reads");
    assert!(work(&tags) <= 100, "what follows is not read");
    // As many fields as fit, each unknown or twice.
    let fields = |line: &dyn Fn(usize) -> String| -> String { (0..5_000).map(line).collect() };
    let unknown = fields(&|at| format!("  f{at}: 1\n"));
    let twice = fields(&|_| "  f: 1\n".to_owned());
    for text in [
        format!("{NAMED}spec:\n  displayName: a\n{unknown}"),
        format!("{NAMED}{unknown}spec:\n  displayName: a\n"),
        format!("{NAMED}spec:\n  displayName: a\n{twice}"),
    ] {
        assert_eq!(lines(&text).len(), 50, "{}", &text[..200]);
    }
}

#[test]
fn violations_and_causes_are_placed_by_their_paths() {
    let text = format!(
        "{NAMED}  labels: {{a.b/c: x}}\nspec:\n  displayName: a\n  resources:\n    limits:\n      nvidia.com/gpu: 1\n      cpu: 2\n  \
         env:\n    - name: A\n    - {{name: B, value: c}}\n  variables:\n    a.b: c\n"
    );
    let document = workspace(&text).unwrap().document;
    let at = |field: &str| {
        let place = document.place(field);
        format!("{}:{}", place.line, place.column)
    };
    for (field, place) in [
        ("spec.displayName", "7:16"),
        ("spec.resources.limits[nvidia.com/gpu]", "10:23"),
        ("spec.resources.limits.nvidia.com/gpu", "10:23"),
        ("spec.resources.limits.cpu", "11:12"),
        ("spec.resources.limits", "9:5"),
        ("spec.resources.requests.cpu", "8:3"),
        ("spec.env[1].value", "14:24"),
        ("spec.env[0].value", "13:7"),
        ("spec.env[7]", "12:3"),
        ("spec.variables[a.b]", "16:10"),
        ("metadata.labels[a.b/c]", "5:19"),
        ("spec.image", "6:1"),
        ("nothing", "1:1"),
        ("", "1:1"),
    ] {
        assert_eq!(at(field), place, "{field}");
    }
    let finding = document.finding(&Violation::new("spec.displayName", "a", "is refused"));
    assert_eq!(
        (finding.place.line, finding.violation().to_string()),
        (7, "spec.displayName: \"a\" is refused".to_owned())
    );
}

#[test]
fn a_template_of_helm_is_said_to_be_one() {
    for (text, place) in [
        (
            "kind: Workspace\nmetadata:\n  name: {{ .Release.Name }}\n",
            (3, 9),
        ),
        ("{{- if .Values.lab }}\nkind: Workspace\n{{- end }}\n", (1, 1)),
        (
            "kind: Workspace\nspec:\n  {{- with .Values.cpu }}\n  resources: {limits: {cpu: {{ . }}}}\n  {{- end }}\n",
            (3, 3),
        ),
        ("metadata:\n  name: {{ include \"x\" . }}-lab\n", (2, 9)),
    ] {
        let finding = workspace(text).unwrap_err().swap_remove(0);
        assert!(
            finding
                .message
                .starts_with("{{ begins an expression of a Helm template"),
            "{text}: {finding:?}"
        );
        assert_eq!((finding.place.line, finding.place.column), place, "{text}");
    }
    // Text in quotes is YAML, and other errors are theirs.
    for text in ["a: '{{ x }}'\n", "a: '{{ x }}'\nb: [\n"] {
        let findings = workspace(text).unwrap_err();
        assert!(
            findings.iter().all(|finding| !finding.message.contains("Helm")),
            "{findings:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_written_manifest_is_read_as_the_same_workspace(
        spec in objects::workspace_spec(false), of_template in objects::template_spec(false), refers: bool
    ) {
        let (workspace_, template, settings) = (objects::workspace(spec, refers), objects::template(&of_template), property_tests::settings());
        let offer = Offer { template: refers.then_some(&template), settings: &settings, options: &workspace_.spec.options };
        let form = form(&offer, Some(&workspace_));
        let text = yaml(&form, &workspace_);
        let read = workspace(&text);
        prop_assert!(read.is_ok(), "{}\n{:?}", text, read.err());
        prop_assert_eq!(&read.unwrap().workspace.spec, &workspace_.spec, "{}", text);
    }

    #[test]
    fn defaults_in_comments_are_admitted_when_they_are_uncommented(of_template in objects::template_spec(false)) {
        let (template, settings) = (objects::template(&of_template), property_tests::settings());
        let blank = objects::workspace(json!({"displayName": "d"}), true);
        let offer = Offer { template: Some(&template), settings: &settings, options: &blank.spec.options };
        let text = yaml(&form(&offer, None), &blank);
        prop_assert!(text.contains("# "), "{}", text);
        let all: String = text
            .lines()
            .map(|line| if line.trim_start().starts_with("# ") { line.replacen("# ", "", 1) } else { line.to_owned() } + "\n")
            .collect();
        let read = workspace(&all);
        prop_assert!(read.is_ok(), "{}\n{:?}", all, read.err());
        let mut read = read.unwrap().workspace;
        read.metadata = blank.metadata.clone();
        let manager = objects::manager();
        let references = References::managed_by([&manager]).with_template(Some(&template));
        let found = judge(&read, &references, &settings).violations;
        prop_assert_eq!(found.map(|found| found.to_string()), None, "{}", all);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[-a-z:\\[\\]{}&*!#|>\"' \n\t]{0,80}", cut in 0_usize..400) {
        let _ = workspace(&text);
        let form = form(&Offer { template: None, settings: &property_tests::settings(), options: &BTreeMap::new() }, None);
        let whole = yaml(&form, &objects::workspace(json!({"displayName": "d", "env": [{"name": "A", "value": "b"}]}), false));
        let cut = whole.floor_char_boundary(cut.min(whole.len()));
        let _ = workspace(&(whole[..cut].to_owned() + &text + &whole[cut..]));
    }
}
