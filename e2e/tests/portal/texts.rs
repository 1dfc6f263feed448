//! Texts of other users in every place of the pages, compared with plain texts: they add no markup.

use std::collections::BTreeSet;

use anyhow::Context as _;
use api::workspace::Phase;
use api::{Workspace, WorkspaceShare};
use e2e::browser::Browser;
use e2e::cluster::{self, Scratch};
use e2e::{
    Environment,
    objects::{template, workspace},
};
use k8s_openapi::api::core::v1::Event;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use serde::Deserialize;
use serde_json::json;

use crate::layout;
use e2e::portal::address;

/// Not ASCII, as the hostile ones: pages isolate such texts.
const PLAIN: &str = "é plain text";
/// Allowed in names that users see.
const NAME: &str = "é\"'><img src=x onerror=hacked=1>{{7731*7919}}<script>hacked=1</script>\u{200f}\u{200b}";
/// What a template's engine would make of it.
const EVALUATED: &str = "61221789";
/// Where everything is allowed: events and output.
const TEXTS: [&str; 4] = [
    "é</title></textarea></pre></details><script>hacked=1</script><svg onload=hacked=1><base href=//evil.example>",
    "é\u{1b}[31mred\u{1b}[0m \u{1b}]8;;https://evil.example\u{7}link\u{1b}]8;;\u{7} \u{202e}desrever\u{2066} \u{200b}\u{feff}",
    "é${7731*7919}<%= 7731*7919 %>#{7731*7919}`<b>`\u{a0}&lt;b&gt;&#60;b&#62;<!-- ]]>",
    "é' autofocus onfocus=hacked=1 x=' \" autofocus onfocus=hacked=1 style=\"position:fixed",
];

