//! Request -> allowed with warnings, or refused with all violations (IO).
//!
//! - `workspace`, `shares`, `catalog`: by kind (`catalog`: templates, managers, profiles)
//! - `objects`: kinds of a template's objects, compared with those of the cluster
//! - `ownership`: which users change and delete a workspace
//! - `expiry`: when the operator deletes a stopped workspace
//! - `use_permission`: the verb `use` on template, manager and profile
//! - `references`: permissions for the Secrets, ConfigMaps and claims that a workspace names
//! - `profile_permissions`: the same for an execution profile
//! - `disks`: claims and sizes, compared with those of the cluster
//! - `metadata`: reserved keys, invalid values, size
//! - `public_access`: warning where `Public` has no effect

mod catalog;
mod disks;
mod expiry;
mod metadata;
mod objects;
mod ownership;
mod profile_permissions;
mod public_access;
mod references;
mod shares;
mod use_permission;
mod workspace;

use rules::{Settings, Violation};

use crate::lookups::{LookupError, Lookups};
use crate::review::{Accounts, Changes, Decision, Enforcement, Findings, Kind, Refusal, Request};

/// The configuration of validation.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The installation's defaults.
    settings: Settings,
    /// Processes with their own permissions.
    accounts: Accounts,
    /// How the webhook treats a workspace outside its template's bounds.
    enforcement: Enforcement,
}

impl Rules {
    /// Creates the rules from the installation's settings. It sets `admission`, because this webhook runs.
    pub fn new(settings: Settings, accounts: Accounts, enforcement: Enforcement) -> Self {
        Self {
            settings: Settings {
                admission: true,
                ..settings
            },
            accounts,
            enforcement,
        }
    }

    /// Processes with their own permissions.
    pub(crate) fn accounts(&self) -> &Accounts {
        &self.accounts
    }
}

/// Answers `/validate`. A failed lookup refuses the request.
pub(crate) async fn validate(request: &Request, rules: &Rules, lookups: &Lookups) -> Decision {
    match findings(request, rules, lookups).await {
        Ok(found) => found.answer(rules.enforcement),
        Err(error) => Decision::Refuse(error.into()),
    }
}

/// All violations and warnings.
async fn findings(request: &Request, rules: &Rules, lookups: &Lookups) -> Result<Findings, LookupError> {
    let changes = Changes::from_request(request);
    if rules.accounts.admits_without_validation(request, &changes) {
        return Ok(Findings::default());
    }
    let by_us = rules.accounts.is_ours(request);
    let mut found = Findings::default();
    if !by_us {
        found.forbidden.extend(metadata::reserved_keys(request, &changes));
        found.invalid.extend(metadata::unusable(request, &changes));
        found.invalid.extend(metadata::too_large(request, &changes));
    }
    found.extend(match request.kind {
        Kind::Workspace => {
            let checked = workspace::check(request, &changes, by_us, &rules.settings, lookups);
            Box::pin(checked).await?
        }
        Kind::Template => {
            let checked = catalog::template(request, &changes, &rules.settings, lookups);
            Box::pin(checked).await?
        }
        Kind::Manager => catalog::manager(request, &changes, &rules.settings),
        Kind::Profile => {
            let checked = catalog::profile(request, &changes, by_us, &rules.settings, lookups);
            checked.await?
        }
        Kind::Share if by_us => Findings::default(),
        Kind::Share => shares::check(request, &changes, lookups).await?,
    });
    Ok(found)
}

/// The violation for an object that cannot be parsed. The schema refuses almost all of them before.
fn unreadable(why: &str) -> Findings {
    invalid(Violation::new("spec", "", format!("cannot be read: {why}")))
}

fn invalid(violation: Violation) -> Findings {
    Findings {
        invalid: vec![violation],
        ..Findings::default()
    }
}

impl From<LookupError> for Refusal {
    fn from(error: LookupError) -> Self {
        // The reason is only logged, because it may name objects that the user may not see.
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "a request cannot be judged"
        );
        Self::not_now()
    }
}
