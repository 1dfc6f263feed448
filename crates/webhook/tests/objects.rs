//! Templates with objects -> refused with field, value, rule and remedy, or admitted.

use serde_json::{Value, json};
use testkit::objects::nested;

use crate::cluster::Cluster;
use crate::support::Webhook;

const WIDGET: (&str, &str) = ("example.com/v1", "Widget");

fn cluster() -> Cluster {
    Cluster {
        object_kinds: vec![WIDGET, ("example.com/v1", "Planet")],
        installed: vec![
            ("example.com/v1", "Widget", "widgets", true),
            ("example.com/v1", "Planet", "planets", false),
        ],
        ..Cluster::default()
    }
}

fn widget() -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "spec": {"of": "{workspace.name}"}})
}

fn template(objects: &Value) -> Value {
    let choice = json!({"name": "a", "default": true, "set": {"variables": {"size": "1"}}});
    json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceTemplate", "metadata": {"name": "it"},
        "spec": {
            "displayName": "t", "defaultImage": "uv", "objects": objects, "options": [{"name": "option", "choices": [choice]}],
        },
    })
}

/// The refusal of a manifest; `None`: it is admitted.
async fn refusal(webhook: &Webhook, manifest: Value) -> Option<String> {
    let object = template(&json!([{"name": "it", "manifest": manifest}]));
    let answer = webhook.validate_create("root", &object).await;
    assert!(answer.allowed || answer.code == 422, "{answer:?}");
    (!answer.allowed).then_some(answer.message)
}

