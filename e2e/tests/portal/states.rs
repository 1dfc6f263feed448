//! Workspaces in every state, in namespaces of a test -> addresses of all pages, and what to do there (IO).

use api::workspace::{DesiredStatus, Phase};
use api::{Workspace, WorkspaceShare};
use e2e::browser::Browser;
use e2e::cluster::{self, Scratch};
use e2e::{Environment, template, wait, workspace};
use fantoccini::Locator;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use e2e::portal::address;

/// Workspaces of a list with two pages.
const MANY: usize = 52;
/// Shows what is folded.
const UNFOLD: &str =
    "document.querySelectorAll('main details:not(.menu)').forEach((it) => { it.open = true; })";

/// A page, and what is done there before it is looked at.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// What it is called in messages.
    pub(crate) name: &'static str,
    /// Its address.
    pub(crate) path: String,
    /// A script for the page.
    act: &'static str,
    /// What is there afterwards.
    then: &'static str,
}

impl State {
    /// Whether nothing is done after the page is loaded.
    pub(crate) fn is_as_loaded(&self) -> bool {
        self.act.is_empty()
    }

    /// Shows it.
    pub(crate) async fn show(&self, browser: &Browser) -> anyhow::Result<()> {
        browser.page.goto(&address(&self.path)?).await?;
        if !self.act.is_empty() {
            browser.run(self.act, Vec::new()).await?;
        }
        let what = format!("{}: {} at {}", self.name, self.then, self.path);
        wait::until(&what, wait::USUAL, || async {
            let found = browser.page.find(Locator::Css(self.then)).await;
            found.map(drop).map_err(|error| error.to_string())
        })
        .await
    }
}

/// Namespaces and what is in them.
pub(crate) struct Site {
    scratch: Scratch,
    many: Scratch,
    empty: Scratch,
}

/// Creates a workspace as alice.
async fn make(scratch: &Scratch, name: &str, spec: Value) -> anyhow::Result<()> {
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut workspace = serde_json::to_value(workspace::echo(name)?)?;
    for (key, value) in spec.as_object().into_iter().flatten() {
        workspace["spec"][key] = value.clone();
    }
    alice
        .create(&PostParams::default(), &serde_json::from_value(workspace)?)
        .await?;
    Ok(())
}

