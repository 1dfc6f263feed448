//! Manifests -> which problems are found where.

use serde_json::json;

use super::*;

fn document(kind: &str, name: &str, spec: &Value) -> Document {
    let object = json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    });
    let mut all = Document::all("a.yaml", &object.to_string()).unwrap();
    all.remove(0)
}

#[test]
fn problems_have_the_line_and_column_of_their_value_also_in_lists() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: workspaces.jupyter.org/v1alpha1\n  kind: Workspace\n  \
                metadata: {name: demo}\n  spec:\n    displayName: d\n    colour: red\n    port: 80\n";
    let report = check_all(&Document::all("a.yaml", text).unwrap());
    let places: Vec<_> = report
        .problems
        .iter()
        .map(|it| (it.field.as_str(), it.line, it.column))
        .collect();
    assert_eq!(
        places,
        [("spec.colour", 9, 5), ("spec.port", 10, 11)],
        "{report:?}"
    );
    let finding = Document::all("a.yaml", "a: [1").unwrap_err();
    let problem = Problem::of_text("a.yaml", finding);
    assert!(problem.text().starts_with("YAML: "), "{problem:?}");
}

#[test]
fn problems_are_sorted_by_line_whatever_their_fields() {
    let text = "apiVersion: workspaces.jupyter.org/v1alpha1\nkind: Workspace\nmetadata: {name: demo}\nspec:\n  port: 80\n  \
                displayName: d\n  colour: red\n---\napiVersion: workspaces.jupyter.org/v1alpha1\nkind: Workspac\n";
    let report = check_all(&Document::all("a.yaml", text).unwrap());
    let found: Vec<_> = report
        .problems
        .iter()
        .map(|it| (it.line, it.field.as_str()))
        .collect();
    assert_eq!(
        found,
        [(5, "spec.port"), (7, "spec.colour"), (10, "kind")],
        "{report:?}"
    );
    assert_eq!((report.checked, report.skipped), (2, 0));
}

fn check_all(documents: &[Document]) -> Report {
    let settings = Settings::parse("{defaultImage: registry.example/image:1}").unwrap();
    lint(documents, &[], &settings)
}

fn lines(report: &Report) -> Vec<String> {
    let problems = report.problems.iter();
    problems
        .map(|problem| format!("{} {}", problem.field, problem.message))
        .collect()
}

#[test]
fn unknown_fields_are_found() {
    let spec = json!({"displayName": "d", "colour": "red", "storage": {"sise": "1Gi"}, "env": [{"name": "A", "vlaue": "x"}]});
    let report = check_all(&[document("Workspace", "demo", &spec)]);
    let found = lines(&report);
    for expected in [
        "spec.colour is an unknown field",
        "spec.storage.sise is an unknown",
    ] {
        assert!(
            found.iter().any(|line| line.starts_with(expected)),
            "{expected}: {found:?}"
        );
    }
    assert_eq!(report.problems[0].object, "Workspace demo");
}

#[test]
fn a_template_of_the_same_files_bounds_its_workspaces_and_a_missing_one_is_named() {
    let template = json!({
        "displayName": "t", "defaultImage": "uv", "resourceBounds": {"cpu": {"min": "100m", "max": "2"}},
    });
    let spec = json!({"displayName": "d", "templateRef": "t", "resources": {"limits": {"cpu": "5"}}});
    let workspace = document("Workspace", "demo", &spec);
    let report = check_all(&[document("WorkspaceTemplate", "t", &template), workspace.clone()]);
    assert!(
        lines(&report)
            .iter()
            .any(|line| line.starts_with("spec.resources.limits.cpu \"5\"")),
        "{report:?}"
    );
    let report = check_all(&[workspace]);
    assert!(
        report
            .not_judged
            .iter()
            .any(|line| line.contains("WorkspaceTemplate t")),
        "{report:?}"
    );
}

#[test]
fn a_reference_bounds_workspaces_without_being_checked_itself() {
    let template = document(
        "WorkspaceTemplate",
        "t",
        &json!({"displayName": "t", "defaultImage": "a/b:1"}),
    );
    let spec = json!({"displayName": "d", "templateRef": "t", "image": "c/d:1"});
    let settings = Settings::parse("{defaultImage: registry.example/image:1}").unwrap();
    let workspace = [document("Workspace", "demo", &spec)];
    let report = lint(&workspace, std::slice::from_ref(&template), &settings);
    assert_eq!(
        (report.checked, report.problems[0].field.as_str()),
        (1, "spec.image")
    );
}

#[test]
fn a_manager_with_routes_of_its_own_that_ask_the_gateway_is_judged_without_the_installation_s_settings() {
    let route = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"annotations": {"example.com/auth": "{authentication.address}"}},
        "spec": {"rules": [{"host": "{workspace.host}"}]},
    });
    let spec = json!({
        "routing": {"baseDomain": "w.example.org", "custom": {"resources": [route]}}, "authentication": {"gateway": {}},
    });
    let settings = Settings::parse(SETTINGS).unwrap();
    let report = lint(&[document("WorkspaceManager", "m", &spec)], &[], &settings);
    assert!(report.problems.is_empty(), "{report:?}");
}
