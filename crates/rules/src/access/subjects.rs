//! Active shares -> their subjects, each with an end (pure).

use std::collections::HashMap;

use api::share::Subject;

use super::{Allowed, Requester};

/// The subjects of one workspace's shares by name, each with its end in Unix seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shared {
    /// Users and service accounts, by user name.
    users: HashMap<String, i64>,
    groups: HashMap<String, i64>,
}

impl Shared {
    /// Adds the subject of a share that ends at `end` (Unix seconds; `None`: never). The latest end of a subject wins.
    pub fn add(&mut self, subject: &Subject, end: Option<i64>) {
        let (names, name) = match subject.user_name() {
            Some(user) => (&mut self.users, user),
            None => (&mut self.groups, subject.name.clone()),
        };
        let end = end.unwrap_or(i64::MAX);
        let known = names.entry(name).or_insert(end);
        *known = end.max(*known);
    }

    /// The kind of share that includes the user at `now` (Unix seconds).
    pub fn with(&self, requester: Requester<'_>, now: i64) -> Option<Allowed> {
        let lives = |end: Option<&i64>| end.is_some_and(|end| now < *end);
        if lives(self.users.get(requester.user)) {
            return Some(Allowed::Share);
        }
        let of_group = |group: &String| lives(self.groups.get(group));
        // Most workspaces are not shared with any group: then the user's groups need not be searched.
        let by_group = !self.groups.is_empty() && requester.groups.iter().any(of_group);
        by_group.then_some(Allowed::GroupShare)
    }
}

#[cfg(test)]
mod tests {
    use api::share::SubjectKind;

    use serde_json::json;

    use super::*;

    fn subject(value: serde_json::Value) -> Subject {
        serde_json::from_value(value).unwrap()
    }

    /// Whether `subject` is the user called `user` or one of `groups`, as Kubernetes knows them.
    fn matches_user(subject: &Subject, user: &str, groups: &[impl AsRef<str>]) -> bool {
        match subject.kind {
            SubjectKind::User => !user.is_empty() && subject.name == user,
            SubjectKind::Group => groups.iter().any(|group| group.as_ref() == subject.name),
            SubjectKind::ServiceAccount => {
                let namespace = subject.namespace.as_deref().unwrap_or_default();
                user == format!("system:serviceaccount:{namespace}:{}", subject.name)
            }
        }
    }

    #[test]
    fn a_subject_matches_exactly_the_named_user_or_group() {
        let bob = subject(json!({"kind": "User", "name": "bob"}));
        assert!(matches_user(&bob, "bob", &[""; 0]) && !matches_user(&bob, "Bob", &["bob"]));
        let ml = subject(json!({"kind": "Group", "name": "ml"}));
        assert!(matches_user(&ml, "eve", &["a", "ml"]) && !matches_user(&ml, "ml", &["mlx"]));
        let bot = subject(json!({"kind": "ServiceAccount", "name": "bot", "namespace": "ci"}));
        assert!(
            matches_user(&bot, "system:serviceaccount:ci:bot", &[""; 0])
                && !matches_user(&bot, "bot", &["bot"])
        );
    }

    fn shared_with(subjects: &[Subject], end: Option<i64>) -> Shared {
        let mut shared = Shared::default();
        for subject in subjects {
            shared.add(subject, end);
        }
        shared
    }

    #[test]
    fn a_share_ends_to_the_second_and_the_last_end_counts() {
        let bob = subject(json!({"kind": "User", "name": "bob"}));
        let requester = Requester {
            user: "bob",
            groups: &[],
        };
        let mut shared = shared_with(std::slice::from_ref(&bob), Some(100));
        assert_eq!(shared.with(requester, 99), Some(Allowed::Share));
        assert_eq!(shared.with(requester, 100), None);
        shared.add(&bob, Some(50));
        assert_eq!(shared.with(requester, 99), Some(Allowed::Share));
        shared.add(&bob, None);
        assert_eq!(shared.with(requester, i64::MAX - 1), Some(Allowed::Share));
    }
}
