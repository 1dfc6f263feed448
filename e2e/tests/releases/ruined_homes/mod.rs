//! Homes whose files keep their user out: the cause is told, recovery reaches the files, and once one is deleted the workspace starts normally.
//!
//! More homes, without a cluster: `deploy/images/jupyter-uv/tests/test_ruined_homes.py`.

mod disk;
mod full;
mod locked;

use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, ensure};
use api::{
    Workspace,
    condition::{self, DEGRADED},
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    browser::Browser,
    cluster::{self, Scratch},
    http::HttpSession,
    jupyter::{kernel, terminal},
    objects::workspace,
    portal::address,
    remote::{Machine, machine},
    wait,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::ListParams};
use serde_json::{Value, json};

const OWNER: &str = "alice";
const NAME: &str = "lab";
/// Longest time between the end of the application and its cause in the status, as docs/images.md has it.
const TOLD: SignedDuration = SignedDuration::from_secs(10);
/// A file of the user.
const MINE: &str = "printf 'of the user' > ~/mine.txt";
const READ: &str = "open('/home/jovyan/mine.txt').read()";

const CONFIG: &str = ".jupyter/jupyter_server_config.json";
const LAYOUT: &str = ".jupyter/lab/workspaces/default-37a8.jupyterlab-workspace";
const SETTINGS: &str = ".jupyter/lab/user-settings/@jupyterlab/apputils-extension/themes.jupyterlab-settings";

/// Its name, the file in the home, shell commands that write it as `$1`, and what the last line of the server says, with `{}` for its path.
const HOMES: [(&str, &str, &str, &str); 11] = [
    (
        "an option of another type",
        ".jupyter/jupyter_server_config.py",
        r#"echo "c.ServerApp.max_body_size = 'much'" > "$1""#,
        "'max_body_size' trait",
    ),
    (
        "a configuration that is a list",
        CONFIG,
        r#"echo '[]' > "$1""#,
        "{} must be a JSON object",
    ),
    (
        "a configuration of bytes",
        CONFIG,
        r#"printf '{"a": "\303' > "$1""#,
        "{} must be UTF-8",
    ),
    (
        "a configuration that is nested too deeply",
        CONFIG,
        r#"python3 -c 'print("[" * 100_000)' > "$1""#,
        "{} cannot be read as JSON",
    ),
    (
        "a configuration of 500 MiB",
        CONFIG,
        r#"truncate -s 500M "$1""#,
        "{} has 500 MiB",
    ),
    (
        "settings of the page of bytes",
        ".jupyter/labconfig/page_config.json",
        r#"printf '{"a": "\303' > "$1""#,
        "{} must be UTF-8",
    ),
    (
        "a part of these settings that is a list",
        ".jupyter/labconfig/page_config.d/mine.json",
        r#"echo '[]' > "$1""#,
        "{} must be a JSON object",
    ),
    (
        "an extension that is cut off",
        ".local/share/jupyter/labextensions/mine/package.json",
        r#"printf '{"name": ' > "$1""#,
        "{} must be JSON",
    ),
    (
        "a layout of 500 MiB",
        LAYOUT,
        r#"truncate -s 500M "$1""#,
        "{} has 500 MiB",
    ),
    (
        "a named pipe for a layout",
        LAYOUT,
        r#"rm -f "$1" && mkfifo "$1""#,
        "{} is a named pipe",
    ),
    (
        "a named pipe for settings",
        SETTINGS,
        r#"rm -f "$1" && mkfifo "$1""#,
        "{} is a named pipe",
    ),
];

/// Ends each shell, and has much that keeps no server from starting.
const NO_SHELL: &str = r#"
site=$(python3 -m site --user-site)
mkdir -p "$site/jupyter_server" .local/bin .jupyter/labconfig "$(dirname "$1")"
echo 1/0 | tee random.py "$site/sitecustomize.py" > "$site/jupyter_server/__init__.py"
echo 'import nothing_of_this_name' > "$site/broken.pth"
for name in python jupyter jupyter-lab tini; do echo 'no program' > .local/bin/$name; chmod +x .local/bin/$name; done
echo 'c.ServerApp.port = (' > .jupyter/jupyter_server_config.py
echo "c.ServerApp.base_url = '/mine/'" > .jupyter/jupyter_lab_config.py
echo '{"disabledExtensions": {"@jupyterlab/application-extension": true}}' > .jupyter/labconfig/page_config.json
printf '{"theme": "Ju' > "$1"
printf '%s\n' 'eval "$(~/miniconda3/bin/conda shell.bash hook)" || exit 1' 'exit 1' > .bashrc
"#;
const MEND: &str = "rm -r disk/.bashrc disk/.jupyter disk/.local disk/random.py";

