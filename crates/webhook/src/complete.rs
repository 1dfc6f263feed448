//! Request -> the object with what is recorded in it, or all that is wrong with one that the schema is about to refuse (IO only through
//! look-ups).

use std::time::Duration;

use kube::api::DynamicObject;
use serde_json::Value;

use crate::findings::Findings;
use crate::kind::Kind;
use crate::lookups::{LookupError, Lookups};
use crate::malformed::Malformed;
use crate::mutate::{Known, mutate};
use crate::review::{Answer, Refusal, Request};
use crate::verdict::{Rules, judge};
use crate::{default_template, shares, vouched};

/// For what the other rules say of an object that is refused anyway; after that it is refused without.
const PATIENCE: Duration = Duration::from_secs(2);
/// Largest body of which they are asked, in bytes: several copies of it are made for that. Two specs as large as they may be, and more.
const MAX_ASKED: usize = 256 * 1024;

/// What the webhook writes into an object before it is judged.
pub(crate) async fn complete(request: &Request, rules: &Rules, lookups: &Lookups) -> Answer {
    let malformed = Malformed::of(request);
    if malformed.is_nothing() {
        return match recorded(request, rules, lookups).await {
            Ok(answer) => forbidden(request, &answer, rules, lookups)
                .await
                .unwrap_or(answer),
            Err(error) => Answer::Refuse(error.into()),
        };
    }
    // Nobody is to mend this and then be told of the rest. What cannot be looked up now does not keep it from being told.
    let mended = (request.size <= MAX_ASKED)
        .then(|| malformed.mended(&request.object))
        .flatten();
    let rest = match mended {
        Some(mended) => rest(request, mended, rules, lookups).await,
        None => Findings::default(),
    };
    match malformed.beside(rest).answer(rules.enforcement()) {
        Answer::Refuse(Refusal::Invalid(all)) => Answer::Refuse(Refusal::Invalid(all.in_order())),
        Answer::Refuse(Refusal::Forbidden(all)) => Answer::Refuse(Refusal::Forbidden(all.in_order())),
        other => other,
    }
}

async fn recorded(request: &Request, rules: &Rules, lookups: &Lookups) -> Result<Answer, LookupError> {
    let default_template = match default_template::of(request, lookups).await? {
        Ok(default) => default,
        Err(ambiguous) => return Ok(Answer::Refuse(Refusal::Invalid(ambiguous.into()))),
    };
    let known = known(request, default_template, lookups).await?;
    Ok(mutate(request, &known, rules.accounts()))
}

/// The refusal of what its author has no right to. The API server's own policies are asked before the validating webhooks; each
/// knows one rule, while this names every broken one. What cannot be judged now is judged there.
async fn forbidden(request: &Request, recorded: &Answer, rules: &Rules, lookups: &Lookups) -> Option<Answer> {
    // A name that the API server is still to make is part of what is asked for.
    let is_bounded = matches!(request.kind, Kind::Workspace | Kind::Share);
    if !is_bounded || request.name.is_empty() || request.size > MAX_ASKED {
        return None;
    }
    let object = match recorded {
        Answer::Patch { patch, .. } => patched(&request.object, patch)?,
        Answer::Allow { .. } => request.object.clone(),
        Answer::Refuse(_) => return None,
    };
    let request = request.with(object);
    let found = Box::pin(judge(&request, rules, lookups));
    let found = tokio::time::timeout(PATIENCE, found).await.ok()?.ok()?;
    let refused = !found.forbidden.is_empty();
    refused.then(|| found.answer(rules.enforcement()))
}

async fn known(
    request: &Request,
    default_template: Option<String>,
    lookups: &Lookups,
) -> Result<Known, LookupError> {
    Ok(match request.kind {
        Kind::Share => Known {
            binding: shares::binding(request, lookups).await?,
            ..Known::default()
        },
        Kind::Workspace => Known {
            template_uid: vouched::template_uid(request, default_template.as_deref(), lookups).await?,
            default_template,
            ..Known::default()
        },
        Kind::Template | Kind::Manager | Kind::Profile => Known::default(),
    })
}

/// What else is wrong, if that is known soon.
async fn rest(request: &Request, mended: DynamicObject, rules: &Rules, lookups: &Lookups) -> Findings {
    let judged = Box::pin(judged(request, mended, rules, lookups));
    tokio::time::timeout(PATIENCE, judged).await.unwrap_or_else(|_| {
        tracing::warn!(
            "a malformed request is refused without what else is wrong with it: that took too long"
        );
        Findings::default()
    })
}

/// What the rules say of the object as it would be judged if the schema took it.
async fn judged(request: &Request, mended: DynamicObject, rules: &Rules, lookups: &Lookups) -> Findings {
    let mut request = request.with(mended);
    request.is_refused = true;
    let outcome = async {
        if let Answer::Patch { patch, .. } = recorded(&request, rules, lookups).await?
            && let Some(object) = patched(&request.object, &patch)
        {
            request.object = object;
        }
        judge(&request, rules, lookups).await
    };
    outcome.await.unwrap_or_else(|error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "a malformed request is refused without what else is wrong with it"
        );
        Findings::default()
    })
}

fn patched(object: &DynamicObject, patch: &json_patch::Patch) -> Option<DynamicObject> {
    let mut object: Value = serde_json::to_value(object).ok()?;
    json_patch::patch(&mut object, patch).ok()?;
    serde_json::from_value(object).ok()
}
