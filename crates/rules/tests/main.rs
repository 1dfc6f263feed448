//! Samples and the README's manifests -> read without a field left over, and admitted (IO: reads those files).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceShare, WorkspaceTemplate};
use rules::{References, Settings};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn settings() -> Settings {
    Settings::parse("{defaultImage: uv, imageAliases: {uv: r/jupyter:1}}").unwrap()
}

/// Paths in `written` that `read` lacks: the API server would refuse or drop them.
fn left_over(path: &str, written: &Value, read: &Value) -> Vec<String> {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => written
            .iter()
            .flat_map(|(key, value)| {
                let path = format!("{path}.{key}");
                match read.get(key) {
                    Some(read) => left_over(&path, value, read),
                    None => vec![path],
                }
            })
            .collect(),
        (Value::Array(written), Value::Array(read)) => written
            .iter()
            .zip(read)
            .flat_map(|(written, read)| left_over(path, written, read))
            .collect(),
        _ => Vec::new(),
    }
}

fn strict<K: DeserializeOwned + Serialize>(written: &Value) -> K {
    let object: K = serde_json::from_value(written.clone()).unwrap();
    let read = serde_json::to_value(&object).unwrap();
    assert_eq!(left_over("", written, &read), Vec::<String>::new());
    object
}

#[derive(Default)]
struct Manifests {
    workspaces: Vec<Workspace>,
    templates: BTreeMap<String, WorkspaceTemplate>,
    managers: Vec<WorkspaceManager>,
    profiles: BTreeMap<String, WorkspaceExecutionProfile>,
    shares: Vec<WorkspaceShare>,
}

impl Manifests {
    fn add(&mut self, yaml: &str) {
        for document in yaml.split("\n---\n") {
            self.add_one(document);
        }
    }

    fn add_one(&mut self, yaml: &str) {
        let written: Value = serde_saphyr::from_str(yaml).unwrap();
        if written["kind"] == "PersistentVolumeClaim" {
            return;
        }
        assert_eq!(written["apiVersion"], "workspaces.jupyter.org/v1alpha1", "{yaml}");
        match written["kind"].as_str() {
            Some("Workspace") => self.workspaces.push(strict(&written)),
            Some("WorkspaceTemplate") => {
                let template: WorkspaceTemplate = strict(&written);
                self.templates
                    .insert(template.metadata.name.clone().unwrap(), template);
            }
            Some("WorkspaceManager") => self.managers.push(strict(&written)),
            Some("WorkspaceExecutionProfile") => {
                let profile: WorkspaceExecutionProfile = strict(&written);
                self.profiles
                    .insert(profile.metadata.name.clone().unwrap(), profile);
            }
            Some("WorkspaceShare") => self.shares.push(strict(&written)),
            other => panic!("{other:?} is no kind of ours: {yaml}"),
        }
    }

    fn samples() -> Self {
        let mut all = Self::default();
        for file in kustomized() {
            all.add(&fs::read_to_string(root().join("deploy/samples").join(file)).unwrap());
        }
        all
    }
}

/// The files that `kubectl apply -k deploy/samples` reads.
fn kustomized() -> Vec<String> {
    let text = fs::read_to_string(root().join("deploy/samples/kustomization.yaml")).unwrap();
    let kustomization: Value = serde_saphyr::from_str(&text).unwrap();
    serde_json::from_value(kustomization["resources"].clone()).unwrap()
}

#[test]
fn the_kustomization_lists_every_sample_once() {
    let samples = root().join("deploy/samples");
    let in_folder = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(samples.join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let is_manifest = |name: &String| {
            Path::new(name).extension().is_some_and(|it| it == "yaml") && name != "kustomization.yaml"
        };
        let manifests = names.filter(is_manifest);
        manifests.map(|name| format!("{folder}{name}")).collect()
    };
    let mut files = [in_folder(""), in_folder("managers/")].concat();
    files.sort();
    assert_eq!(kustomized(), files);
}

/// As the API server and the webhook leave it.
fn stored(mut workspace: Workspace) -> Workspace {
    workspace.metadata.annotations = Some([(api::names::CREATED_BY.to_owned(), "alice".to_owned())].into());
    workspace
        .metadata
        .namespace
        .get_or_insert_with(|| "team".to_owned());
    workspace.metadata.uid = Some("u-1".to_owned());
    workspace
}

#[test]
fn the_samples_are_admitted_together() {
    let samples = Manifests::samples();
    assert!(samples.workspaces.len() >= 2 && !samples.templates.is_empty());
    let is_of_gateway = |it: &&WorkspaceManager| it.metadata.name.as_deref() == Some("sample");
    let mut manager = samples.managers.iter().find(is_of_gateway).unwrap().clone();
    // The comment in the file says why it is not annotated.
    assert!(!rules::managers::is_default(&manager));
    manager.metadata.annotations = Some([(api::names::IS_DEFAULT.to_owned(), "true".to_owned())].into());
    for workspace in samples.workspaces {
        let reference = workspace.spec.template_ref.as_ref();
        let template = reference.map(|name| &samples.templates[name]);
        let profile = rules::profile_name(&workspace.spec, template.map(|template| &template.spec));
        let profile = profile.map(|name| &samples.profiles[name]);
        let workspace = stored(workspace);
        let admitted = rules::admit(
            &workspace,
            &References::managed_by([&manager])
                .with_template(template)
                .with_profile(profile),
            &settings(),
        );
        assert!(admitted.is_ok(), "{:?}: {admitted:?}", workspace.metadata.name);
    }
}

