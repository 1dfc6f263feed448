//! Flags that name workspaces -> these workspaces (IO).

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use api::Workspace;
use rules::Violation;
use serde_json::Value;

use crate::args::Targets;
use crate::cluster::Cluster;
use crate::failure::Failure;

/// A workspace that a command is about.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The object, if a list had it.
    pub(crate) listed: Option<Workspace>,
}

impl Target {
    /// The workspace of this name in the namespace of the command.
    pub(crate) fn new(cluster: &Cluster, name: &str) -> Self {
        Self {
            namespace: cluster.namespace().to_owned(),
            name: name.to_owned(),
            listed: None,
        }
    }

    /// Reads the workspace.
    pub(crate) async fn read(&self, cluster: &Cluster) -> Result<Workspace, Failure> {
        let found = cluster.get::<Workspace>(Some(&self.namespace), &self.name).await;
        parse(found.map_err(|failure| self.missing(failure))?)
    }

    /// A missing workspace is named, with the command that lists those that exist.
    pub(crate) fn missing(&self, failure: Failure) -> Failure {
        if !failure.is_not_found() {
            return failure;
        }
        Failure::Other(anyhow!(
            "workspace {:?} does not exist in namespace {:?}: see kubectl workspace list -n {}",
            self.name,
            self.namespace,
            self.namespace
        ))
    }
}

/// The workspaces, in the given order.
pub(crate) async fn resolve(cluster: &Cluster, targets: &Targets) -> Result<Vec<Target>, Failure> {
    let namespace = cluster.namespace();
    if targets.all || targets.selector.is_some() {
        let found = cluster
            .list::<Workspace>(Some(namespace), targets.selector.as_deref(), None)
            .await?;
        return found.into_iter().map(from_list).collect();
    }
    let named = targets.names.iter().map(|name| Target::new(cluster, name));
    let mut all: Vec<_> = named.collect();
    if !targets.filename.is_empty() {
        for manifest in workspaces(&targets.filename)? {
            let target = in_manifest(&manifest, namespace);
            all.push(target.map_err(|violation| Failure::Usage(violation.to_string()))?);
        }
    }
    Ok(all)
}

fn from_list(object: Value) -> Result<Target, Failure> {
    let workspace = parse(object)?;
    Ok(Target {
        namespace: workspace.metadata.namespace.clone().unwrap_or_default(),
        name: workspace.metadata.name.clone().unwrap_or_default(),
        listed: Some(workspace),
    })
}

/// A workspace as the API server sent it.
pub(crate) fn parse(object: Value) -> Result<Workspace, Failure> {
    let parsed = serde_json::from_value(object);
    Ok(parsed
        .context("the stored object cannot be parsed; this plugin may be older than the cluster's CRDs")?)
}

/// The text of a file, or of standard input for `-`.
pub(crate) fn read(file: &Path) -> Result<String, Failure> {
    let bytes = if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(file)
    };
    let bytes = bytes.with_context(|| format!("{} cannot be read", file.display()))?;
    String::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        let line = before.matches('\n').count() + 1;
        Failure::Other(anyhow!(
            "{} cannot be read: line {line} is not UTF-8: save the file in this encoding",
            file.display()
        ))
    })
}

/// The documents of a YAML or JSON text, and the items of Lists. Empty documents are left out.
fn documents(text: &str) -> Result<Vec<Value>, serde_saphyr::Error> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)?;
    let items = documents.into_iter().flat_map(|mut document| {
        let kind = document["kind"].as_str();
        let is_list = kind.is_some_and(|kind| kind.ends_with("List"));
        match document.get_mut("items") {
            Some(Value::Array(items)) if is_list => std::mem::take(items),
            _ => vec![document],
        }
    });
    Ok(items.collect())
}

/// Line and column, and what is wrong there.
fn error_in_file(file: &Path, error: &serde_saphyr::Error) -> Failure {
    let error = error.without_snippet();
    let place = error
        .location()
        .map(|at| format!("{}:{}: ", at.line(), at.column()));
    let words = error.to_string();
    let words = words.lines().next().unwrap_or_default();
    let words = words.split(" at line ").next().unwrap_or_default();
    let place = place.unwrap_or_default();
    Failure::Other(anyhow!("{}:{place}cannot be read: {words}", file.display()))
}

