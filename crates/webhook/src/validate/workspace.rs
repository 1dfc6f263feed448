//! Request for a Workspace -> violations and warnings (IO).

use api::names::{DEPRECATED, KEEP_UNTIL, REPLACED_BY};
use api::workspace::DesiredStatus;
use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate};
use futures::future::{try_join, try_join3};
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt as _};
use rules::files::{Disk, Disks, Moment};
use rules::{Home, MissingReference, Settings, ValidationResult, Violation, Violations, keep};

use super::{disks, expiry, invalid, ownership, public_access, references, unreadable, use_permission};
use crate::lookups::{LookupError, Lookups};
use crate::records::attested_template;
use crate::review::{Changes, Findings, Kind, Request};

/// Validates a request for a workspace. `by_us`: the user is the operator or the gateway, which need no such permissions.
pub(super) async fn check(
    request: &Request,
    changes: &Changes,
    by_us: bool,
    settings: &Settings,
    lookups: &Lookups,
) -> Result<Findings, LookupError> {
    if request.is_delete() {
        let forbidden = if by_us {
            expiry::violation(request, Timestamp::now())
        } else {
            ownership::violation(request, changes, lookups).await?
        };
        return Ok(Findings {
            forbidden: Vec::from_iter(forbidden),
            ..Findings::default()
        });
    }
    let workspace: Workspace = match request.object.clone().try_parse() {
        Ok(workspace) => workspace,
        Err(error) => return Ok(unreadable(&error.to_string())),
    };
    let all = needs_validation(request, changes);
    if let Some(too_large) = rules::validate::spec_size(&workspace.spec).filter(|_| all) {
        // This comes before any call to the API server.
        return Ok(invalid(too_large));
    }
    let template = lookups.template_of(&workspace).await?;
    let references = try_join(
        managers(&workspace, template.as_ref(), lookups),
        profile(request, &workspace, template.as_ref(), lookups),
    );
    let (ownership, refused, (managers, profile)) = Box::pin(try_join3(
        unless(by_us, ownership::violation(request, changes, lookups)),
        unless(
            by_us,
            use_permission::check(request, changes, &workspace, template.as_ref(), lookups),
        ),
        references,
    ))
    .await?;
    let template_is_secret = refused.hides(Kind::Template);
    let mismatch = attested_template::violation(request, template.as_ref()).filter(|_| !template_is_secret);
    let referred = Referred {
        template,
        managers,
        profile,
        template_is_secret,
    }
    .without_hidden(&refused);
    let mut found = Findings {
        forbidden: ownership
            .into_iter()
            .chain(refused.violations)
            .chain(mismatch)
            .collect(),
        ..Findings::default()
    };
    found.extend(referred.check(request, changes, &workspace, settings));
    // This may need many calls. So it happens only for an object that would be stored.
    let may_read_more = all || use_permission::opens(request, changes) || use_permission::hands_over(request);
    if may_read_more && !by_us && found.forbidden.is_empty() && found.invalid.is_empty() {
        let known = references::ReferenceContext {
            template: referred.template.as_ref(),
            managers: &referred.managers,
            settings,
        };
        found.forbidden = Box::pin(references::forbidden(
            request, changes, &workspace, &known, lookups,
        ))
        .await?;
        if all && found.forbidden.is_empty() {
            found.extend(Box::pin(disks::check(request, changes, &workspace, lookups)).await);
        }
    }
    Ok(found)
}

async fn unless<T: Default>(
    skip: bool,
    answer: impl Future<Output = Result<T, LookupError>>,
) -> Result<T, LookupError> {
    if skip { Ok(T::default()) } else { answer.await }
}

/// All managers. They come from the API server where the watch may lag behind.
async fn managers(
    workspace: &Workspace,
    template: Option<&WorkspaceTemplate>,
    lookups: &Lookups,
) -> Result<Vec<WorkspaceManager>, LookupError> {
    let named = workspace
        .spec
        .manager_ref
        .as_deref()
        .or_else(|| template?.spec.manager_ref.as_deref());
    let known = lookups.managers();
    let waits_for_template = template.is_none() && workspace.spec.template_ref.is_some();
    if waits_for_template || rules::managers::choose(named, &known).is_ok() {
        return Ok(known);
    }
    lookups.managers_now().await
}

async fn profile(
    request: &Request,
    workspace: &Workspace,
    template: Option<&WorkspaceTemplate>,
    lookups: &Lookups,
) -> Result<Option<WorkspaceExecutionProfile>, LookupError> {
    let named = rules::profile_name(&workspace.spec, template.map(|template| &template.spec));
    match named {
        Some(name) => lookups.profile(&request.namespace, name).await,
        None => Ok(None),
    }
}

/// Existing objects that a workspace refers to.
struct Referred {
    template: Option<WorkspaceTemplate>,
    managers: Vec<WorkspaceManager>,
    profile: Option<WorkspaceExecutionProfile>,
    template_is_secret: bool,
}

