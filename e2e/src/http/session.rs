//! User with cookies -> responses of the installation over HTTPS (IO).
//!
//! The user signs in where a page requires it.

use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use reqwest::{
    Certificate, Client, Method, RequestBuilder, Response, StatusCode, Url,
    cookie::{CookieStore, Jar},
    dns::{Addrs, Name, Resolve, Resolving},
    header::{self, HeaderValue},
    redirect,
};

use crate::{Environment, test_run::sign_in_lock, wait};

/// An HTTP client with a cookie jar, like one browser profile.
#[derive(Clone, Debug)]
pub struct HttpSession {
    client: Client,
    recorder: Arc<CookieRecorder>,
    redirects: bool,
    /// Certificate authorities beside that of the installation, PEM.
    authorities: String,
}

/// Cookies, and all secrets that passed through this client and could give access.
#[derive(Debug, Default)]
struct CookieRecorder {
    jar: Jar,
    secrets: Mutex<BTreeSet<String>>,
}

impl CookieRecorder {
    fn record_secret(&self, secret: &str) {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.insert(secret.to_owned());
    }

    /// Records codes, states and tokens in an address.
    fn record_address(&self, url: &Url) {
        for (name, value) in url.query_pairs() {
            if PUBLIC.contains(&&*name) {
                continue;
            }
            self.record_secret(&value);
        }
    }
}

/// Parameters that are no secrets: they contain public names of users and targets.
const PUBLIC: [&str; 7] = [
    "client_id",
    "redirect_uri",
    "post_logout_redirect_uri",
    "iss",
    "response_type",
    "scope",
    "host",
];

impl CookieStore for CookieRecorder {
    fn set_cookies(&self, headers: &mut dyn Iterator<Item = &HeaderValue>, url: &Url) {
        let headers: Vec<_> = headers.collect();
        for header in headers.iter().filter_map(|header| header.to_str().ok()) {
            let pair = header.split(';').next().unwrap_or_default();
            self.record_secret(
                pair.split_once('=')
                    .map_or("", |(_, value)| value.trim_matches('"')),
            );
        }
        self.jar.set_cookies(&mut headers.into_iter(), url);
    }

    fn cookies(&self, url: &Url) -> Option<HeaderValue> {
        self.jar.cookies(url)
    }
}

/// Maximum number of consecutive redirects, as in browsers.
const REDIRECTS: usize = 20;

/// Resolves every name to this machine, like browsers do for `*.localhost`.
#[derive(Debug)]
struct Loopback;

