//! Workspace with a problem -> the explanations of portal, plugin and gateway for its owner (IO).
//!
//! All must explain it as the status does, and with the remedy of [`reason::ALL`].

use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use api::{Workspace, condition::reason, workspace::Phase};
use reqwest::Url;
use scraper::{ElementRef, Html, Selector};
use serde_json::Value;
use tokio::{sync::Mutex, time::timeout};

use super::checks::degraded;
use crate::{Environment, command::kubectl, portal::Portal, wait};

/// The user who owns all staged workspaces.
pub(super) const OWNER: &str = "alice";
/// Maximum time from a status to its explanations. The portal's cache may be a second old.
const LIMIT: Duration = Duration::from_secs(20);
/// Maximum time of one answer in place of a workspace: the proxy may still lead to a pod that has just ended.
const ANSWER: Duration = Duration::from_secs(5);
/// Exit codes of `kubectl workspace explain` with an explanation: all is as wanted, or it is not.
const EXPLAINED: [i32; 2] = [0, 3];

/// Held while the plugin runs: the times of other rows are measured on the same machine.
static PLUGIN: Mutex<()> = Mutex::const_new(());

/// A reason and its message.
pub(super) type Statement = (String, String);

/// One explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    what: String,
    reason: String,
    remedies: Vec<String>,
}

/// Where the owner of a workspace reads about its problems.
#[derive(Debug)]
pub(super) struct Readings {
    portal: Portal,
    namespace: String,
    name: String,
}