/// Watches, before anything of a page runs, what the policy of the page forbids.
const WATCH: &str = r"
window.forbidden = [];
document.addEventListener('securitypolicyviolation', (event) => {
  window.forbidden.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`);
});
";

/// All kinds of elements, each with those around it and the names of its attributes; and what a hostile text might have done.
const TREE: &str = r"
const kinds = new Set();
// The connection notice is shown and hidden at any time.
for (const element of document.querySelectorAll('*:not(#still, #gone, #ended)')) {
  const path = [];
  for (let at = element; at; at = at.parentElement) path.unshift(at.localName);
  const names = [...element.attributes].map((attribute) => attribute.name).sort();
  kinds.add(`${path.join('>')}[${names}]`);
}
const texts = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_COMMENT);
const loose = [];
while (texts.nextNode()) {
  const node = texts.currentNode;
  if (node.nodeType === Node.COMMENT_NODE) kinds.add('a comment');
  if (!/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/.test(node.data)) continue;
  let at = node.parentElement;
  const isApart = (element) => ['isolate', 'isolate-override', 'plaintext'].includes(getComputedStyle(element).unicodeBidi)
    || element.matches('textarea, option');
  while (at && !isApart(at)) at = at.parentElement;
  if (!at) loose.push(node.data.slice(0, 80));
}
return {
  kinds: [...kinds].sort(),
  loose,
  title: document.title,
  text: document.body.innerText,
  forbidden: window.forbidden ?? ['nothing was watched'],
  isHacked: 'hacked' in window,
};
";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    kinds: BTreeSet<String>,
    /// Texts with marks of direction that reach into what is beside them.
    loose: Vec<String>,
    title: String,
    text: String,
    forbidden: Vec<String>,
    is_hacked: bool,
}

/// A namespace, a template, and a running workspace in it with events, output, a share and an image of that name.
struct Twin {
    scratch: Scratch,
    is_hostile: bool,
}

/// Names of users and groups may not hold characters that cannot be seen; the webhook refuses them.
fn visible(name: &str) -> String {
    name.replace(['\u{200f}', '\u{200b}'], "")
}

impl Twin {
    async fn make(is_hostile: bool) -> anyhow::Result<Self> {
        let prefix = if is_hostile {
            "portal-texts"
        } else {
            "portal-plain"
        };
        let scratch = Scratch::new(prefix, &["alice"]).await?;
        let twin = Self { scratch, is_hostile };
        let logs = json!([{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}]);
        twin.scratch.grant("logs", "alice", &logs).await?;
        let image = &Environment::get()?.images.echo;
        let spec = json!({
            "displayName": twin.name(),
            "description": twin.long(400),
            "defaultImage": image,
            "allowedImages": [image, twin.image()],
            "presentation": {"images": [
                {"image": image, "displayName": twin.name(), "description": twin.long(400)},
            ]},
        });
        template::make(&twin.scratch, &spec).await?;
        let alice = cluster::user("alice").await?;
        let workspaces: Api<Workspace> = Api::namespaced(alice.clone(), &twin.scratch.namespace);
        let mut new = workspace::echo("ws")?;
        let mut spec = serde_json::to_value(&new.spec)?;
        spec["displayName"] = json!(twin.name());
        spec["templateRef"] = json!(twin.scratch.namespace);
        spec["env"] = json!([{"name": "TEXT", "value": twin.text(0)}]);
        spec["containerConfig"] = json!({"command": ["python3", "-c", twin.script()]});
        new.spec = serde_json::from_value(spec)?;
        workspaces.create(&PostParams::default(), &new).await?;
        let mut other = workspace::echo("other")?;
        PLAIN.clone_into(&mut other.spec.display_name);
        other.spec.image = Some(twin.image());
        other.spec.desired_status = api::workspace::DesiredStatus::Stopped;
        workspaces.create(&PostParams::default(), &other).await?;
        let share: WorkspaceShare = serde_json::from_value(json!({
            "metadata": {"name": "share"},
            "spec": {
                "workspaceRef": "ws",
                "subjects": [
                    {"kind": "User", "name": visible(twin.name())},
                    {"kind": "Group", "name": visible(&twin.long(400))},
                ],
                "reason": twin.long(400),
            },
        }))?;
        Api::<WorkspaceShare>::namespaced(alice, &twin.scratch.namespace)
            .create(&PostParams::default(), &share)
            .await?;
        let running = workspace::reached(&workspaces, "ws", Phase::Running).await?;
        twin.tell(&running).await?;
        Ok(twin)
    }

    fn name(&self) -> &'static str {
        if self.is_hostile { NAME } else { PLAIN }
    }

    fn text(&self, number: usize) -> &'static str {
        if self.is_hostile { TEXTS[number] } else { PLAIN }
    }

    /// A line without a place to break it, with the name before it.
    fn long(&self, length: usize) -> String {
        let name = self.name();
        format!("{name}{}", "x".repeat(length - name.chars().count()))
    }

    fn image(&self) -> String {
        if self.is_hostile {
            format!("localhost/{}:1", "x".repeat(100))
        } else {
            "localhost/other:1".to_owned()
        }
    }

    /// Writes the lines, and serves like the echo server.
    fn script(&self) -> String {
        let lines: Vec<_> = (0..TEXTS.len()).map(|number| self.text(number)).collect();
        let long = if self.is_hostile { 30_000 } else { 10 };
        format!(
            "import os, sys\nfor line in {}: print(line)\nprint('x' * {long}, flush=True)\n\
             os.execvp('python3', ['python3', '/usr/local/lib/echo.py'])",
            json!(lines)
        )
    }

    /// Events about the workspace, which every user with the right to create events can write.
    async fn tell(&self, workspace: &Workspace) -> anyhow::Result<()> {
        let events: Api<Event> = self.scratch.api();
        for number in 0..TEXTS.len() {
            let message = format!(
                "{}{}",
                self.text(number),
                "y".repeat(if self.is_hostile { 700 } else { 7 })
            );
            let event: Event = serde_json::from_value(json!({
                "metadata": {"name": format!("event-{number}")},
                "involvedObject": {
                    "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "Workspace",
                    "name": "ws", "namespace": self.scratch.namespace, "uid": workspace.uid(),
                },
                "reason": if self.is_hostile { self.text(number) } else { "Event" },
                "message": message,
                "type": "Warning",
                "count": 2,
                "firstTimestamp": workspace.creation_timestamp(),
                "lastTimestamp": workspace.creation_timestamp(),
                "source": {"component": self.name()},
            }))?;
            events.create(&PostParams::default(), &event).await?;
        }
        Ok(())
    }

    /// The pages, with what is done there. Scripts type the name.
    fn pages(&self) -> Vec<(String, &'static str)> {
        let own = &self.scratch.namespace;
        // Neither finds anything.
        let searched = form_encoded(if self.is_hostile { TEXTS[0] } else { "nothing" });
        let send = "const field = document.querySelector('#f-name, [id=\"f-spec.displayName\"]'); field.value = arguments[0]; \
                    field.form.noValidate = true; field.form.elements['until'] && (field.form.elements['until'].value = 'date'); \
                    const cpu = document.getElementById('f-spec.resources.limits.cpu'); cpu && (cpu.value = arguments[0]); \
                    field.form.requestSubmit()";
        let typed = "const yaml = document.getElementById('yaml'); yaml.value += '\\n  ' + JSON.stringify(arguments[0]) + ': 1\\n'; \
                     yaml.form.requestSubmit()";
        let asks = "document.querySelector(\"a[data-dialog][href$='/delete']\").click()";
        vec![
            (format!("/?namespace={own}"), ""),
            (format!("/?namespace={own}&q={searched}"), ""),
            (format!("/w/{own}/ws"), ""),
            (format!("/w/{own}/ws"), asks),
            (format!("/w/{own}/other"), ""),
            (format!("/w/{own}/ws/delete"), ""),
            (format!("/w/{own}/ws/edit"), ""),
            (format!("/w/{own}/ws/edit"), send),
            (format!("/w/{own}/ws/yaml"), ""),
            (format!("/w/{own}/ws/yaml"), typed),
            (format!("/w/{own}/ws/logs"), ""),
            (format!("/w/{own}/ws/share"), ""),
            (format!("/w/{own}/ws/share"), send),
            (format!("/w/{own}/ws/share/share/end"), ""),
            (format!("/new?namespace={own}&template={own}"), ""),
            (format!("/new?from={own}/ws"), ""),
            (format!("/templates/{own}"), ""),
            (format!("/namespaces/{own}"), ""),
            (format!("/stop?namespace={own}"), ""),
        ]
    }

    /// Loads a page, does something there, and reads it.
    async fn page(&self, browser: &Browser, path: &str, act: &str) -> anyhow::Result<Page> {
        browser.page.goto(&address(path)?).await?;
        if !act.is_empty() {
            browser
                .run("document.documentElement.dataset.old = ''", Vec::new())
                .await?;
            browser.run(act, vec![self.name().into()]).await?;
            browser.find("html:not([data-old]), dialog[open]").await?;
            browser
                .run("delete document.documentElement.dataset.old", Vec::new())
                .await?;
        }
        read(browser).await.with_context(|| path.to_owned())
    }
}

async fn read(browser: &Browser) -> anyhow::Result<Page> {
    Ok(serde_json::from_value(browser.run(TREE, Vec::new()).await?)?)
}

fn form_encoded(text: &str) -> String {
    let pair = [("q", text)];
    let query = reqwest::Url::parse_with_params("https://example.com/", pair);
    query
        .ok()
        .and_then(|url| Some(url.query()?.trim_start_matches("q=").to_owned()))
        .unwrap_or_default()
}

#[tokio::test]
async fn texts_of_others_are_texts() -> anyhow::Result<()> {
    let (hostile, plain, browser) =
        futures::try_join!(Twin::make(true), Twin::make(false), Browser::start())?;
    browser
        .devtools("Page.addScriptToEvaluateOnNewDocument", json!({"source": WATCH}))
        .await?;
    browser.sign_in(&address("/account")?, "alice").await?;
    browser.resize(320, 1000).await?;
    let mut faults = Vec::new();
    for ((path, act), (twin, _)) in hostile.pages().into_iter().zip(plain.pages()) {
        let expected = plain.page(&browser, &twin, act).await?.kinds;
        let page = hostile.page(&browser, &path, act).await?;
        let more: Vec<_> = page.kinds.difference(&expected).collect();
        let mut fault = |what: String| faults.push(format!("{path}: {what}"));
        if !more.is_empty() {
            fault(format!("more elements or attributes: {more:#?}"));
        }
        if page.is_hacked || !page.forbidden.is_empty() {
            fault(format!("it ran, or tried to: {:?}", page.forbidden));
        }
        if !page.loose.is_empty() {
            fault(format!("marks of direction reach further: {:?}", page.loose));
        }
        if page.text.contains(EVALUATED) || page.title.contains(EVALUATED) {
            fault("a text was evaluated".to_owned());
        }
        if page
            .title
            .contains(['\u{200f}', '\u{200b}', '\u{202e}', '\u{1b}'])
        {
            fault(format!("the title has marks: {:?}", page.title));
        }
        for wide in layout::faults(&browser, 16).await? {
            fault(wide);
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");

    // A text that comes while the page is open.
    let workspaces: Api<Workspace> = plain.scratch.api();
    let list = format!("/?namespace={}", plain.scratch.namespace);
    let before = plain.page(&browser, &list, "").await?;
    assert!(!before.text.contains("<img src=x"), "{}", before.text);
    workspace::set(&workspaces, "other", json!({"displayName": NAME})).await?;
    browser.sees("#rows", "<img src=x onerror=hacked=1>").await?;
    let after = read(&browser).await?;
    let more: Vec<_> = after.kinds.difference(&before.kinds).collect();
    assert!(more.is_empty(), "{more:#?}");
    assert!(
        after.forbidden.is_empty() && !after.is_hacked,
        "{:?}",
        after.forbidden
    );

    // The test detects violations: a script that the page adds is not one of the portal's.
    let script = "const script = document.createElement('script'); script.src = 'https://evil.example/x.js'; document.head.append(script)";
    let refused = browser.run(script, Vec::new()).await;
    let shown = read(&browser).await?;
    assert!(
        refused.is_err() && !shown.forbidden.is_empty(),
        "{:?}",
        shown.forbidden
    );
    browser.close().await?;
    futures::try_join!(template::finish(hostile.scratch), template::finish(plain.scratch))?;
    Ok(())
}
