//! Browser with an account -> tokens of the bundled provider, got as kubelogin does (IO).

use anyhow::{Context as _, ensure};
use reqwest::{Method, StatusCode, Url, header};
use serde_json::Value;

use crate::{Environment, http::HttpSession};

/// The bundled provider's client for kubectl, and where kubelogin waits for the provider's answer.
const CLIENT: &str = "kubectl";
const REDIRECT: &str = "http://localhost:8000";
/// A verifier of PKCE and its challenge, by which the two are known to belong together (RFC 7636, appendix B).
const PKCE: (&str, &str) = (
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
);

/// Tokens of a user.
#[derive(Debug)]
pub struct Tokens(Value);

impl Tokens {
    /// The ID token.
    ///
    /// # Errors
    /// The provider gave none.
    pub fn id_token(&self) -> anyhow::Result<&str> {
        self.0["id_token"].as_str().context("no ID token")
    }
}

/// Signs a user in with the form of the provider.
///
/// # Errors
/// The provider refuses.
pub async fn sign_in(session: &HttpSession, user: &str, password: &str) -> anyhow::Result<Tokens> {
    let answer = session
        .provider_redirect(start()?.as_str(), user, password)
        .await?;
    redeem(session, &answer).await
}

/// The tokens of the user who is signed in at the provider in this browser.
///
/// # Errors
/// The provider requires a password, or refuses.
pub async fn signed_in(session: &HttpSession) -> anyhow::Result<Tokens> {
    let answer = session.without_redirects()?.open(start()?.as_str()).await?;
    let location = answer.headers().get(header::LOCATION);
    let location =
        location.with_context(|| format!("the provider requires a password: {}", answer.status()))?;
    redeem(session, &Url::parse(location.to_str()?)?).await
}

/// The identifier of the user (`sub`), according to the provider.
///
/// # Errors
/// The provider refuses the tokens.
pub async fn subject(session: &HttpSession, tokens: &Tokens) -> anyhow::Result<String> {
    let claims = claims(session, tokens).await?;
    let subject = claims["sub"].as_str().context("no subject")?;
    Ok(subject.to_owned())
}

/// The claims about the user, according to the provider.
///
/// # Errors
/// The provider refuses the tokens.
pub async fn claims(session: &HttpSession, tokens: &Tokens) -> anyhow::Result<Value> {
    let access = tokens.0["access_token"].as_str().context("no access token")?;
    let answer = session
        .request(Method::GET, &endpoint("userinfo")?)
        .bearer_auth(access)
        .send()
        .await?;
    ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
    Ok(answer.json().await?)
}

fn endpoint(name: &str) -> anyhow::Result<String> {
    let environment = Environment::get()?;
    let origin = environment.origin(&environment.identity_host);
    Ok(format!("{origin}/realms/jupyter/protocol/openid-connect/{name}"))
}

fn start() -> anyhow::Result<Url> {
    let parameters = [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", REDIRECT),
        ("scope", "openid profile"),
        ("state", "kubectl-sign-in"),
        ("code_challenge", PKCE.1),
        ("code_challenge_method", "S256"),
    ];
    Ok(Url::parse_with_params(&endpoint("auth")?, parameters)?)
}

async fn redeem(session: &HttpSession, answer: &Url) -> anyhow::Result<Tokens> {
    ensure!(
        answer.as_str().starts_with(REDIRECT),
        "not for kubectl: {}",
        answer.path()
    );
    let code = answer.query_pairs().find(|(name, _)| name == "code");
    let (_, code) = code.context("the provider gave no code")?;
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT),
        ("redirect_uri", REDIRECT),
        ("code_verifier", PKCE.0),
        ("code", &code),
    ];
    let answer = session
        .request(Method::POST, &endpoint("token")?)
        .form(&form)
        .send()
        .await?;
    ensure!(answer.status() == StatusCode::OK, "{}", answer.text().await?);
    Ok(Tokens(answer.json().await?))
}