/// Whether a document is an object of this kind of ours.
fn is_kind(document: &Value, kind: &str) -> bool {
    let group = document["apiVersion"]
        .as_str()
        .and_then(|version| version.split_once('/'));
    document["kind"] == kind && group.is_some_and(|(group, _)| group == api::names::GROUP)
}

/// The workspaces of these files: at least one.
pub(crate) fn workspaces(files: &[PathBuf]) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    for file in files {
        let all = documents(&read(file)?).map_err(|error| error_in_file(file, &error))?;
        found.extend(all.into_iter().filter(|document| is_kind(document, "Workspace")));
    }
    if found.is_empty() {
        return Err(Failure::Usage("the files hold no Workspace".to_owned()));
    }
    Ok(found)
}

/// The workspace of a manifest. Its name and its namespace are parts of a request's address, so both are checked.
pub(crate) fn in_manifest(document: &Value, namespace: &str) -> Result<Target, Violation> {
    let metadata = &document["metadata"];
    let namespace = match &metadata["namespace"] {
        Value::Null => namespace,
        Value::String(own) => own.as_str(),
        other => {
            let rule = "must be a string";
            return Err(Violation::new("metadata.namespace", other.to_string(), rule));
        }
    };
    let name = metadata["name"].as_str().unwrap_or_default();
    let mut wrong = rules::checks::name(name);
    wrong.extend(rules::checks::namespace("metadata.namespace", namespace));
    match wrong.into_iter().next() {
        Some(violation) => Err(violation),
        None => Ok(Target {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            listed: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workspaces_of_manifests_and_lists_are_found_and_other_kinds_are_not() {
        let text = "---\napiVersion: workspaces.jupyter.org/v1alpha1\nkind: Workspace\nmetadata: {name: a}\n---\n---\n\
                    apiVersion: v1\nkind: List\nitems:\n- {apiVersion: workspaces.jupyter.org/v1alpha1, kind: Workspace, metadata: {name: b, namespace: other}}\n\
                    - {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}\n";
        let found = documents(text).unwrap();
        let targets: Vec<_> = found
            .iter()
            .filter(|document| is_kind(document, "Workspace"))
            .map(|document| in_manifest(document, "team").unwrap())
            .map(|target| (target.namespace, target.name))
            .collect();
        assert_eq!(
            targets,
            [
                ("team".to_owned(), "a".to_owned()),
                ("other".to_owned(), "b".to_owned())
            ]
        );
    }

    #[test]
    fn files_may_hold_aliases_and_no_bomb_and_an_error_has_its_place() {
        let found = documents("%YAML 1.2\n---\na: &x 1\nb: *x\n---\n# nothing\n---\nc: d\n").unwrap();
        assert_eq!(
            found,
            [serde_json::json!({"a": 1, "b": 1}), serde_json::json!({"c": "d"})]
        );
        // Each alias stands for nine of those before: 9^9 values.
        let level = |level: usize| {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            format!("a{level}: &a{level} [{aliases}]\n")
        };
        let bomb = "a0: &a0 [x]\n".to_owned() + &(1..10).map(level).collect::<String>();
        documents(&bomb).unwrap_err();
        let broken = documents("a: 1\n---\nb: {c\n---\n").unwrap_err();
        let text = error_in_file(Path::new("a.yaml"), &broken).to_string();
        assert!(
            text.starts_with("a.yaml:3:4: cannot be read: ") && text.lines().count() == 1,
            "{text}"
        );
    }

    #[test]
    fn a_name_or_namespace_that_would_change_the_address_is_refused() {
        for (metadata, field) in [
            (r#"{"name": "../pods/a"}"#, "metadata.name"),
            (r#"{"namespace": "team"}"#, "metadata.name"),
            (
                r#"{"name": "a", "namespace": "team/../other"}"#,
                "metadata.namespace",
            ),
            (r#"{"name": "a", "namespace": 2024}"#, "metadata.namespace"),
        ] {
            let metadata: Value = serde_json::from_str(metadata).unwrap();
            let refused = in_manifest(&serde_json::json!({ "metadata": metadata }), "team").unwrap_err();
            assert_eq!(refused.field, field);
        }
    }
}
