//! values -> the objects that the chart renders, or its refusal (IO: runs `helm`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

static FILES: AtomicUsize = AtomicUsize::new(0);

/// An installation with its own provider: the minimum of settings.
pub(crate) const EXTERNAL: [&str; 8] = [
    "--set",
    "image.registry=registry.example.com/jupyter-k8s",
    "--set",
    "routing.baseDomain=workspaces.example.org",
    "--set",
    "proxy.tls.secretName=tls",
    "--set",
    "oidc.issuerUrl=https://id.example.com/realm",
];
/// The cluster on this machine, with the bundled provider.
pub(crate) const LOCAL: [&str; 2] = ["-f", "values-local.yaml"];

pub(crate) fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/jupyter-k8s")
}

/// `$HELM`, else helm in the cache folder of the tool, else helm on the path.
pub(crate) fn helm() -> PathBuf {
    if let Some(helm) = std::env::var_os("HELM") {
        return helm.into();
    }
    let cache = std::env::var_os("JUPYTER_K8S_CACHE")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/jupyter-k8s")));
    cache
        .into_iter()
        .flat_map(|cache| [cache.join("helm/bin/helm"), cache.join("bin/helm")])
        .find(|helm| helm.is_file())
        .unwrap_or_else(|| "helm".into())
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    let helm = helm();
    Command::new(&helm)
        .current_dir(chart())
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; `./justw images` puts helm in place", helm.display()))
}

pub(crate) fn template(values: &[&str]) -> Result<Vec<Value>, String> {
    template_of(".", values)
}

/// The same for another chart.
pub(crate) fn template_of(chart: &str, values: &[&str]) -> Result<Vec<Value>, String> {
    let arguments = [
        &[
            "template",
            "jupyter-k8s",
            chart,
            "--namespace",
            "jupyter-k8s-system",
        ],
        values,
    ]
    .concat();
    let output = run(&arguments);
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    Ok(objects.into_iter().filter(|object| !object.is_null()).collect())
}

/// Example values files, by their names.
pub(crate) fn examples() -> Vec<String> {
    let files = fs::read_dir(chart().join("examples")).unwrap();
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The example that renders the half of a namespace: without policies and roles of the cluster (`scope`).
const HALF: &str = "one-namespace.yaml";

/// Rendered objects of valid installations of a cluster: both ways of signing in, and every example.
pub(crate) fn installations() -> Vec<Vec<Value>> {
    static RENDERED: OnceLock<Vec<Vec<Value>>> = OnceLock::new();
    let render = || {
        let whole = examples().into_iter().filter(|name| name != HALF);
        let examples = whole.map(|name| {
            let file = format!("examples/{name}");
            template(&["-f", &file]).unwrap_or_else(|reason| panic!("{file}: {reason}"))
        });
        let ways = [template(&EXTERNAL).unwrap(), template(&LOCAL).unwrap()];
        ways.into_iter().chain(examples).collect()
    };
    RENDERED.get_or_init(render).clone()
}

/// Renders with a further setting, which must be refused; returns the reason.
pub(crate) fn refusal(values: &[&str], setting: &str) -> String {
    template(&[values, &["--set", setting]].concat()).expect_err(setting)
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// The result of an installation with `setting` (`path.of.field=JSON`; objects are merged) in its values file.
fn with(setting: &str) -> Result<Vec<Value>, String> {
    let (path, value) = setting.split_once('=').unwrap();
    let value: Value = serde_json::from_str(value).unwrap();
    with_values(
        path.rsplit('.').fold(value, |inner, key| json!({ key: inner })),
        &[],
    )
}

/// The result of an installation with these values in its values file, and further arguments of helm.
pub(crate) fn with_values(more: Value, arguments: &[&str]) -> Result<Vec<Value>, String> {
    let mut values = json!({
        "image": {"registry": "registry.example.com/jupyter-k8s"},
        "routing": {"baseDomain": "workspaces.example.org"},
        "proxy": {"tls": {"secretName": "tls"}},
        "oidc": {"issuerUrl": "https://id.example.com/realm"},
    });
    merge(&mut values, more);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let file = std::env::temp_dir().join(format!("chart-values-{}-{number}.json", std::process::id()));
    fs::write(&file, values.to_string()).unwrap();
    let result = template(&[&["-f", file.to_str().unwrap()], arguments].concat());
    fs::remove_file(file).unwrap();
    result
}

/// Why an installation with `setting`, as in [`with`], is refused.
pub(crate) fn refused(setting: &str) -> String {
    match with(setting) {
        Ok(_) => panic!("accepted: {setting}"),
        Err(reason) => reason,
    }
}

/// Whether an installation with `setting`, as in [`with`], is rendered.
pub(crate) fn accepted(setting: &str) {
    if let Err(reason) = with(setting) {
        panic!("{setting}: {reason}");
    }
}

pub(crate) fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

pub(crate) fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    of_kind(objects, kind)
        .into_iter()
        .find(|object| object["metadata"]["name"] == name)
        .unwrap_or_else(|| panic!("no {kind} {name}"))
}

pub(crate) fn pods(objects: &[Value]) -> Vec<(&str, &Value)> {
    of_kind(objects, "Deployment")
        .into_iter()
        .map(|deployment| {
            let name = deployment["metadata"]["name"].as_str().unwrap();
            (name, &deployment["spec"]["template"]["spec"])
        })
        .collect()
}

/// Pods of the Jobs that Helm runs, and of `helm test`.
pub(crate) fn hook_pods(objects: &[Value]) -> Vec<(&str, &Value)> {
    let jobs = of_kind(objects, "Job").into_iter();
    let jobs = jobs.map(|job| (job, &job["spec"]["template"]["spec"]));
    let tests = of_kind(objects, "Pod").into_iter().map(|pod| (pod, &pod["spec"]));
    jobs.chain(tests)
        .map(|(object, pod)| (object["metadata"]["name"].as_str().unwrap(), pod))
        .collect()
}

pub(crate) fn containers(objects: &[Value]) -> Vec<(&str, &Value)> {
    pods(objects)
        .into_iter()
        .flat_map(|(name, pod)| {
            pod["containers"]
                .as_array()
                .unwrap()
                .iter()
                .map(move |container| (name, container))
        })
        .collect()
}

/// The container of this name.
pub(crate) fn container<'a>(objects: &'a [Value], name: &str) -> &'a Value {
    let found = containers(objects).into_iter().find(|(found, _)| *found == name);
    found.unwrap_or_else(|| panic!("no container {name}")).1
}

pub(crate) fn strings(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .map(|items| items.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

pub(crate) fn argument<'a>(container: &'a Value, flag: &str) -> Option<&'a str> {
    strings(&container["args"])
        .into_iter()
        .find_map(|argument| argument.strip_prefix(flag)?.strip_prefix('='))
}
