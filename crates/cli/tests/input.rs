//! Files and kubeconfigs with errors -> a sentence that says what to do, and an exit code (IO: processes, files).

use std::path::PathBuf;

use crate::process::{out, run};

/// A file that is removed when it is dropped.
struct File(PathBuf);

impl File {
    fn with(name: &str, content: impl AsRef<[u8]>) -> Self {
        let file = std::env::temp_dir().join(format!("cli-input-{}-{name}", std::process::id()));
        std::fs::write(&file, content).unwrap();
        Self(file)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Exit code and error output.
fn refused(words: &[&str]) -> (Option<i32>, String) {
    let output = run(words);
    assert!(output.stdout.is_empty(), "{words:?}: {}", out(&output));
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

const WORKSPACE: &str = "apiVersion: workspaces.jupyter.org/v1alpha1\nkind: Workspace\nmetadata: {name: demo}\nspec: {displayName: d}\n";

#[test]
fn a_manifest_is_shown_as_it_is_written() {
    let file = File::with("fine", WORKSPACE);
    let output = run(&["create", "-f", file.path(), "--dry-run=client"]);
    assert_eq!(
        out(&output),
        "workspace.workspaces.jupyter.org/demo created (dry run)\n"
    );
    let output = run(&["create", "-f", file.path(), "--dry-run=client", "-o", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(shown["spec"], serde_json::json!({"displayName": "d"}));
}

#[test]
fn commands_on_files_name_what_is_wrong_with_them() {
    let encoding = File::with("encoding", b"\xff");
    let helm = File::with("helm", "metadata:\n  name: {{ .Values.name }}\n");
    let other = File::with("stop-other", "apiVersion: v1\nkind: Pod\n");
    let kubeconfig = kubeconfig("targets", "a", "http://127.0.0.1:1");
    let (code, text) = refused(&["create", "--dry-run=client", "-f", encoding.path()]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("line 1 is not UTF-8"), "{text}");
    let (code, text) = refused(&["create", "--dry-run=client", "-f", helm.path()]);
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains(&format!("{}:2:9: {{{{ begins", helm.path())),
        "{text}"
    );
    for (file, code, part) in [
        (&helm, 1, ":2:10: cannot be read: "),
        (&other, 2, "the files hold no Workspace"),
    ] {
        let words = ["stop", "-f", file.path(), "--kubeconfig", kubeconfig.path()];
        let (found, text) = refused(&words);
        assert_eq!(found, Some(code), "{text}");
        assert!(text.contains(part), "{text}");
    }
}

/// A kubeconfig with the contexts `a`, `no-cluster`, `no-user` and `no-file`.
fn kubeconfig(name: &str, current: &str, server: &str) -> File {
    let content = format!(
        "{{apiVersion: v1, kind: Config, current-context: '{current}', \
         contexts: [{{name: a, context: {{cluster: one, user: u}}}}, {{name: no-cluster, context: {{cluster: gone, user: u}}}}, \
         {{name: no-user, context: {{cluster: one, user: eve}}}}, {{name: no-file, context: {{cluster: two, user: u}}}}], \
         clusters: [{{name: one, cluster: {{server: '{server}'}}}}, \
         {{name: two, cluster: {{server: '{server}', certificate-authority: /nonexistent/ca.pem}}}}], users: [{{name: u, user: {{}}}}]}}"
    );
    File::with(name, content)
}