impl Site {
    /// Creates it, with the right to read logs for alice and a share for bob.
    pub(crate) async fn make(prefix: &str) -> anyhow::Result<Self> {
        let others = [format!("{prefix}-many"), format!("{prefix}-none")];
        let (scratch, many, empty) = futures::try_join!(
            Scratch::new(prefix, &["alice"]),
            Scratch::new(&others[0], &["alice"]),
            Scratch::bare(&others[1], &[]),
        )?;
        // She may create there, but use no template.
        let create = json!([{"apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces"], "verbs": ["create", "get", "list", "watch"]}]);
        empty.grant("creator", "alice", &create).await?;
        let logs = json!([{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}]);
        scratch.grant("logs", "alice", &logs).await?;
        template(&scratch).await?;
        quota(&scratch).await?;
        let stopped = json!({"desiredStatus": DesiredStatus::Stopped});
        let kept =
            json!({"displayName": "With a disk", "desiredStatus": "Stopped", "storage": {"size": "1Gi"}});
        let blocked = json!({"storage": {"size": "1Gi", "storageClassName": scratch.namespace}});
        futures::try_join!(
            make(&scratch, "failing", json!({"image": "localhost/no-such-image:1"})),
            make(&scratch, "blocked", blocked),
            make(&scratch, "kept", kept),
            make(
                &scratch,
                "running",
                json!({"templateRef": scratch.namespace, "displayName": "Seminar"})
            ),
        )?;
        stream::iter(0..MANY)
            .map(|number| {
                let (many, stopped) = (&many, stopped.clone());
                async move { make(many, &format!("many-{number:02}"), stopped).await }
            })
            .buffer_unordered(8)
            .try_collect::<Vec<_>>()
            .await?;
        let alice = cluster::user("alice").await?;
        let share = json!({
            "metadata": {"name": "with-bob"},
            "spec": {"workspaceRef": "running", "subjects": [{"kind": "User", "name": "bob"}], "reason": "Review of the seminar"},
        });
        Api::<WorkspaceShare>::namespaced(alice.clone(), &scratch.namespace)
            .create(&PostParams::default(), &serde_json::from_value(share)?)
            .await?;
        let workspaces: Api<Workspace> = Api::namespaced(alice, &scratch.namespace);
        workspace::reached(&workspaces, "running", Phase::Running).await?;
        let change = json!({"env": [{"name": "COURSE", "value": "algebra"}]});
        workspace::set(&workspaces, "running", change).await?;
        Ok(Self { scratch, many, empty })
    }

    /// Pages of alice. The last one stops her workspaces.
    #[expect(clippy::too_many_lines, reason = "it is a table")]
    pub(crate) fn states(&self) -> Vec<State> {
        let (own, many, empty) = (
            &self.scratch.namespace,
            &self.many.namespace,
            &self.empty.namespace,
        );
        let at = |rest: &str| format!("/w/{own}/{rest}");
        let new = format!("/new?namespace={own}&template={own}");
        let state = |name, path: String, act, then| State {
            name,
            path,
            act,
            then,
        };
        vec![
            state("list", format!("/?namespace={own}"), "", "#rows tbody tr"),
            state(
                "list, open menu",
                format!("/?namespace={own}"),
                "document.querySelector('#rows details.menu > summary').click()",
                "details.menu[open]",
            ),
            state(
                "list, many",
                format!("/?namespace={many}"),
                "",
                "nav.pages a[rel=next]",
            ),
            state(
                "list, nothing found",
                format!("/?namespace={own}&q=nothing-is-called-so"),
                "",
                "#rows .empty",
            ),
            state(
                "list, sorted and filtered",
                format!("/?namespace={own}&state=attention&sort=-state"),
                "",
                "th[aria-sort=descending]",
            ),
            state(
                "list, after a deletion",
                format!("/?namespace={own}&deleted={own}/gone"),
                "",
                "main > .note.good",
            ),
            state("running", at("running"), UNFOLD, "#pending h2"),
            state("changed", at("running?done=edit"), UNFOLD, "main > .note.good"),
            state("stopped", at("kept"), UNFOLD, "#head .state.calm"),
            state("failing", at("failing"), UNFOLD, "#explanation .note.bad"),
            state("blocked", at("blocked"), UNFOLD, "#progress .steps .stuck"),
            state(
                "question to stop",
                at("running"),
                "document.querySelector(\"a[data-dialog][href$='/stop']\").click()",
                "dialog[open] button",
            ),
            state(
                "question to delete",
                at("kept"),
                "document.querySelector(\"a[data-dialog][href$='/delete']\").click()",
                "dialog[open] #typed",
            ),
            state("stop", at("running/stop"), "", "main #confirm"),
            state(
                "delete, wrong name",
                at("kept/delete"),
                "const typed = document.getElementById('typed'); typed.value = 'other'; typed.form.requestSubmit()",
                "#typed[aria-invalid=true]",
            ),
            state("edit", at("running/edit"), UNFOLD, "main form .actions"),
            state(
                "edit, wrong",
                at("running/edit"),
                "const cpu = document.getElementById('f-spec.resources.limits.cpu'); cpu.value = '64'; cpu.form.requestSubmit()",
                "#summary.note",
            ),
            state(
                "edit, conflict",
                at("running/edit"),
                "const before = document.querySelector('input[name=before]'); const object = JSON.parse(before.value); \
                 object.spec.displayName = 'Lecture'; before.value = JSON.stringify(object); before.form.requestSubmit()",
                "main table caption",
            ),
            state("yaml", at("running/yaml"), "", "#yaml"),
            state(
                "yaml, wrong",
                at("running/yaml"),
                "const yaml = document.getElementById('yaml'); yaml.value += '\\n  hostNetwork: true\\n'; yaml.form.requestSubmit()",
                "#summary.note a[data-offset]",
            ),
            state("logs", at("running/logs"), "", "#log"),
            state("logs, none", at("kept/logs"), "", "main .note"),
            state("share", at("running/share"), "", "#shares .card"),
            state(
                "share, wrong",
                at("running/share"),
                "const name = document.getElementById('f-name'); name.value = 'carol'; name.form.elements.until.value = 'date'; \
                 name.form.requestSubmit()",
                "#summary.note",
            ),
            state(
                "question to end a share",
                at("running/share"),
                "document.querySelector(\"#shares a[data-dialog][href$='/end']\").click()",
                "dialog[open] button",
            ),
            state(
                "new, templates",
                format!("/new?namespace={own}"),
                "",
                "ul.cards .card",
            ),
            state(
                "new, no template",
                format!("/new?namespace={empty}"),
                "",
                "main .empty .copyable",
            ),
            state("new", new.clone(), UNFOLD, "main form .actions"),
            state(
                "new, wrong",
                new.clone(),
                "const cpu = document.getElementById('f-spec.resources.limits.cpu'); cpu.value = '64'; cpu.form.requestSubmit()",
                "#summary.note",
            ),
            state(
                "new, yaml",
                new,
                "document.querySelector('button[name=view][value=yaml]').click()",
                "#yaml",
            ),
            state(
                "copy",
                format!("/new?from={own}/running"),
                UNFOLD,
                "main form .actions",
            ),
            state("templates", "/templates".to_owned(), "", "ul.cards .card"),
            state("template", format!("/templates/{own}"), "", "main table"),
            state("namespace", format!("/namespaces/{own}"), "", "#rows tbody tr"),
            state(
                "namespace, empty",
                format!("/namespaces/{empty}"),
                "",
                "#rows .empty",
            ),
            state("account", "/account".to_owned(), UNFOLD, "main h2"),
            state(
                "account, signed out and without updates",
                "/account".to_owned(),
                "for (const id of ['gone', 'ended', 'still']) document.getElementById(id).hidden = false",
                "#gone:not([hidden])",
            ),
            state("nothing", at("nothing"), "", ".message"),
            state("bad request", "/?page=first".to_owned(), "", ".message.bad"),
            state(
                "refused",
                at("running/stop"),
                "const uid = document.querySelector('input[name=uid]'); uid.value = 'of-another'; uid.form.requestSubmit()",
                ".message.bad code",
            ),
            state("stop many", format!("/stop?namespace={own}"), "", "ul.names li"),
            state(
                "stopping many",
                format!("/stop?namespace={own}"),
                "document.querySelector('#confirm button').click()",
                "#bulk progress",
            ),
        ]
    }

    /// Pages of bob, a guest.
    pub(crate) fn of_guest(&self) -> Vec<State> {
        let own = &self.scratch.namespace;
        let state = |name, path: String, then| State {
            name,
            path,
            act: "",
            then,
        };
        vec![
            state("guest", format!("/w/{own}/running"), "#head .state"),
            state("guest, list", format!("/?namespace={own}"), "#rows tbody tr"),
            state("guest, nothing", format!("/w/{own}/kept"), ".message"),
            state(
                "guest, no right to create",
                format!("/new?namespace={own}"),
                "main .empty",
            ),
        ]
    }

    /// Deletes it.
    pub(crate) async fn finish(self) -> anyhow::Result<()> {
        futures::try_join!(
            template::finish(self.scratch),
            self.many.finish(),
            self.empty.finish()
        )?;
        Ok(())
    }
}