/// A change of the right manifest, and what the refusal says.
type Case = (fn(&mut Value), &'static str);

#[tokio::test]
async fn an_object_must_be_of_a_listed_kind_and_hold_nothing_of_others() {
    let webhook = cluster().webhook();
    assert_eq!(refusal(&webhook, widget()).await, None);
    let too_deep = "spec.objects[0].manifest: has lists and maps nested more than 32 levels deep, the maximum: leave out what is deeper";
    let cases: [Case; 14] = [
        (
            |it| it["kind"] = json!("Gadget"),
            "spec.objects[0].manifest.kind: \"example.com/v1 Gadget\" is not among the kinds that this installation allows (example.com/v1 Widget, example.com/v1 Planet): use one of them, or have it added to the setting objectKinds",
        ),
        (
            |it| it["kind"] = json!("Planet"),
            "spec.objects[0].manifest.kind: \"example.com/v1 Planet\" is a kind of the cluster, and objects of workspaces are in their namespace: use a namespaced kind",
        ),
        (
            |it| it["kind"] = json!("Deployment"),
            "spec.objects[0].manifest.kind: \"example.com/v1 Deployment\" can never be an object of a template",
        ),
        (
            |it| it["metadata"]["namespace"] = json!("other"),
            "spec.objects[0].manifest.metadata.namespace: \"other\" must not name another namespace",
        ),
        (
            |it| {
                it.as_object_mut().unwrap().remove("kind");
            },
            "spec.objects[0].manifest: must have apiVersion and kind",
        ),
        (
            |it| {
                it.as_object_mut().unwrap().remove("apiVersion");
            },
            "spec.objects[0].manifest: must have apiVersion and kind",
        ),
        (
            |it| it["metadata"]["name"] = json!("one-for-all"),
            "spec.objects[0].manifest.metadata.name: \"one-for-all\" is the same for every workspace: put {workspace.name} into it",
        ),
        (
            |it| it["status"] = json!({}),
            "spec.objects[0].manifest.status: must not be set by a template",
        ),
        (
            |it| it["metadata"]["ownerReferences"] = json!([]),
            "spec.objects[0].manifest.metadata.ownerReferences: must not be set by a template: leave it out",
        ),
        (
            |it| it["metadata"]["finalizers"] = json!([]),
            "spec.objects[0].manifest.metadata.finalizers: must not be set by a template: leave it out",
        ),
        (|it| it["spec"]["of"] = json!("x".repeat(65_536)), "spec: has "),
        (|it| it["spec"]["of"] = nested(31), too_deep),
        // Deeper than a parser reads, with the review around it and without.
        (|it| it["spec"]["of"] = nested(120), too_deep),
        (|it| it["spec"]["of"] = nested(300), too_deep),
    ];
    for (change, expected) in cases {
        let mut manifest = widget();
        change(&mut manifest);
        let refused = refusal(&webhook, manifest).await.unwrap_or_default();
        assert!(refused.contains(expected), "{expected}\nis missing in: {refused}");
    }
    let controls: [fn(&mut Value); 5] = [
        |it| it["metadata"]["namespace"] = json!("{workspace.namespace}"),
        |it| it["metadata"]["name"] = json!("{workspace.name}-one"),
        |it| it["metadata"]["annotations"] = json!({"example.com/a": "b"}),
        |it| it["spec"]["of"] = json!("x".repeat(30_000)),
        |it| it["spec"]["of"] = nested(30),
    ];
    for change in controls {
        let mut manifest = widget();
        change(&mut manifest);
        assert_eq!(refusal(&webhook, manifest).await, None);
    }
}

#[tokio::test]
async fn only_variables_that_no_user_sets_may_be_in_an_object() {
    let webhook = cluster().webhook();
    for name in ["workspace.name", "workspace.namespace", "workspace.uid", "size"] {
        let manifest =
            json!({"apiVersion": "example.com/v1", "kind": "Widget", "spec": {"of": format!("{{{name}}}")}});
        assert_eq!(refusal(&webhook, manifest).await, None, "{name}");
    }
    for name in [
        "owner.name",
        "workspace.host",
        "course",
        "service.name",
        "pvcs.home",
    ] {
        let manifest =
            json!({"apiVersion": "example.com/v1", "kind": "Widget", "spec": {"of": format!("{{{name}}}")}});
        let refused = refusal(&webhook, manifest).await.unwrap_or_default();
        let expected = format!(
            "spec.objects[0].manifest.spec.of: \"{{{name}}}\" names the unknown variable {{{name}}}: known are"
        );
        assert!(refused.contains(&expected), "{refused}");
    }
}

#[tokio::test]
async fn a_condition_names_an_option_of_the_template() {
    let webhook = cluster().webhook();
    let with = |when: Value| template(&json!([{"name": "it", "when": when, "manifest": widget()}]));
    assert!(
        webhook
            .validate_create("root", &with(json!({"option": ["a"]})))
            .await
            .allowed
    );
    for when in [json!({"other": ["a"]}), json!({"option": ["b"]})] {
        let refused = webhook.validate_create("root", &with(when)).await;
        assert_eq!(refused.code, 422);
        assert!(refused.message.contains("spec.objects[0].when["), "{refused:?}");
    }
}

#[tokio::test]
async fn a_kind_that_is_not_installed_is_admitted_and_one_that_is_not_listed_is_not() {
    let absent = Cluster {
        installed: Vec::new(),
        ..cluster()
    };
    assert_eq!(refusal(&absent.webhook(), widget()).await, None);
    let unlisted = Cluster {
        object_kinds: Vec::new(),
        ..cluster()
    };
    let refused = refusal(&unlisted.webhook(), widget()).await.unwrap_or_default();
    let expected = "is not allowed, because this installation allows no kinds here: have it added to the setting objectKinds, or leave it out";
    assert!(refused.contains(expected), "{refused}");
}

#[tokio::test]
async fn discovery_is_asked_once_for_each_kind_of_a_review() {
    let webhook = cluster().webhook();
    let of_kind = |name: &str, kind: &str| {
        let mut manifest = widget();
        manifest["kind"] = json!(kind);
        json!({"name": name, "manifest": manifest})
    };
    let objects = [
        of_kind("a", "Widget"),
        of_kind("b", "Widget"),
        of_kind("c", "Planet"),
        of_kind("d", "Planet"),
    ];
    let answer = webhook.validate_create("root", &template(&json!(objects))).await;
    for index in [2, 3] {
        let field = format!("spec.objects[{index}].manifest.kind");
        assert!(answer.message.contains(&field), "{answer:?}");
    }
    assert!(!answer.message.contains("objects[1]"), "{answer:?}");
    let calls = webhook.calls();
    let asked = calls.iter().filter(|call| call.path.contains("example.com/v1"));
    assert_eq!(asked.count(), 2, "{calls:?}");
}