impl Resolve for Loopback {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(std::iter::once(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

impl HttpSession {
    /// A client that follows redirects and is not signed in.
    pub fn new() -> anyhow::Result<Self> {
        Self::with(Arc::default(), true, String::new())
    }

    /// The same user in a client that also trusts this certificate authority (PEM). It opens connections of its own.
    pub fn trusting(&self, authority: &str) -> anyhow::Result<Self> {
        let authorities = format!("{}\n{authority}", self.authorities);
        Self::with(self.recorder.clone(), self.redirects, authorities)
    }

    /// The same user in a client that does not follow redirects.
    pub fn without_redirects(&self) -> anyhow::Result<Self> {
        Self::with(self.recorder.clone(), false, self.authorities.clone())
    }

    fn with(recorder: Arc<CookieRecorder>, redirects: bool, authorities: String) -> anyhow::Result<Self> {
        let own = fs::read_to_string(&Environment::get()?.ca_file)?;
        let trusted = format!("{own}\n{authorities}");
        let notes = recorder.clone();
        let follow = redirect::Policy::custom(move |attempt| {
            notes.record_address(attempt.url());
            if attempt.previous().len() > REDIRECTS {
                return attempt.error("too many redirects");
            }
            attempt.follow()
        });
        let client = Client::builder()
            .tls_certs_only(Certificate::from_pem_bundle(trusted.as_bytes())?)
            .dns_resolver(Arc::new(Loopback))
            .cookie_provider(recorder.clone())
            .redirect(if redirects {
                follow
            } else {
                redirect::Policy::none()
            })
            // Browsers do not send the redirecting page as referrer. This client would.
            .referer(false)
            .timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self {
            client,
            recorder,
            redirects,
            authorities,
        })
    }

    /// Loads a page like a browser in which the user types the address.
    pub async fn open(&self, url: &str) -> anyhow::Result<Response> {
        Ok(navigation(self.client.get(url)).send().await?)
    }

    /// Builds a request of a page's script, without additional headers.
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Requests `alive` of the workspace at `url` as a script of its page does, and returns the status of the answer.
    pub async fn fetch_alive(&self, url: &str) -> anyhow::Result<StatusCode> {
        let request = self
            .request(Method::GET, &format!("{url}alive"))
            .header("Sec-Fetch-Site", "same-origin");
        Ok(request.timeout(Duration::from_secs(10)).send().await?.status())
    }

    /// Loads a page, and signs in as `user` if the identity provider requires it.
    pub async fn sign_in(&self, url: &str, user: &str) -> anyhow::Result<Response> {
        let password = &Environment::get()?.user(user)?.password;
        self.sign_in_with(url, user, password).await
    }

    /// Like [`Self::sign_in`], with an account that the installation's file does not list.
    pub async fn sign_in_with(&self, url: &str, user: &str, password: &str) -> anyhow::Result<Response> {
        anyhow::ensure!(self.redirects, "signing in needs redirects");
        let identity = &Environment::get()?.identity_host;
        let response = self.open(url).await?;
        if response.url().host_str() != Some(identity) {
            return Ok(response);
        }
        let form = self.filled_in(response, user, password).await?;
        let sign_in_lock = sign_in_lock::acquire(user).await?;
        let response = navigation(form).send().await?;
        drop(sign_in_lock);
        if response.url().host_str() == Some(identity) {
            bail!("the identity provider refused {user}: {}", response.text().await?);
        }
        Ok(response)
    }

    /// Signs in at the identity provider of `url`, but does not follow its redirect. Returns the redirect's address.
    pub async fn provider_redirect(&self, url: &str, user: &str, password: &str) -> anyhow::Result<Url> {
        let page = self.open(url).await?;
        let form = self.without_redirects()?.filled_in(page, user, password).await?;
        let sign_in_lock = sign_in_lock::acquire(user).await?;
        let answer = navigation(form).send().await?;
        drop(sign_in_lock);
        let location = answer.headers().get(header::LOCATION);
        let location = location.with_context(|| format!("{user} is sent nowhere: {}", answer.status()))?;
        Ok(Url::parse(location.to_str()?)?)
    }

    /// Fills in name and password in the form of the identity provider's page.
    async fn filled_in(
        &self,
        response: Response,
        user: &str,
        password: &str,
    ) -> anyhow::Result<RequestBuilder> {
        let (base, page) = (response.url().clone(), response.text().await?);
        let action = form_action(&page).with_context(|| format!("no sign-in form on {base}: {page}"))?;
        let action = base.join(&action)?;
        self.recorder.record_secret(password);
        self.recorder.record_address(&action);
        let form = self.client.post(action);
        Ok(form.form(&[("username", user), ("password", password)]))
    }

    /// Signs in and waits until the workspace's pod answers.
    pub async fn enter(&self, url: &str, user: &str) -> anyhow::Result<Response> {
        wait::until(&format!("{url} to answer {user}"), wait::USUAL, || async {
            let response = self
                .sign_in(url, user)
                .await
                .map_err(|error| format!("{error:#}"))?;
            if response.status().is_success() && response.headers().get("refresh").is_none() {
                return Ok(response);
            }
            Err(format!(
                "{} {}",
                response.status(),
                response.text().await.unwrap_or_default()
            ))
        })
        .await
    }

    /// Signs out at the identity provider itself, with the form on its page.
    ///
    /// # Errors
    /// The page has no form, or the provider refuses.
    pub async fn sign_out_at_provider(&self) -> anyhow::Result<()> {
        let environment = Environment::get()?;
        let identity = environment.origin(&environment.identity_host);
        let page = self
            .open(&format!(
                "{identity}/realms/jupyter/protocol/openid-connect/logout"
            ))
            .await?;
        let (base, page) = (page.url().clone(), page.text().await?);
        let action = form_action(&page).with_context(|| format!("no form on {base}: {page}"))?;
        let form = self.client.post(base.join(&action)?).form(&inputs(&page));
        let answer = navigation(form).send().await?;
        anyhow::ensure!(answer.status().is_success(), "{}", answer.status());
        Ok(())
    }

    /// The `Cookie` header that this client would send to `url`.
    pub fn cookies(&self, url: &str) -> anyhow::Result<String> {
        let cookies = self.recorder.cookies(&Url::parse(url)?);
        Ok(cookies
            .map(|value| value.to_str().map(str::to_owned))
            .transpose()?
            .unwrap_or_default())
    }

    /// Secrets that this client received or sent and that could give access: cookies, codes, passwords and the like.
    pub fn secrets(&self) -> BTreeSet<String> {
        let secrets = self.recorder.secrets.lock();
        secrets.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds a cookie to the jar, like a page at `url` would.
    pub fn add_cookie(&self, url: &str, cookie: &str) -> anyhow::Result<()> {
        self.recorder.jar.add_cookie_str(cookie, &Url::parse(url)?);
        Ok(())
    }
}

/// Sends a request with a bearer token, without cookies, to the Jupyter API of the workspace at `url`.
///
/// # Errors
/// There is no response.
pub async fn send_with_token(url: &str, token: &str) -> anyhow::Result<Response> {
    let script = HttpSession::new()?.without_redirects()?;
    let request = script.request(Method::GET, &format!("{url}api/status"));
    Ok(request.bearer_auth(token).send().await?)
}

fn navigation(request: RequestBuilder) -> RequestBuilder {
    request
        .header(header::ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8")
        .header("Sec-Fetch-Site", "none")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Dest", "document")
}

/// The target of the first form with method POST.
fn form_action(page: &str) -> Option<String> {
    page.split("<form").skip(1).find_map(|form| {
        let tag = form.split('>').next()?;
        let action = tag.split("action=\"").nth(1)?.split('"').next()?;
        tag.to_lowercase()
            .contains("method=\"post\"")
            .then(|| action.replace("&amp;", "&"))
    })
}

/// Names and values of the inputs in a page's forms.
fn inputs(page: &str) -> Vec<(String, String)> {
    let tags = page
        .split("<input")
        .skip(1)
        .filter_map(|rest| rest.split('>').next());
    let attribute = |tag: &str, name: &str| {
        let value = tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
        Some(value.replace("&amp;", "&"))
    };
    tags.filter_map(|tag| {
        Some((
            attribute(tag, "name")?,
            attribute(tag, "value").unwrap_or_default(),
        ))
    })
    .collect()
}
