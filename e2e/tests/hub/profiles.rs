//! Roles of the cluster that say who may use which template, as the hub's users meet them.

use std::time::Duration;

use anyhow::ensure;
use api::workspace::Phase;
use e2e::{command, objects::workspace, wait};
use reqwest::StatusCode;

use super::{
    sample::{self, LARGE, SERVERS},
    servers,
};

/// The profile of [`LARGE`].
const TITLE: &str = "JupyterLab, large";
const PROFILE: &str = "jupyterlab-large";
/// Time in which a change of the roles counts.
const COUNTS: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_template_that_a_role_no_longer_grants_is_neither_offered_nor_started() -> anyhow::Result<()> {
    let hub = sample::hub().await?;
    let (alice, bob) = (hub.sign_in("alice").await?, hub.sign_in("bob").await?);
    for user in [&alice, &bob] {
        ensure!(user.form().await?.contains(TITLE), "before");
    }

    let binding = format!("{LARGE}-of-bob");
    command::administered(&["delete", "rolebinding", &binding, "-n", SERVERS], "").await?;
    wait::until("the profile to leave the form", COUNTS, || async {
        match bob.form().await {
            Ok(form) if !form.contains(TITLE) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    ensure!(alice.form().await?.contains(TITLE), "alice keeps hers");

    // Status and words are those for what does not exist.
    let (forbidden, said) = bob.request_server(PROFILE).await?;
    let (absent, said_of_absent) = bob.request_server("no-such").await?;
    assert_eq!(
        (forbidden, absent),
        (StatusCode::FORBIDDEN, StatusCode::FORBIDDEN)
    );
    assert_eq!(said.replace(PROFILE, "no-such"), said_of_absent);
    bob.has_none().await?;

    let (taken, said) = alice.request_server(PROFILE).await?;
    ensure!(taken.is_success(), "{taken}: {said}");
    alice.answers().await?;
    let name = servers::workspace_of("alice", "").await?;
    let running = workspace::reached(&sample::workspaces().await?, &name, Phase::Running).await?;
    assert_eq!(running.spec.template_ref.as_deref(), Some(LARGE));
    alice.stop().await
}
