//! Browser and a command of its `DevTools` protocol -> the browser's answer (IO).

use std::str::FromStr;

use fantoccini::wd::WebDriverCompatibleCommand;
use http::Method;
use reqwest::Url;
use serde_json::{Value, json};

use crate::browser::Browser;

/// A command, which chromedriver passes on.
#[derive(Debug)]
struct Command {
    name: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for Command {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, <Url as FromStr>::Err> {
        base.join(&format!(
            "session/{}/goog/cdp/execute",
            session.unwrap_or_default()
        ))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        let body = json!({"cmd": self.name, "params": self.parameters});
        (Method::POST, Some(body.to_string()))
    }
}

/// Preferences of a reader, as media features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preference {
    /// Light colours.
    Light,
    /// Dark colours.
    Dark,
    /// Colours of the system in place of the page's.
    ForcedColors,
    /// No animations.
    ReducedMotion,
}

impl Preference {
    fn feature(self) -> Value {
        let (name, value) = match self {
            Self::Light => ("prefers-color-scheme", "light"),
            Self::Dark => ("prefers-color-scheme", "dark"),
            Self::ForcedColors => ("forced-colors", "active"),
            Self::ReducedMotion => ("prefers-reduced-motion", "reduce"),
        };
        json!({"name": name, "value": value})
    }
}

impl Browser {
    /// Sends a command of the `DevTools` protocol.
    ///
    /// # Errors
    /// The browser refuses it.
    pub async fn devtools(&self, name: &'static str, parameters: Value) -> anyhow::Result<Value> {
        Ok(self.page.issue_cmd(Command { name, parameters }).await?)
    }

    /// Sets these preferences, and resets all others. They stay when another page is loaded.
    pub async fn prefer(&self, preferences: &[Preference]) -> anyhow::Result<()> {
        let features: Vec<_> = preferences.iter().map(|it| it.feature()).collect();
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features}))
            .await?;
        Ok(())
    }

    /// Sets the size of the page, in CSS pixels. It stays when another page is loaded.
    pub async fn resize(&self, width: u32, height: u32) -> anyhow::Result<()> {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await?;
        Ok(())
    }

    /// Sets the size of text for which pages name none, in CSS pixels; 16 is usual.
    pub async fn text_size(&self, pixels: u32) -> anyhow::Result<()> {
        let sizes = json!({"fontSizes": {"standard": pixels, "fixed": pixels}});
        self.devtools("Page.setFontSizes", sizes).await?;
        Ok(())
    }

    /// Forgets who is signed in, and signs in as `user` at `url`.
    pub async fn change_user(&self, url: &str, user: &str) -> anyhow::Result<()> {
        self.devtools("Network.clearBrowserCookies", json!({})).await?;
        self.sign_in(url, user).await
    }

    /// Runs the script in the page, as the body of a function.
    ///
    /// # Errors
    /// The script throws, or the page went away meanwhile.
    pub async fn run(&self, script: &str, arguments: Vec<Value>) -> anyhow::Result<Value> {
        Ok(self.page.execute(script, arguments).await?)
    }
}
