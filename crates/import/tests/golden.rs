//! Made-up sources -> the files and tables of the folder `golden`; `UPDATE_EXPECT=1` writes them (IO).

use std::path::Path;
use std::{env, fs};

use import::{Error, Import, Outcome};

use crate::{jupyter_k8s, kubeflow, text};

pub(crate) fn compare(path: &Path, text: &str) {
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, text).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(text, expected, "{}: UPDATE_EXPECT=1 accepts this", path.display());
}

/// The table as a text.
pub(crate) fn table(import: &Import) -> String {
    let lines = import.entries.iter().map(|entry| {
        format!(
            "{} | {} | {} | {}\n",
            entry.object,
            entry.path,
            entry.outcome.words(),
            entry.text
        )
    });
    lines.collect()
}

/// Compares what comes of a folder's source, and returns it.
fn golden(name: &str, convert: fn(&str) -> Result<Import, Error>) -> Import {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    let source = fs::read_to_string(folder.join("source.yaml")).unwrap();
    let import = convert(&source).unwrap();
    for file in &import.files {
        compare(&folder.join(file.name), &file.text);
    }
    let table = table(&import);
    compare(&folder.join("table.txt"), &table);
    // Values that are credentials are nowhere.
    assert!(source.contains("never-shown-7"));
    let shown = import
        .files
        .iter()
        .map(|file| file.text.as_str())
        .chain([table.as_str()]);
    for text in shown {
        assert!(!text.contains("never-shown"), "{text}");
    }
    let lost = import.entries.iter().any(|entry| entry.outcome == Outcome::Lost);
    assert!(lost && import.is_lossy());
    assert_eq!(
        import,
        convert(&source).unwrap(),
        "the same input gives the same bytes"
    );
    import
}

#[test]
fn kubeflow_becomes_templates_profiles_rights_workspaces_and_steps() {
    golden("kubeflow", kubeflow);
}

#[test]
fn the_earlier_jupyter_k8s_becomes_templates_profiles_rights_workspaces_and_steps() {
    let import = golden("jupyter-k8s", jupyter_k8s);
    // Nothing is Public, or the owner's alone, without being written.
    for (file, kind, fields) in [
        ("workspaces.yaml", "Workspace", ["accessType", "ownershipType"]),
        (
            "templates.yaml",
            "WorkspaceTemplate",
            ["defaultAccessType", "defaultOwnershipType"],
        ),
    ] {
        let text = text(&import, file);
        let count = text.matches(&format!("kind: {kind}\n")).count();
        assert!(count > 1, "{text}");
        for field in fields {
            assert_eq!(
                text.matches(&format!("  {field}: ")).count(),
                count,
                "{field}: {text}"
            );
        }
    }
}

#[test]
fn a_notebook_of_the_web_application_comes_over_without_a_loss() {
    let source = "\
{apiVersion: kubeflow.org/v1, kind: Notebook,
 metadata: {name: demo, namespace: team-a, annotations: {notebooks.kubeflow.org/creator: alice}},
 spec: {template: {spec: {containers: [{name: demo, image: r.example.org/jupyter:1,
   resources: {limits: {cpu: 1, memory: 2Gi}}, volumeMounts: [{name: home, mountPath: /home/jovyan}]}],
   volumes: [{name: home, persistentVolumeClaim: {claimName: demo}}]}}}}";
    let import = kubeflow(source).unwrap();
    let lost: Vec<_> = import
        .entries
        .iter()
        .filter(|entry| entry.outcome == Outcome::Lost)
        .collect();
    assert!(
        lost.is_empty() && import.missing.is_empty() && !import.is_lossy(),
        "{lost:?}"
    );
    // Without an owner in the input that is said.
    let import = kubeflow(&source.replace("notebooks.kubeflow.org/creator: alice", "")).unwrap();
    assert!(
        import.is_lossy() && import.missing[0].contains("no owner is known"),
        "{:?}",
        import.missing
    );
}

#[test]
fn templates_keep_istio_s_containers_out_whatever_a_pod_asked_for() {
    let convert = |metadata: &str, pod_default: &str| {
        kubeflow(&format!(
            "{{apiVersion: kubeflow.org/v1, kind: Notebook,\n metadata: {{name: demo, namespace: team-a, annotations: {{notebooks.kubeflow.org/creator: alice}}}},\n \
             spec: {{template: {{metadata: {metadata}, spec: {{containers: [{{name: demo, image: 'r.example.org/a:1'}}]}}}}}}}}\n---\n\
             {{apiVersion: kubeflow.org/v1alpha1, kind: PodDefault, metadata: {{name: all, namespace: team-a}}, spec: {{selector: {{}}, {pod_default}}}}}"
        ))
        .unwrap()
    };
    let label = "  baseLabels:\n  - name: sidecar.istio.io/inject\n    value: \"false\"\n";
    for (metadata, pod_default, fates) in [
        ("{}", "desc: none", &[][..]),
        (
            "{annotations: {sidecar.istio.io/inject: 'true'}}",
            "labels: {sidecar.istio.io/inject: 'false'}",
            &[Outcome::Lost, Outcome::Template],
        ),
        (
            "{labels: {sidecar.istio.io/inject: 'false'}}",
            "annotations: {sidecar.istio.io/inject: 'true'}",
            &[Outcome::Template, Outcome::Lost],
        ),
    ] {
        let import = convert(metadata, pod_default);
        let templates = text(&import, "templates.yaml");
        assert_eq!(
            templates.matches("sidecar.istio.io/inject").count(),
            1,
            "{templates}"
        );
        assert!(templates.contains(label), "{templates}");
        let told = import.entries.iter().filter(|entry| entry.path.contains("istio"));
        let told: Vec<_> = told.map(|entry| entry.outcome).collect();
        assert_eq!(told, fates, "{metadata} {pod_default}");
    }
    // Other labels follow it.
    let import = convert("{labels: {team: a}}", "labels: {cost: b}");
    let all = format!("{label}  - name: team\n    value: a\n  - name: cost\n    value: b\n");
    assert!(
        text(&import, "templates.yaml").contains(&all),
        "{:?}",
        import.files
    );
}
