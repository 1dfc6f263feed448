//! Signed-in browser -> code, token and tickets of a program, step by step (IO).

use anyhow::{Context as _, ensure};
use api::Workspace;
use reqwest::{Method, Response, StatusCode, Url, header};
use scraper::{Html, Selector};
use serde_json::{Value, json};

use crate::{Environment, http::HttpSession, objects::workspace};

/// A verifier, and its challenge (RFC 7636, appendix B).
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// What the program recognises its own login by.
pub const STATE: &str = "AAECAwQFBgcICQoLDA0ODw";
/// A port of a program. Nothing listens there: these steps follow no redirect.
pub const PORT: u16 = 40_123;

/// Address of a path of the sign-in host.
///
/// # Errors
/// The installation is unknown.
pub fn address(path: &str) -> anyhow::Result<String> {
    let environment = Environment::get()?;
    Ok(environment.origin(&environment.auth_host()) + path)
}

/// The link that a program with this name opens.
///
/// # Errors
/// The installation is unknown.
pub fn link(name: &str) -> anyhow::Result<String> {
    let port = PORT.to_string();
    let parameters = [
        ("port", port.as_str()),
        ("challenge", CHALLENGE),
        ("state", STATE),
        ("name", name),
    ];
    Ok(Url::parse_with_params(&address("/programs")?, &parameters)?.into())
}

/// The form of the page that asks: where it is sent, and its fields.
#[derive(Debug)]
pub struct Form {
    /// Target.
    pub target: Url,
    /// Names and values, with the button's.
    pub fields: Vec<(String, String)>,
}

impl Form {
    /// Reads the page.
    ///
    /// # Errors
    /// It has no such form.
    pub async fn of(page: Response) -> anyhow::Result<Self> {
        let (base, status, text) = (page.url().clone(), page.status(), page.text().await?);
        parse(&base, &text).with_context(|| format!("{base}: {status} without a form: {text}"))
    }

    /// Sends it from this origin, as a browser does, and does not follow the redirect.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(&self, session: &HttpSession, origin: Option<&str>) -> anyhow::Result<Response> {
        let own = origin == Some(self.target.origin().ascii_serialization().as_str());
        let client = session.without_redirects()?;
        let mut request = client
            .request(Method::POST, self.target.as_str())
            .form(&self.fields);
        if let Some(origin) = origin {
            let site = if own { "same-origin" } else { "same-site" };
            request = request
                .header(header::ORIGIN, origin)
                .header("Sec-Fetch-Site", site)
                .header("Sec-Fetch-Mode", "navigate")
                .header("Sec-Fetch-Dest", "document");
        }
        Ok(request.send().await?)
    }
}

fn parse(base: &Url, page: &str) -> anyhow::Result<Form> {
    let selector = |css: &str| Selector::parse(css).map_err(|error| anyhow::anyhow!("{css}: {error}"));
    let page = Html::parse_document(page);
    for form in page.select(&selector("form")?) {
        let target = base.join(form.attr("action").unwrap_or_default())?;
        let posts = form
            .attr("method")
            .is_some_and(|method| method.eq_ignore_ascii_case("post"));
        if !posts || target.path() != "/programs" {
            continue;
        }
        let named = selector("input[name], button[name]")?;
        let fields = form.select(&named).filter_map(|field| {
            let value = field.attr("value").unwrap_or_default();
            Some((field.attr("name")?.to_owned(), value.to_owned()))
        });
        return Ok(Form {
            target,
            fields: fields.collect(),
        });
    }
    anyhow::bail!("no form with method POST goes to /programs")
}

/// Presses the button of the page that asks: the address at the program's own port to which the browser is sent.
///
/// # Errors
/// The page does not ask, or refuses.
pub async fn confirm(session: &HttpSession, page: Response) -> anyhow::Result<Url> {
    let form = Form::of(page).await?;
    let origin = form.target.origin().ascii_serialization();
    let answer = form.send(session, Some(&origin)).await?;
    let status = answer.status();
    let location = answer.headers().get(header::LOCATION).cloned();
    ensure!(
        status == StatusCode::SEE_OTHER,
        "{status} {}",
        answer.text().await?
    );
    Ok(Url::parse(location.context("no Location")?.to_str()?)?)
}

