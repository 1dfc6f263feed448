//! Code or token -> token, ticket or end of the login session, as the gateway answers (IO).

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use k8s_openapi::jiff::fmt::rfc2822;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::address::{Place, WorkspaceAddress};
use super::dial::Dialer;
use super::refusal::{Refusal, retried};
use super::state::{SignIn, State};

/// Bytes of an answer at most.
const MOST: usize = 64 << 10;
/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Difference of the clocks that is worth a warning.
const WRONG_CLOCK: SignedDuration = SignedDuration::from_mins(5);

/// What a code is exchanged for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Token {
    #[serde(rename = "token")]
    pub(crate) value: String,
    pub(crate) user: String,
    pub(crate) expires_at: Timestamp,
}

/// Leave to connect to one workspace for a short time.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ticket {
    #[serde(rename = "ticket")]
    pub(crate) value: String,
    expires_at: Timestamp,
    /// Time of the gateway's clock, if it said so: that of this computer may be wrong.
    #[serde(skip)]
    issued_at: Option<Timestamp>,
}

impl Ticket {
    /// How long it is valid from now on.
    pub(crate) fn life(&self) -> Duration {
        let begin = self.issued_at.unwrap_or_else(Timestamp::now);
        self.expires_at
            .duration_since(begin)
            .try_into()
            .unwrap_or_default()
    }
}

/// An answer of the gateway.
struct GatewayResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

/// The gateway of an installation.
pub(crate) struct Gateway<'a> {
    pub(crate) auth: &'a Place,
    pub(crate) dialer: &'a Dialer,
}

impl Gateway<'_> {
    /// Whether a gateway of this product answers here.
    pub(crate) async fn check(&self) -> anyhow::Result<()> {
        let answer = self.ask(None).await?;
        let is_asked = answer.status.is_client_error() && answer.status != StatusCode::NOT_FOUND;
        if is_asked && answer.body["error"].is_string() {
            return Ok(());
        }
        Err(anyhow!(
            "{} must be an installation with sign-in for programs, and answers {}: check the address, or ask the administrator for a newer version",
            self.auth.base(),
            answer.status
        ))
    }

    /// What it answers to whoever asks for no workspace's ticket.
    async fn ask(&self, token: Option<&str>) -> anyhow::Result<GatewayResponse> {
        self.post("/programs/ticket", token, &json!({"host": ""})).await
    }

    /// Exchanges a code for a token; and how far this computer's clock is wrong, if far.
    pub(crate) async fn redeem(
        &self,
        code: &str,
        verifier: &str,
    ) -> anyhow::Result<(Token, Option<SignedDuration>)> {
        let body = json!({"code": code, "verifier": verifier});
        let answer = self.post("/programs/token", None, &body).await?;
        let off = date(&answer.headers)
            .map(|date| Timestamp::now().duration_since(date))
            .filter(|off| off.abs() > WRONG_CLOCK);
        let token = self.read(answer, |_, message| {
            format!("the sign-in failed: {message}: run kubectl workspace login again")
        })?;
        Ok((token, off))
    }

    /// A ticket for a workspace.
    pub(crate) async fn ticket(&self, token: &str, to: &WorkspaceAddress) -> anyhow::Result<Ticket> {
        let body = json!({"host": to.site()});
        let answer = self.post("/programs/ticket", Some(token), &body).await?;
        let issued_at = date(&answer.headers);
        let mut ticket: Ticket = self.read(answer, |status, message| match status {
            StatusCode::UNAUTHORIZED => not_signed_in(self.auth),
            _ => message,
        })?;
        ticket.issued_at = issued_at;
        Ok(ticket)
    }

    /// Ends the login session, in the browser too. `false`: it had ended before.
    pub(crate) async fn sign_out(&self, token: &str) -> anyhow::Result<bool> {
        let answer = self.post("/programs/sign-out", Some(token), &Value::Null).await?;
        match answer.status {
            StatusCode::UNAUTHORIZED => Ok(false),
            status if status.is_success() => Ok(true),
            _ => self.read::<Value>(answer, |_, message| message).map(|_| true),
        }
    }

    fn read<T: serde::de::DeserializeOwned>(
        &self,
        answer: GatewayResponse,
        refused: impl FnOnce(StatusCode, String) -> String,
    ) -> anyhow::Result<T> {
        if answer.status.is_success() {
            return serde_json::from_value(answer.body).with_context(|| {
                format!(
                    "{} gave an answer that this plugin does not understand: it may be older than the installation",
                    self.auth
                )
            });
        }
        let message = refused(answer.status, error_message(answer.status, &answer.body));
        Err(Refusal::new(answer.status, &answer.headers, &answer.body, message).into())
    }

    async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> anyhow::Result<GatewayResponse> {
        let mut request = Request::post(path)
            .header(HOST, self.auth.to_string())
            .header(USER_AGENT, api::names::CLI)
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).context(
                "the token in the state folder is broken: sign in again with kubectl workspace login",
            )?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let bytes = match body {
            Value::Null => Bytes::new(),
            body => body.to_string().into(),
        };
        let body = Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
        let request = request.body(body)?;
        let mut sender = self.dialer.connect(self.auth).await?;
        let exchange = async {
            let answer = sender.send_request(request).await?;
            let (head, body) = answer.into_parts();
            Ok(GatewayResponse {
                status: head.status,
                headers: head.headers,
                body: json_of(body).await,
            })
        };
        let answered = tokio::time::timeout(LIMIT, exchange).await;
        answered
            .unwrap_or_else(|_| Err(anyhow!("no answer within {LIMIT:?}")))
            .with_context(|| format!("{} does not answer", self.auth))
    }
}