impl Referred {
    /// Without the objects that the user may not use, and without objects that only such a template refers to.
    fn without_hidden(mut self, refused: &use_permission::Refused) -> Self {
        let no_template = refused.hides(Kind::Template);
        if no_template {
            self.template = None;
        }
        if no_template || refused.hides(Kind::Profile) {
            self.profile = None;
        }
        if refused.hides(Kind::Manager) {
            self.managers.clear();
        }
        self
    }

    fn check(
        &self,
        request: &Request,
        changes: &Changes,
        workspace: &Workspace,
        settings: &Settings,
    ) -> Findings {
        let mut found = Findings::default();
        found
            .warnings
            .extend(stop_loses_files(request, changes, workspace));
        let all = needs_validation(request, changes);
        let kept = self.kept_too_long(request, changes);
        if !all && !changes.labels() {
            found.invalid.extend(kept);
            return found;
        }
        let validation = self.ask(workspace, self.template.as_ref(), settings);
        let (mut invalid, mut out_of_bounds) = self.apart(workspace, &validation, settings);
        if !all {
            // Only labels change, so violations of stored values do not prevent the request.
            invalid.retain(about_labels);
            out_of_bounds.retain(about_labels);
        }
        let unmended = already_without_template(request, workspace, settings);
        invalid.retain(|violation| Some(violation) != unmended.as_ref());
        found.invalid = invalid;
        found.invalid.extend(kept);
        found.out_of_bounds = out_of_bounds;
        if all {
            found
                .invalid
                .extend(self.terminating(request, changes, &validation));
            found
                .warnings
                .extend(self.warnings(request, changes, workspace, &validation));
            found
                .warnings
                .extend(never_deleted(request, changes, workspace, settings));
            found.warnings.extend(unmended.map(|it| it.to_string()));
        }
        found
    }

    /// A new value of `keep-until` that does not count. A stored one prevents no other change.
    fn kept_too_long(&self, request: &Request, changes: &Changes) -> Option<Violation> {
        let annotations = request.object.metadata.annotations.as_ref()?;
        let text = annotations.get(KEEP_UNTIL)?;
        let longest = keep::longest(self.template.as_ref().map(|template| &template.spec));
        changes.annotations_set.contains(KEEP_UNTIL).then_some(())?;
        keep::check(text, longest, request.is_create(), Timestamp::now())
    }

    fn ask(
        &self,
        workspace: &Workspace,
        template: Option<&WorkspaceTemplate>,
        settings: &Settings,
    ) -> ValidationResult {
        let references = rules::References::managed_by(&self.managers)
            .with_template(template)
            .with_profile(self.profile.as_ref());
        rules::judge(workspace, &references, settings)
    }

    /// Violations, with those that hold without the template separated from its bounds.
    fn apart(
        &self,
        workspace: &Workspace,
        validation: &ValidationResult,
        settings: &Settings,
    ) -> (Vec<Violation>, Vec<Violation>) {
        let list = |violations: &Option<Violations>| -> Vec<Violation> {
            violations.iter().flat_map(Violations::iter).cloned().collect()
        };
        let all = list(&validation.violations);
        if all.is_empty() || self.template.is_none() {
            return (all, Vec::new());
        }
        let without = list(&self.ask(workspace, None, settings).violations);
        all.into_iter().partition(|violation| without.contains(violation))
    }

    /// An object that is being deleted accepts no new workspace.
    fn terminating(
        &self,
        request: &Request,
        changes: &Changes,
        validation: &ValidationResult,
    ) -> Vec<Violation> {
        let chosen =
            rules::managers::choose(validation.effective.manager_ref.as_deref(), &self.managers).ok();
        let enters = |field: &str| request.is_create() || changes.spec.contains(field);
        [
            ("templateRef", self.template.as_ref().and_then(terminating)),
            ("managerRef", chosen.and_then(terminating)),
            ("executionProfileRef", self.profile.as_ref().and_then(terminating)),
        ]
        .into_iter()
        .filter(|(field, _)| enters(field))
        .filter_map(|(field, terminating)| {
            let (kind, name) = terminating?;
            let rule = format!("is being deleted and takes no new workspace: choose another {kind}");
            Some(Violation::new(format!("spec.{field}"), name, rule))
        })
        .collect()
    }