#[test]
fn the_sample_templates_do_not_contradict_themselves() {
    for (name, template) in Manifests::samples().templates {
        let found = rules::validate::template(&template.spec, &settings());
        assert_eq!(found, [], "{name}");
    }
}

#[test]
fn the_sample_profiles_and_shares_break_no_rule() {
    let samples = Manifests::samples();
    assert!(!samples.profiles.is_empty() && !samples.shares.is_empty());
    for (name, profile) in samples.profiles {
        assert_eq!(rules::validate::profile(&profile.spec, &settings()), [], "{name}");
    }
    for share in samples.shares {
        assert_eq!(rules::validate::share(&share.spec), []);
        let shared = |it: &Workspace| it.metadata.name.as_ref() == Some(&share.spec.workspace_ref);
        assert!(samples.workspaces.iter().any(shared));
    }
}

/// A file of deploy/samples/jupyterhub.
fn of_hub(file: &str) -> String {
    fs::read_to_string(root().join("deploy/samples/jupyterhub").join(file)).unwrap()
}

/// The workspace that a hub makes of a template.
fn server(template: &str) -> Workspace {
    let spec = serde_json::json!({
        "displayName": "alice", "templateRef": template, "ownershipType": "OwnerOnly", "port": 8888,
        "variables": {"hub.username": "alice", "hub.path": "user/alice/"},
    });
    stored(Workspace::new("alice", serde_json::from_value(spec).unwrap()))
}

#[test]
fn the_sample_hub_s_servers_are_admitted_and_break_no_rule() {
    let mut sample = Manifests::default();
    for file in ["workspaces.yaml", "templates.yaml"] {
        sample.add(&of_hub(file));
    }
    let (manager, profile) = (&sample.managers[0], &sample.profiles["jupyterhub"]);
    assert_eq!(rules::validate::profile(&profile.spec, &settings()), []);
    assert_eq!(sample.templates.len(), 2);
    for (name, template) in &sample.templates {
        assert_eq!(
            rules::validate::template(&template.spec, &settings()),
            [],
            "{name}"
        );
        let references = References::managed_by([manager])
            .with_template(Some(template))
            .with_profile(Some(profile));
        let admitted = rules::admit(&server(name), &references, &settings());
        assert!(admitted.is_ok(), "{name}: {admitted:?}");
        // A profile of the hub may not ask for more than the template allows.
        for (resource, amount) in [("cpu", "64"), ("memory", "64Gi"), ("nvidia.com/gpu", "1")] {
            let mut larger = server(name);
            let limits = serde_json::json!({"limits": {resource: amount}});
            larger.spec.resources = serde_json::from_value(limits).unwrap();
            let admitted = rules::admit(&larger, &references, &settings());
            assert!(admitted.is_err(), "{name}: {resource}");
        }
    }
}

/// Each name is written in several files, because Kubernetes has no way to share it.
#[test]
fn the_files_of_the_sample_hub_name_the_same() {
    let kustomization: Value = serde_saphyr::from_str(&of_hub("kustomization.yaml")).unwrap();
    let mut listed: Vec<String> = serde_json::from_value(kustomization["resources"].clone()).unwrap();
    let entries = fs::read_dir(root().join("deploy/samples/jupyterhub")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_listed = |name: &String| {
        Path::new(name).extension().is_some_and(|it| it == "yaml")
            && !["kustomization.yaml", "images.yaml"].contains(&name.as_str())
    };
    let mut files: Vec<String> = names.filter(is_listed).collect();
    listed.sort();
    files.sort();
    assert_eq!(listed, files);

    let mut sample = Manifests::default();
    sample.add(&of_hub("templates.yaml"));
    sample.add(&of_hub("workspaces.yaml"));
    let names: Vec<&str> = sample.templates.keys().map(String::as_str).collect();
    let granted = format!("resourceNames: [{}]\n", names.join(", "));
    assert!(of_hub("rights.yaml").contains(&granted), "{granted}");
    let allowed = format!("object.spec.templateRef in ['{}']\"", names.join("', '"));
    assert!(of_hub("policy.yaml").contains(&allowed), "{allowed}");
    let config = of_hub("jupyterhub_config.py");
    for name in names {
        assert!(config.contains(&format!("\"template\": \"{name}\"")), "{name}");
    }
    // A pod's token is for the address that the hub expects in it.
    let profile = serde_json::to_value(&sample.profiles["jupyterhub"].spec).unwrap();
    let audience = profile["projectedTokens"][0]["audience"]
        .as_str()
        .unwrap()
        .to_owned();
    let launch_url = audience
        .strip_suffix("/workspaces/{workspace.uid}/launch")
        .unwrap();
    assert!(
        config.contains(&format!("launch_url = \"{launch_url}\"")),
        "{launch_url}"
    );
}

#[test]
fn the_manifests_in_the_readme_break_no_rule() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut manifests = Manifests::default();
    for block in readme.split("\n```yaml\n").skip(1) {
        let (yaml, _) = block.split_once("\n```").unwrap();
        manifests.add(yaml);
    }
    assert!(!manifests.workspaces.is_empty(), "the README shows a Workspace");
    for workspace in manifests.workspaces {
        let reference = workspace.spec.template_ref.as_ref();
        let template = reference.and_then(|name| manifests.templates.get(name));
        let validation = rules::judge(
            &stored(workspace),
            &References::default().with_template(template),
            &settings(),
        );
        assert_eq!(validation.violations, None);
    }
}
