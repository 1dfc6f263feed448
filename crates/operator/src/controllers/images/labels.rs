//! Labels of a template -> what it asks for, and which values are wrong (pure).

use api::{
    WorkspaceTemplate,
    names::{DEPRECATED, PLACEHOLDERS_LABEL, PRE_PULL_LABEL, REPLACED_BY},
};
use kube::ResourceExt as _;

/// Most placeholders of one template.
const MAX_PLACEHOLDERS: i32 = 100;
/// End of a number of placeholders that take GPUs, too.
const WITH_GPU: &str = "-with-gpu";

/// What a template asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// Whether nodes pull its images.
    pub(super) pre_pull: bool,
    /// The pods that keep room for its workspaces.
    pub(super) placeholders: Option<Placeholders>,
    /// Labels with values that they cannot have, as text for users.
    pub(super) violations: Vec<String>,
}

/// Pods that keep room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placeholders {
    pub(super) count: i32,
    /// Whether they take all that the template requests, or only CPU, memory and storage of the node.
    pub(super) with_gpu: bool,
}

/// What a template asks for; `None`: nothing. One that accepts no new workspaces, or should not be used for them, asks for nothing.
pub(super) fn request(template: &WorkspaceTemplate) -> Option<Request> {
    let annotations = template.annotations();
    let is_old = [DEPRECATED, REPLACED_BY]
        .iter()
        .any(|key| annotations.contains_key(*key));
    if is_old || template.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let labels = template.labels();
    let (pre_pull, placeholders) = (labels.get(PRE_PULL_LABEL), labels.get(PLACEHOLDERS_LABEL));
    let mut request = Request::default();
    match pre_pull.map(String::as_str) {
        None | Some("false") => {}
        Some("true") => request.pre_pull = true,
        Some(other) => request.violations.push(format!(
            "metadata.labels[{PRE_PULL_LABEL}]: {other:?} must be \"true\" or \"false\": set one of them, or remove the label"
        )),
    }
    if let Some(value) = placeholders {
        request.placeholders = parse(value);
        if request.placeholders.is_none() {
            request.violations.push(format!(
                "metadata.labels[{PLACEHOLDERS_LABEL}]: {value:?} must be a number from 1 to {MAX_PLACEHOLDERS}, such as \"3\", or \
                 \"3{WITH_GPU}\" to keep GPUs, too: set such a number, or remove the label"
            ));
        }
    }
    (request != Request::default()).then_some(request)
}

fn parse(value: &str) -> Option<Placeholders> {
    let number = value.strip_suffix(WITH_GPU);
    let count = number.unwrap_or(value).parse().ok()?;
    (1..=MAX_PLACEHOLDERS).contains(&count).then_some(Placeholders {
        count,
        with_gpu: number.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use testkit::objects;

    use super::*;

    fn requested(labels: Value) -> Option<Request> {
        let mut template = objects::template("t");
        template.metadata.labels = serde_json::from_value(labels).unwrap();
        request(&template)
    }

    #[test]
    fn a_template_asks_by_its_labels_and_only_while_it_is_for_new_workspaces() {
        assert_eq!(requested(json!({"other": "x"})), None);
        let both = json!({PRE_PULL_LABEL: "true", PLACEHOLDERS_LABEL: "3-with-gpu"});
        let request_of_both = requested(both.clone()).unwrap();
        assert!(request_of_both.pre_pull && request_of_both.violations.is_empty());
        let placeholders = |count, with_gpu| Some(Placeholders { count, with_gpu });
        assert_eq!(request_of_both.placeholders, placeholders(3, true));
        let plain = requested(json!({PLACEHOLDERS_LABEL: "100"})).unwrap();
        assert_eq!(
            (plain.pre_pull, plain.placeholders),
            (false, placeholders(100, false))
        );
        assert_eq!(requested(json!({PRE_PULL_LABEL: "false"})), None);

        let mut template = objects::template("t");
        template.metadata.labels = serde_json::from_value(both).unwrap();
        for key in [DEPRECATED, REPLACED_BY] {
            let mut old = template.clone();
            old.annotations_mut().insert(key.to_owned(), String::new());
            assert_eq!(request(&old), None, "{key}");
        }
        template.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert_eq!(request(&template), None);
    }

    #[test]
    fn a_wrong_value_is_named_with_its_rule_and_the_other_label_counts() {
        for value in ["yes", "", "True"] {
            let request = requested(json!({PRE_PULL_LABEL: value, PLACEHOLDERS_LABEL: "1"})).unwrap();
            assert!(!request.pre_pull && request.placeholders.is_some());
            let [violation] = &*request.violations else {
                panic!("{request:?}");
            };
            let start = format!("metadata.labels[{PRE_PULL_LABEL}]: {value:?} must be \"true\" or \"false\"");
            assert!(violation.starts_with(&start), "{violation}");
        }
        for value in ["0", "101", "-1", "3.5", "three", "3-with-gpus", "", "3 "] {
            let request = requested(json!({PRE_PULL_LABEL: "true", PLACEHOLDERS_LABEL: value})).unwrap();
            assert!(request.pre_pull && request.placeholders.is_none());
            let [violation] = &*request.violations else {
                panic!("{request:?}");
            };
            assert!(
                violation.contains("must be a number from 1 to 100"),
                "{violation}"
            );
        }
    }
}