/// A code for the program that knows [`VERIFIER`].
///
/// # Errors
/// The page does not ask, or the address has no code.
pub async fn code(session: &HttpSession, user: &str) -> anyhow::Result<String> {
    let page = session.sign_in(&link("a test")?, user).await?;
    let sent = confirm(session, page).await?;
    let value = |name: &str| {
        let mut pairs = sent.query_pairs();
        pairs.find(|(key, _)| key == name).map(|pair| pair.1.into_owned())
    };
    ensure!(
        sent.origin().ascii_serialization() == format!("http://127.0.0.1:{PORT}")
            && value("state").as_deref() == Some(STATE),
        "{sent}"
    );
    value("code").context("no code")
}

/// A client of a program: it has no cookies.
async fn post(path: &str, bearer: Option<&str>, body: &Value) -> anyhow::Result<Response> {
    let mut request = HttpSession::new()?
        .request(Method::POST, &address(path)?)
        .json(body);
    if let Some(token) = bearer {
        request = request.bearer_auth(token);
    }
    Ok(request.send().await?)
}

/// Asks for the token of a code.
///
/// # Errors
/// There is no answer.
pub async fn exchange(code: &str, verifier: &str) -> anyhow::Result<Response> {
    post(
        "/programs/token",
        None,
        &json!({"code": code, "verifier": verifier}),
    )
    .await
}

/// A program with a token.
#[derive(Debug)]
pub struct Program {
    /// The token.
    pub token: String,
}

impl Program {
    /// A program of the login session of this browser.
    ///
    /// # Errors
    /// It is not admitted.
    pub async fn admitted(session: &HttpSession, user: &str) -> anyhow::Result<Self> {
        let answer = exchange(&code(session, user).await?, VERIFIER).await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status == StatusCode::OK, "{status} {text}");
        let answer: Value = serde_json::from_str(&text)?;
        ensure!(answer["user"] == user, "{}", answer["user"]);
        let token = answer["token"].as_str().context("no token")?;
        Ok(Self {
            token: token.to_owned(),
        })
    }

    /// Asks for a ticket for a host.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn ask(&self, host: &str) -> anyhow::Result<(StatusCode, Value)> {
        let answer = post("/programs/ticket", Some(&self.token), &json!({"host": host})).await?;
        let (status, text) = (answer.status(), answer.text().await?);
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// A ticket for this workspace.
    ///
    /// # Errors
    /// It is refused.
    pub async fn ticket(&self, workspace: &Workspace) -> anyhow::Result<String> {
        let (status, answer) = self.ask(&place(workspace)?).await?;
        ensure!(status == StatusCode::OK, "{status} {answer}");
        let ticket = answer["ticket"].as_str();
        Ok(ticket.with_context(|| format!("no ticket: {answer}"))?.to_owned())
    }

    /// Ends the login session.
    ///
    /// # Errors
    /// It is refused.
    pub async fn sign_out(&self) -> anyhow::Result<()> {
        let answer = post("/programs/sign-out", Some(&self.token), &json!({})).await?;
        ensure!(
            answer.status() == StatusCode::NO_CONTENT,
            "{} {}",
            answer.status(),
            answer.text().await?
        );
        Ok(())
    }
}

/// What a program calls a workspace: its URL without scheme.
///
/// # Errors
/// The workspace has no URL.
pub fn place(workspace: &Workspace) -> anyhow::Result<String> {
    let url = workspace::url(workspace)?;
    let place = url
        .strip_prefix("https://")
        .with_context(|| format!("{url} is not HTTPS"))?;
    Ok(place.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_that_asks_is_found_among_others() {
        let base = Url::parse("https://auth.x/programs?port=1").unwrap();
        let page = r#"<form action="/sign-out" method="post"><button>Sign out</button></form>
            <form action="/programs" method="post"><input type="hidden" name="state" value="a&amp;b">
            <button name="allow" value="yes">Allow</button></form>"#;
        let form = parse(&base, page).unwrap();
        assert_eq!(form.target.as_str(), "https://auth.x/programs");
        let expected = [("state", "a&b"), ("allow", "yes")];
        assert_eq!(
            form.fields,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert!(parse(&base, "<form action='/programs'></form>").is_err());
    }
}