/// **Start in recovery** on the page of a stopped workspace.
const RECOVER: &str = "#head form[action$='/recover'] button";

/// JupyterLab of alice, and her ways to it.
struct Lab {
    scratch: Scratch,
    workspaces: Api<Workspace>,
    url: String,
    browser: Browser,
    session: HttpSession,
}

#[tokio::test]
async fn twelve_ruined_homes_say_why_are_mended_in_recovery_and_start_normally() -> anyhow::Result<()> {
    let scratch = Scratch::new("ruined", &[OWNER]).await?;
    let lab = Box::pin(Lab::new(scratch, json!({"size": "1Gi"}))).await?;
    for home in HOMES {
        let mended = Box::pin(lab.ends_and_is_mended(home)).await;
        mended.with_context(|| format!("the home with {}", home.0))?;
    }
    let mended = Box::pin(lab.has_no_shell_and_is_mended()).await;
    mended.context("the home whose shells end")?;
    lab.finish().await
}

impl Lab {
    /// It runs with the default template on a disk, and alice is signed in.
    async fn new(scratch: Scratch, storage: Value) -> anyhow::Result<Self> {
        let wanted = json!({"metadata": {"name": NAME}, "spec": {"displayName": NAME, "storage": storage}});
        let running = Box::pin(workspace::made(&scratch, &serde_json::from_value(wanted)?)).await?;
        let pod = workspace::pod(&running)?;
        cluster::exec(&scratch.api(), &pod, &["sh", "-euc", MINE]).await?;
        let browser = Browser::start().await?;
        browser.sign_in(&page(&scratch)?, OWNER).await?;
        Ok(Self {
            workspaces: Api::namespaced(cluster::user(OWNER).await?, &scratch.namespace),
            url: workspace::url(&running)?,
            session: HttpSession::new()?,
            scratch,
            browser,
        })
    }

    async fn finish(self) -> anyhow::Result<()> {
        self.browser.close().await?;
        self.scratch.finish().await
    }

    async fn ends_and_is_mended(
        &self,
        (_, file, ruin, cause): (&str, &str, &str, &str),
    ) -> anyhow::Result<()> {
        let cause = cause.replace("{}", &format!("/home/jovyan/{file}"));
        self.ruin(file, ruin).await?;
        workspace::stop(&self.workspaces, NAME).await?;
        self.starts_and_tells(json!({"desiredStatus": DesiredStatus::Running}), &cause)
            .await?;

        self.next_run(self.answer_yes("recover"), true).await?;
        self.shows_the_files().await?;
        self.session.enter(&self.url, OWNER).await?;
        let delete = format!("rm disk/{file}; echo deleted-$?");
        terminal::types(&self.session, &self.url, &delete, "deleted-0").await?;

        self.starts_normally().await?;
        self.reads_in_a_kernel().await
    }

    async fn has_no_shell_and_is_mended(&self) -> anyhow::Result<()> {
        let machine = Machine::signed_in(OWNER, &self.session).await?;
        let host = machine::host(&self.scratch.namespace, NAME);
        let read = format!("$SSH {host} cat mine.txt");
        ensure!(machine.run(&read).await? == "of the user");
        self.ruin(SETTINGS, NO_SHELL).await?;
        workspace::stop(&self.workspaces, NAME).await?;
        workspace::start(&self.workspaces, NAME).await?;
        self.shows_the_files().await?;
        let refused = machine.outcome(&read).await?;
        ensure!(refused.code == 1 && refused.stdout.is_empty(), "{refused:?}");

        // As docs/using.md has it: what is ready is stopped first.
        self.browser.page.goto(&page(&self.scratch)?).await?;
        self.answer_yes("stop").await?;
        workspace::reached(&self.workspaces, NAME, Phase::Stopped).await?;
        self.next_run(self.browser.click(RECOVER), true).await?;
        self.session.enter(&self.url, OWNER).await?;
        machine.run(&format!("$SSH {host} '{MEND}'")).await?;
        self.starts_normally().await?;
        self.session.enter(&self.url, OWNER).await?;
        ensure!(machine.run(&read).await? == "of the user");
        Ok(())
    }

    /// Runs shell commands in the home, whose `$1` is this file.
    async fn ruin(&self, file: &str, commands: &str) -> anyhow::Result<()> {
        let pod = workspace::pod(&self.workspaces.get(NAME).await?)?;
        let commands = format!("cd; mkdir -p \"$(dirname \"$1\")\"; {commands}");
        let shell = ["sh", "-euc", &commands, "sh", file];
        cluster::exec(&self.scratch.api(), &pod, &shell).await.map(drop)
    }

