//! `kubectl workspace import`: exports -> a folder, a table and exit codes, without a cluster (IO: processes, files).

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::process::{out, plugin};

/// Comes over as a whole.
const WHOLE: &str = r#"{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "kubeflow.org/v1", "kind": "Notebook",
   "metadata": {"name": "demo", "namespace": "team-a", "annotations": {"notebooks.kubeflow.org/creator": "alice"}},
   "spec": {"template": {"spec": {"containers": [{"name": "demo", "image": "r.example.org/jupyter:1"}]}}}}]}"#;

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cli-import-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn import(words: &[&str], input: &str) -> Output {
    import_from("kubeflow", words, input)
}

fn import_from(source: &str, words: &[&str], input: &str) -> Output {
    let mut command = plugin();
    command.args(["import", source]).args(words);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command line that is refused reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn files(dir: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn files_are_written_once_and_the_exit_code_says_whether_something_is_lost() {
    let folder = Folder::new("written");
    let dir = folder.path("out");
    let output = import(&["--dir", &dir, "--user-prefix", "oidc:"], WHOLE);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert_eq!(
        files(&dir),
        [
            "disks",
            "rights.yaml",
            "steps.md",
            "templates.yaml",
            "workspaces.yaml"
        ]
    );
    for file in files(&dir) {
        let mode = fs::metadata(Path::new(&dir).join(&file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let workspaces = fs::read_to_string(folder.path("out/workspaces.yaml")).unwrap();
    assert!(
        workspaces.contains("workspaces.jupyter.org/created-by: oidc:alice"),
        "{workspaces}"
    );
    let table = out(&output);
    assert!(
        table.starts_with("OBJECT ") && table.contains("Notebook team-a/demo   metadata.name "),
        "{table}"
    );
    // Not a second time.
    let again = import(&["--dir", &dir], WHOLE);
    assert_eq!(again.status.code(), Some(2));
    assert!(errors(&again).contains("is not empty"), "{}", errors(&again));
    assert_eq!(
        fs::read_to_string(folder.path("out/workspaces.yaml")).unwrap(),
        workspaces
    );
    // From files, into an empty folder that is there; something is lost.
    let (source, lossy) = (folder.path("source.json"), folder.path("lossy"));
    fs::write(
        &source,
        WHOLE.replace("\"image\"", "\"someday\": true, \"image\""),
    )
    .unwrap();
    fs::create_dir(&lossy).unwrap();
    let output = import(&["-f", &source, "--dir", &lossy, "-o", "json"], "");
    assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
    // Owners are called as there, and nobody said that they are called so here.
    let unknown = "no --user-prefix was given";
    assert!(errors(&output).contains(unknown), "{}", errors(&output));
    let steps = fs::read_to_string(folder.path("lossy/steps.md")).unwrap();
    assert!(steps.contains(unknown), "{steps}");
    let none = import(&["--dir", &folder.path("none"), "--user-prefix", ""], WHOLE);
    assert_eq!(none.status.code(), Some(0), "{}", errors(&none));
    assert!(!errors(&none).contains(unknown), "{}", errors(&none));
    let report: Value = serde_json::from_str(&out(&output)).unwrap();
    let lost = report["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["outcome"] == "lost");
    let lost: Vec<_> = lost.map(|entry| entry["path"].as_str().unwrap()).collect();
    assert_eq!(lost, ["spec.template.spec.containers[0].someday"]);
    assert_eq!(files(&lossy).len(), 5);
}

#[test]
fn what_cannot_be_read_or_written_leaves_nothing_behind() {
    let folder = Folder::new("refused");
    let (full, link, file) = (folder.path("full"), folder.path("link"), folder.path("file"));
    fs::create_dir(&full).unwrap();
    fs::write(Path::new(&full).join("a"), "").unwrap();
    fs::create_dir(folder.path("empty")).unwrap();
    symlink(folder.path("empty"), &link).unwrap();
    fs::write(&file, "").unwrap();
    let slash = format!("{link}/");
    let (below_file, far, new) = (folder.path("file/out"), folder.path("a/b"), folder.path("new"));
    // Not even root may write there: to make the folder, and into one that is there and empty.
    let [sys, proc] = ["/sys/out", "/proc/tty/ldisc"].map(str::to_owned);
    for (dir, input, code, words) in [
        (&full, WHOLE, 2, "is not empty"),
        (&link, WHOLE, 2, "is a link"),
        (&slash, WHOLE, 2, "is a link"),
        (&file, WHOLE, 2, "must be a folder"),
        (&below_file, WHOLE, 2, "cannot be read"),
        (&far, WHOLE, 1, "cannot be written"),
        (&sys, WHOLE, 1, "/sys/out cannot be written, and nothing is"),
        (
            &proc,
            WHOLE,
            1,
            "/proc/tty/ldisc cannot be written, and nothing is",
        ),
        (&new, "", 1, "the input is empty"),
        (&new, "a: [", 1, "standard input:"),
        (&new, "kind: {{ .Values.kind }}", 1, "Helm template"),
    ] {
        let output = import(&["--dir", dir], input);
        assert_eq!(output.status.code(), Some(code), "{dir}: {}", errors(&output));
        assert!(errors(&output).contains(words), "{dir}: {}", errors(&output));
        assert_eq!(out(&output), "", "{dir}");
    }
    assert_eq!(
        files(&folder.0.display().to_string()),
        ["empty", "file", "full", "link"]
    );
    assert_eq!((files(&full).len(), files(&folder.path("empty")).len()), (1, 0));
    // The control: the same input into a new folder.
    assert_eq!(import(&["--dir", &new], WHOLE).status.code(), Some(0));
    let missing = import(&["--dir", &folder.path("other"), "-f", &folder.path("none")], "");
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        errors(&missing).contains("none cannot be read"),
        "{}",
        errors(&missing)
    );
    assert_eq!(import(&[], WHOLE).status.code(), Some(2), "--dir is required");
}

#[test]
fn a_file_that_cannot_be_written_to_its_end_takes_the_others_along() {
    let folder = Folder::new("limit");
    let input = folder.path("source.json");
    fs::write(&input, WHOLE).unwrap();
    let program = plugin().get_program().to_owned();
    // A disk that is full, for steps.md: files have at most so many KiB.
    let limited = |kilobytes: u32, dir: &str| {
        let script = format!(
            "trap '' XFSZ; ulimit -f {kilobytes}; exec \"$0\" import kubeflow --user-prefix '' -f \"$1\" --dir \"$2\""
        );
        let mut command = Command::new("bash");
        command.args(["-c", &script]).arg(&program).arg(&input).arg(dir);
        command.output().unwrap()
    };
    let (new, empty) = (folder.path("new"), folder.path("empty"));
    fs::create_dir(&empty).unwrap();
    for dir in [&new, &empty] {
        let output = limited(4, dir);
        assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
        let words = "cannot be written, and nothing is";
        assert!(errors(&output).contains(words), "{}", errors(&output));
        assert_eq!(out(&output), "");
    }
    assert!(!Path::new(&new).exists() && files(&empty).is_empty());
    // The control.
    assert_eq!(limited(1_000, &empty).status.code(), Some(0));
    assert_eq!(files(&empty).len(), 5);
}

#[test]
fn an_export_is_read_as_that_of_the_source_that_is_named() {
    let folder = Folder::new("sources");
    let earlier = r#"{"apiVersion": "workspace.jupyter.org/v1alpha1", "kind": "Workspace",
      "metadata": {"name": "demo", "namespace": "team-a", "annotations": {"workspace.jupyter.org/created-by": "alice"}},
      "spec": {"displayName": "Demo", "image": "r.example.org/jupyter:1"}}"#;
    for (source, input, code) in [
        ("jupyter-k8s", earlier, 0),
        ("kubeflow", earlier, 1),
        ("kubeflow", WHOLE, 0),
        ("jupyter-k8s", WHOLE, 1),
        ("other", WHOLE, 2),
    ] {
        let dir = folder.path(&format!("{source}-{code}"));
        let output = import_from(source, &["--dir", &dir], input);
        assert_eq!(output.status.code(), Some(code), "{source}: {}", errors(&output));
        assert_eq!(Path::new(&dir).exists(), code == 0, "{source}");
    }
}

#[test]
fn a_hub_stays_or_goes_as_the_command_line_says() {
    let folder = Folder::new("hub");
    let values = folder.path("values.yaml");
    fs::write(&values, "singleuser: {image: {name: r.example.org/a, tag: 1}}").unwrap();
    let claim = "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: claim-alice, namespace: jhub, annotations: {hub.jupyter.org/username: alice}}}";
    for (fate, file) in [("keep", "hub-values.yaml"), ("replace", "workspaces.yaml")] {
        let dir = folder.path(fate);
        let output = import_from(
            "z2jh",
            &["--hub", fate, "-f", &values, "-f", "-", "--dir", &dir],
            claim,
        );
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        assert!(files(&dir).contains(&file.to_owned()), "{:?}", files(&dir));
    }
    let dir = folder.path("none");
    for (source, words) in [
        ("z2jh", vec!["--dir", &dir, "-f", &values]),
        ("z2jh", vec!["--dir", &dir, "-f", &values, "--hub-namespace", "a"]),
        ("kubeflow", vec!["--dir", &dir, "-f", &values, "--hub", "keep"]),
    ] {
        let output = import_from(source, &words, "");
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", errors(&output));
        assert!(errors(&output).contains("--hub"), "{}", errors(&output));
    }
    // Folders after users' names, which nothing tells how they are written.
    let common = "singleuser: {image: {name: r.example.org/a, tag: 1}, storage: {type: static, static: {pvcName: homes}}}";
    for (scheme, code) in [(None, 2), (Some("other"), 2), (Some("escape"), 0)] {
        let folder = folder.path(&format!("common-{code}"));
        let mut words = vec!["--dir", &folder, "--hub", "keep"];
        words.extend(scheme.into_iter().flat_map(|scheme| ["--slug-scheme", scheme]));
        let output = import_from("z2jh", &words, common);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{scheme:?}: {}",
            errors(&output)
        );
        assert!(
            code == 0 || errors(&output).contains("--slug-scheme"),
            "{}",
            errors(&output)
        );
        assert_eq!(Path::new(&folder).exists(), code == 0, "{scheme:?}");
    }
    assert!(!Path::new(&dir).exists());
}
