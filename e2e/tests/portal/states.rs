//! A site in every state -> addresses of all pages, and what to do there (IO).

use e2e::browser::Browser;
use e2e::portal::address;
use e2e::wait;
use fantoccini::Locator;

use crate::site::Site;

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

impl Site {
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
            state("being deleted", at("leaving"), UNFOLD, "#head .state.wait"),
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
                "const seen = document.querySelector('input[name=seen]'); seen.value = '0'; \
                 const name = document.getElementById('f-spec.displayName'); name.value = 'Lecture'; name.form.requestSubmit()",
                "main table caption",
            ),
            state(
                "edit, workspace gone",
                at("running/edit"),
                "const uid = document.querySelector('input[name=uid]'); uid.value = 'of-another'; uid.form.requestSubmit()",
                ".message pre",
            ),
            state("hand over", at("running/owner"), "", "#f-owner"),
            state("yaml", at("running/yaml"), "", "#yaml"),
            state(
                "yaml, wrong",
                at("running/yaml"),
                "const yaml = document.getElementById('yaml'); yaml.value += '\\n  hostNetwork: true\\n'; yaml.form.requestSubmit()",
                "#summary.note a[data-offset]",
            ),
            state("logs", at("running/logs"), "", "#log"),
            state("logs, none", at("kept/logs"), "", "main .note"),
            state(
                "logs, refused",
                at("failing/logs"),
                "",
                "main > .note.warn:not([hidden])",
            ),
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
                "another end of a share",
                at("running/share/with-bob/until"),
                "",
                "#f-until",
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
            state(
                "new, template not usable",
                format!("/new?namespace={empty}&template={own}"),
                "",
                ".message",
            ),
            state("new", new.clone(), UNFOLD, "main form .actions"),
            state(
                "new, wrong",
                new.clone(),
                "const cpu = document.getElementById('f-spec.resources.limits.cpu'); cpu.value = '64'; cpu.form.requestSubmit()",
                "#summary.note",
            ),
            state(
                "new, with a quota",
                format!("/new?namespace={many}&template={own}"),
                "",
                "#quotas .state",
            ),
            state(
                "new, deprecated template",
                format!("/new?namespace={own}&template={own}-old"),
                "",
                "main > .note.warn:not([hidden])",
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
                "account, signed out, out of date and without updates",
                "/account".to_owned(),
                "const why = document.createElement('strong'); \
                 why.textContent = 'The API server does not answer, so this page may be out of date.'; \
                 document.getElementById('stale').append(why, ' Changes may fail.'); \
                 for (const id of ['stale', 'gone', 'ended', 'still']) document.getElementById(id).hidden = false",
                "#gone:not([hidden])",
            ),
            state("nothing", at("nothing"), "", ".message"),
            state("bad request", "/?page=first".to_owned(), "", ".message.bad"),
            state(
                "refused",
                at("running/stop"),
                "document.getElementById('typed').value = 'running'; \
                 const uid = document.querySelector('input[name=uid]'); uid.value = 'of-another'; uid.form.requestSubmit()",
                ".message.bad code",
            ),
            state("stop many", format!("/stop?namespace={own}"), "", "ul.names li"),
            state(
                "stopping many",
                format!("/stop?namespace={own}"),
                "document.getElementById('typed').value = 'delete files'; document.querySelector('#confirm button').click()",
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
}
