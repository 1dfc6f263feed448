//! Text of an object -> the object, or what is known of one that cannot be parsed (pure).

use std::{borrow::Cow, ops::Range, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, core::error_boundary::InvalidObject};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::value::RawValue;

use crate::hands;

/// An object, or what is known of one that cannot be parsed: one broken object must not stop a watch.
///
/// Unlike kube's own guard it keeps the text until the object is parsed, and not a tree of values and a copy of that:
/// reading what the watches say is much of what a busy operator does.
#[derive(Clone, Debug)]
pub struct Guarded<K>(pub Result<Arc<K>, InvalidObject>);

impl<K> Guarded<K> {
    /// One that was parsed.
    pub fn of(object: K) -> Self {
        Self(Ok(Arc::new(object)))
    }
}

impl<K: Clone> Guarded<K> {
    /// Gives back what memory it does not need: what was parsed has room to grow everywhere, a copy has not.
    pub fn shrink(&mut self) {
        if let Ok(object) = &mut self.0 {
            *object = Arc::new(K::clone(object));
        }
    }
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    metadata: ObjectMeta,
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let text = without_managed_fields(Box::<str>::from(text).into_string());
        match serde_json::from_str(&text) {
            Ok(object) => Ok(Self::of(object)),
            Err(error) => {
                let head: Head = serde_json::from_str(&text).map_err(D::Error::custom)?;
                let error = error.to_string();
                // The place in a text that nobody sees helps nobody.
                let words = error.split(" at line ").next().unwrap_or_default();
                Ok(Self(Err(InvalidObject {
                    error: words.to_owned(),
                    metadata: head.metadata,
                })))
            }
        }
    }
}

/// The text of an object without `metadata.managedFields`: many small maps that would be built only to be thrown away. Of
/// them only who changed a pod template by hand is looked at.
fn without_managed_fields(mut text: String) -> String {
    let found = value_of(text.as_bytes(), 0, "metadata")
        .and_then(|metadata| value_of(text.as_bytes(), metadata.start, "managedFields"));
    if let Some(value) = found {
        let by_hand = text.get(value.clone()).map(written_by_hand).unwrap_or_default();
        // Whatever its value was, `null` is as good as absent.
        let kept = match by_hand.as_slice() {
            [] => "null".to_owned(),
            entries => format!("[{}]", entries.join(",")),
        };
        text.replace_range(value, &kept);
    }
    text
}

/// Those of these managed fields that may tell of a pod template, or a number of pods, changed by hand.
fn written_by_hand(managed: &str) -> Vec<&str> {
    let text = managed.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while matches!(text.get(at), Some(b'[' | b',')) {
        let start = after_blanks(text, at + 1);
        let Some(end) = end_of_value(text, start) else {
            break;
        };
        let Some(entry) = managed.get(start..end) else {
            break;
        };
        if entry.contains("\"f:template\"") || entry.contains("\"f:replicas\"") {
            let quoted = value_of(text, start, "manager").and_then(|value| managed.get(value));
            let who = quoted.and_then(|quoted| serde_json::from_str::<&str>(quoted).ok());
            if !who.is_some_and(hands::is_known) {
                found.push(entry);
            }
        }
        at = after_blanks(text, end);
    }
    found
}

/// Where the value of a key stands in the JSON object that begins at `at`; nothing if it has none, or is no object.
fn value_of(text: &[u8], at: usize, key: &str) -> Option<Range<usize>> {
    let mut at = after_blanks(text, at);
    if text.get(at) != Some(&b'{') {
        return None;
    }
    loop {
        at = after_blanks(text, at + 1);
        let name = at..end_of_value(text, at)?;
        let colon = after_blanks(text, name.end);
        let value = after_blanks(text, colon + 1);
        let end = end_of_value(text, value)?;
        if text.get(name.start + 1..name.end - 1) == Some(key.as_bytes()) {
            return Some(value..end);
        }
        at = after_blanks(text, end);
        if text.get(at) != Some(&b',') {
            return None;
        }
    }
}

fn after_blanks(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// Where the JSON value that begins at `at` ends; nothing if it does not. The text is known to be JSON.
fn end_of_value(text: &[u8], at: usize) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (index, byte) in text.iter().enumerate().skip(at) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => {
                quoted = !quoted;
                if !quoted && depth == 0 {
                    return Some(index + 1);
                }
            }
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => return Some(index),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(index + 1);
                }
            }
            _ => {}
        }
    }
    None
}

impl<K: Resource + Clone> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        match &self.0 {
            Ok(object) => object.meta(),
            Err(invalid) => &invalid.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(object) => Arc::make_mut(object).meta_mut(),
            Err(invalid) => &mut invalid.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::core::{ObjectList, WatchEvent};

    use super::*;

