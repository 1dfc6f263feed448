//! Request -> patch with its records, or the refusal of an ambiguous default template (IO).
//!
//! - `patch`: values to record -> the smallest JSON patch

mod patch;

use crate::lookups::{LookupError, Lookups};
use crate::records::{attested_template, default_template, share_binding};
use crate::review::{Decision, Kind, Refusal, Request};
use crate::validate::Rules;

use patch::Values;

/// Answers `/mutate`.
pub(crate) async fn mutate(request: &Request, rules: &Rules, lookups: &Lookups) -> Decision {
    match record(request, rules, lookups).await {
        Ok(answer) => answer,
        Err(error) => Decision::Refuse(error.into()),
    }
}

async fn record(request: &Request, rules: &Rules, lookups: &Lookups) -> Result<Decision, LookupError> {
    let values = match request.kind {
        Kind::Share => Values {
            binding: share_binding::binding(request, lookups).await?,
            ..Values::default()
        },
        Kind::Workspace => {
            let default_template = match default_template::due(request, lookups).await? {
                Ok(default) => default,
                Err(ambiguous) => return Ok(Decision::Refuse(Refusal::Invalid(ambiguous.into()))),
            };
            Values {
                template_uid: attested_template::due(request, default_template.as_deref(), lookups).await?,
                default_template,
                ..Values::default()
            }
        }
        // Configurations of an older release still call for these kinds during an upgrade.
        Kind::Template | Kind::Manager | Kind::Profile => Values::default(),
    };
    Ok(patch::answer(request, &values, rules.accounts()))
}

#[cfg(test)]
mod tests;
