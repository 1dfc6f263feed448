//! Subject of a share and a person -> whether the one means the other (pure).

use api::share::{Subject, SubjectKind};

/// Whether `subject` means the person called `user` in `groups`, as Kubernetes knows them.
pub fn means(subject: &Subject, user: &str, groups: &[impl AsRef<str>]) -> bool {
    match subject.kind {
        SubjectKind::User => !user.is_empty() && subject.name == user,
        SubjectKind::Group => groups.iter().any(|group| group.as_ref() == subject.name),
        SubjectKind::ServiceAccount => {
            let namespace = subject.namespace.as_deref().unwrap_or_default();
            user == format!("system:serviceaccount:{namespace}:{}", subject.name)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_subject_means_exactly_whom_it_names() {
        let subject = |value: Value| -> Subject { serde_json::from_value(value).unwrap() };
        let bob = subject(json!({"kind": "User", "name": "bob"}));
        assert!(means(&bob, "bob", &[""; 0]) && !means(&bob, "Bob", &["bob"]));
        let ml = subject(json!({"kind": "Group", "name": "ml"}));
        assert!(means(&ml, "eve", &["a", "ml"]) && !means(&ml, "ml", &["mlx"]));
        let bot = subject(json!({"kind": "ServiceAccount", "name": "bot", "namespace": "ci"}));
        assert!(means(&bot, "system:serviceaccount:ci:bot", &[""; 0]) && !means(&bot, "bot", &["bot"]));
    }
}
