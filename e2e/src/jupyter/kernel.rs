//! Code and a user's session or token -> result of a kernel, over the websocket (IO).

use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::{SinkExt as _, StreamExt as _};
use reqwest::{Method, RequestBuilder, header};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::http::{
    HttpSession,
    socket::{self, Socket, origin},
};

/// Timeout for starting a kernel and computing.
const LIMIT: Duration = Duration::from_mins(2);
/// ID of the request, which its answers contain.
const REQUEST: &str = "the-request";
/// The kernel of Python.
const PYTHON: &str = "python3";

/// Starts a kernel at the workspace's URL, runs `code` in it and returns the text of its result.
pub async fn compute(session: &HttpSession, url: &str, code: &str) -> anyhow::Result<String> {
    load_page(session, url).await?;
    computed(&Caller::Page(session), url, code).await
}

/// The same in a kernel of another language. Also what it only displays is a result, as R does it.
pub async fn compute_in(
    session: &HttpSession,
    url: &str,
    kernel: &str,
    code: &str,
) -> anyhow::Result<String> {
    load_page(session, url).await?;
    computed_in(&Caller::Page(session), url, kernel, code).await
}

/// The same as a script that has only a token: no cookie, and no page that it loaded before.
pub async fn compute_with_token(token: &str, url: &str, code: &str) -> anyhow::Result<String> {
    let script = HttpSession::new()?;
    let result = computed(&Caller::Script(&script, token), url, code).await?;
    let cookies = script.cookies(url)?;
    anyhow::ensure!(cookies.is_empty(), "a script was given cookies: {cookies}");
    Ok(result)
}

/// A kernel that runs until its workspace stops, and keeps what was computed in it.
#[derive(Debug)]
pub struct Kernel {
    session: HttpSession,
    url: String,
    id: String,
}

impl Kernel {
    /// Starts one at the workspace's URL.
    pub async fn start(session: &HttpSession, url: &str) -> anyhow::Result<Self> {
        load_page(session, url).await?;
        Ok(Self {
            session: session.clone(),
            url: url.to_owned(),
            id: start(&Caller::Page(session), url, PYTHON).await?,
        })
    }

    /// Runs `code` over a websocket of its own, and returns the text of its result.
    pub async fn compute(&self, code: &str) -> anyhow::Result<String> {
        tokio::time::timeout(
            LIMIT,
            run(&Caller::Page(&self.session), &self.url, &self.id, code),
        )
        .await?
    }
}

/// Loads the page, which sets the cookie that must be repeated in a header.
async fn load_page(session: &HttpSession, url: &str) -> anyhow::Result<()> {
    let page = session.open(&format!("{url}lab")).await?;
    anyhow::ensure!(page.status().is_success(), "{url}lab: {}", page.status());
    Ok(())
}

/// The caller of the kernel.
enum Caller<'a> {
    Page(&'a HttpSession),
    Script(&'a HttpSession, &'a str),
}

impl Caller<'_> {
    fn request(&self, method: Method, url: &str, path: &str) -> anyhow::Result<RequestBuilder> {
        match self {
            Self::Page(session) => own(session, method, url, path),
            Self::Script(client, token) => {
                Ok(client.request(method, &format!("{url}{path}")).bearer_auth(token))
            }
        }
    }

    async fn socket(&self, url: &str, path: &str) -> anyhow::Result<Socket> {
        let target = url.replacen("https", "wss", 1) + path;
        let opened = match self {
            Self::Page(session) => {
                socket::connect(&target, &session.cookies(url)?, Some(&origin(url)?)).await?
            }
            Self::Script(_, token) => socket::connect_with_token(&target, token).await?,
        };
        opened.map_err(|status| anyhow::anyhow!("the websocket was refused: {status}"))
    }
}

/// Starts a kernel and returns its name.
async fn start(caller: &Caller<'_>, url: &str, kernel: &str) -> anyhow::Result<String> {
    let started = caller
        .request(Method::POST, url, "api/kernels")?
        .json(&json!({"name": kernel}))
        .send()
        .await?;
    let (status, kernel) = (started.status(), started.text().await?);
    anyhow::ensure!(
        status.is_success(),
        "a kernel cannot be started: {status} {kernel}"
    );
    let kernel: Value = serde_json::from_str(&kernel)?;
    let id = kernel["id"].as_str().context("a kernel without a name")?;
    Ok(id.to_owned())
}

async fn computed(caller: &Caller<'_>, url: &str, code: &str) -> anyhow::Result<String> {
    computed_in(caller, url, PYTHON, code).await
}

async fn computed_in(caller: &Caller<'_>, url: &str, kernel: &str, code: &str) -> anyhow::Result<String> {
    let id = start(caller, url, kernel).await?;
    let result = tokio::time::timeout(LIMIT, run(caller, url, &id, code)).await??;
    let ended = caller
        .request(Method::DELETE, url, &format!("api/kernels/{id}"))?
        .send()
        .await?;
    anyhow::ensure!(
        ended.status().is_success(),
        "the kernel was not ended: {}",
        ended.status()
    );
    Ok(result)
}

/// A request like those of the workspace's own page.
pub(crate) fn own(
    session: &HttpSession,
    method: Method,
    url: &str,
    path: &str,
) -> anyhow::Result<RequestBuilder> {
    let cookies = session.cookies(url)?;
    let token = cookies
        .split("; ")
        .find_map(|cookie| cookie.strip_prefix("_xsrf="))
        .with_context(|| format!("no _xsrf among the cookies of {url}"))?;
    Ok(session
        .request(method, &format!("{url}{path}"))
        .header("X-XSRFToken", token)
        .header("Sec-Fetch-Site", "same-origin")
        .header(header::ORIGIN, origin(url)?))
}

async fn run(caller: &Caller<'_>, url: &str, kernel: &str, code: &str) -> anyhow::Result<String> {
    let mut socket = caller
        .socket(url, &format!("api/kernels/{kernel}/channels"))
        .await?;
    let request = json!({
        "channel": "shell",
        "header": {
            "msg_id": REQUEST, "msg_type": "execute_request", "session": "e2e", "username": "e2e", "version": "5.3",
        },
        "parent_header": {},
        "metadata": {},
        "content": {"code": code, "silent": false, "store_history": false, "allow_stdin": false},
    });
    socket.send(Message::text(request.to_string())).await?;
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        let message: Value = serde_json::from_str(&text)?;
        if message["parent_header"]["msg_id"] != REQUEST {
            continue;
        }
        match message["msg_type"].as_str() {
            Some("execute_result" | "display_data") => {
                let text = message["content"]["data"]["text/plain"].as_str();
                return Ok(text.context("a result without text")?.to_owned());
            }
            Some("error") => bail!("the code failed: {}", message["content"]),
            _ => {}
        }
    }
    bail!("the websocket ended without a result")
}
