//! objects of the cluster -> notes and refusals before anything is written (IO: runs `helm` on a copy of the chart).

use serde_json::{Value, json};

use crate::render::{copy_with_notes, examples, here, parse, rendering, renderings, text_of};

/// What is rendered where the cluster has these objects.
fn rendered(values: &str, objects: &Value) -> Result<Vec<Value>, String> {
    let copy = copy_with_notes(objects);
    let values = here(&format!("values/{values}.yaml"));
    let files = ["-f", values.to_str().unwrap()];
    text_of(copy.path().to_str().unwrap(), &files).map(|text| parse(&text))
}

fn policy(name: &str, release: &str) -> Value {
    let labels = json!({"app.kubernetes.io/name": "jupyter-k8s", "app.kubernetes.io/instance": release});
    json!({"ValidatingAdmissionPolicy//": {"items": [{"metadata": {"name": name, "labels": labels}}]}})
}

#[test]
fn another_installation_or_the_definitions_of_another_product_are_refused() {
    let name = "workspaces.workspaces.jupyter.org";
    let definition = |annotations: Value| {
        let key = format!("CustomResourceDefinition//{name}");
        json!({key: {"metadata": {"name": name, "annotations": annotations}}})
    };
    let foreign = definition(json!({"controller-gen.kubebuilder.io/version": "v0.16.1"}));
    for (objects, expected) in [
        (
            policy("other-status", "other"),
            "release: this cluster has the release \"other\" of this chart",
        ),
        (
            policy("jupyter-k8s-status.team-a", "jupyter-k8s"),
            "scope: the namespace \"team-a\" has an installation of its own",
        ),
        (
            foreign,
            "must be of this product, and controller-gen v0.16.1 generated it",
        ),
    ] {
        let reason = rendered("default", &objects).unwrap_err();
        assert!(reason.contains(expected), "{reason}");
    }
    for objects in [
        definition(json!({})),
        policy("jupyter-k8s-status", "jupyter-k8s"),
        policy("other-owners", "other"),
    ] {
        rendered("default", &objects).unwrap();
    }
    rendered(
        "cluster-half",
        &policy("jupyter-k8s-status.team-a", "jupyter-k8s"),
    )
    .unwrap();
}

/// The notes where the cluster has these objects.
fn notes(values: &str, objects: &Value) -> String {
    let objects = rendered(values, objects).unwrap();
    let notes = objects.iter().find(|object| object["kind"] == "Notes");
    notes.unwrap()["text"].as_str().unwrap().to_owned()
}

#[test]
fn the_notes_say_what_is_there_what_lacks_a_key_and_what_is_to_do() {
    let place = |kind: &str, name: &str| format!("{kind}/jupyter-k8s-system/{name}");
    let objects = json!({
        (place("Secret", "tls")): {"data": {"tls.crt": "", "tls.key": ""}},
        (place("Secret", "jupyter-k8s-oidc")): {"data": {"wrong": ""}},
    });
    let notes = notes("default", &objects);
    for line in [
        "   ok    Secret tls",
        "   todo  Secret jupyter-k8s-oidc lacks clientSecret: ",
    ] {
        assert!(notes.contains(line), "{line}: {notes}");
    }
    let nothing = &rendering("default").notes;
    let command =
        "kubectl create secret tls tls -n jupyter-k8s-system --cert=./fullchain.pem --key=./privkey.pem";
    assert!(
        nothing.contains("   todo  Secret tls: ") && nothing.contains(command),
        "{nothing}"
    );
    let images = &rendering("pre-pull").notes;
    assert!(
        images.contains("kubectl create secret generic own-pull -n jupyter-k8s-images "),
        "{images}"
    );
}

#[test]
fn the_notes_warn_of_names_that_no_provider_gives() {
    let warnings = |notes: &str| notes.matches("WARNING").count();
    let everything = &rendering("everything").notes;
    for text in [
        "no identity provider gives these names of userNamespaces and administrators: alice, carol, oidc:carol.",
        "have no prefix, and the portal acts as them",
        "Secret workspaces-pull in team-a",
        "Secret workspaces-pull in team-b",
    ] {
        assert!(everything.contains(text), "{text}: {everything}");
    }
    let path = &rendering("path-mode").notes;
    assert!(
        path.contains("these groups of userNamespaces and administrators: unknown."),
        "{path}"
    );
    for example in examples() {
        let notes = &rendering(example.trim_end_matches(".yaml")).notes;
        assert!(
            notes.contains("helm test jupyter-k8s") && warnings(notes) == 0,
            "{example}: {notes}"
        );
    }
    assert!(
        renderings().iter().any(|one| warnings(&one.notes) > 1),
        "a warning is found"
    );
}
