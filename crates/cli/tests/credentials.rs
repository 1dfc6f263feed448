//! Credentials of a kubeconfig -> what the API server gets (IO: processes, a local socket).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::process::{out, plugin};
use crate::socket::{Reply, serve};

/// A folder of its own. Dropping it removes it.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("cli-credentials-{}-{test}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.0.join(name);
        fs::write(&file, text).unwrap();
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `kubectl workspace list -o name` by a kubeconfig with this user, and the `Authorization` of its requests.
fn listed_as(folder: &Folder, user: &Value) -> (Output, Vec<Option<String>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let headers = seen.clone();
    let server = serve(move |request| {
        let header = request.header("authorization").map(str::to_owned);
        headers.lock().unwrap().push(header);
        Reply::Object(json!({"metadata": {}, "items": [{"metadata": {"name": "demo"}}]}))
    });
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "main",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
        "users": [{"name": "u", "user": user}],
    });
    let config = folder.write("config", &config.to_string());
    let output = plugin()
        .args(["list", "-o", "name", "--kubeconfig"])
        .arg(config)
        .output()
        .unwrap();
    let seen = seen.lock().unwrap().clone();
    (output, seen)
}

/// A credential plugin: `sh` with a script.
fn exec(script: &Path, arguments: &[&str]) -> Value {
    let args = [&[script.to_str().unwrap()], arguments].concat();
    json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": args,
        "env": [{"name": "TEAM", "value": "blue"}], "interactiveMode": "Never",
    }})
}

#[test]
fn a_credential_plugin_is_run_with_its_arguments_and_variables_and_its_token_is_sent() {
    let folder = Folder::new("token");
    let script = folder.write(
        "credential",
        "printf '{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"kind\": \"ExecCredential\", \"status\": {\"token\": \"%s-%s\"}}' \"$1\" \"$TEAM\"\n",
    );
    let (output, headers) = listed_as(&folder, &exec(&script, &["of-alice"]));
    assert_eq!(
        out(&output),
        "workspace.workspaces.jupyter.org/demo\n",
        "{output:?}"
    );
    assert_eq!(headers, [Some("Bearer of-alice-blue".to_owned())]);

    // The other ways, in short: a token, and one in a file.
    let (output, headers) = listed_as(&folder, &json!({"token": "plain"}));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(headers, [Some("Bearer plain".to_owned())]);
    let file = folder.write("token", "from-a-file\n");
    let (output, headers) = listed_as(&folder, &json!({"tokenFile": file}));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(headers, [Some("Bearer from-a-file".to_owned())]);
}
