//! Exports of the earlier jupyter-k8s -> steps, Secrets, or a sentence with the place (pure).

mod features;

use std::fmt::Write as _;
use std::time::Duration;

use import::Import;
use rustix::time::{ClockId, clock_gettime};

use crate::{jupyter_k8s, text};

/// An object with these fields of its spec.
fn object(group: &str, kind: &str, name: &str, spec: &str) -> String {
    let image = if kind == "Workspace" {
        "image"
    } else {
        "displayName: demo, defaultImage"
    };
    format!(
        "---\napiVersion: {group}/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}, namespace: team-a, annotations: \
         {{workspace.jupyter.org/created-by: alice}}}}\nspec: {{{image}: 'r.example.org/a:1', {spec}}}\n"
    )
}

const GROUP: &str = "workspace.jupyter.org";

fn workspace(name: &str, spec: &str) -> String {
    object(GROUP, "Workspace", name, spec)
}

#[test]
fn what_cannot_be_converted_is_said_with_its_place() {
    let claim = "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: workspace-demo-pvc, namespace: team-a}\n";
    let notebook =
        "---\napiVersion: kubeflow.org/v1\nkind: Notebook\nmetadata: {name: demo, namespace: team-a}\n";
    let demo = workspace("demo", "storage: {}");
    let ours = object("workspaces.jupyter.org", "Workspace", "demo", "displayName: a");
    let long = "a".repeat(60);
    let short = {
        let import = jupyter_k8s(&workspace(&long, "displayName: a")).unwrap();
        text(&import, "disks").split(' ').nth(2).unwrap().to_owned()
    };
    assert!(short.len() <= 50 && short.starts_with("aaaa"), "{short}");
    for (source, words) in [
        (String::new(), "the input is empty"),
        (format!("{claim}{notebook}"), "the input holds no Workspace"),
        (
            format!("{demo}{claim}{claim}"),
            "source.yaml: document 3: PersistentVolumeClaim team-a/workspace-demo-pvc: metadata.name: it is there already",
        ),
        (
            demo.replace("namespace: team-a, ", ""),
            "metadata.namespace: must be set",
        ),
        (ours.clone(), "metadata.uid: must be set"),
        (
            ours.replace(
                "name: demo,",
                "name: demo, uid: a, finalizers: [workspaces.jupyter.org/cleanup],",
            ),
            "metadata.finalizers: must not be this product's",
        ),
        (
            format!(
                "{}{}",
                workspace(&long, "displayName: a"),
                workspace(&short, "displayName: a")
            ),
            "rename one of them, or convert them in two runs",
        ),
        (
            format!("{demo}{}", ours.replace("name: demo,", "name: demo, uid: a,")),
            "rename one of them, or convert them in two runs",
        ),
        (
            object(GROUP, "WorkspaceTemplate", "demo", "a: b").replace("defaultImage", "image"),
            "spec.defaultImage: must be set",
        ),
        (
            "kind: {{ .Values.kind }}".to_owned(),
            "begins an expression of a Helm template",
        ),
    ] {
        let error = jupyter_k8s(&source).unwrap_err().to_string();
        assert!(error.contains(words), "{source}\n{error}");
    }
    // The control: among other kinds, in several documents, with an anchor.
    let whole = format!(
        "{claim}{notebook}{}",
        demo.replace("storage: {}", "storage: &a {}, someday: *a")
    );
    assert!(text(&jupyter_k8s(&whole).unwrap(), "workspaces.yaml").contains("claimName: workspace-demo-pvc"));
}

/// Titles of the steps.
fn titles(import: &Import) -> Vec<&str> {
    let lines = text(import, "steps.md").lines();
    lines
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .filter_map(|line| line.split_once(". ").map(|(_, title)| title))
        .collect()
}

