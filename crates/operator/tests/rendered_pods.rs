//! Samples and the chart's templates -> the pods of their workspaces, as `golden/pods` has them (IO: reads and writes files).
//!
//! `UPDATE_EXPECT=1` writes that folder. An upgrade changes no pod: a change here is one that users get at their next start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate, names};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use operator::plan::{self, Installation};
use rules::{References, Settings};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::objects;

const SETTINGS: &str = "{defaultImage: uv, imageAliases: {uv: r/jupyter:1}, \
                        objectKinds: [{apiVersion: forecastle.stakater.com/v1alpha1, kind: ForecastleApp}]}";

/// Objects by their names.
#[derive(Default)]
struct Objects(Vec<Value>);

impl Objects {
    /// Those in the files, below the checkout.
    fn read(files: &[&str]) -> Self {
        let texts = files.iter().map(|file| fs::read_to_string(root().join(file)));
        let texts = texts.collect::<Result<Vec<_>, _>>().unwrap().join("\n---\n");
        let ours = texts.split("\n---\n").filter(|text| text.contains(names::GROUP));
        Self(ours.map(|text| serde_saphyr::from_str(text).unwrap()).collect())
    }

    fn of_kind<K: DeserializeOwned>(&self, kind: &str) -> Vec<K> {
        let all = self.0.iter().filter(|object| object["kind"] == kind);
        all.map(|object| serde_json::from_value(object.clone()).unwrap())
            .collect()
    }

    /// The pod of a workspace with these objects.
    fn pod(&self, workspace: &Workspace, manager: &WorkspaceManager) -> Pod {
        let mut workspace = workspace.clone();
        let meta = objects::workspace(&workspace.name_any()).metadata;
        workspace.metadata = kube::api::ObjectMeta {
            labels: workspace.metadata.labels,
            ..meta
        };
        let templates = self.of_kind::<WorkspaceTemplate>("WorkspaceTemplate").into_iter();
        let template = templates
            .map(|mut template| {
                template.metadata.uid = Some(format!("uid-of-{}", template.name_any()));
                template
            })
            .find(|template| workspace.spec.template_ref == Some(template.name_any()));
        assert_eq!(template.is_some(), workspace.spec.template_ref.is_some());
        let profile = rules::profile_name(&workspace.spec, template.as_ref().map(|template| &template.spec));
        let profiles = self.of_kind::<WorkspaceExecutionProfile>("WorkspaceExecutionProfile");
        let profile = profiles
            .iter()
            .find(|found| profile.is_some_and(|name| name == found.name_any()));
        let references = References::managed_by([manager])
            .with_template(template.as_ref())
            .with_profile(profile);
        let settings = Settings::parse(SETTINGS).unwrap();
        let valid = rules::admit(&workspace, &references, &settings).unwrap();
        let installation = Installation::new("system".to_owned(), "jupyter-k8s".to_owned(), &settings);
        let pod = plan::run(&valid, &installation, "run1");
        assert_eq!(plan::violations(&valid, &pod), None, "{}", workspace.name_any());
        pod
    }

    /// The pod of a workspace that says nothing but its template.
    fn pod_of_template(&self, template: &str, manager: &WorkspaceManager, variables: &Value) -> Pod {
        let spec = json!({"displayName": "alice", "templateRef": template, "variables": variables});
        let workspace = Workspace::new("alice", serde_json::from_value(spec).unwrap());
        self.pod(&workspace, manager)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The pods by the names of their files.
fn rendered() -> BTreeMap<String, Pod> {
    let files = fs::read_dir(root().join("deploy/samples")).unwrap();
    let files = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files = files.filter(|file| file.starts_with("workspace"));
    let files = files.chain(["objects/forecastleapp.yaml".to_owned()]);
    let files: Vec<_> = files.map(|file| format!("deploy/samples/{file}")).collect();
    let samples = Objects::read(&files.iter().map(String::as_str).collect::<Vec<_>>());
    let mut manager = samples.of_kind::<WorkspaceManager>("WorkspaceManager").remove(0);
    manager.metadata.annotations = Some([(names::IS_DEFAULT.to_owned(), "true".to_owned())].into());
    let workspaces = samples.of_kind::<Workspace>("Workspace");
    let mut pods: BTreeMap<_, _> = workspaces
        .iter()
        .map(|workspace| (workspace.name_any(), samples.pod(workspace, &manager)))
        .collect();
    for template in samples.of_kind::<WorkspaceTemplate>("WorkspaceTemplate") {
        let name = template.name_any();
        let is_named = |workspace: &Workspace| workspace.spec.template_ref.as_ref() == Some(&name);
        if !workspaces.iter().any(is_named) {
            let pod = samples.pod_of_template(&name, &manager, &json!({}));
            pods.insert(format!("template-{name}"), pod);
        }
    }

    let hub = Objects::read(&[
        "deploy/samples/jupyterhub/templates.yaml",
        "deploy/samples/jupyterhub/workspaces.yaml",
    ]);
    let manager = hub.of_kind::<WorkspaceManager>("WorkspaceManager").remove(0);
    let variables = json!({"hub.username": "alice", "hub.path": "user/alice/"});
    for template in hub.of_kind::<WorkspaceTemplate>("WorkspaceTemplate") {
        let name = template.name_any();
        pods.insert(
            format!("hub-{name}"),
            hub.pod_of_template(&name, &manager, &variables),
        );
    }

    let chart = Objects::read(&["crates/xtask/tests/chart/golden/default.yaml"]);
    let manager = objects::manager("main");
    for template in chart.of_kind::<WorkspaceTemplate>("WorkspaceTemplate") {
        let name = template.name_any();
        pods.insert(
            format!("chart-{name}"),
            chart.pod_of_template(&name, &manager, &json!({})),
        );
    }
    pods
}

#[test]
fn every_sample_makes_the_same_pod_byte_for_byte() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pods");
    let pods = rendered();
    for (name, pod) in &pods {
        let path = folder.join(format!("{name}.yaml"));
        let text = serde_saphyr::to_string(pod).unwrap();
        if env::var_os("UPDATE_EXPECT").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, expected, "{}: UPDATE_EXPECT=1 accepts this", path.display());
    }
    let files = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let files: Vec<String> = files.map(|file| file.into_string().unwrap()).collect();
    let stale = files
        .iter()
        .find(|file| !pods.contains_key(file.trim_end_matches(".yaml")));
    assert_eq!(stale, None, "there is no such sample any more");
}
