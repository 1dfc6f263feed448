//! The bundled provider: an attacker's sign-in link gives the attacker no access.

use std::collections::HashMap;

use anyhow::{Context as _, ensure};
use e2e::{Environment, http::HttpSession};
use reqwest::{Response, StatusCode, Url, header};

/// Required actions at which a sign-in could stop: with a form, and without one.
const ACTIONS: [&str; 6] = [
    "VERIFY_EMAIL",
    "VERIFY_PROFILE",
    "UPDATE_PROFILE",
    "UPDATE_PASSWORD",
    "CONFIGURE_TOTP",
    "delete_credential",
];
/// The provider's answer to a client that it knows and that has not the grant.
const UNAUTHORIZED: &str = "\"unauthorized_client\"";
/// The provider's cookies of a user who is signed in.
const SIGNED_IN: [&str; 2] = ["KEYCLOAK_IDENTITY", "KEYCLOAK_SESSION"];

#[tokio::test]
async fn a_stranger_gets_in_neither_by_a_sign_in_link_nor_by_a_public_client() -> anyhow::Result<()> {
    no_public_client_exchanges_a_password_for_tokens().await?;
    a_sign_in_link_opened_by_another_user_gives_its_creator_nothing().await
}

/// CVE-2026-7507, with the steps of the attacker mallory in their order.
async fn a_sign_in_link_opened_by_another_user_gives_its_creator_nothing() -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let auth = environment.origin(&environment.auth_host());
    let realm = format!(
        "{}/realms/jupyter",
        environment.origin(&environment.identity_host)
    );
    let alice = HttpSession::new()?;
    let page = alice.sign_in(&format!("{auth}/sign-in"), "alice").await?;
    ensure!(page.text().await?.contains("alice"), "alice is not signed in");
    let email = "alice@example.com";
    who_finishes_an_own_sign_in_gets_what_mallory_must_not(&auth, &realm).await?;

    for action in ACTIONS {
        let mallory = HttpSession::new()?.without_redirects()?;
        let started = mallory.open(&format!("{auth}/sign-in")).await?;
        let login = format!("{}&kc_action={action}", location(&started)?);
        let form = mallory.open(&login).await?;
        ensure!(form.status() == StatusCode::OK, "{action}: {}", form.status());
        let form = form.text().await?;
        let action_of_form = form
            .split("action=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let target = action_of_form.context("no sign-in form")?.replace("&amp;", "&");
        let parameters: HashMap<String, String> = Url::parse(&target)?.query_pairs().into_owned().collect();
        let session = cookie(&mallory, &realm, "AUTH_SESSION_ID")?.context("no AUTH_SESSION_ID")?;
        let with = |path: &str, more: &[(&str, &str)]| -> anyhow::Result<String> {
            let mut url = Url::parse(&format!("{realm}/login-actions/{path}"))?;
            for name in ["client_id", "tab_id", "client_data"] {
                let value = parameters
                    .get(name)
                    .with_context(|| format!("no {name}: {target}"))?;
                url.query_pairs_mut().append_pair(name, value);
            }
            url.query_pairs_mut().extend_pairs(more);
            Ok(url.into())
        };
        let handle = ("auth_session_id", session.as_str());
        let restarted = mallory.open(&with("restart", &[handle])?).await?;
        ensure!(
            restarted.status() == StatusCode::FOUND,
            "{action}: {}",
            restarted.status()
        );

        // Any page for alice is valid: the provider may report that the link is not hers, or sign her in again.
        alice.open(&with("authenticate", &[handle])?).await?;

        let taken = mallory
            .open(&with("required-action", &[("execution", action)])?)
            .await?;
        let leads_to = taken.headers().get(header::LOCATION).cloned();
        let leads_to = leads_to
            .as_ref()
            .map(|value| value.to_str())
            .transpose()?
            .unwrap_or_default();
        ensure!(
            !leads_to.starts_with(&auth),
            "{action}: a code for mallory: {leads_to}"
        );
        let message = taken.text().await?;
        ensure!(
            !message.contains(email),
            "{action}: alice's account is shown to mallory: {message}"
        );
        for name in SIGNED_IN {
            ensure!(
                cookie(&mallory, &realm, name)?.is_none(),
                "{action}: mallory has {name}"
            );
        }
        let home = mallory.open(&format!("{auth}/")).await?.text().await?;
        ensure!(home.contains("You are signed out"), "{action}: {home}");
    }
    Ok(())
}

/// The control, in one browser from beginning to end: a code, the provider's cookies, and a page for who is signed in.
async fn who_finishes_an_own_sign_in_gets_what_mallory_must_not(
    auth: &str,
    realm: &str,
) -> anyhow::Result<()> {
    let own = HttpSession::new()?;
    let password = Environment::get()?.user("alice")?.password.as_str();
    let leads_to = own
        .provider_redirect(&format!("{auth}/sign-in"), "alice", password)
        .await?;
    let has_code = leads_to.query_pairs().any(|(name, _)| name == "code");
    ensure!(leads_to.as_str().starts_with(auth) && has_code, "{leads_to}");
    for name in SIGNED_IN {
        ensure!(cookie(&own, realm, name)?.is_some(), "alice lacks {name}");
    }
    own.open(leads_to.as_str()).await?;
    let home = own.open(&format!("{auth}/")).await?.text().await?;
    ensure!(
        home.contains("alice") && !home.contains("You are signed out"),
        "{home}"
    );
    Ok(())
}

/// Each is known to the provider, and has not this grant: an unknown client gets another answer, whose password is right, too.
async fn no_public_client_exchanges_a_password_for_tokens() -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let token = format!(
        "{}/realms/jupyter/protocol/openid-connect/token",
        environment.origin(&environment.identity_host)
    );
    let password = environment.user("alice")?.password.as_str();
    for (client, error) in [
        ("no-such-client", "\"invalid_client\""),
        ("admin-cli", UNAUTHORIZED),
        ("account", UNAUTHORIZED),
        ("account-console", UNAUTHORIZED),
        ("security-admin-console", UNAUTHORIZED),
    ] {
        let form = [
            ("grant_type", "password"),
            ("client_id", client),
            ("username", "alice"),
            ("password", password),
        ];
        let request = HttpSession::new()?
            .request(reqwest::Method::POST, &token)
            .form(&form);
        let answer = request.send().await?;
        let (status, message) = (answer.status(), answer.text().await?);
        ensure!(
            status.is_client_error() && message.contains(error),
            "{client}: {status}"
        );
    }
    Ok(())
}

fn location(answer: &Response) -> anyhow::Result<&str> {
    let location = answer.headers().get(header::LOCATION);
    Ok(location
        .with_context(|| format!("no redirect: {}", answer.status()))?
        .to_str()?)
}

/// What a user has at the provider under this name.
fn cookie(session: &HttpSession, realm: &str, name: &str) -> anyhow::Result<Option<String>> {
    let held = session.cookies(&format!("{realm}/login-actions/authenticate"))?;
    Ok(held
        .split("; ")
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        .map(str::to_owned))
}
