//! Request, rules and look-ups -> admitted with warnings, or refused with every reason (IO only through look-ups).

use rules::Settings;

use crate::accounts::Accounts;
use crate::changes::Changes;
use crate::findings::{Enforcement, Findings};
use crate::kind::Kind;
use crate::lookups::{LookupError, Lookups};
use crate::review::{Answer, Refusal, Request};
use crate::{catalogue, reserved, shares, updater, workspace};

/// What is judged by.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The installation's defaults.
    settings: Settings,
    /// Processes with rights of their own.
    accounts: Accounts,
    /// What happens to a workspace outside of its template's bounds.
    enforcement: Enforcement,
}

impl Rules {
    /// By the installation's settings, knowing that a webhook judges: this one.
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

    /// What happens to a workspace outside of its template's bounds.
    pub(crate) fn enforcement(&self) -> Enforcement {
        self.enforcement
    }

    /// Processes with rights of their own.
    pub(crate) fn accounts(&self) -> &Accounts {
        &self.accounts
    }
}

/// Judges a request. Whatever cannot be looked up refuses it: nothing passes unjudged.
pub(crate) async fn verdict(request: &Request, rules: &Rules, lookups: &Lookups) -> Answer {
    match judge(request, rules, lookups).await {
        Ok(found) => found.answer(rules.enforcement),
        Err(error) => Answer::Refuse(error.into()),
    }
}

/// What is found out about a request.
pub(crate) async fn judge(
    request: &Request,
    rules: &Rules,
    lookups: &Lookups,
) -> Result<Findings, LookupError> {
    let changes = Changes::of(request);
    if rules.accounts.admits_unjudged(request, &changes) {
        return Ok(Findings::default());
    }
    let by_us = rules.accounts.is_ours(request);
    let mut found = Findings::default();
    if !by_us {
        found.forbidden.extend(reserved::violations(request, &changes));
        found.invalid.extend(reserved::unusable(request, &changes));
        found.invalid.extend(reserved::too_large(request, &changes));
    }
    if request.kind == Kind::Workspace {
        let noted = updater::violation(request, &rules.accounts);
        found.forbidden.extend(noted);
    }
    found.extend(match request.kind {
        Kind::Workspace => {
            let judged = workspace::judge(request, &changes, by_us, &rules.settings, lookups);
            Box::pin(judged).await?
        }
        Kind::Template => catalogue::template(request, &changes, &rules.settings, lookups),
        Kind::Manager => catalogue::manager(request, &changes, &rules.settings, lookups).await,
        Kind::Profile => {
            let judged = catalogue::profile(request, &changes, by_us, &rules.settings, lookups);
            judged.await?
        }
        Kind::Share if by_us => Findings::default(),
        Kind::Share => shares::judge(request, &changes, lookups).await?,
    });
    Ok(found)
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
