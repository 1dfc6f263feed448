//! Commands that need no cluster -> the same answer where there is no network, and no connection where there is one (IO: processes).

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::json;

use crate::process::{out, plugin};

/// The program in a network namespace of its own, which has no interface that is up, not even loopback.
fn cut_off() -> Command {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = Command::new("unshare");
    command
        .args(if is_root {
            &["--net"][..]
        } else {
            &["--map-root-user", "--net"]
        })
        .arg(env!("CARGO_BIN_EXE_kubectl-workspace"))
        .env_remove("KUBECONFIG")
        .env_remove("NO_COLOR")
        .env("HOME", "/nonexistent");
    command
}

/// A folder with a kubeconfig of this server and manifests. Dropping it removes it.
struct Files(PathBuf);

impl Files {
    fn new(address: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("cli-offline-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "main",
            "clusters": [{"name": "c", "cluster": {"server": address}}],
            "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {}}],
        });
        fs::write(folder.join("kubeconfig"), config.to_string()).unwrap();
        let broken = "apiVersion: workspaces.jupyter.org/v1alpha1\nkind: Workspace\nmetadata: {name: demo}\n\
                      spec:\n  displayName: d\n  port: http\n";
        fs::write(folder.join("broken.yaml"), broken).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn answer(output: &Output) -> (Option<i32>, String, String) {
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    (output.status.code(), out(output), errors)
}

#[test]
fn without_a_network_the_commands_that_need_no_cluster_say_the_same() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let files = Files::new(&format!("http://{}", server.local_addr().unwrap()));
    let kubeconfig = files.path("kubeconfig");
    let broken = files.path("broken.yaml");
    for (words, code) in [
        (&["create", "demo", "--dry-run=client", "-o", "yaml"][..], 0),
        (&["create", "-f", &broken, "--dry-run=client"], 2),
        (&["completion", "bash"], 0),
        (&["version", "--client"], 0),
    ] {
        let with = plugin()
            .args(words)
            .args(["--kubeconfig", &kubeconfig])
            .output()
            .unwrap();
        let without = cut_off()
            .args(words)
            .args(["--kubeconfig", &kubeconfig])
            .output()
            .unwrap();
        assert_eq!(answer(&with).0, Some(code), "{words:?}: {with:?}");
        assert_eq!(answer(&without), answer(&with), "{words:?}");
    }
    let unasked = server.accept().unwrap_err();
    assert_eq!(
        unasked.kind(),
        ErrorKind::WouldBlock,
        "a command connected to the API server"
    );

    // There, this server cannot be reached: what was cut is what a call would need.
    let away = cut_off()
        .args(["list", "--kubeconfig", &kubeconfig])
        .output()
        .unwrap();
    let (code, _, errors) = answer(&away);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("cannot be reached"), "{errors}");
    assert!(server.accept().is_err());
}
