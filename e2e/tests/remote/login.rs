//! How a program gets a token, and how nobody else does.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use anyhow::{Context as _, ensure};
use e2e::{
    Environment, cluster,
    http::HttpSession,
    installation::servers,
    objects::workspace,
    remote::{
        Machine,
        program::{self, Form, Program, VERIFIER},
    },
    wait,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _, api::LogParams};
use reqwest::{Response, StatusCode, header};
use serde_json::Value;

use super::Lab;

/// What a program may call itself.
const NAME: &str = "a program of a test";
/// What none may: the page would say something else than what asks.
const HOSTILE: [&str; 2] = [
    "<img src=x onerror=alert(1)>",
    "kubectl\u{201d} asks for nothing. \u{201c}",
];
/// A verifier of somebody else.
const OTHER_VERIFIER: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// Logs are read from this time on, in seconds.
const RECENT: i64 = 15 * 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_gives_nobody_a_token() -> anyhow::Result<()> {
    let lab = Lab::new("ssh-login", &["alice"]).await?;
    nobody_is_admitted_unasked(&lab).await?;
    let mut secrets = a_code_counts_once_and_for_its_program(&lab.browser).await?;
    let program = Program::admitted(&lab.browser, "alice").await?;
    secrets.insert(program.ticket(&lab.workspace).await?);
    secrets.insert(program.token);
    let file = sign_in_file(&lab.machine)?;
    let kept: Value = serde_json::from_slice(&fs::read(&file)?)?;
    let token = kept["token"].as_str().context("the file has no token")?;
    secrets.insert(token.to_owned());

    let mut shell = lab.machine.enter(&lab.host()).await?;
    no_process_is_given(&secrets, &lab.host())?;
    shell.repeats("still open").await?;
    drop(shell);
    is_audited(&lab).await?;
    is_in_no_log(&secrets).await?;
    a_file_that_others_can_read_is_refused(&lab, &file).await?;
    lab.scratch.finish().await
}

async fn refused(answer: Response, what: &str) -> anyhow::Result<()> {
    let (status, location) = (answer.status(), answer.headers().get(header::LOCATION).cloned());
    let text = answer.text().await?;
    ensure!(
        status.is_client_error() && location.is_none(),
        "{what}: {status} {location:?} {text}"
    );
    Ok(())
}

/// The page asks, and only its own button gives a code.
async fn nobody_is_admitted_unasked(lab: &Lab) -> anyhow::Result<()> {
    let (environment, link) = (Environment::get()?, program::link(NAME)?);
    let stranger = HttpSession::new()?.without_redirects()?.open(&link).await?;
    ensure!(
        stranger.status().is_redirection() || stranger.status() == StatusCode::UNAUTHORIZED,
        "{}",
        stranger.status()
    );
    let to = stranger.headers().get(header::LOCATION);
    ensure!(
        to.is_none_or(|to| !String::from_utf8_lossy(to.as_bytes()).starts_with("http://")),
        "{to:?}"
    );

    let page = lab.browser.without_redirects()?.open(&link).await?;
    ensure!(page.status() == StatusCode::OK, "{}", page.status());
    let framed = page.headers().get(header::CONTENT_SECURITY_POLICY).cloned();
    let framed = framed.context("no policy")?;
    ensure!(framed.to_str()?.contains("frame-ancestors 'none'"), "{framed:?}");
    let text = page.text().await?;
    ensure!(text.contains(NAME) && text.contains("alice"), "{text}");
    for name in HOSTILE {
        refused(lab.browser.open(&program::link(name)?).await?, name).await?;
    }

    let form = Form::of(lab.browser.open(&link).await?).await?;
    let own = form.target.origin().ascii_serialization();
    let of_workspace = environment.origin(&workspace::host(&lab.workspace)?);
    let portal = environment.origin(&environment.portal_host());
    for origin in [
        None,
        Some("null"),
        Some("https://a.example"),
        Some(&of_workspace),
        Some(&portal),
    ] {
        refused(form.send(&lab.browser, origin).await?, &format!("{origin:?}")).await?;
    }
    // The same form from another browser, in which nobody is signed in.
    let elsewhere = form.send(&HttpSession::new()?, Some(&own)).await?;
    let to = elsewhere.headers().get(header::LOCATION);
    let to = to.map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
    ensure!(
        to.as_ref()
            .is_none_or(|to| !to.starts_with("http://127.0.0.1") && !to.contains("code=")),
        "{to:?}"
    );
    // The control: its own page.
    let sent = form.send(&lab.browser, Some(&own)).await?;
    ensure!(sent.status() == StatusCode::SEE_OTHER, "{}", sent.status());
    Ok(())
}

