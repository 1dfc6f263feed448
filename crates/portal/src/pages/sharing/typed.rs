//! What was typed into the form of a share -> the share, or what is wrong with which field (pure).

use api::share::{ShareRole, Subject, SubjectKind};
use api::{Workspace, WorkspaceShare, WorkspaceShareSpec};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use serde::Deserialize;

use crate::cluster::Failure;
use crate::index::hash;

/// Ends that are offered: value, label, hours.
pub(super) const ENDS: [(&str, &str, i64); 4] = [
    ("1h", "In an hour", 1),
    ("8h", "In 8 hours", 8),
    ("1d", "In a day", 24),
    ("7d", "In a week", 168),
];

/// When a form was rendered, for its hidden field.
pub(super) fn rendered_at(now: Timestamp) -> String {
    format!("{:x}", now.as_nanosecond())
}

/// What was typed into the form of a share or of its end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Typed {
    pub(super) uid: String,
    /// When the form of a new share was rendered, as [`rendered_at`] writes it.
    pub(super) rendered: String,
    /// The end when the form was loaded.
    pub(super) before: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) until: String,
    pub(super) date: String,
    pub(super) reason: String,
}

impl Typed {
    /// The share, or what is wrong with which field.
    pub(super) fn share(
        &self,
        workspace: &Workspace,
        now: Timestamp,
    ) -> Result<WorkspaceShare, Vec<(&'static str, String)>> {
        let mut wrong = Vec::new();
        let subject = self.subject().map_err(|problem| wrong.push(problem));
        let subject = subject.unwrap_or_default();
        let owner = api::names::owner(&workspace.metadata);
        if owner.is_some() && subject.user_name().as_deref() == owner {
            let what = format!(
                "{:?} owns the workspace and has access already: type another name.",
                self.name
            );
            wrong.push(("name", what));
        }
        let end = self
            .end(now)
            .map_err(|problem| wrong.push(problem))
            .ok()
            .flatten();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let name = workspace.name_any();
        Ok(WorkspaceShare {
            metadata: ObjectMeta {
                name: Some(self.share_name(&name, now)),
                namespace: workspace.namespace(),
                ..ObjectMeta::default()
            },
            spec: WorkspaceShareSpec {
                workspace_ref: name,
                workspace_uid: workspace.metadata.uid.clone(),
                subjects: vec![subject],
                role: ShareRole::default(),
                expires_at: end.map(Time),
                reason: Some(self.reason.trim().to_owned()).filter(|reason| !reason.is_empty()),
            },
            status: None,
        })
    }

    /// A name for the share. A form that is sent twice gives the same name, and a form that was changed in between another one.
    fn share_name(&self, workspace: &str, now: Timestamp) -> String {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if !(1..=32).contains(&self.rendered.len()) || !self.rendered.bytes().all(is_hex) {
            return rules::names::share(workspace, now);
        }
        let digest = hash((&self.kind, &self.name, &self.until, &self.date, &self.reason));
        format!("{workspace}-{}-{digest:016x}", self.rendered)
    }

    /// With whom.
    fn subject(&self) -> Result<Subject, (&'static str, String)> {
        let kind = match &*self.kind {
            "User" => SubjectKind::User,
            "Group" => SubjectKind::Group,
            "ServiceAccount" => {
                let (namespace, name) = account(&self.name).ok_or_else(|| {
                    let what = "is not a service account: type its namespace and name, such as `ci:robot`.";
                    ("name", format!("{:?} {what}", self.name))
                })?;
                return Ok(Subject {
                    kind: SubjectKind::ServiceAccount,
                    name: name.to_owned(),
                    namespace: Some(namespace.to_owned()),
                    api_group: None,
                });
            }
            other => {
                let what = format!("{other:?} is none of User, Group and ServiceAccount: choose one.");
                return Err(("kind", what));
            }
        };
        if let Some(what) = name_problem(&self.name) {
            return Err(("name", what));
        }
        Ok(Subject {
            kind,
            name: self.name.clone(),
            ..Subject::default()
        })
    }