/// The JSON of an answer; null if it is too long or none.
pub(crate) async fn json_of(body: Incoming) -> Value {
    let body = Limited::new(body, MOST).collect().await;
    let bytes = body.map(http_body_util::Collected::to_bytes);
    bytes
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

/// What an answer says, in its own words if it has any.
pub(crate) fn error_message(status: StatusCode, body: &Value) -> String {
    match body["message"].as_str() {
        Some(message) => message.trim_end_matches('.').to_owned(),
        None => format!("the answer is {status}"),
    }
}

/// What to do without a valid sign-in.
pub(crate) fn not_signed_in(auth: &Place) -> String {
    format!(
        "you are not signed in at {0}: run kubectl workspace login https://{0}",
        auth.base()
    )
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new()
        .parse_timestamp(headers.get(DATE)?.to_str().ok()?)
        .ok()
}

/// A sign-in, and connections as it trusts them.
pub(crate) struct SignedIn {
    pub(crate) sign_in: SignIn,
    pub(crate) dialer: Dialer,
    state: State,
}

impl SignedIn {
    /// `state`: where its tickets are kept.
    pub(crate) fn new(sign_in: SignIn, state: State) -> anyhow::Result<Self> {
        Ok(Self {
            dialer: Dialer::new(sign_in.certificate_authority.as_deref())?,
            sign_in,
            state,
        })
    }

    pub(crate) fn gateway(&self) -> Gateway<'_> {
        Gateway {
            auth: &self.sign_in.auth,
            dialer: &self.dialer,
        }
    }

    /// The token of the last sign-in here, which may be later than this process.
    fn token(&self) -> String {
        let now = self.state.sign_in(&self.sign_in.auth);
        now.map_or_else(|| self.sign_in.token.clone(), |now| now.token)
    }

    /// Whether the gateway takes the sign-in. The file alone does not tell: a session ends before its time, too.
    pub(crate) async fn counts(&self) -> anyhow::Result<bool> {
        let answer = self.gateway().ask(Some(&self.token())).await?;
        Ok(answer.status != StatusCode::UNAUTHORIZED)
    }

    /// A new ticket for a workspace.
    pub(crate) async fn ticket(&self, to: &WorkspaceAddress) -> anyhow::Result<Ticket> {
        retried(|| async move { self.gateway().ticket(&self.token(), to).await }).await
    }

    /// The ticket for a workspace that an earlier process kept, while it is valid.
    pub(crate) fn kept_ticket(&self, to: &WorkspaceAddress) -> Option<String> {
        self.state.ticket(&self.sign_in, &to.site())
    }

    /// A new ticket for a workspace, which later processes find. It is asked for once.
    pub(crate) async fn ticket_to_keep(&self, to: &WorkspaceAddress) -> anyhow::Result<String> {
        let ticket = self.gateway().ticket(&self.token(), to).await?;
        let end = Timestamp::now() + ticket.life();
        // Without it the next process asks again.
        let _ = self
            .state
            .keep_ticket(&self.sign_in, &to.site(), &ticket.value, end);
        Ok(ticket.value)
    }
}