#[test]
fn objects_of_this_product_s_group_are_removed_before_it_is_installed() {
    let first = workspace("one", "storage: {}");
    let second = object("workspaces.jupyter.org", "Workspace", "two", "storage: {}")
        .replace("name: two,", "name: two, uid: b,");
    let place = |titles: &[&str], start: &str| titles.iter().position(|title| title.starts_with(start));
    let both = jupyter_k8s(&format!("{first}{second}")).unwrap();
    let all = titles(&both);
    let order = [
        "Keep the volumes",
        "Stop the old operator",
        "Take the claims'",
        "Delete the old",
        "Uninstall",
        "Install",
        "Apply",
        "Create",
        "Start",
        "Give",
    ];
    let places: Vec<_> = order.iter().map(|start| place(&all, start).unwrap()).collect();
    assert!(places.is_sorted(), "{all:?}");
    let steps = text(&both, "steps.md");
    assert!(steps.contains("deletes this product's objects"), "{steps}");
    assert!(
        text(&both, "disks")
            .contains("team-a workspaces.workspaces.jupyter.org/two two workspace-two-pvc b\n"),
        "{}",
        text(&both, "disks")
    );
    // The other group does not stand in the way: this product is there from the beginning.
    let one = jupyter_k8s(&first).unwrap();
    let all = titles(&one);
    assert_eq!(place(&all, "Install"), None, "{all:?}");
    assert!(place(&all, "Apply") < place(&all, "Keep the volumes"), "{all:?}");
    assert!(place(&all, "Give") < place(&all, "Uninstall"), "{all:?}");
    assert!(!text(&one, "steps.md").contains("deletes this product's objects"));
}

#[test]
fn init_containers_that_the_webhook_copied_stay_with_the_template() {
    let copy = "[{name: i, image: 'r.example.org/i:1', command: [a]}]";
    let template = object(
        GROUP,
        "WorkspaceTemplate",
        "t",
        &format!("defaultInitContainers: {copy}"),
    );
    for (containers, is_lossy) in [(copy, false), ("[{name: i, image: 'r.example.org/i:2'}]", true)] {
        let spec = format!("templateRef: {{name: t}}, initContainers: {containers}");
        let import = jupyter_k8s(&(template.clone() + &workspace("demo", &spec))).unwrap();
        assert_eq!(import.is_lossy(), is_lossy, "{:?}", import.entries);
        assert!(!text(&import, "workspaces.yaml").contains("initContainers"));
        assert!(text(&import, "templates.yaml").contains("image: r.example.org/i:1"));
    }
}

#[test]
fn a_template_s_credentials_are_needed_where_its_workspaces_are() {
    let template = object(
        GROUP,
        "WorkspaceTemplate",
        "t",
        "baseEnv: [{name: API_KEY, value: never-shown}]",
    );
    let used = workspace("demo", "templateRef: {name: t}");
    let import = jupyter_k8s(&format!(
        "{template}{used}{}",
        used.replace("namespace: team-a", "namespace: team-b")
            .replace("name: t}", "name: t, namespace: team-a}")
    ))
    .unwrap();
    let steps = text(&import, "steps.md");
    for namespace in ["team-a", "team-b"] {
        assert!(
            steps.contains(&format!(
                "kubectl -n {namespace} create secret generic imported-template-"
            )),
            "{steps}"
        );
    }
    assert_eq!(
        steps
            .matches("-n team-a workspacetemplates.workspace.jupyter.org/t)")
            .count(),
        2,
        "{steps}"
    );
    assert!(import.files.iter().all(|file| !file.text.contains("never-shown")));
}

const STRATEGY: &str = "---
apiVersion: workspace.jupyter.org/v1alpha1
kind: WorkspaceAccessStrategy
metadata: {name: web, namespace: team-a}
spec:
  displayName: Web
  deploymentModifications:
    podModifications:
      additionalContainers: [{name: agent, image: 'r.example.org/agent:1', volumeMounts: [{name: files, mountPath: /f}]}]
      volumes: [{name: files, configMap: {name: files}}, {name: node, hostPath: {path: /}}]
      primaryContainerModifications:
        volumeMounts: [{name: files, mountPath: /files}]
        mergeEnv:
          - {name: BASE, valueTemplate: '/w/{{ .Workspace.Namespace }}/{{ .Workspace.Name }}/'}
          - {name: HOST, valueTemplate: '{{ .Service.Name }}'}
          - {name: AGENT_TOKEN, valueTemplate: never-shown}
";

/// The paths of the strategy's pod that are lost.
fn lost_of_strategy(import: &Import) -> Vec<&str> {
    let of_pod = "spec.deploymentModifications.podModifications.";
    let lost = import
        .entries
        .iter()
        .filter(|it| it.outcome == import::Outcome::Lost);
    lost.filter_map(|entry| entry.path.strip_prefix(of_pod)).collect()
}

