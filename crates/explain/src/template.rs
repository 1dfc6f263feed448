//! Template, permissions for it and its users -> why it may not be used or deleted (pure).

use api::condition::{PREPARED, TERMINATING, VALID, find, reason};
use api::names::{DEPRECATED, IN_USE_FINALIZER, REPLACED_BY, USE_VERB};
use api::{Workspace, WorkspaceTemplate};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;

use super::{Cause, Explanation, Finding, Read, Remedy, ago, all_unread, why, written};

/// Users of a template that are named at most.
const NAMED: usize = 10;

/// Input of the explanation.
#[derive(Debug)]
pub struct TemplateEvidence<'a> {
    /// The template.
    pub template: &'a WorkspaceTemplate,
    /// The namespace in which it would be used.
    pub namespace: &'a str,
    /// Whether the requester may `use` it there.
    pub right: Read<bool>,
    /// Whether the namespace has the execution profile that the template names; `None`: it names none.
    pub profile: Option<Read<bool>>,
    /// Workspaces that may use it.
    pub workspaces: Read<Vec<Workspace>>,
    /// The present time.
    pub now: Timestamp,
}

/// Explains the template. It is as wanted if it can be used and is not being deleted.
pub fn explain(evidence: &TemplateEvidence<'_>) -> Explanation {
    let wrong = [
        deletion(evidence),
        right(evidence),
        false_condition(evidence.template, VALID),
        profile(evidence),
    ];
    let mut findings: Vec<_> = wrong.into_iter().flatten().collect();
    let may_use = evidence.right.known() == Some(&true);
    let as_wanted = findings.is_empty() && may_use;
    if as_wanted {
        findings.push(Finding {
            what: format!("You may use it in namespace {}.", evidence.namespace),
            because: vec![of_right(evidence, "allowed")],
            ..Finding::default()
        });
    }
    findings.extend(deprecation(evidence.template, evidence.namespace));
    findings.extend(false_condition(evidence.template, PREPARED));
    let of_profile = evidence.profile.as_ref().and_then(why);
    let unread = [
        ("your right to use the template", why(&evidence.right)),
        ("the WorkspaceExecutionProfile", of_profile),
        ("workspaces that use the template", why(&evidence.workspaces)),
    ];
    Explanation {
        as_wanted,
        findings,
        unread: all_unread(unread),
    }
}

fn conditions(template: &WorkspaceTemplate) -> &[Condition] {
    template
        .status
        .as_ref()
        .map_or(&[][..], |status| status.conditions.as_slice())
}

fn of_template(
    template: &WorkspaceTemplate,
    field: &str,
    value: impl Into<String>,
    time: Option<Timestamp>,
) -> Cause {
    Cause {
        object: format!("WorkspaceTemplate {}", template.name_any()),
        field: field.to_owned(),
        value: value.into(),
        time: time.map(written),
    }
}

fn of_condition(template: &WorkspaceTemplate, condition: &Condition) -> Cause {
    of_template(
        template,
        &format!("status.conditions[{}]", condition.type_),
        format!("{}, reason {}", condition.status, condition.reason),
        Some(condition.last_transition_time.0),
    )
}

fn of_right(evidence: &TemplateEvidence<'_>, value: &str) -> Cause {
    Cause {
        object: "SelfSubjectAccessReview".to_owned(),
        field: format!(
            "{USE_VERB} workspacetemplates/{} in namespace {}",
            evidence.template.name_any(),
            evidence.namespace
        ),
        value: value.to_owned(),
        time: None,
    }
}

