//! `open`: a workspace that is started first, and the program that opens the URL (IO: processes, a local socket).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use api::Workspace;
use api::workspace::DesiredStatus;
use cli::exit_code;
use http::Method;
use serde_json::{Value, json};
use testkit::api_server::ApiServer;
use testkit::objects::NAMESPACE;

use crate::process::{out, plugin};
use crate::socket::{Reply, serve};
use crate::workspace::{in_phase, run};

#[tokio::test]
async fn open_starts_a_stopped_workspace_and_prints_the_url_once_it_is_available() {
    let (server, client) = ApiServer::start();
    let mut stopped = in_phase("demo", "Stopped", "Stopped");
    if let Some(status) = &mut stopped.status {
        status.url = None;
    }
    server.put(&stopped);
    let operator = async {
        loop {
            let stored = server.get::<Workspace>(Some(NAMESPACE), "demo").unwrap();
            if stored.spec.desired_status == DesiredStatus::Running {
                return server.put(&in_phase("demo", "Running", "Running"));
            }
            tokio::task::yield_now().await;
        }
    };
    let (ran, ()) = tokio::join!(run(&client, "open demo --start --print"), operator);
    assert_eq!(ran.code(), 0, "{:?}", ran.outcome);
    assert_eq!(ran.out, "https://demo.example.org/\n");
    let writes = server
        .take_calls()
        .into_iter()
        .filter(testkit::api_server::Call::is_write);
    let methods: Vec<_> = writes.map(|call| call.method).collect();
    assert_eq!(methods, [Method::PATCH]);

    // One that runs is opened without a write.
    let ran = run(&client, "open demo --start --print").await;
    assert_eq!((ran.code(), ran.out.as_str()), (0, "https://demo.example.org/\n"));
    assert!(server.take_calls().iter().all(|call| !call.is_write()));
}

#[tokio::test]
async fn open_says_that_a_workspace_without_a_url_is_opened_elsewhere() {
    let (server, client) = ApiServer::start();
    let mut running = in_phase("demo", "Running", "Running");
    if let Some(status) = &mut running.status {
        status.url = None;
    }
    server.put(&running);
    for command in ["open demo", "open demo --start"] {
        let ran = run(&client, command).await;
        assert_eq!((ran.code(), ran.out.as_str()), (exit_code::FAILED, ""));
        let message = ran.outcome.unwrap_err().to_string();
        assert!(
            message.starts_with(r#"workspace "demo" has no address of its own: open it"#),
            "{message}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_takes_longer_than_the_timeout_opens_nothing() {
    let (server, client) = ApiServer::start();
    server.put(&in_phase("demo", "Stopped", "Stopped"));
    let ran = run(&client, "open demo --start --timeout 30s").await;
    assert_eq!(ran.code(), exit_code::TIMED_OUT, "{:?}", ran.outcome);
    assert_eq!(ran.out, "");
}

/// A folder with a program `xdg-open` that writes its arguments into a file and ends with a code. Dropping it removes the folder.
struct Desktop(PathBuf);

impl Desktop {
    fn ending_with(code: u8) -> Self {
        let folder = std::env::temp_dir().join(format!("cli-browser-{}-{code}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let program = folder.join("xdg-open");
        let script = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" > {}\nexit {code}\n",
            folder.join("opened").display()
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    /// The arguments of the program's run.
    fn opened(&self) -> Option<String> {
        fs::read_to_string(self.0.join("opened")).ok()
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Exit code, output and error output of `open demo` on this desktop.
fn opened(
    desktop: &Desktop,
    display: &str,
    flags: &[&str],
    workspace: &Value,
) -> (Option<i32>, String, String) {
    let workspace = workspace.clone();
    let server = serve(move |_| Reply::Object(workspace.clone()));
    let output = plugin()
        .args(["open", "demo", "-n", NAMESPACE, "--server", &server])
        .args(flags)
        .env("PATH", format!("{}:/usr/bin:/bin", desktop.0.display()))
        .env("DISPLAY", display)
        .env_remove("WAYLAND_DISPLAY")
        .output()
        .unwrap();
    (
        output.status.code(),
        out(&output),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[cfg(not(target_os = "macos"))]
#[test]
fn the_desktop_s_browser_gets_the_url_and_without_one_the_url_is_printed() {
    let url = "https://demo.example.org/";
    let running = serde_json::to_value(in_phase("demo", "Running", "Running")).unwrap();
    let desktop = Desktop::ending_with(0);
    let ran = opened(&desktop, ":0", &[], &running);
    assert_eq!(ran, (Some(0), String::new(), format!("Opening {url}\n")));
    assert_eq!(desktop.opened().as_deref(), Some("https://demo.example.org/\n"));

    let printed = (
        Some(0),
        format!("{url}\n"),
        "No browser could be opened. Open this URL:\n".to_owned(),
    );
    let failing = Desktop::ending_with(3);
    assert_eq!(opened(&failing, ":0", &[], &running), printed);
    assert!(failing.opened().is_some(), "it was tried");

    fs::remove_file(failing.0.join("opened")).unwrap();
    assert_eq!(
        opened(&failing, "", &[], &running),
        printed,
        "there is no display"
    );
    let ran = opened(&failing, ":0", &["--print"], &running);
    assert_eq!(ran, (Some(0), format!("{url}\n"), String::new()));
    // No program gets what is no address of a web page.
    let mut hostile = running;
    hostile["status"]["url"] = json!("file:///etc/passwd");
    let (code, shown, _) = opened(&failing, ":0", &[], &hostile);
    assert_eq!((code, shown.as_str()), (Some(0), "file:///etc/passwd\n"));
    assert_eq!(failing.opened(), None);
}
