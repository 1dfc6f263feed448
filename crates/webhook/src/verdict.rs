//! Request, rules and look-ups -> admitted with warnings, or refused with every reason (IO only through look-ups).

use std::collections::{BTreeMap, BTreeSet};

use api::names::{self, CREATED_BY, RESERVED_PREFIX};
use api::{Workspace, WorkspaceManager, WorkspaceTemplate};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use rules::{Home, NotYet, Settings, Violation, Violations};

use crate::accounts::Accounts;
use crate::changes::Changes;
use crate::lookups::{LookupError, Lookups};
use crate::review::{Answer, Refusal, Request};

/// What is judged by.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The installation's defaults.
    pub settings: Settings,
    /// Processes with rights of their own.
    pub accounts: Accounts,
}

/// Judges a request. Whatever cannot be looked up refuses it: nothing passes unjudged.
pub(crate) async fn verdict(request: &Request, rules: &Rules, lookups: &Lookups) -> Answer {
    match judge(request, rules, lookups).await {
        Ok(warnings) => Answer::Allow { warnings },
        Err(refusal) => Answer::Refuse(refusal),
    }
}

async fn judge(request: &Request, rules: &Rules, lookups: &Lookups) -> Result<Vec<String>, Refusal> {
    let changes = Changes::of(request);
    if rules.accounts.admits_unjudged(request, &changes) {
        return Ok(Vec::new());
    }
    let mut forbidden = Vec::new();
    if rules.accounts.is_ours(request) {
        forbidden.extend(rules.accounts.oversteps(request, &changes));
    } else {
        let metadata = &request.object.metadata;
        forbidden.extend(reserved(
            "annotations",
            &changes.annotations_set,
            metadata.annotations.as_ref(),
        ));
        forbidden.extend(reserved("labels", &changes.labels_set, metadata.labels.as_ref()));
        forbidden.extend(owner(request, lookups).await?);
    }
    let is_forbidden = !forbidden.is_empty();
    let mut found = forbidden;
    let mut warnings = Vec::new();
    if is_to_be_judged(request, &changes) {
        let effective = workspace(request, &rules.settings, lookups).await?;
        found.extend(effective.violations);
        warnings = effective.warnings;
    }
    match Violations::of(found) {
        None => Ok(warnings),
        Some(all) if is_forbidden => Err(Refusal::Forbidden(all)),
        Some(all) => Err(Refusal::Invalid(all)),
    }
}

/// A stored workspace is not judged again for changes that run nothing new: labels, finalizers, a stop.
fn is_to_be_judged(request: &Request, changes: &Changes) -> bool {
    let only_status = changes.spec.iter().eq(["desiredStatus"]);
    let stops = only_status && request.object.data["spec"]["desiredStatus"] == "Stopped";
    request.is_create() || (!changes.spec.is_empty() && !stops)
}

/// Keys of ours that only our processes write. Those already stored may stay, and may go.
fn reserved(map: &str, set: &BTreeSet<String>, values: Option<&BTreeMap<String, String>>) -> Vec<Violation> {
    set.iter()
        .filter(|key| key.starts_with(RESERVED_PREFIX) && *key != CREATED_BY)
        .map(|key| {
            let value = values
                .and_then(|values| values.get(key))
                .cloned()
                .unwrap_or_default();
            let rule = format!("is reserved, as everything under {RESERVED_PREFIX}: leave it out");
            Violation::new(format!("metadata.{map}[{key}]"), value, rule)
        })
        .collect()
}

/// Naming somebody else as the owner needs a right of its own.
async fn owner(request: &Request, lookups: &Lookups) -> Result<Option<Violation>, Refusal> {
    let owner_of = |object: &DynamicObject| names::owner(&object.metadata).unwrap_or_default().to_owned();
    let named = owner_of(&request.object);
    let expected = match &request.old {
        None => request.user_name().to_owned(),
        Some(old) => owner_of(old),
    };
    if named == expected {
        return Ok(None);
    }
    if lookups
        .may_assign_owner(&request.user, &request.namespace, &request.name)
        .await?
    {
        return Ok(None);
    }
    let rule = format!(
        "names another owner: leave the annotation as it is, or ask an administrator for the verb {} on this workspace",
        names::ASSIGN_OWNER_VERB
    );
    Ok(Some(Violation::new(
        format!("metadata.annotations[{CREATED_BY}]"),
        named,
        rule,
    )))
}

#[derive(Default)]
struct Findings {
    violations: Vec<Violation>,
    warnings: Vec<String>,
}

/// What the rules say about the effective workspace.
async fn workspace(request: &Request, settings: &Settings, lookups: &Lookups) -> Result<Findings, Refusal> {
    let workspace: Workspace = match request.object.clone().try_parse() {
        Ok(workspace) => workspace,
        Err(error) => {
            let unreadable = Violation::new("spec", "", format!("cannot be read: {error}"));
            return Ok(Findings {
                violations: vec![unreadable],
                ..Findings::default()
            });
        }
    };
    let template = match &workspace.spec.template_ref {
        Some(name) => lookups.template(name).await?,
        None => None,
    };
    let judge =
        |managers: &[WorkspaceManager]| rules::judge(&workspace, template.as_ref(), managers, settings);
    let mut judgement = judge(&lookups.managers());
    if judgement
        .not_yet
        .as_ref()
        .is_some_and(|not_yet| !matches!(not_yet, NotYet::TemplateNotFound { .. }))
    {
        // The watch may be an instant behind.
        judgement = judge(&lookups.managers_now().await?);
    }
    let mut found = Findings::default();
    found
        .violations
        .extend(request.is_create().then(|| leaving(template.as_ref()?)).flatten());
    found
        .violations
        .extend(judgement.violations.iter().flat_map(Violations::iter).cloned());
    found
        .warnings
        .extend(judgement.not_yet.as_ref().map(ToString::to_string));
    let template_known = !matches!(judgement.not_yet, Some(NotYet::TemplateNotFound { .. }));
    if request.is_create() && template_known && matches!(judgement.effective.home, Home::Ephemeral { .. }) {
        found.warnings.push(
            "spec.storage is not set: files in the home directory are lost when the workspace stops".into(),
        );
    }
    Ok(found)
}

/// A template that is being deleted admits no new workspace.
fn leaving(template: &WorkspaceTemplate) -> Option<Violation> {
    template.metadata.deletion_timestamp.as_ref()?;
    let rule = "is being deleted and takes no new workspace: choose another template";
    Some(Violation::new("spec.templateRef", template.name_any(), rule))
}

impl From<LookupError> for Refusal {
    fn from(error: LookupError) -> Self {
        // The cause is for the log: it may tell of more than the person may see.
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "a request cannot be judged"
        );
        Self::not_now()
    }
}