    /// What the API server refuses, each at the field of the form that it names.
    pub(super) fn refusals(&self, failure: &Failure) -> Vec<(&'static str, String)> {
        let causes = failure.causes();
        if causes.is_empty() {
            return vec![("", failure.to_string())];
        }
        let field = |path: &str| match path {
            "spec.expiresAt" if self.until == "date" => "date",
            "spec.expiresAt" => "until",
            "spec.reason" => "reason",
            path if path.starts_with("spec.subjects") => "name",
            _ => "",
        };
        let cause = |(path, text): (String, String)| match field(&path) {
            "" => ("", format!("`{path}`: {text}")),
            field => (field, text),
        };
        causes.into_iter().map(cause).collect()
    }

    /// When it ends, to the second as Kubernetes keeps it; `None`: never.
    pub(super) fn end(&self, now: Timestamp) -> Result<Option<Timestamp>, (&'static str, String)> {
        let whole = |time: Timestamp| Timestamp::from_second(time.as_second()).ok();
        if let Some((_, _, hours)) = ENDS.iter().find(|(value, ..)| *value == self.until) {
            return Ok(whole(now + SignedDuration::from_hours(*hours)));
        }
        match &*self.until {
            "never" => Ok(None),
            "date" => {
                let wrong = |what: &str| ("date", format!("{:?} {what}", self.date));
                let date: Date = self
                    .date
                    .trim()
                    .parse()
                    .map_err(|_| wrong("is not a date: write it as 2026-12-31."))?;
                // The whole of that day counts.
                let end = date
                    .tomorrow()
                    .and_then(|next| next.to_zoned(TimeZone::UTC))
                    .map_err(|_| wrong("is too far away: choose an earlier date."))?;
                if end.timestamp() <= now {
                    return Err(wrong("is in the past: choose a later date."));
                }
                Ok(whole(end.timestamp()))
            }
            other => Err((
                "until",
                format!("{other:?} is no end that is offered: choose one."),
            )),
        }
    }
}

/// Namespace and name of a service account, which `namespace:name` or its user name states.
fn account(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let text = text.strip_prefix("system:serviceaccount:").unwrap_or(text);
    let (namespace, name) = text.split_once(':')?;
    let is_namespace = rules::checks::namespace("namespace", namespace).is_none();
    (is_namespace && rules::names::is_dns_1123_subdomain(name)).then_some((namespace, name))
}

