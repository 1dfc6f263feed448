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

/// Ends that are offered: value, label, hours.
pub(super) const ENDS: [(&str, &str, i64); 4] = [
    ("1h", "In an hour", 1),
    ("8h", "In 8 hours", 8),
    ("1d", "In a day", 24),
    ("7d", "In a week", 168),
];

/// What was typed into the form of a share or of its end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Typed {
    pub(super) uid: String,
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
        let kind = match &*self.kind {
            "User" => SubjectKind::User,
            "Group" => SubjectKind::Group,
            other => {
                wrong.push((
                    "kind",
                    format!("{other:?} is neither User nor Group: choose one."),
                ));
                SubjectKind::User
            }
        };
        if let Some(what) = name_problem(&self.name) {
            wrong.push(("name", what));
        } else if kind == SubjectKind::User && Some(&*self.name) == api::names::owner(&workspace.metadata) {
            let what = format!(
                "{:?} owns the workspace and is in already: type another name.",
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
        let subject = Subject {
            kind,
            name: self.name.clone(),
            ..Subject::default()
        };
        Ok(WorkspaceShare {
            metadata: ObjectMeta {
                name: Some(rules::names::share(&name, now)),
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
                    .map_err(|_| wrong("is no date: write it as 2026-12-31."))?;
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

/// What is wrong with the name of another person or group.
pub(in crate::pages) fn name_problem(name: &str) -> Option<String> {
    if name.trim().is_empty() {
        return Some("Type the exact name, as the other person's account page shows it.".to_owned());
    }
    if name.starts_with("system:") {
        return Some(format!(
            "{name:?} is a name of Kubernetes itself: type the name of a person or a group of people."
        ));
    }
    (name.trim() != name)
        .then(|| format!("{name:?} has spaces at an end: names are compared exactly, so leave them out."))
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