impl Readings {
    pub(super) fn new(portal: Portal, namespace: &str, name: &str) -> Self {
        Self {
            portal,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Waits until portal, plugin and gateway explain this reason as one of the `versions` of the status does. The gateway has a page only
    /// for what has not started.
    pub(super) async fn explain(
        &self,
        reason: &str,
        versions: impl Fn() -> Vec<Workspace>,
    ) -> anyhow::Result<()> {
        let statements = || {
            let versions = versions();
            let of_reason = versions.iter().filter_map(|it| statements(it, reason));
            of_reason.collect()
        };
        let base_domain = &Environment::get()?.base_domain;
        let in_place = || {
            let versions = versions();
            let of_reason = versions.iter().filter_map(|it| blocked(it, reason, base_domain));
            of_reason.collect()
        };
        // The state may pass while another row uses the plugin.
        futures::try_join!(self.tell(statements), self.in_place(in_place)).map(drop)
    }

    /// Waits until the gateway's page in place of the workspace gives one of these statements with its remedy.
    async fn in_place(&self, blocked: impl Fn() -> Vec<(String, Statement)>) -> anyhow::Result<()> {
        let Some((url, _)) = blocked().pop() else {
            return Ok(());
        };
        wait::until(&format!("{url} to explain it like the status"), LIMIT, || async {
            let page = async {
                let answer = self.portal.http.sign_in(&url, OWNER).await?;
                of_gateway(&answer.text().await?)
            };
            let found = timeout(ANSWER, page).await;
            let found = found.map_err(|error| error.to_string())?;
            let found = found.map_err(|error| format!("{error:#}"))?;
            let alternatives = blocked().into_iter().map(|(_, statement)| vec![statement]);
            check(&found, &alternatives.collect::<Vec<_>>())
        })
        .await
    }

    /// Waits until portal and plugin both give all statements of one of the `alternatives`, each with its remedy.
    pub(super) async fn tell(&self, alternatives: impl Fn() -> Vec<Vec<Statement>>) -> anyhow::Result<()> {
        let check = |found: &[Finding]| check(found, &alternatives());
        self.page("the portal to explain it like the status", check)
            .await?;
        let _turn = PLUGIN.lock().await;
        let what = "kubectl workspace explain to explain it like the status";
        wait::until(what, LIMIT, || async {
            check(&self.by_plugin().await.map_err(|error| format!("{error:#}"))?)
        })
        .await
    }

    /// Waits until the portal no longer gives one of these reasons. Its cache may lag; the plugin reads the status itself.
    pub(super) async fn no_longer_tell(&self, reasons: &[String]) -> anyhow::Result<()> {
        self.page(&format!("the portal to no longer tell {reasons:?}"), |found| {
            if found.iter().any(|finding| reasons.contains(&finding.reason)) {
                Err(format!("{found:?}"))
            } else {
                Ok(())
            }
        })
        .await
    }

    async fn page(&self, what: &str, check: impl Fn(&[Finding]) -> Result<(), String>) -> anyhow::Result<()> {
        wait::until(what, LIMIT, || async {
            check(&self.on_page().await.map_err(|error| format!("{error:#}"))?)
        })
        .await
    }

    /// What the workspace's page shows. The owner signs in again if another test ended the session.
    async fn on_page(&self) -> anyhow::Result<Vec<Finding>> {
        let url = self.portal.at(&format!("/w/{}/{}", self.namespace, self.name));
        let answer = self.portal.http.sign_in(&url, OWNER).await?;
        ensure!(answer.status().is_success(), "{url}: {}", answer.status());
        of_page(&answer.text().await?).with_context(|| url)
    }

    async fn by_plugin(&self) -> anyhow::Result<Vec<Finding>> {
        let arguments = [
            "workspace",
            "explain",
            &self.name,
            "-n",
            &self.namespace,
            "-o",
            "json",
        ];
        let outcome = kubectl(OWNER, &arguments).await?;
        ensure!(EXPLAINED.contains(&outcome.code), "{outcome:?}");
        of_object(&serde_json::from_str(&outcome.stdout)?)
    }
}

/// Whether the findings have all statements of one of the alternatives, each with its remedy.
fn check(found: &[Finding], alternatives: &[Vec<Statement>]) -> Result<(), String> {
    let are_explained = |all: &Vec<Statement>| all.iter().all(|statement| is_explained(found, statement));
    if alternatives.iter().any(are_explained) {
        Ok(())
    } else {
        Err(format!("{found:?}, but the status says {alternatives:?}"))
    }
}

/// The statements of the status while `Degraded` has this reason: the condition, and the text beside the phase.
fn statements(workspace: &Workspace, reason: &str) -> Option<Vec<Statement>> {
    let condition = degraded(workspace).filter(|condition| condition.reason == reason)?;
    let status = workspace.status.clone()?;
    let beside_phase = status.reason.zip(status.message);
    let of_condition = (condition.reason.clone(), condition.message.clone());
    Some([of_condition].into_iter().chain(beside_phase).collect())
}

/// Address and statement of a workspace that has not started for this reason, if the installation's gateway serves it: its page is then in
/// place of the workspace.
fn blocked(workspace: &Workspace, reason: &str, base_domain: &str) -> Option<(String, Statement)> {
    let status = workspace.status.clone()?;
    let is_blocked = matches!(status.phase?, Phase::Starting | Phase::Failed | Phase::Invalid);
    let reason = status.reason.filter(|it| is_blocked && it == reason)?;
    let url = status.url?;
    let host = Url::parse(&url).ok()?.host_str()?.to_owned();
    let is_served = host.ends_with(&format!(".{base_domain}"));
    is_served.then(|| (url, (reason, status.message.unwrap_or_default())))
}

/// Whether one of the findings has the reason, the message and the remedy.
fn is_explained(found: &[Finding], (reason, message): &Statement) -> bool {
    let Some(documented) = reason::find(reason).map(|known| plain(known.remedy)) else {
        return false;
    };
    found.iter().any(|finding| {
        (finding.reason.as_str(), &finding.what) == (reason, &plain(message))
            // The page says first who can do it.
            && finding.remedies.iter().any(|remedy| remedy.ends_with(&documented))
    })
}

/// The explanation on the page of a workspace.
fn of_page(page: &str) -> anyhow::Result<Vec<Finding>> {
    let page = Html::parse_document(page);
    let parts = select(page.root_element(), "#explanation")?;
    let part = parts.first().context("no explanation on the page")?;
    let is_hidden = part.attr("hidden").is_some();
    let notes = select(*part, ".note")?;
    ensure!(!is_hidden || notes.is_empty(), "the explanation is hidden");
    let findings = notes.into_iter().map(|note| {
        let texts = |selector: &str| {
            let elements = select(note, selector)?.into_iter();
            let texts = elements.map(|element| plain(&element.text().collect::<String>()));
            anyhow::Ok(texts.collect::<Vec<_>>())
        };
        Ok(Finding {
            what: texts("h2")?.concat(),
            reason: texts("p.soft > code")?.concat(),
            remedies: texts(".remedies p")?,
        })
    });
    findings.collect()
}

/// The explanation on the gateway's page in place of a workspace.
fn of_gateway(page: &str) -> anyhow::Result<Vec<Finding>> {
    let page = Html::parse_document(page);
    let shown = |id: &str| {
        let elements = select(page.root_element(), &format!("#note {id}"))?;
        let element = elements
            .first()
            .with_context(|| format!("no {id} on {}", page.html()))?;
        anyhow::Ok(plain(&element.text().collect::<String>()))
    };
    Ok(vec![Finding {
        what: shown("#message")?,
        reason: shown("#cause")?.trim_end_matches(':').to_owned(),
        remedies: vec![shown("#remedy")?],
    }])
}

fn select<'a>(element: ElementRef<'a>, selector: &str) -> anyhow::Result<Vec<ElementRef<'a>>> {
    let selector = Selector::parse(selector).map_err(|error| anyhow!("{error}"))?;
    Ok(element.select(&selector).collect())
}

/// The explanation that the plugin prints as JSON.
fn of_object(object: &Value) -> anyhow::Result<Vec<Finding>> {
    let text = |value: &Value| plain(value.as_str().unwrap_or_default());
    let findings = object["findings"].as_array().context("no findings")?;
    let findings = findings.iter().map(|finding| Finding {
        what: text(&finding["what"]),
        reason: text(&finding["reason"]),
        remedies: finding["remedies"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|remedy| text(&remedy["what"]))
            .collect(),
    });
    Ok(findings.collect())
}

/// Without the marks by which texts show code, which pages show otherwise, and without the line breaks of markup.
fn plain(text: &str) -> String {
    let text = text.replace('`', "");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