/// What is wrong with the name of another user or group.
pub(in crate::pages) fn name_problem(name: &str) -> Option<String> {
    if name.trim().is_empty() {
        return Some("Type the exact name, as the other user's account page shows it.".to_owned());
    }
    if api::names::is_of_kubernetes(name) {
        return Some(format!(
            "{name:?} is a name of Kubernetes itself: type the name of a user or a group of users."
        ));
    }
    (name.trim() != name).then(|| {
        format!("{name:?} begins or ends with a space: names are compared exactly, so leave them out.")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-11-22T12:00:00.5Z";

    fn typed(name: &str, until: &str, date: &str) -> Result<WorkspaceShare, Vec<(&'static str, String)>> {
        let workspace = json!({"metadata": {"name": "lab", "namespace": "team", "uid": "u"}, "spec": {"displayName": "lab"}});
        let typed = Typed {
            kind: "User".to_owned(),
            name: name.to_owned(),
            until: until.to_owned(),
            date: date.to_owned(),
            ..Typed::default()
        };
        typed.share(&serde_json::from_value(workspace).unwrap(), NOW.parse().unwrap())
    }

    fn end(until: &str, date: &str) -> Option<String> {
        typed("bob", until, date)
            .unwrap()
            .spec
            .expires_at
            .map(|time| time.0.to_string())
    }

    #[test]
    fn a_share_is_bound_to_this_very_workspace_and_ends_as_chosen() {
        let share = typed("oidc:bob", "8h", "").unwrap();
        assert_eq!(share.spec.workspace_uid.as_deref(), Some("u"));
        assert_eq!(share.spec.subjects[0].name, "oidc:bob");
        assert_eq!(end("8h", "").as_deref(), Some("2026-11-22T20:00:00Z"));
        assert_eq!(end("date", "2026-11-30").as_deref(), Some("2026-12-01T00:00:00Z"));
        assert_eq!(end("never", ""), None);
    }

    #[test]
    fn one_rendered_form_gives_one_name_unless_its_fields_change() {
        let workspace =
            json!({"metadata": {"name": "lab", "namespace": "team"}, "spec": {"displayName": "lab"}});
        let workspace = serde_json::from_value(workspace).unwrap();
        let name = |rendered: &str, user: &str, now: &str| {
            let typed = Typed {
                kind: "User".to_owned(),
                name: user.to_owned(),
                until: "8h".to_owned(),
                rendered: rendered.to_owned(),
                ..Typed::default()
            };
            let share = typed.share(&workspace, now.parse().unwrap()).unwrap();
            share.metadata.name.unwrap()
        };
        let (at, later) = (NOW, "2026-11-22T12:01:00Z");
        let rendered = rendered_at(at.parse().unwrap());
        let first = name(&rendered, "bob", at);
        assert!(first.starts_with("lab-"), "{first}");
        assert_eq!(name(&rendered, "bob", later), first);
        assert_ne!(name(&rendered, "carol", later), first);
        for forged in ["", "x", "../other", "A", &"a".repeat(33)] {
            assert_eq!(
                name(forged, "bob", at),
                rules::names::share("lab", at.parse().unwrap())
            );
        }
    }

    #[test]
    fn a_service_account_is_named_by_its_namespace_or_as_the_user_that_it_is() {
        let workspace =
            json!({"metadata": {"name": "lab", "namespace": "team"}, "spec": {"displayName": "lab"}});
        let workspace = serde_json::from_value(workspace).unwrap();
        let shared = |kind: &str, name: &str| {
            let typed = Typed {
                kind: kind.to_owned(),
                name: name.to_owned(),
                until: "8h".to_owned(),
                ..Typed::default()
            };
            typed.share(&workspace, NOW.parse().unwrap())
        };
        for name in ["ci:robot", "system:serviceaccount:ci:robot"] {
            let share = shared("ServiceAccount", name).unwrap();
            let subject = &share.spec.subjects[0];
            assert_eq!(subject.kind, SubjectKind::ServiceAccount);
            assert_eq!(
                (&*subject.name, subject.namespace.as_deref()),
                ("robot", Some("ci"))
            );
        }
        for (kind, name, field) in [
            ("ServiceAccount", "robot", "name"),
            ("ServiceAccount", "ci:", "name"),
            ("ServiceAccount", "CI:robot", "name"),
            ("ServiceAccount", "a:b:c", "name"),
            ("User", "system:serviceaccount:ci:robot", "name"),
            ("Everybody", "ci:robot", "kind"),
        ] {
            let wrong = shared(kind, name).unwrap_err();
            assert_eq!(wrong.len(), 1, "{wrong:?}");
            assert_eq!(wrong[0].0, field, "{kind} {name}: {wrong:?}");
        }
    }

    #[test]
    fn what_the_api_server_refuses_stands_at_the_field_that_it_names() {
        let status = json!({
            "code": 422, "reason": "Invalid", "message": "refused",
            "details": {"causes": [
                {"field": "spec.expiresAt", "message": "is in the past"},
                {"field": "spec.reason", "message": "is too long"},
                {"field": "spec.subjects[0].name", "message": "is nobody"},
                {"field": "spec.role", "message": "is unknown"},
            ]},
        });
        let failure = Failure::Refused(Box::new(serde_json::from_value(status).unwrap()));
        let fields = |until: &str| {
            let typed = Typed {
                until: until.to_owned(),
                ..Typed::default()
            };
            let refused = typed.refusals(&failure);
            assert!(refused[3].1.contains("spec.role"), "{refused:?}");
            refused.into_iter().map(|(field, _)| field).collect::<Vec<_>>()
        };
        assert_eq!(fields("8h"), ["until", "reason", "name", ""]);
        assert_eq!(fields("date"), ["date", "reason", "name", ""]);
        let whole = Typed::default().refusals(&Failure::Unanswered("no answer".to_owned()));
        assert_eq!(whole, [("", "no answer".to_owned())]);
    }

    #[test]
    fn what_is_wrong_is_said_of_its_field() {
        for (name, until, date, field) in [
            ("", "8h", "", "name"),
            (" bob", "8h", "", "name"),
            ("bob", "soon", "", "until"),
            ("bob", "date", "tomorrow", "date"),
            ("bob", "date", "2026-11-21", "date"),
        ] {
            let wrong = typed(name, until, date).unwrap_err();
            assert_eq!(
                wrong.iter().map(|(of, _)| *of).collect::<Vec<_>>(),
                [field],
                "{wrong:?}"
            );
        }
    }
}
