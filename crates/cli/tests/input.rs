//! Files and kubeconfigs with errors -> a sentence that says what to do, and an exit code (IO: processes, files).

use std::path::PathBuf;

use crate::process::{out, plugin, run};

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
fn a_wrong_manifest_is_refused_with_its_line_before_a_cluster_is_asked() {
    let two = format!("{WORKSPACE}---\n{WORKSPACE}");
    let hook = WORKSPACE.replace("{name: demo}", "{name: demo, annotations: {helm.sh/hook: test}}");
    let unknown = WORKSPACE.replace("displayName: d}", "displayName: d,\n  colour: red}");
    let template = WORKSPACE.replace("Workspace\n", "WorkspaceTemplate\n");
    let old = WORKSPACE.replace("v1alpha1", "v1");
    for (name, content, code, place, part) in [
        (
            "encoding",
            &b"kind: Workspace\nspec: \xff\n"[..],
            1,
            "",
            "line 2 is not UTF-8: save the file in this encoding",
        ),
        ("empty", b"", 2, ":1:1: ", "the text is empty: write a Workspace"),
        ("comment", b"# later\n---\n", 2, ":1:1: ", "the text is empty"),
        (
            "two",
            two.as_bytes(),
            2,
            ":6:1: ",
            "begins a second document, and one workspace is read here",
        ),
        (
            "helm",
            b"kind: Workspace\nmetadata:\n  name: {{ .Values.name }}\n",
            2,
            ":3:9: ",
            "a Helm template",
        ),
        (
            "hook",
            hook.as_bytes(),
            2,
            ":3:",
            "metadata.annotations[helm.sh/hook]: \"test\" makes it a hook",
        ),
        (
            "template",
            template.as_bytes(),
            2,
            ":2:7: ",
            "kind: \"WorkspaceTemplate\" is not Workspace",
        ),
        (
            "pod",
            b"apiVersion: v1\nkind: Pod\nmetadata: {name: demo}\n",
            2,
            ":1:13: ",
            "is not workspaces.jupyter.org/v1alpha1",
        ),
        (
            "version",
            old.as_bytes(),
            2,
            ":1:13: ",
            "is not workspaces.jupyter.org/v1alpha1",
        ),
        (
            "unknown",
            unknown.as_bytes(),
            2,
            ":5:3: ",
            "spec.colour: is an unknown field",
        ),
        ("text", b"demo", 2, ":1:1: ", "is no object"),
        ("open", b"kind: [", 2, ":1:7: ", "is no YAML"),
    ] {
        let file = File::with(name, content);
        for how in ["client", "server"] {
            let dry_run = format!("--dry-run={how}");
            let (found, text) = refused(&["create", "-f", file.path(), &dry_run]);
            assert_eq!(found, Some(code), "{name}: {text}");
            let place = match place {
                "" => String::new(),
                place => format!("{}{place}", file.path()),
            };
            assert!(text.contains(&place) && text.contains(part), "{name}: {text}");
        }
    }
    let (code, text) = refused(&["create", "-f", "/nonexistent.yaml"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("/nonexistent.yaml cannot be read: No such file"),
        "{text}"
    );
}

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
    let encoding = File::with("lint-encoding", b"\xff");
    let helm = File::with("lint-helm", "metadata:\n  name: {{ .Values.name }}\n");
    let other = File::with("stop-other", "apiVersion: v1\nkind: Pod\n");
    let kubeconfig = kubeconfig("targets", "a", "http://127.0.0.1:1");
    let (code, text) = refused(&["lint", encoding.path()]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("line 1 is not UTF-8"), "{text}");
    let output = run(&["lint", helm.path()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        out(&output).starts_with(&format!("{}:2:9: YAML: {{{{ begins", helm.path())),
        "{}",
        out(&output)
    );
    for (file, code, part) in [
        (&helm, 1, ":2:9: {{ begins an expression of a Helm template"),
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

#[test]
fn a_kubeconfig_that_cannot_be_used_is_said_with_what_to_choose() {
    for (current, part) in [
        (
            "",
            "the kubeconfig cannot be used: it has no current context: choose one with --context",
        ),
        (
            "gone",
            "context \"gone\" does not exist: choose another with --context (there is a, ",
        ),
        (
            "no-cluster",
            "names cluster \"gone\", which does not exist: choose another with --cluster (there is one, two)",
        ),
        (
            "no-user",
            "names user \"eve\", who does not exist: choose another with kubectl workspace --user (there is u)",
        ),
        ("no-file", "/nonexistent/ca.pem"),
    ] {
        let file = kubeconfig("contexts", current, "https://127.0.0.1:1");
        let (code, text) = refused(&["list", "--kubeconfig", file.path()]);
        assert_eq!(code, Some(1), "{current}: {text}");
        assert!(text.contains(part), "{current}: {text}");
        let output = plugin()
            .arg("list")
            .env("KUBECONFIG", file.path())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), text, "{current}");
    }
    let broken = File::with("broken", "contexts: [");
    let (code, text) = refused(&["list", "--kubeconfig", broken.path()]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(broken.path()), "{text}");
    let (code, text) = refused(&["list", "--context", "a"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("there is no kubeconfig: set --kubeconfig or $KUBECONFIG"),
        "{text}"
    );
}