fn deletion(evidence: &TemplateEvidence<'_>) -> Option<Finding> {
    let template = evidence.template;
    let since = template.metadata.deletion_timestamp.as_ref()?.0;
    let name = template.name_any();
    let mut because = vec![of_template(
        template,
        "metadata.deletionTimestamp",
        "set",
        Some(since),
    )];
    because.extend(find(conditions(template), TERMINATING).map(|it| of_condition(template, it)));
    let workspaces = evidence.workspaces.known().into_iter().flatten();
    let users: Vec<_> = workspaces
        .filter(|it| it.spec.template_ref.as_deref() == Some(name.as_str()))
        .collect();
    because.extend(users.iter().take(NAMED).map(|workspace| Cause {
        object: format!(
            "Workspace {} of namespace {}",
            workspace.name_any(),
            workspace.namespace().unwrap_or_default()
        ),
        field: "spec.templateRef".to_owned(),
        value: name.clone(),
        time: None,
    }));
    if users.len() > NAMED {
        because.push(of_template(
            template,
            "status.inUseBy",
            format!("{} workspaces, of which {NAMED} are named", users.len()),
            None,
        ));
    }
    let foreign: Vec<_> = template
        .finalizers()
        .iter()
        .filter(|finalizer| *finalizer != IN_USE_FINALIZER)
        .collect();
    because.extend(
        template
            .finalizers()
            .iter()
            .map(|finalizer| of_template(template, "metadata.finalizers", finalizer, None)),
    );
    let mut remedies: Vec<_> = foreign
        .iter()
        .map(|finalizer| {
            Remedy::of_administrator(format!(
                "{finalizer} belongs to another product: see why its controller does not remove it."
            ))
        })
        .collect();
    let is_held = foreign.len() < template.finalizers().len();
    if is_held {
        remedies.extend(Remedy::for_reason(reason::TEMPLATE_IN_USE).map(Remedy::for_administrator));
    }
    Some(Finding {
        what: format!(
            "Deleting for {}. It accepts no new workspaces.",
            ago(since, evidence.now)
        ),
        reason: is_held.then(|| reason::TEMPLATE_IN_USE.to_owned()),
        because,
        remedies,
    })
}

fn right(evidence: &TemplateEvidence<'_>) -> Option<Finding> {
    if *evidence.right.known()? {
        return None;
    }
    Some(Finding {
        what: format!("You may not use it in namespace {}.", evidence.namespace),
        reason: None,
        because: vec![of_right(evidence, "not allowed")],
        remedies: vec![Remedy::of_administrator(format!(
            "Grant the verb {USE_VERB} on workspacetemplates {:?} in namespace {} (docs/rights.md).",
            evidence.template.name_any(),
            evidence.namespace
        ))],
    })
}

fn false_condition(template: &WorkspaceTemplate, type_: &str) -> Option<Finding> {
    let condition = find(conditions(template), type_).filter(|it| it.status == "False")?;
    let meaning = reason::find(&condition.reason).map(|known| known.meaning.to_owned());
    Some(Finding {
        what: match condition.message.as_str() {
            "" => meaning.unwrap_or_else(|| format!("{type_} is False.")),
            message => message.to_owned(),
        },
        reason: Some(condition.reason.clone()),
        because: vec![of_condition(template, condition)],
        remedies: Remedy::for_reason(&condition.reason)
            .map(Remedy::for_administrator)
            .into_iter()
            .collect(),
    })
}

fn profile(evidence: &TemplateEvidence<'_>) -> Option<Finding> {
    let name = evidence.template.spec.execution_profile_ref.as_deref()?;
    if *evidence.profile.as_ref()?.known()? {
        return None;
    }
    let namespace = evidence.namespace;
    Some(Finding {
        what: format!(
            "Namespace {namespace} has no WorkspaceExecutionProfile {name}, so workspaces of the template wait there."
        ),
        reason: Some(reason::EXECUTION_PROFILE_NOT_FOUND.to_owned()),
        because: vec![of_template(
            evidence.template,
            "spec.executionProfileRef",
            name,
            None,
        )],
        remedies: Remedy::for_reason(reason::EXECUTION_PROFILE_NOT_FOUND)
            .into_iter()
            .collect(),
    })
}