/// A quota with room, which counts from now on.
async fn quota(scratch: &Scratch) -> anyhow::Result<()> {
    let hard = json!({"requests.cpu": "8", "requests.memory": "8Gi", "count/workspaces.workspaces.jupyter.org": "40"});
    let quota = serde_json::from_value(json!({"metadata": {"name": "team"}, "spec": {"hard": hard}}))?;
    let quotas = scratch.api::<ResourceQuota>();
    quotas.create(&PostParams::default(), &quota).await?;
    // Until then the API server refuses what it limits.
    wait::until("the quota to be counted", wait::USUAL, || async {
        let status = quotas
            .get("team")
            .await
            .map_err(|error| error.to_string())?
            .status;
        let is_counted = status.as_ref().is_some_and(|status| status.used.is_some());
        is_counted.then_some(()).ok_or_else(|| format!("{status:?}"))
    })
    .await
}

/// A template with all that pages show of one.
async fn template(scratch: &Scratch) -> anyhow::Result<()> {
    let image = &Environment::get()?.images.echo;
    let spec = json!({
        "description": "For the seminar. It answers every request with what it received.",
        "defaultImage": image,
        "allowedImages": [image, "localhost/no-such-image:1"],
        "allowCustomImages": true,
        "allowSecondaryStorages": true,
        "defaultResources": {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"cpu": "500m", "memory": "256Mi"},
        },
        "resourceBounds": {"cpu": {"min": "10m", "max": "1"}, "memory": {"min": "32Mi", "max": "1Gi"}},
        "envRequirements": [{"name": "COURSE", "regex": "[a-z]+"}],
        "presentation": {"icon": "terminal", "images": [
            {"image": image, "displayName": "The echo server", "description": "Python only", "icon": "python"},
        ]},
    });
    template::make(scratch, &spec).await
}
