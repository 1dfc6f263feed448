//! Two identity providers: users of both sign in, and each remains a different user.

pub(crate) mod realm;

use std::{fs, time::Duration};

use anyhow::{Context as _, ensure};
use api::{Workspace, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    http::HttpSession,
    installation::release,
    objects::workspace,
    test_run::finally::always,
    wait,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use reqwest::{Response, StatusCode, Url, header};
use serde_json::json;

use realm::{Edit, NAME};

/// What the page calls the two.
const TITLES: [&str; 2] = ["Staff", "Partners"];
/// A gateway looks for a provider that was away once a minute.
const FOUND: Duration = Duration::from_mins(3);
/// Kubernetes names of the two users who have one name.
const ALICES: [&str; 2] = ["staff:alice", "partners:alice"];

/// A random value.
fn random() -> anyhow::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/uuid")?
        .trim()
        .to_owned())
}

/// The partners' accounts: alice, who is another one than the staff's, and mallory, whose group is not admitted.
struct Partners {
    alice: String,
    mallory: String,
}

#[tokio::test]
async fn users_of_two_providers_sign_in_and_stay_separate() -> anyhow::Result<()> {
    let scratch = Scratch::new("providers", &ALICES).await?;
    let environment = Environment::get()?;
    let partners = Partners {
        alice: random()?,
        mallory: random()?,
    };
    let client_secret = random()?;
    let accounts = [
        ("alice", partners.alice.as_str(), "engineers"),
        ("mallory", partners.mallory.as_str(), "visitors"),
    ];
    let callback = format!("{}/callback/{NAME}", environment.origin(&environment.auth_host()));
    let edit = Edit::adding(&realm::of(&accounts, &client_secret, &callback).await?)?;
    let secrets = Api::<Secret>::namespaced(cluster::admin().await?, &environment.system_namespace);
    let name = scratch.namespace.as_str();
    let secret = json!({
        "metadata": {"name": name, "labels": {"e2e.test/scratch": "true"}},
        "stringData": {"clientSecret": client_secret},
    });
    secrets
        .create(&PostParams::default(), &serde_json::from_value(secret)?)
        .await?;
    let back = async {
        release::upgrade(&[]).await?;
        secrets.delete(name, &DeleteParams::default()).await?;
        Ok(())
    };
    always(Box::pin(with_both(&scratch, &partners, &edit)), back).await?;
    scratch.finish().await
}

async fn with_both(scratch: &Scratch, partners: &Partners, edit: &Edit) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let issuer = format!("{}/realms/{NAME}", environment.origin(&environment.identity_host));
    let proxy = format!(
        "{}-proxy.{}.svc",
        environment.release, environment.system_namespace
    );
    let mut values = vec![
        format!("oidc.displayName={}", TITLES[0]),
        "oidc.usernamePrefix=staff:".to_owned(),
        "oidc.groupsPrefix=staff:".to_owned(),
    ];
    let other = [
        ("name", NAME),
        ("displayName", TITLES[1]),
        ("issuerUrl", &issuer),
        ("clientId", "jupyter-k8s"),
        ("clientSecretName", &scratch.namespace),
        ("caSecretName", &format!("{}-proxy-tls", environment.release)),
        ("connectTo", &format!("{proxy}:{}", environment.port)),
        ("usernameClaim", "preferred_username"),
        ("usernamePrefix", "partners:"),
        ("groupsClaim", "groups"),
        ("groupsPrefix", "partners:"),
        ("allowedGroups[0]", "partners:engineers"),
    ];
    values.extend(other.map(|(key, value)| format!("oidc.others[0].{key}={value}")));
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    release::upgrade_with_post_renderer(&values, &edit.program).await?;

    let mut urls = Vec::new();
    for (owner, name) in ALICES.into_iter().zip(["staffs", "partners"]) {
        let client = cluster::acting_as(owner, &[]).await?;
        let workspaces: Api<Workspace> = Api::namespaced(client, &scratch.namespace);
        workspaces
            .create(&PostParams::default(), &workspace::echo(name)?)
            .await?;
        urls.push(workspace::url(
            &workspace::reached(&scratch.api(), name, Phase::Running).await?,
        )?);
    }
    let (staffs, theirs) = (urls[0].as_str(), urls[1].as_str());

    // Each opens her own and not the other's, at the same time.
    let (staff, partner) = (HttpSession::new()?, HttpSession::new()?);
    let password = &environment.user("alice")?.password;
    enters(&staff, staffs, TITLES[0], ("alice", password)).await?;
    enters(&partner, theirs, TITLES[1], ("alice", &partners.alice)).await?;
    for (session, own, others) in [(&staff, staffs, theirs), (&partner, theirs, staffs)] {
        ensure!(session.open(own).await?.status() == StatusCode::OK, "{own}");
        let refused = session.open(others).await?;
        ensure!(
            refused.status() == StatusCode::FORBIDDEN,
            "{others}: {}",
            refused.status()
        );
    }
    // The password of the one opens nothing at the other's.
    let wrong = HttpSession::new()?;
    let link = choice(&wrong, theirs, TITLES[1]).await?;
    let refused = wrong.sign_in_with(&link, "alice", password).await;
    ensure!(refused.is_err(), "{refused:?}");

    // Who is admitted is said of each provider for itself.
    let mallory = HttpSession::new()?;
    let link = choice(&mallory, theirs, TITLES[1]).await?;
    let page = mallory.sign_in_with(&link, "mallory", &partners.mallory).await?;
    ensure!(page.status() == StatusCode::FORBIDDEN, "{}", page.status());
    let page = page.text().await?;
    ensure!(
        page.contains("not admitted") && page.contains(TITLES[1]),
        "{page}"
    );

    no_answer_is_accepted_at_another_callback(staffs, ("alice", password), "/callback/partners").await?;
    no_answer_is_accepted_at_another_callback(theirs, ("alice", &partners.alice), "/callback").await
}

