//! User -> pages and forms of the portal, without a browser (IO).

use anyhow::Context as _;
use reqwest::header::{ACCEPT, ORIGIN};
use reqwest::{Method, Response};
use serde_json::Value;

use crate::{Environment, http::HttpSession, wait};

/// The address of a page.
///
/// # Errors
/// The tests were started without an installation.
pub fn address(path: &str) -> anyhow::Result<String> {
    let environment = Environment::get()?;
    let origin = environment.origin(&environment.portal_host());
    Ok(format!("{origin}{path}"))
}

/// A user who is signed in to the portal.
#[derive(Clone, Debug)]
pub struct Portal {
    /// The user's cookies.
    pub http: HttpSession,
    origin: String,
}

impl Portal {
    /// Signs in.
    ///
    /// # Errors
    /// The user cannot sign in.
    pub async fn enter(user: &str) -> anyhow::Result<Self> {
        let origin = address("")?;
        let http = HttpSession::new()?;
        http.enter(&format!("{origin}/"), user).await?;
        Ok(Self { http, origin })
    }

    /// The address of a page.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// A page as a browser loads it.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn open(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let answer = self.http.open(&self.at(path)).await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Waits until the portal shows a page: it reads from memory, which follows the cluster.
    ///
    /// # Errors
    /// It does not show it in time.
    pub async fn knows(&self, path: &str) -> anyhow::Result<()> {
        wait::until(&format!("the portal to show {path}"), wait::USUAL, || async {
            match self.open(path).await {
                Ok((200, _)) => Ok(()),
                Ok((status, text)) => Err(format!("{status} {text}")),
                Err(error) => Err(format!("{error:#}")),
            }
        })
        .await
    }

    /// What a page shows, as JSON.
    ///
    /// # Errors
    /// There is no answer, or none in JSON.
    pub async fn json(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.http.request(Method::GET, &self.at(path));
        let request = request
            .header(ACCEPT, "application/json")
            .header("Sec-Fetch-Site", "same-origin");
        let text = request.send().await?.text().await?;
        serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))
    }

    /// Sends a form of one of its pages, and does not follow the redirect.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> anyhow::Result<Response> {
        let request = self
            .http
            .without_redirects()?
            .request(Method::POST, &self.at(path));
        Ok(request.header(ORIGIN, &self.origin).form(form).send().await?)
    }
}