#[test]
fn what_an_access_strategy_adds_to_pods_is_in_the_templates_that_have_it() {
    let template = object(
        GROUP,
        "WorkspaceTemplate",
        "t",
        "defaultAccessStrategy: {name: web}",
    );
    let used = workspace("demo", "templateRef: {name: t}, accessStrategy: {name: web}");
    let lone = workspace("lone", "accessStrategy: {name: web, namespace: team-a}");
    for (source, templates) in [
        (format!("{STRATEGY}{template}{used}"), 1),
        (format!("{STRATEGY}{lone}"), 1),
        // That of its users, if it names none.
        (
            format!(
                "{STRATEGY}{used}{}",
                object(GROUP, "WorkspaceTemplate", "t", "description: a")
            ),
            1,
        ),
        (format!("{STRATEGY}{template}{used}{lone}"), 2),
    ] {
        let import = jupyter_k8s(&source).unwrap();
        let text_of = text(&import, "templates.yaml");
        for expected in [
            "podTemplate:",
            "image: r.example.org/agent:1",
            "mountPath: /files",
            "/w/{workspace.namespace}/{workspace.name}/",
            "key: AGENT_TOKEN",
        ] {
            assert_eq!(
                text_of.matches(expected).count(),
                templates,
                "{expected}: {text_of}"
            );
        }
        let lost = lost_of_strategy(&import);
        assert_eq!(
            lost,
            [
                "primaryContainerModifications.mergeEnv[1].name",
                "primaryContainerModifications.mergeEnv[1].valueTemplate",
                "volumes[1].hostPath.path",
                "volumes[1].name",
            ],
            "{source}"
        );
        assert!(text(&import, "steps.md").contains("workspaceaccessstrategies.workspace.jupyter.org/web)"));
        assert!(import.files.iter().all(|file| !file.text.contains("never-shown")));
    }
    // The control: nobody has it. A workspace whose template has another one is told.
    let import = jupyter_k8s(&format!("{STRATEGY}{}", workspace("demo", "displayName: a"))).unwrap();
    assert!(!text(&import, "templates.yaml").contains("podTemplate"));
    assert_eq!(
        lost_of_strategy(&import).len(),
        16,
        "{:?}",
        lost_of_strategy(&import)
    );
    let other = template.replace("name: web", "name: other");
    let import = jupyter_k8s(&format!("{STRATEGY}{other}{used}")).unwrap();
    let entry = import
        .entries
        .iter()
        .find(|it| it.path == "spec.accessStrategy.name")
        .unwrap();
    assert!(
        entry
            .text
            .contains("its template has the pod of another access strategy"),
        "{entry:?}"
    );
}

/// Processor time of this thread. Other work on the machine does not count.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

#[test]
fn an_export_of_two_megabytes_is_read_within_seconds_also_in_a_debug_build() {
    let mut items = Vec::new();
    for number in 0..150 {
        let mut spec = String::from("\"image\": \"r.example.org/a:1\", \"storage\": {}, \"env\": [");
        for variable in 0..40 {
            let comma = if variable == 0 { "" } else { ", " };
            let _ = write!(
                spec,
                "{comma}{{\"name\": \"V{variable}\", \"value\": \"{}\"}}",
                "x".repeat(300)
            );
        }
        items.push(format!(
            "{{\"apiVersion\": \"workspace.jupyter.org/v1alpha1\", \"kind\": \"Workspace\", \"metadata\": {{\"name\": \"w{number}\", \
             \"namespace\": \"team-a\"}}, \"spec\": {{{spec}]}}}}"
        ));
    }
    let source = format!(
        "{{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{}]}}",
        items.join(", ")
    );
    assert!(source.len() > 1_900_000, "{}", source.len());
    let begin = processor_time();
    let import = jupyter_k8s(&source).unwrap();
    assert_eq!(text(&import, "disks").lines().count(), 150);
    let taken = processor_time().saturating_sub(begin);
    assert!(
        taken > Duration::ZERO && taken < Duration::from_secs(20),
        "{taken:?}"
    );
}