/// Signs in with a provider, as soon as the gateway has found it, and waits until the workspace's own pod answers.
async fn enters(session: &HttpSession, url: &str, title: &str, account: (&str, &str)) -> anyhow::Result<()> {
    let link = choice(session, url, title).await?;
    let page = session.sign_in_with(&link, account.0, account.1).await?;
    wait::until(&format!("{url} to answer"), wait::USUAL, || async {
        let page = session.open(url).await.map_err(|error| format!("{error:#}"))?;
        let (status, at) = (page.status(), page.url().to_string());
        let text = page.text().await.unwrap_or_default();
        if status.is_success() && text.contains("\"path\"") {
            Ok(())
        } else {
            Err(format!("{status} {at} {text}"))
        }
    })
    .await
    .with_context(|| format!("after {}", page.url()))
}

/// Address of the link to a provider, on the page that offers the providers to a user who opens `url`.
async fn choice(session: &HttpSession, url: &str, title: &str) -> anyhow::Result<String> {
    wait::until(&format!("{title} to be offered"), FOUND, || async {
        let page = session.open(url).await.map_err(|error| format!("{error:#}"))?;
        let (base, page) = (
            page.url().clone(),
            page.text().await.map_err(|error| error.to_string())?,
        );
        let link = link(&page, title).and_then(|link| base.join(&link).ok());
        link.map(String::from).ok_or(page)
    })
    .await
}

/// The target of the link that says `title`.
fn link(page: &str, title: &str) -> Option<String> {
    page.split("<a ").skip(1).find_map(|rest| {
        let (tag, text) = rest.split_once('>')?;
        let target = tag.split("href=\"").nth(1)?.split('"').next()?;
        (text.split("</a>").next()?.trim() == title).then(|| target.replace("&#38;", "&"))
    })
}

/// A user who sends one provider's answer to the callback of the other is refused. The answer is then valid nowhere.
async fn no_answer_is_accepted_at_another_callback(
    url: &str,
    account: (&str, &str),
    callback: &str,
) -> anyhow::Result<()> {
    let title = if callback == "/callback" {
        TITLES[1]
    } else {
        TITLES[0]
    };
    for bend in [Tampering::Callback(callback), Tampering::Issuer] {
        let session = HttpSession::new()?;
        let link = choice(&session, url, title).await?;
        let answer = session.provider_redirect(&link, account.0, account.1).await?;
        ensure!(answer.query_pairs().any(|(name, _)| name == "code"), "{answer}");
        let tampered = bend.of(&answer)?;
        let refused: Response = session.without_redirects()?.open(tampered.as_str()).await?;
        ensure!(
            refused.status() == StatusCode::BAD_REQUEST,
            "{bend:?}: {}",
            refused.status()
        );
        ensure!(!refused.headers().contains_key(header::LOCATION), "{bend:?}");
        let late = session.without_redirects()?.open(answer.as_str()).await?;
        ensure!(
            late.status() == StatusCode::BAD_REQUEST,
            "{bend:?}: {}",
            late.status()
        );
    }
    Ok(())
}

/// What is done to a provider's answer on its way.
#[derive(Debug)]
enum Tampering<'a> {
    /// It comes in where answers of the other are expected.
    Callback(&'a str),
    /// It names another issuer.
    Issuer,
}

impl Tampering<'_> {
    fn of(&self, answer: &Url) -> anyhow::Result<Url> {
        let mut tampered = answer.clone();
        match self {
            Self::Callback(callback) => tampered.set_path(callback),
            Self::Issuer => {
                let pairs: Vec<_> = answer
                    .query_pairs()
                    .map(|(name, value)| {
                        let value = if name == "iss" {
                            format!("{value}-of-another")
                        } else {
                            value.into_owned()
                        };
                        (name.into_owned(), value)
                    })
                    .collect();
                ensure!(
                    pairs.iter().any(|(name, _)| name == "iss"),
                    "it names no issuer: {answer}"
                );
                tampered.query_pairs_mut().clear().extend_pairs(pairs);
            }
        }
        Ok(tampered)
    }
}
