//! Rendered object and its workspace -> the object as it is applied (pure).

use rules::objects::RenderedObject;
use serde_json::{Map, Value, json};

use crate::{
    cache::{objects::Purpose, observed::Identity},
    plan,
};

/// The whole object. The operator sets namespace, owner and labels, whatever the manifest says.
pub(super) fn object(identity: &Identity, purpose: Purpose, rendered: &RenderedObject) -> Value {
    let meta = plan::meta(identity, purpose.component());
    let mut object = rendered.body.clone();
    object.insert("apiVersion".to_owned(), json!(rendered.kind.api_version));
    object.insert("kind".to_owned(), json!(rendered.kind.kind));
    object.insert(
        "metadata".to_owned(),
        json!({
            "name": rendered.name,
            "namespace": meta.namespace,
            "labels": over(&rendered.labels, json!(meta.labels)),
            "annotations": over(&rendered.annotations, json!(meta.annotations)),
            "ownerReferences": meta.owner_references,
        }),
    );
    Value::Object(object)
}

fn over(theirs: &Map<String, Value>, ours: Value) -> Value {
    let mut all = theirs.clone();
    if let Value::Object(ours) = ours {
        all.extend(ours);
    }
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use rules::objects::ObjectKind;

    use super::*;
    use crate::testing;

    #[test]
    fn our_metadata_wins_over_that_of_a_manifest() {
        let labels = json!({"a": "b", "app.kubernetes.io/managed-by": "another"});
        let route = RenderedObject {
            kind: ObjectKind {
                api_version: "networking.k8s.io/v1".to_owned(),
                kind: "Ingress".to_owned(),
            },
            name: "lab".to_owned(),
            labels: labels.as_object().cloned().unwrap(),
            annotations: Map::new(),
            body: json!({"spec": {"x": 1}}).as_object().cloned().unwrap(),
        };
        let object = object(&testing::identity(), Purpose::Route, &route);
        let meta = &object["metadata"];
        assert_eq!(meta["namespace"], testkit::objects::NAMESPACE);
        assert_eq!(meta["labels"]["a"], "b");
        assert_eq!(
            meta["labels"]["app.kubernetes.io/managed-by"],
            api::names::OPERATOR
        );
        assert_eq!(meta["labels"][api::names::WORKSPACE_LABEL], "demo");
        assert_eq!(meta["annotations"][api::names::WORKSPACE_UID], "uid-of-demo");
        assert_eq!(meta["ownerReferences"][0]["uid"], "uid-of-demo");
        assert_eq!(object["spec"], json!({"x": 1}));
        assert_eq!(object["kind"], "Ingress");
    }
}
