//! Request -> patch with its records, or violations that the schema would not explain (IO).
//!
//! - `patch`: values to record -> the smallest JSON patch
//! - `malformed`: readable messages about schema violations

mod malformed;
mod patch;

use std::time::Duration;

use kube::api::DynamicObject;
use serde_json::Value;

use crate::lookups::{LookupError, Lookups};
use crate::records::default_template::DefaultTemplate;
use crate::records::{attested_template, default_template, share_binding};
use crate::review::{Answer, Findings, Kind, Refusal, Request};
use crate::validate::{Rules, judge};

use malformed::Malformed;
use patch::Values;

/// Time for the other rules to check an object that is refused anyway. After it, the answer omits their findings.
const OTHER_RULES_TIME: Duration = Duration::from_secs(2);
/// Largest body that the other rules check, in bytes. They need several copies of it. It fits more than two of the largest specs.
const MAX_JUDGED: usize = 256 * 1024;

/// Answers `/mutate`.
pub(crate) async fn mutate(request: &Request, rules: &Rules, lookups: &Lookups) -> Answer {
    let malformed = Malformed::of(request);
    if malformed.is_nothing() {
        return match recorded(request, rules, lookups).await {
            Ok((answer, default)) => forbidden(request, &answer, default.as_ref(), rules, lookups)
                .await
                .unwrap_or(answer),
            Err(error) => Answer::Refuse(error.into()),
        };
    }
    // One answer contains everything. A failed lookup omits only the findings that depend on it.
    let readable = (request.size <= MAX_JUDGED)
        .then(|| malformed.readable(&request.object))
        .flatten();
    let rest = match readable {
        Some(readable) => rest(request, readable, rules, lookups).await,
        None => Findings::default(),
    };
    match malformed.beside(rest).answer(rules.enforcement()) {
        Answer::Refuse(Refusal::Invalid(all)) => Answer::Refuse(Refusal::Invalid(all.in_order())),
        Answer::Refuse(Refusal::Forbidden(all)) => Answer::Refuse(Refusal::Forbidden(all.in_order())),
        other => other,
    }
}

/// The request with its records, and the default template if it was recorded.
async fn recorded(
    request: &Request,
    rules: &Rules,
    lookups: &Lookups,
) -> Result<(Answer, Option<DefaultTemplate>), LookupError> {
    let default = match default_template::due(request, lookups).await? {
        Ok(default) => default,
        Err(ambiguous) => return Ok((Answer::Refuse(Refusal::Invalid(ambiguous.into())), None)),
    };
    let name = default.as_ref().map(|default| default.name.clone());
    let values = values(request, name, lookups).await?;
    Ok((patch::answer(request, &values, rules.accounts()), default))
}

/// The refusal of a request that its user has no permission for. The admission policies run before the validating webhook.
/// They report one violation each, and this reports all. `/validate` checks what cannot be checked now.
async fn forbidden(
    request: &Request,
    recorded: &Answer,
    default: Option<&DefaultTemplate>,
    rules: &Rules,
    lookups: &Lookups,
) -> Option<Answer> {
    // The name that the API server will generate is part of the decision.
    let is_bounded = matches!(request.kind, Kind::Workspace | Kind::Share);
    if !is_bounded || request.name.is_empty() || request.size > MAX_JUDGED {
        return None;
    }
    let object = match recorded {
        Answer::Patch { patch, .. } => patched(&request.object, patch)?,
        Answer::Allow { .. } => request.object.clone(),
        Answer::Refuse(_) => return None,
    };
    let request = request.with(object);
    let found = Box::pin(judge(&request, rules, lookups));
    let mut found = tokio::time::timeout(OTHER_RULES_TIME, found).await.ok()?.ok()?;
    if let Some(default) = default {
        default.explain(&request.namespace, &mut found.forbidden);
    }
    let refused = !found.forbidden.is_empty();
    refused.then(|| found.answer(rules.enforcement()))
}

async fn values(
    request: &Request,
    default_template: Option<String>,
    lookups: &Lookups,
) -> Result<Values, LookupError> {
    Ok(match request.kind {
        Kind::Share => Values {
            binding: share_binding::binding(request, lookups).await?,
            ..Values::default()
        },
        Kind::Workspace => Values {
            template_uid: attested_template::due(request, default_template.as_deref(), lookups).await?,
            default_template,
            ..Values::default()
        },
        Kind::Template | Kind::Manager | Kind::Profile => Values::default(),
    })
}

/// Other violations that are found in time.
async fn rest(request: &Request, readable: DynamicObject, rules: &Rules, lookups: &Lookups) -> Findings {
    let judged = Box::pin(judged(request, readable, rules, lookups));
    tokio::time::timeout(OTHER_RULES_TIME, judged)
        .await
        .unwrap_or_else(|_| {
            tracing::warn!(
                "a malformed request was refused; further errors were not listed, because the check took too long"
            );
            Findings::default()
        })
}

/// Findings in the object without its malformed values.
async fn judged(request: &Request, readable: DynamicObject, rules: &Rules, lookups: &Lookups) -> Findings {
    let mut request = request.with(readable);
    request.is_refused = true;
    let outcome = async {
        let (recorded, default) = recorded(&request, rules, lookups).await?;
        if let Answer::Patch { patch, .. } = recorded
            && let Some(object) = patched(&request.object, &patch)
        {
            request.object = object;
        }
        let mut found = judge(&request, rules, lookups).await?;
        if let Some(default) = default {
            default.explain(&request.namespace, &mut found.forbidden);
        }
        Ok::<_, LookupError>(found)
    };
    outcome.await.unwrap_or_else(|error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "a malformed request was refused; further errors were not listed"
        );
        Findings::default()
    })
}

fn patched(object: &DynamicObject, patch: &json_patch::Patch) -> Option<DynamicObject> {
    let mut object: Value = serde_json::to_value(object).ok()?;
    json_patch::patch(&mut object, patch).ok()?;
    serde_json::from_value(object).ok()
}

#[cfg(test)]
mod tests;