    /// Starts the stopped workspace with these fields of its spec. Status and page have the cause.
    async fn starts_and_tells(&self, start: Value, cause: &str) -> anyhow::Result<()> {
        self.browser.page.goto(&page(&self.scratch)?).await?;
        workspace::set(&self.workspaces, NAME, start).await?;
        self.tells(cause).await?;
        self.browser.sees("#explanation", cause).await
    }

    /// Waits until the status has the cause, soon after the first end of the application.
    async fn tells(&self, cause: &str) -> anyhow::Result<()> {
        let pods: Api<Pod> = self.scratch.api();
        let first = Mutex::new(None);
        let told = wait::until(&format!("the status to say {cause:?}"), wait::USUAL, || async {
            let all = pods.list(&ListParams::default()).await;
            let ends = all.map_err(|error| error.to_string())?.items;
            let end = ends.iter().flat_map(ends_of).min();
            let ended = {
                let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                *first = first.or(end);
                *first
            };
            let lab = self
                .workspaces
                .get(NAME)
                .await
                .map_err(|error| error.to_string())?;
            let now = Timestamp::now();
            let conditions = lab.status.map(|status| status.conditions).unwrap_or_default();
            let said = condition::find(&conditions, DEGRADED).map(|it| it.message.as_str());
            match ended {
                Some(end) if said.is_some_and(|it| it.contains(cause)) => Ok(now.duration_since(end)),
                _ => Err(format!("ended at {ended:?}: {said:?}")),
            }
        })
        .await?;
        ensure!(told <= TOLD, "the cause came {told:?} after the end");
        Ok(())
    }

    /// The browser shows the workspace's page with the user's file.
    async fn shows_the_files(&self) -> anyhow::Result<()> {
        let lab = self.workspaces.get(NAME).await?;
        self.browser.visit(&lab).await?;
        self.browser.sees(".jp-DirListing-content", "mine.txt").await
    }

    async fn starts_normally(&self) -> anyhow::Result<()> {
        self.browser.page.goto(&page(&self.scratch)?).await?;
        self.browser.sees("#head", "In recovery").await?;
        self.next_run(self.answer_yes("start"), false).await
    }

    /// Alice reads the file in a kernel of the run.
    async fn reads_in_a_kernel(&self) -> anyhow::Result<()> {
        self.session.enter(&self.url, OWNER).await?;
        let read = kernel::compute(&self.session, &self.url, READ).await?;
        ensure!(read == "'of the user'", "the file has {read}");
        Ok(())
    }

    /// Presses a button of the open page that asks before it does something, and says yes.
    async fn answer_yes(&self, action: &str) -> anyhow::Result<()> {
        let button = format!("#head a[data-dialog][href$='/{action}']");
        self.browser.click(&button).await?;
        self.browser.click("dialog[open] button[type=submit]").await
    }

    /// Does this, and waits until another run is ready, in recovery or not.
    async fn next_run(
        &self,
        act: impl Future<Output = anyhow::Result<()>>,
        in_recovery: bool,
    ) -> anyhow::Result<()> {
        let before = self.workspaces.get(NAME).await?.status.and_then(|it| it.run_id);
        act.await?;
        wait::until("another run to be ready", wait::USUAL, || async {
            let lab = self
                .workspaces
                .get(NAME)
                .await
                .map_err(|error| error.to_string())?;
            let status = lab.status.unwrap_or_default();
            let is_current = status.observed_generation == lab.metadata.generation;
            let says = status.message.as_deref().unwrap_or_default();
            let is_ready = status.phase == Some(Phase::Running) && status.run_id != before;
            let is_right =
                lab.spec.recovery_mode == in_recovery && says.contains("It is in recovery") == in_recovery;
            if is_current && is_ready && is_right {
                Ok(())
            } else {
                Err(format!("{status:?}"))
            }
        })
        .await
    }
}

/// The address of the workspace's page in the portal.
fn page(scratch: &Scratch) -> anyhow::Result<String> {
    address(&format!("/w/{}/{NAME}", scratch.namespace))
}

/// When containers of a pod ended (pure).
fn ends_of(pod: &Pod) -> Vec<Timestamp> {
    let containers = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    let states = containers.flat_map(|container| container.state.iter().chain(&container.last_state));
    let ends = states.filter_map(|state| state.terminated.as_ref()?.finished_at.as_ref());
    ends.map(|time| time.0).collect()
}
