//! Labels of a Notebook's pod -> whether a `PodDefault` selects it (pure).

use serde_json::{Map, Value, json};

use crate::read::Object;

/// Whether a `PodDefault` is for the Notebook's pod: its labels are the Notebook's and those of the controller.
pub(super) fn chooses(pod_default: &Object, notebook: &Object) -> bool {
    let mut labels = Map::new();
    let of_pod = &notebook.value["spec"]["template"]["metadata"]["labels"];
    for map in [of_pod, &notebook.value["metadata"]["labels"]] {
        labels.extend(map.as_object().cloned().unwrap_or_default());
    }
    for key in ["notebook-name", "statefulset"] {
        labels.insert(key.to_owned(), json!(notebook.name));
    }
    selects(&pod_default.value["spec"]["selector"], &labels)
}

/// Whether the selector chooses these labels. One that cannot be read chooses nothing.
fn selects(selector: &Value, labels: &Map<String, Value>) -> bool {
    let exact = selector["matchLabels"].as_object().into_iter().flatten();
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    selector.is_object()
        && exact
            .into_iter()
            .all(|(key, value)| labels.get(key) == Some(value))
        && expressions.into_iter().all(|expression| fits(expression, labels))
}

fn fits(expression: &Value, labels: &Map<String, Value>) -> bool {
    let label = expression["key"].as_str().and_then(|key| labels.get(key));
    let values = expression["values"].as_array();
    let is_in = || label.is_some_and(|label| values.is_some_and(|values| values.contains(label)));
    match expression["operator"].as_str() {
        Some("In") => is_in(),
        Some("NotIn") => !is_in(),
        Some("Exists") => label.is_some(),
        Some("DoesNotExist") => label.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_chooses_as_kubernetes_does() {
        let labels = json!({"app": "nb", "gpu": "true"});
        let labels = labels.as_object().unwrap();
        for (selector, expected) in [
            (json!({"matchLabels": {"gpu": "true"}}), true),
            (json!({"matchLabels": {"gpu": "false"}}), false),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["nb", "x"]}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["nb"]}]}),
                false,
            ),
            (
                json!({"matchExpressions": [{"key": "tpu", "operator": "DoesNotExist"}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "gpu", "operator": "Gt"}]}),
                false,
            ),
            (json!({}), true),
            (json!(null), false),
        ] {
            assert_eq!(selects(&selector, labels), expected, "{selector}");
        }
    }
}