/// Codes of two logins, with the token of one of them.
async fn a_code_counts_once_and_for_its_program(alice: &HttpSession) -> anyhow::Result<BTreeSet<String>> {
    let code = program::code(alice, "alice").await?;
    // Whoever saw it does not have the verifier.
    refused(
        program::exchange(&code, OTHER_VERIFIER).await?,
        "another verifier",
    )
    .await?;
    refused(program::exchange(&code, "").await?, "no verifier").await?;
    let again = program::code(alice, "alice").await?;
    let given = program::exchange(&again, VERIFIER).await?;
    ensure!(given.status() == StatusCode::OK, "{}", given.status());
    ensure!(
        given.headers().get(header::SET_COOKIE).is_none(),
        "a program gets no cookie"
    );
    let given: Value = given.json().await?;
    let token = given["token"].as_str().context("no token")?.to_owned();
    refused(program::exchange(&again, VERIFIER).await?, "the second time").await?;
    for forged in ["", "a", &again[..again.len() - 4], &token] {
        refused(program::exchange(forged, VERIFIER).await?, "a forged code").await?;
    }
    Ok([code, again, token, VERIFIER.to_owned()].into())
}

/// The file with the sign-in. Only the user can read it.
fn sign_in_file(machine: &Machine) -> anyhow::Result<PathBuf> {
    let folder = machine.state().join("kubectl-workspace");
    let mode = |path: &PathBuf| anyhow::Ok(fs::metadata(path)?.permissions().mode() & 0o777);
    ensure!(mode(&folder)? == 0o700, "{:o}", mode(&folder)?);
    let entries = fs::read_dir(&folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut files = entries.into_iter().map(|entry| entry.path());
    let file = files.find(|path| path.extension().is_some_and(|end| end == "json"));
    let file = file.with_context(|| format!("no sign-in in {}", folder.display()))?;
    ensure!(mode(&file)? == 0o600, "{:o}", mode(&file)?);
    Ok(file)
}

/// No process of this machine has a secret among its arguments, while one has a shell at `host`.
fn no_process_is_given(secrets: &BTreeSet<String>, host: &str) -> anyhow::Result<()> {
    let mut is_there = false;
    for entry in fs::read_dir("/proc")? {
        let Ok(arguments) = fs::read(entry?.path().join("cmdline")) else {
            continue;
        };
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        is_there |= arguments.contains("--stdio") && arguments.contains(host);
        for secret in secrets {
            ensure!(
                !arguments.contains(secret),
                "{}",
                arguments.replace(secret, "<secret>")
            );
        }
    }
    ensure!(is_there, "no process carries the connection to {host}");
    Ok(())
}

/// The audit log says who, and by what.
async fn is_audited(lab: &Lab) -> anyhow::Result<()> {
    let uid = lab.workspace.uid().unwrap_or_default();
    wait::until("a record of the shell", wait::USUAL, || async {
        let records = servers::records("gateway", &uid)
            .await
            .map_err(|error| format!("{error:#}"))?;
        let is_it = |record: &Value| {
            record["event"] == "opened" && record["user"] == "alice" && record["by"] == "ssh"
        };
        records
            .iter()
            .any(is_it)
            .then_some(())
            .ok_or_else(|| format!("{records:?}"))
    })
    .await
}

/// No log of the product has a secret. The control: they have the records of these programs.
async fn is_in_no_log(secrets: &BTreeSet<String>) -> anyhow::Result<()> {
    let (admin, namespace) = (cluster::admin().await?, &Environment::get()?.system_namespace);
    let pods = Api::<Pod>::namespaced(admin.clone(), namespace);
    let recent = LogParams {
        since_seconds: Some(RECENT),
        ..LogParams::default()
    };
    let mut admitted = false;
    for component in ["gateway", "proxy", "portal", "operator"] {
        for pod in cluster::component_pods(admin.clone(), component).await? {
            let name = pod.name_any();
            let log = pods.logs(&name, &recent).await?;
            admitted |= log.contains("\"event\":\"program_admitted\"");
            for secret in secrets {
                let leak = log.lines().find(|line| line.contains(secret));
                let leak = leak.map(|line| line.replace(secret, "<secret>"));
                ensure!(leak.is_none(), "{name}: {leak:?}");
            }
        }
    }
    ensure!(admitted, "no log says that a program was admitted");
    Ok(())
}

async fn a_file_that_others_can_read_is_refused(lab: &Lab, file: &PathBuf) -> anyhow::Result<()> {
    let say = async || {
        let done = lab.machine.ssh(&[&lab.host(), "echo in"])?.output().await?;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        anyhow::Ok((done.status.code(), done.stdout, said))
    };
    fs::set_permissions(file, fs::Permissions::from_mode(0o644))?;
    let (code, stdout, said) = say().await?;
    ensure!(
        code == Some(255) && stdout.is_empty() && said.contains(&format!("chmod 600 {}", file.display())),
        "{code:?} {said}"
    );
    // The control, and the remedy.
    fs::set_permissions(file, fs::Permissions::from_mode(0o600))?;
    let (code, stdout, said) = say().await?;
    ensure!(code == Some(0) && stdout == b"in\n", "{code:?} {said}");
    Ok(())
}