fn deprecation(template: &WorkspaceTemplate, namespace: &str) -> Option<Finding> {
    let annotations = template.annotations();
    let (why, next) = (annotations.get(DEPRECATED), annotations.get(REPLACED_BY));
    let because: Vec<_> = [(DEPRECATED, why), (REPLACED_BY, next)]
        .into_iter()
        .filter_map(|(name, value)| {
            Some(of_template(
                template,
                &format!("metadata.annotations[{name}]"),
                value?,
                None,
            ))
        })
        .collect();
    (!because.is_empty()).then(|| Finding {
        what: match why.filter(|why| !why.is_empty()) {
            Some(why) => format!("It is deprecated: {why}"),
            None => "It is deprecated.".to_owned(),
        },
        because,
        remedies: next
            .map(|next| Remedy::create(namespace, next))
            .into_iter()
            .collect(),
        ..Finding::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Who;
    use super::*;

    fn template(metadata: Value, spec: Value, conditions: Value) -> WorkspaceTemplate {
        let mut object = json!({"metadata": metadata, "spec": spec, "status": {"conditions": conditions}});
        object["metadata"]["name"] = json!("production");
        object["spec"]["displayName"] = json!("t");
        object["spec"]["defaultImage"] = json!("uv");
        serde_json::from_value(object).unwrap()
    }

    fn condition(type_: &str, status: &str, reason: &str) -> Value {
        json!({"type": type_, "status": status, "reason": reason, "message": "why", "lastTransitionTime": "2026-01-01T11:50:00Z"})
    }

    fn explain_template(
        template: &WorkspaceTemplate,
        right: Read<bool>,
        profile: Option<Read<bool>>,
    ) -> Explanation {
        let user = json!({
            "metadata": {"name": "demo", "namespace": "ml"}, "spec": {"displayName": "d", "templateRef": "production"},
        });
        explain(&TemplateEvidence {
            template,
            namespace: "team",
            right,
            profile,
            workspaces: Read::Known(vec![serde_json::from_value(user).unwrap()]),
            now: "2026-01-01T12:00:00Z".parse().unwrap(),
        })
    }

    fn whats(explanation: &Explanation) -> Vec<&str> {
        explanation.findings.iter().map(|it| it.what.as_str()).collect()
    }

    #[test]
    fn a_template_that_may_be_used_says_so_and_whether_it_is_deprecated() {
        let plain = template(
            json!({}),
            json!({}),
            json!([condition("Valid", "True", "AllRulesHold")]),
        );
        let explanation = explain_template(&plain, Read::Known(true), None);
        assert!(explanation.as_wanted);
        assert_eq!(whats(&explanation), ["You may use it in namespace team."]);
        let annotations = json!({"annotations": {DEPRECATED: "old image", REPLACED_BY: "production-2"}});
        let explanation = explain_template(
            &template(annotations, json!({}), json!([])),
            Read::Known(true),
            None,
        );
        assert!(explanation.as_wanted);
        assert_eq!(whats(&explanation)[1], "It is deprecated: old image");
        assert!(explanation.findings[1].remedies[0].what.contains("production-2"));
    }

    #[test]
    fn images_that_are_not_on_the_nodes_yet_keep_no_template_from_use_and_are_told_with_the_remedy() {
        let failed = json!([condition("Prepared", "False", reason::PRE_PULL_FAILED)]);
        let template = template(json!({}), json!({}), failed);
        let explanation = explain_template(&template, Read::Known(true), None);
        assert!(explanation.as_wanted);
        assert_eq!(whats(&explanation), ["You may use it in namespace team.", "why"]);
        let failed = &explanation.findings[1];
        assert_eq!(failed.reason.as_deref(), Some(reason::PRE_PULL_FAILED));
        assert_eq!(failed.remedies[0].who, Who::Administrator);
    }

    #[test]
    fn a_missing_right_an_invalid_template_and_a_missing_profile_are_found() {
        let invalid = json!([condition("Valid", "False", reason::MANAGER_NOT_FOUND)]);
        let template = template(json!({}), json!({"executionProfileRef": "gpu"}), invalid);
        let explanation = explain_template(&template, Read::Known(false), Some(Read::Known(false)));
        assert!(!explanation.as_wanted);
        assert_eq!(
            whats(&explanation),
            [
                "You may not use it in namespace team.",
                "why",
                "Namespace team has no WorkspaceExecutionProfile gpu, so workspaces of the template wait there.",
            ]
        );
        assert!(
            explanation
                .findings
                .iter()
                .flat_map(|it| &it.remedies)
                .all(|remedy| remedy.who == Who::Administrator)
        );
        let unread = explain_template(
            &template,
            Read::Unread("no right".to_owned()),
            Some(Read::Unread("no".to_owned())),
        );
        assert_eq!((unread.as_wanted, unread.unread.len()), (false, 2));
    }
}
