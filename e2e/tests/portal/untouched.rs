//! A form that is saved in a browser changes no byte of what its user did not touch.

use api::Workspace;
use api::workspace::{DesiredStatus, Phase};
use e2e::browser::Browser;
use e2e::cluster::{self, Scratch};
use e2e::objects::workspace;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use e2e::portal::{Portal, address};

#[tokio::test]
async fn a_browser_that_changes_the_display_name_changes_no_other_byte() -> anyhow::Result<()> {
    let scratch = Scratch::new("portal-untouched", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut new = serde_json::to_value(workspace::echo("ws")?)?;
    new["spec"]["desiredStatus"] = json!(DesiredStatus::Stopped);
    new["spec"]["variables"] = json!({"x": "a\nb", "y": " c "});
    new["spec"]["env"] = json!([
        {"name": "KEY", "value": "a\nb"},
        {"name": "ENDS", "value": "\n\r\n two \r\n"},
        {"name": "LETTERS", "value": "é e\u{301} \t\u{b}\u{7f}\u{85}\u{2028}<&amp;\""},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]);
    alice
        .create(&PostParams::default(), &serde_json::from_value(new)?)
        .await?;
    let stored = workspace::reached(&alice, "ws", Phase::Stopped).await?;
    assert_eq!(stored.spec.env[0].value.as_deref(), Some("a\nb"));
    let at = format!("/w/{}/ws/edit", scratch.namespace);
    Portal::enter("alice").await?.knows(&at).await?;
    let browser = Browser::start().await?;
    browser.sign_in(&address(&at)?, "alice").await?;
    let name = browser.find("#f-spec\\.displayName").await?;
    name.clear().await?;
    name.send_keys("Seminar").await?;
    browser.click("main form .actions button[value=save]").await?;
    browser.sees("main", "The changes are stored").await?;
    let spec =
        |workspace: &Workspace| -> anyhow::Result<Value> { Ok(serde_json::to_value(&workspace.spec)?) };
    let mut expected = spec(&stored)?;
    expected["displayName"] = json!("Seminar");
    assert_eq!(spec(&alice.get("ws").await?)?, expected);
    browser.close().await?;
    scratch.finish().await
}
