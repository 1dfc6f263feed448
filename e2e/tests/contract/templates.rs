//! Templates that the API server stores, and changes that it refuses.

use api::WorkspaceTemplate;
use e2e::cluster;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams, ValidationDirective},
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_template_s_spec_never_changes_and_misspelt_fields_of_its_pod_are_refused_with_their_path()
-> anyhow::Result<()> {
    let templates = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
    let name = "e2e-immutable-template";
    let object = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "displayName": "x", "defaultImage": "a",
            "options": [{"name": "gpu", "choices": [{"name": "none", "default": true}, {"name": "old"}]}],
            // In a podTemplate nothing is required.
            "podTemplate": {"spec": {"hostname": "a", "containers": [{"name": "workspace", "workingDir": "/work"}]}},
        },
    }))?;
    let _ = templates.delete(name, &DeleteParams::default()).await;
    templates.create(&PostParams::default(), &object).await?;
    let strict = PatchParams {
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::default()
    };
    let refusal = async |spec: Value| {
        let patch = Patch::Merge(json!({ "spec": spec }));
        let outcome = templates.patch(name, &strict, &patch).await;
        outcome.err().map(|error| error.to_string())
    };
    let immutable = format!("immutable after creation: leave {name} as it is");
    for spec in [
        json!({"defaultImage": "b"}),
        json!({"podTemplate": {"spec": {"hostname": "b"}}}),
        json!({"podTemplate": null}),
        json!({"options": null}),
    ] {
        let refused = refusal(spec.clone()).await;
        assert!(
            refused.as_ref().is_some_and(|text| text.contains(&immutable)),
            "{spec}: {refused:?}"
        );
    }
    for (misspelt, path) in [
        (
            json!({"podTemplate": {"spec": {"containers": [{"name": "workspace", "workingDirr": "/work"}]}}}),
            "spec.podTemplate.spec.containers[0].workingDirr",
        ),
        (
            json!({"options": [{"name": "gpu", "choices": [{"name": "a", "sett": {}}]}]}),
            "spec.options[0].choices[0].sett",
        ),
        (
            json!({"volumeClaims": [{"name": "db", "mountpath": "/db", "spec": {}}]}),
            "spec.volumeClaims[0].mountpath",
        ),
    ] {
        let refused = refusal(misspelt).await;
        assert!(
            refused.as_ref().is_some_and(|text| text.contains(path)),
            "{path}: {refused:?}"
        );
    }
    let texts = json!({"gpu": {"choices": {"old": {"deprecated": "It goes."}}}});
    let shown = json!({"presentation": {"icon": "python", "options": texts}});
    assert_eq!(refusal(shown).await, None);
    templates.delete(name, &DeleteParams::default()).await?;
    Ok(())
}