    const GOOD: &str = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":{"containers":[]}}"#;
    const BROKEN: &str = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"b"},"spec":7}"#;

    #[test]
    fn a_broken_object_is_known_by_its_metadata_and_why() {
        let broken: Guarded<Pod> = serde_json::from_str(BROKEN).unwrap();
        assert_eq!(broken.meta().name.as_deref(), Some("b"));
        let why = broken.0.unwrap_err().error;
        assert!(why.contains("integer `7`") && !why.contains("line"), "{why}");
    }

    #[test]
    fn of_managed_fields_only_a_pod_template_or_a_count_changed_by_hand_is_kept() {
        let entry = |manager: &str, field: &str| serde_json::json!({"manager": manager, "fieldsV1": {"f:spec": {field: {}}}});
        let kept = |entries: &[serde_json::Value]| {
            let object = serde_json::json!({"metadata": {"name": "a", "managedFields": entries}});
            let object: serde_json::Value =
                serde_json::from_str(&without_managed_fields(object.to_string())).unwrap();
            object["metadata"]["managedFields"].clone()
        };
        let ours = entry(api::names::OPERATOR, "f:template");
        let controller = entry("kube-controller-manager", "f:template");
        let scaled = entry("kubectl", "f:replicas");
        let edited = entry("kubectl-edit", "f:template");
        let own_scale = entry(api::names::OPERATOR_SCALE, "f:replicas");
        let usual = [ours, controller, own_scale];
        assert_eq!(kept(&usual), serde_json::Value::Null);
        let changed = [usual.as_slice(), std::slice::from_ref(&edited)].concat();
        assert_eq!(kept(&changed), serde_json::json!([edited]));
        let both = [std::slice::from_ref(&scaled), changed.as_slice()].concat();
        assert_eq!(kept(&both), serde_json::json!([scaled, edited]));
        assert_eq!(kept(&[]), serde_json::Value::Null);
    }

    #[test]
    fn managed_fields_are_cut_out_and_nothing_else() {
        let cut = |text: &str| without_managed_fields(text.to_owned());
        let object = |managed: &str| {
            format!(
                r#"{{"kind":"Pod","metadata": {{"name":"a","annotations":{{"x":"{{\"managedFields\":[1]}}"}},"managedFields":{managed},"z":1}},"spec":{{"managedFields":[2]}}}}"#
            )
        };
        assert_eq!(cut(&object(r#"[{"f:a":{"}":"]"}},[]]"#)), object("null"));
        assert_eq!(cut(&object("7")), object("null"));
        for same in [
            r#"{"metadata":{"name":"a"}}"#,
            r#"{"metadata":{}}"#,
            r#"{"spec":{"managedFields":[2]}}"#,
            "{}",
            "[]",
            "7",
        ] {
            assert_eq!(cut(same), same);
        }
        let pod: Guarded<Pod> = serde_json::from_str(
            r#"{"metadata":{"name":"a","managedFields":[{"manager":"m","fieldsV1":{"f:spec":{}}}],"namespace":"b"}}"#,
        )
        .unwrap();
        assert_eq!(pod.meta().managed_fields, None);
        assert_eq!(pod.meta().namespace.as_deref(), Some("b"));
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_metadata_is_only_managed_fields_differ(text in "[a-z\"\\\\{}\\[\\], :]{0,12}", first in proptest::bool::ANY) {
            let managed = serde_json::json!([{&text: [&text, {"a": &text}]}]);
            let mut object = serde_json::json!({"kind": &text, "metadata": {"annotations": {&text: &text}}, "spec": {&text: &text}});
            let expected = object.clone();
            object["metadata"]["managedFields"] = managed;
            // Keys are sorted: with another name the annotations come after.
            if first {
                let annotations = object["metadata"]["annotations"].take();
                object["metadata"]["zzz"] = annotations;
            }
            let cut: serde_json::Value = serde_json::from_str(&without_managed_fields(object.to_string())).unwrap();
            proptest::prop_assert!(cut["metadata"]["managedFields"].is_null());
            proptest::prop_assert_eq!(&cut["spec"], &expected["spec"]);
            let kept = if first { &cut["metadata"]["zzz"] } else { &cut["metadata"]["annotations"] };
            proptest::prop_assert_eq!(kept, &expected["metadata"]["annotations"]);
        }
    }

    #[test]
    fn lists_and_watches_with_a_broken_object_are_read() {
        let list =
            format!(r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{}},"items":[{GOOD},{BROKEN}]}}"#);
        let list: ObjectList<Guarded<Pod>> = serde_json::from_str(&list).unwrap();
        assert!(list.items[0].0.is_ok() && list.items[1].0.is_err());
        let event = format!(r#"{{"type":"ADDED","object":{GOOD}}}"#);
        let event: WatchEvent<Guarded<Pod>> = serde_json::from_str(&event).unwrap();
        assert!(matches!(event, WatchEvent::Added(Guarded(Ok(_)))));
        let value: serde_json::Value = serde_json::from_str(GOOD).unwrap();
        assert!(serde_json::from_value::<Guarded<Pod>>(value).unwrap().0.is_ok());
    }
}
