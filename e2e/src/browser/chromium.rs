//! Headless Chromium with its own profile -> pages (IO).

use std::{fs, path::Path, process::Stdio, time::Duration};

use anyhow::Context as _;
use api::Workspace;
use fantoccini::{Client, ClientBuilder, Locator, wd::Capabilities};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::Url;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::{Environment, objects::workspace, test_run::sign_in_lock, wait};

/// Timeout of a page.
const PAGE: Duration = Duration::from_mins(2);

/// The address bar's suggestions are pages of their own, which the browser loads at its start. They take as much of the processor as the
/// start itself.
const NO_SUGGESTIONS: &str =
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup";

/// A running browser. Dropping it ends the browser.
#[derive(Debug)]
pub struct Browser {
    /// The client of the page.
    pub page: Client,
    driver: Child,
    _home: TempDir,
}

impl Browser {
    /// Starts chromedriver and a browser. The browser trusts the installation's certificate authority, and uses no other
    /// setting of this machine.
    pub async fn start() -> anyhow::Result<Self> {
        let home = tempfile::tempdir()?;
        trust(home.path()).await?;
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("chromedriver does not start (Debian package chromium-driver)")?;
        let port = port(&mut driver).await?;
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            NO_SUGGESTIONS,
            "--no-proxy-server",
            "--window-size=1400,1000",
            &format!("--host-resolver-rules={}", loopback()?),
            &format!("--user-data-dir={}", home.path().join("profile").display()),
        ];
        let capabilities: Capabilities =
            serde_json::from_value(json!({"goog:chromeOptions": {"args": arguments}}))?;
        let page = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await?;
        Ok(Self {
            page,
            driver,
            _home: home,
        })
    }

    /// Opens `url` and signs in at the identity provider as `user`.
    pub async fn sign_in(&self, url: &str, user: &str) -> anyhow::Result<()> {
        let environment = Environment::get()?;
        self.page.goto(url).await?;
        self.find("#username").await?.send_keys(user).await?;
        let here = self.page.current_url().await?;
        anyhow::ensure!(
            here.host_str() == Some(&environment.identity_host),
            "expected the identity provider, not {here}"
        );
        self.find("#password")
            .await?
            .send_keys(&environment.user(user)?.password)
            .await?;
        let sign_in_lock = sign_in_lock::acquire(user).await?;
        self.find("#kc-login").await?.click().await?;
        let back = wait::until("the identity provider to send the browser back", PAGE, || async {
            match self.page.current_url().await {
                Ok(url) if url.host_str() == Some(&environment.identity_host) => Err(url.to_string()),
                Ok(_) => Ok(()),
                // A page of ours that serves only for signing in closes itself.
                Err(error) if error.to_string().contains("no such window") => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        });
        self.or_page(back.await).await?;
        drop(sign_in_lock);
        Ok(())
    }

    /// Opens a workspace, signs in as `user`, and waits until the browser shows the workspace's page.
    pub async fn enter(&self, workspace: &Workspace, user: &str) -> anyhow::Result<()> {
        self.sign_in(&workspace::url(workspace)?, user).await?;
        self.arrived(&workspace::host(workspace)?).await
    }

    /// Opens a workspace for a user who is signed in, and waits until the browser shows the workspace's page.
    pub async fn visit(&self, workspace: &Workspace) -> anyhow::Result<()> {
        self.page.goto(&workspace::url(workspace)?).await?;
        self.arrived(&workspace::host(workspace)?).await
    }

    /// Waits for an element.
    pub async fn find(&self, css: &str) -> anyhow::Result<fantoccini::elements::Element> {
        let found = self.page.wait().at_most(PAGE).for_element(Locator::Css(css));
        let found = found.await.with_context(|| format!("{css} did not appear"));
        self.or_page(found).await
    }

    /// Clicks an element once it exists and accepts clicks. Pages move while they load.
    pub async fn click(&self, css: &str) -> anyhow::Result<()> {
        let clicked = wait::until(&format!("{css} to take a click"), PAGE, || async {
            let element = self
                .page
                .find(Locator::Css(css))
                .await
                .map_err(|error| error.to_string())?;
            element.click().await.map_err(|error| error.to_string())
        })
        .await;
        self.or_page(clicked).await
    }

    /// Waits until an element contains `text`. On failure it saves a screenshot.
    pub async fn sees(&self, css: &str, text: &str) -> anyhow::Result<()> {
        let seen = wait::until(&format!("{css} to hold {text}"), wait::USUAL, || async {
            let element = self
                .page
                .find(Locator::Css(css))
                .await
                .map_err(|error| error.to_string())?;
            let now = element.text().await.map_err(|error| error.to_string())?;
            if now.contains(text) { Ok(()) } else { Err(now) }
        })
        .await;
        if seen.is_err() {
            self.screenshot("not-seen").await?;
        }
        self.or_page(seen).await
    }

    /// The page's visible text.
    pub async fn text(&self) -> anyhow::Result<String> {
        Ok(self.page.find(Locator::Css("body")).await?.text().await?)
    }

    /// Waits until the page is on `host`.
    pub async fn arrived(&self, host: &str) -> anyhow::Result<()> {
        self.at(host, |url| url.host_str() == Some(host)).await
    }

    /// Waits until `is_it` accepts the page's address. `what` describes that address in the failure's message.
    pub async fn at(&self, what: &str, is_it: impl Fn(&Url) -> bool) -> anyhow::Result<()> {
        let arrived = wait::until(&format!("the browser to be at {what}"), PAGE, || async {
            match self.page.current_url().await {
                Ok(url) if is_it(&url) => Ok(()),
                Ok(url) => Err(url.to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
        self.or_page(arrived).await
    }

    /// Adds the page's address and visible text to an error.
    async fn or_page<T>(&self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        let Err(error) = result else { return result };
        let address = self.page.current_url().await.map(String::from);
        let address = address.unwrap_or_else(|error| error.to_string());
        let text = self.text().await.unwrap_or_else(|error| error.to_string());
        Err(error.context(format!("{address} says: {text}")))
    }

    /// Saves a screenshot to the artefacts.
    pub async fn screenshot(&self, name: &str) -> anyhow::Result<()> {
        let folder = &Environment::get()?.artefacts;
        fs::create_dir_all(folder)?;
        fs::write(folder.join(format!("{name}.png")), self.page.screenshot().await?)?;
        Ok(())
    }

    /// Ends the browser.
    pub async fn close(mut self) -> anyhow::Result<()> {
        self.page.clone().close().await?;
        self.driver.kill().await?;
        Ok(())
    }
}

/// A failing test must not leave a browser behind, which would continue to send requests.
/// Killing chromedriver does not end the browser.
impl Drop for Browser {
    fn drop(&mut self) {
        for child in self.driver.id().map(children).unwrap_or_default() {
            let _ = kill_process(child, Signal::KILL);
        }
    }
}

/// Rules by which the installation's hosts are on this machine, also if their names do not end with `.localhost`.
fn loopback() -> anyhow::Result<String> {
    let environment = Environment::get()?;
    let (base, identity) = (&environment.base_domain, &environment.identity_host);
    let rules =
        [base.clone(), format!("*.{base}"), identity.clone()].map(|host| format!("MAP {host} 127.0.0.1"));
    Ok(rules.join(","))
}

/// The child processes of all threads of a process: chromedriver starts the browser in a thread.
fn children(process: u32) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{process}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|child| Pid::from_raw(child.parse().ok()?))
        .collect()
}

/// Adds the certificate authority to the profile's certificate store, which Chromium on Linux reads.
async fn trust(home: &Path) -> anyhow::Result<()> {
    let store = home.join(".pki/nssdb");
    fs::create_dir_all(&store)?;
    let database = format!("sql:{}", store.display());
    let ca = Environment::get()?.ca_file.display().to_string();
    let run = async |arguments: &[&str]| {
        let status = Command::new("certutil").args(arguments).status().await;
        let status = status.context("certutil does not start (Debian package libnss3-tools)")?;
        anyhow::ensure!(status.success(), "certutil {arguments:?}: {status}");
        Ok(())
    };
    run(&["-N", "-d", &database, "--empty-password"]).await?;
    run(&["-A", "-d", &database, "-n", "workspaces", "-t", "C,,", "-i", &ca]).await
}

/// The port of chromedriver, from its output.
async fn port(driver: &mut Child) -> anyhow::Result<u16> {
    let mut lines = BufReader::new(driver.stdout.take().context("no output")?).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(rest) = line.split("successfully on port ").nth(1) {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            // Chromedriver blocks if its output is not read.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(digits.parse()?);
        }
    }
    anyhow::bail!("chromedriver ended before it listened")
}