    fn warnings(
        &self,
        request: &Request,
        changes: &Changes,
        workspace: &Workspace,
        validation: &ValidationResult,
    ) -> Vec<String> {
        // The answer also hides whether such a template exists.
        let missing_reference = validation
            .missing_reference
            .as_ref()
            .filter(|missing_reference| !(self.template_is_secret && is_template(missing_reference)));
        let wanted = workspace.spec.desired_status;
        let mut warnings: Vec<_> = missing_reference
            .map(|missing_reference| missing_reference.message(wanted))
            .into_iter()
            .collect();
        let template_known = !validation.missing_reference.as_ref().is_some_and(is_template);
        let may_open = ["accessType", "managerRef"]
            .iter()
            .any(|field| changes.spec.contains(*field));
        if template_known && (request.is_create() || may_open) {
            let effective = &validation.effective;
            let named = effective.manager_ref.as_deref();
            warnings.extend(public_access::warning(
                "spec.accessType",
                effective.access,
                named,
                &self.managers,
            ));
        }
        if !request.is_create() {
            return warnings;
        }
        warnings.extend(self.template.as_ref().and_then(deprecation));
        if template_known && matches!(validation.effective.home, Home::Ephemeral { .. }) {
            let further = &validation.effective.volume_claims;
            let disks = Disks::from_template(Disk::None, further, &workspace.name_any());
            let files = disks.fate(Moment::Stop).text;
            warnings.push(format!(
                "spec.storage is not set: when the workspace stops, {files}"
            ));
        }
        warnings
    }
}

/// The warning that the requested stop loses files.
fn stop_loses_files(request: &Request, changes: &Changes, workspace: &Workspace) -> Option<String> {
    let stops = !request.is_create()
        && changes.spec.contains("desiredStatus")
        && workspace.spec.desired_status == DesiredStatus::Stopped;
    let fate = Disks::from_workspace(workspace).fate(Moment::Stop);
    (stops && fate.loses_files).then(|| format!("the workspace stops: {}", fate.text))
}

/// The warning that a retention has no effect.
fn never_deleted(
    request: &Request,
    changes: &Changes,
    workspace: &Workspace,
    settings: &Settings,
) -> Option<String> {
    let is_set = workspace.spec.limits?.stopped_retention_days.is_some();
    let is_new = request.is_create() || changes.spec.contains("limits");
    (is_set && is_new && !settings.deletes_stopped).then(|| {
        "spec.limits.stoppedRetentionDays has no effect: this installation deletes no stopped workspaces (retention.enabled of its chart)"
            .to_owned()
    })
}

/// Whether the workspace is validated again. Changes that run nothing new, such as finalizers or a stop, need no validation.
fn needs_validation(request: &Request, changes: &Changes) -> bool {
    let only_status = changes.spec.iter().eq(["desiredStatus"]);
    let stops = only_status && request.object.data["spec"]["desiredStatus"] == "Stopped";
    request.is_create() || (!changes.spec.is_empty() && !stops)
}

/// The violation of a workspace that was stored without a template, where the installation requires one.
/// Its template cannot be added, and it does not start.
fn already_without_template(
    request: &Request,
    workspace: &Workspace,
    settings: &Settings,
) -> Option<Violation> {
    let stored = request.old.as_ref()?;
    let was_without = stored.data["spec"]["templateRef"].is_null();
    rules::validate::without_template(workspace, settings).filter(|_| was_without)
}

fn is_template(missing_reference: &MissingReference) -> bool {
    matches!(missing_reference, MissingReference::TemplateNotFound { .. })
}

fn about_labels(violation: &Violation) -> bool {
    violation.field.starts_with("metadata.labels")
}

/// Kind and name of an object that is being deleted.
fn terminating<K: Resource<DynamicType = ()>>(object: &K) -> Option<(String, String)> {
    object.meta().deletion_timestamp.as_ref()?;
    Some((K::kind(&()).into_owned(), object.name_any()))
}

/// The warning about a deprecated template.
fn deprecation(template: &WorkspaceTemplate) -> Option<String> {
    let annotations = template.annotations();
    let (why, other) = (annotations.get(DEPRECATED), annotations.get(REPLACED_BY));
    if why.is_none() && other.is_none() {
        return None;
    }
    let why = why.filter(|why| !why.is_empty()).map(|why| format!(": {why:?}"));
    let other = other.map(|other| format!("; use {other:?} instead"));
    Some(format!(
        "WorkspaceTemplate {:?} is deprecated{}{}",
        template.name_any(),
        why.unwrap_or_default(),
        other.unwrap_or_default(),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_template_is_deprecated_by_either_annotation() {
        let template = |annotations: Value| -> WorkspaceTemplate {
            serde_json::from_value(json!({
                "metadata": {"name": "old", "annotations": annotations},
                "spec": {"displayName": "t", "defaultImage": "uv"},
            }))
            .unwrap()
        };
        let message = |annotations| deprecation(&template(annotations));
        assert_eq!(message(json!({"a": "b"})), None);
        assert_eq!(
            message(json!({ DEPRECATED: "" })).as_deref(),
            Some(r#"WorkspaceTemplate "old" is deprecated"#)
        );
        assert_eq!(
            message(json!({DEPRECATED: "no more\nsupport", REPLACED_BY: "new"})).as_deref(),
            Some(r#"WorkspaceTemplate "old" is deprecated: "no more\nsupport"; use "new" instead"#)
        );
    }
}
