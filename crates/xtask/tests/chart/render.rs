//! values -> the objects and notes that the chart renders, or its refusal (IO: runs `helm`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

pub(crate) const SYSTEM: &str = "jupyter-k8s-system";
/// Values files of the tests, below `values`. The first is the minimum.
const OWN: [&str; 6] = [
    "default",
    "path-mode",
    "everything",
    "operator-and-webhook",
    "cluster-half",
    "pre-pull",
];

static FILES: AtomicUsize = AtomicUsize::new(0);

/// A folder that goes with this value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("chart-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a values file renders.
pub(crate) struct Rendering {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) objects: Vec<Value>,
    pub(crate) notes: String,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn chart() -> PathBuf {
    root().join("charts/jupyter-k8s")
}

/// Folder of these tests.
pub(crate) fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/chart")
        .join(path)
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap()
}

/// What this variable names, else the program in the cache folder of the tool, else the one on the path.
pub(crate) fn program(variable: &str, name: &str) -> PathBuf {
    let cached = testkit::cache::folder().join(format!("{name}/bin/{name}"));
    let found = std::env::var_os(variable).map(PathBuf::from);
    let found = found.or_else(|| cached.is_file().then_some(cached));
    found.unwrap_or_else(|| name.into())
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    let helm = program("HELM", "helm");
    Command::new(&helm)
        .current_dir(chart())
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; set HELM to the path of helm: `./justw demo` installs it into helm/bin of the cache folder", helm.display()))
}

/// Text that a chart renders, or the refusal.
pub(crate) fn text_of(chart: &str, values: &[&str]) -> Result<String, String> {
    let arguments = ["template", "jupyter-k8s", chart, "--namespace", SYSTEM];
    let output = run(&[&arguments, values].concat());
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout).unwrap());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

pub(crate) fn parse(text: &str) -> Vec<Value> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    objects.into_iter().filter(|object| !object.is_null()).collect()
}

/// Objects for the minimum of values with these changes in a second file.
pub(crate) fn with(changes: &Value, more: &[&str]) -> Result<Vec<Value>, String> {
    text_with(changes, more).map(|text| parse(&text))
}

/// The same as text, which tests of refusals do not parse.
pub(crate) fn text_with(changes: &Value, more: &[&str]) -> Result<String, String> {
    let folder = Folder::new();
    let file = folder.path().join("values.json");
    fs::write(&file, changes.to_string()).unwrap();
    let minimum = here("values/default.yaml");
    let files = ["-f", minimum.to_str().unwrap(), "-f", file.to_str().unwrap()];
    text_of(".", &[&files, more].concat())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A copy of the chart whose notes are an object, for a cluster with these objects, each under `kind/namespace/name`: `helm template` shows no
/// notes and looks nothing up.
pub(crate) fn copy_with_notes(objects: &Value) -> Folder {
    let folder = Folder::new();
    copy(&chart(), folder.path());
    let notes =
        "kind: Notes\ntext: |-\n{{ include (print $.Template.BasePath \"/NOTES.txt\") . | indent 2 }}\n";
    fs::write(folder.path().join("templates/shown.yaml"), notes).unwrap();
    let lookup = format!(
        r#"{{{{- define "jk8s.lookup" }}}}{{{{ get (fromJson {objects}) (printf "%s/%s/%s" (index . 1) (index . 2) (index . 3)) | default dict | toJson }}}}{{{{ end }}}}"#,
        objects = json!(objects.to_string())
    );
    fs::write(folder.path().join("templates/_lookup.tpl"), lookup).unwrap();
    folder
}

/// Example values files, by their names.
pub(crate) fn examples() -> Vec<String> {
    let files = fs::read_dir(chart().join("examples")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// A name, and what its values file renders, once a test asks for it: each test is a process of its own.
type Lazy = (String, LazyLock<Rendering, Box<dyn FnOnce() -> Rendering + Send>>);

/// All values files: those of these tests, the local cluster's, the examples.
static RENDERED: LazyLock<Vec<Lazy>> = LazyLock::new(|| {
    let own = OWN.map(|name| (name.to_owned(), here(&format!("values/{name}.yaml"))));
    let local = [("values-local".to_owned(), chart().join("values-local.yaml"))];
    let examples = examples().into_iter().map(|file| {
        let path = chart().join("examples").join(&file);
        (file.trim_end_matches(".yaml").to_owned(), path)
    });
    let lazy = |(name, path): (String, PathBuf)| {
        let own: Box<dyn FnOnce() -> Rendering + Send> = Box::new({
            let name = name.clone();
            move || render(name, &path)
        });
        (name, LazyLock::new(own))
    };
    own.into_iter().chain(local).chain(examples).map(lazy).collect()
});

fn render(name: String, values: &Path) -> Rendering {
    let copy = copy_with_notes(&json!({}));
    let text = text_of(copy.path().to_str().unwrap(), &["-f", values.to_str().unwrap()]);
    let text = text.unwrap_or_else(|reason| panic!("{}: {reason}", values.display()));
    let (shown, objects) = parse(&text).into_iter().partition(|one| one["kind"] == "Notes");
    let shown: Vec<Value> = shown;
    let notes = shown[0]["text"].as_str().unwrap().to_owned();
    Rendering {
        name,
        text,
        objects,
        notes,
    }
}

/// What all values files render.
pub(crate) fn renderings() -> Vec<&'static Rendering> {
    thread::scope(|scope| {
        let running: Vec<_> = RENDERED
            .iter()
            .map(|(_, one)| scope.spawn(move || &**one))
            .collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

/// What this values file renders.
pub(crate) fn rendering(name: &str) -> &'static Rendering {
    let found = RENDERED.iter().find(|(own, _)| own == name);
    let (_, found) = found.unwrap_or_else(|| panic!("no values file {name}"));
    found
}

pub(crate) fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

pub(crate) fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let mut all = of_kind(objects, kind).into_iter();
    let found = all.find(|object| object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

/// Every pod: its object, and its template or itself.
pub(crate) fn pods<'a>(objects: &'a [Value]) -> Vec<(&'a Value, &'a Value)> {
    let pod = |object: &'a Value| match object {
        one if one["kind"] == "Pod" => Some((one, one)),
        one if ["Deployment", "Job"].iter().any(|kind| one["kind"] == *kind) => {
            Some((one, &one["spec"]["template"]))
        }
        _ => None,
    };
    objects.iter().filter_map(pod).collect()
}

/// All containers of a pod.
pub(crate) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["initContainers", "containers"].into_iter();
    lists.flat_map(|list| pod["spec"][list].as_array().into_iter().flatten())
}

/// A right: verb, group, resource, name (empty: all).
pub(crate) type Right<'a> = [&'a str; 4];

/// What the rules of a role allow.
pub(crate) fn rights(role: &Value) -> Vec<Right<'_>> {
    let mut rights = Vec::new();
    for rule in role["rules"].as_array().unwrap() {
        let names = strings(&rule["resourceNames"]);
        let names = if names.is_empty() { vec![""] } else { names };
        for group in strings(&rule["apiGroups"]) {
            for resource in strings(&rule["resources"]) {
                for verb in strings(&rule["verbs"]) {
                    rights.extend(names.iter().map(|name| [verb, group, resource, name]));
                }
            }
        }
    }
    rights
}

pub(crate) fn strings(value: &Value) -> Vec<&str> {
    let items = value.as_array().map(|items| items.iter());
    items
        .map(|items| items.filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
