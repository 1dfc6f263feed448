//! Sources as people break them -> a sentence with the place, and nothing else (pure).

use import::Outcome;

use crate::{kubeflow, text};

/// A Notebook with these fields of its pod.
fn notebook(name: &str, pod: &str) -> String {
    format!(
        "---\napiVersion: kubeflow.org/v1\nkind: Notebook\nmetadata: {{name: {name}, namespace: team-a, annotations: \
         {{notebooks.kubeflow.org/creator: alice}}}}\nspec: {{template: {{spec: {{{pod}}}}}}}\n"
    )
}

const POD: &str = "containers: [{name: a, image: 'r.example.org/a:1'}]";

/// A short text that stands for 10^9 values.
fn anchors_of_anchors() -> String {
    let line = |at: usize| {
        format!(
            "a{at}: &a{at} [{}]\n",
            vec![format!("*a{}", at - 1); 10].join(", ")
        )
    };
    let lines: String = (1..9).map(line).collect();
    format!("a0: &a0 [{}]\n{lines}", ["x"; 10].join(", "))
}

#[test]
fn what_cannot_be_converted_is_said_with_its_place() {
    let claim =
        "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: home, namespace: team-a}\n";
    let long = "a".repeat(60);
    let hash = {
        let import = kubeflow(&notebook(&long, POD)).unwrap();
        text(&import, "disks").split(' ').nth(2).unwrap().to_owned()
    };
    assert!(hash.len() <= 50 && hash.starts_with("aaaa"), "{hash}");
    for (source, words) in [
        (String::new(), "the input is empty"),
        (claim.to_owned(), "the input holds no Notebook of kubeflow.org"),
        (
            "a: b\n".to_owned(),
            "source.yaml: document 1: must be an object of Kubernetes",
        ),
        (
            "[1]".to_owned(),
            "source.yaml: document 1: must be an object of Kubernetes",
        ),
        (
            "a: [\n".to_owned(),
            "source.yaml:1:4: is neither valid JSON nor valid YAML",
        ),
        ("a: 1\na: 2\n".to_owned(), "source.yaml:2:"),
        (
            "kind: Notebook\nmetadata:\n  name: {{ .Release.Name }}\n".to_owned(),
            "source.yaml:3: {{ begins an expression of a Helm template",
        ),
        (
            "{{- if .Values.a }}\nkind: Notebook\n{{- end }}\n".to_owned(),
            "source.yaml:1: {{ begins an expression of a Helm template",
        ),
        (
            notebook("demo", "containers: []"),
            "source.yaml: document 1: Notebook team-a/demo: spec.template.spec.containers: must hold a container",
        ),
        (
            notebook("demo", "containers: [{name: a}]"),
            "spec.template.spec.containers[0].image: must be the name of an image",
        ),
        (
            format!("{}{claim}{claim}", notebook("demo", POD)),
            "source.yaml: document 3: PersistentVolumeClaim team-a/home: metadata.name: it is there already (source.yaml: document 2)",
        ),
        (
            format!("{}{}", notebook(&long, POD), notebook(&hash, POD)),
            "rename one of them, or convert them in two runs",
        ),
        (
            notebook("demo; reboot", POD),
            "metadata.name: must be the name of an object",
        ),
        (
            notebook("demo", POD).replace("namespace: team-a", "uid: a"),
            "metadata.namespace: must be set",
        ),
    ] {
        let error = kubeflow(&source).unwrap_err().to_string();
        assert!(error.contains(words), "{source}\n{error}");
    }
}

#[test]
fn an_input_beyond_memory_is_refused() {
    let error = kubeflow(&" ".repeat((64 << 20) + 1)).unwrap_err().to_string();
    assert!(
        error.contains("must have at most 64 MiB, and has 65: export one namespace at a time"),
        "{error}"
    );
    let error = kubeflow(&" ".repeat(1 << 20)).unwrap_err().to_string();
    assert!(error.contains("the input is empty"), "{error}");
}

#[test]
fn aliases_that_stand_for_too_much_are_told_as_that() {
    let text_of = |aliases: usize| {
        let aliases = vec!["*a"; aliases].join(", ");
        format!("a: &a {}\nb: [{aliases}]\n", "x".repeat(1 << 20))
    };
    let bound = ": aliases (*name) must stand for at most 1,000,000 values and 64 MiB of text in all";
    for (source, place) in [
        (anchors_of_anchors(), "source.yaml:6:"),
        (text_of(64), "source.yaml:"),
    ] {
        let error = kubeflow(&source).unwrap_err().to_string();
        assert!(error.starts_with(place) && error.contains(bound), "{error}");
    }
    // The controls: less is read, also by many aliases, and is no object; what is no YAML has no bound.
    let many = vec!["*a"; 200].join(", ");
    let error = kubeflow(&format!("a: &a []\nb: [{many}]\n"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("document 1: must be an object of Kubernetes"),
        "{error}"
    );
    let error = kubeflow(&text_of(60)).unwrap_err().to_string();
    assert!(
        error.contains("document 1: must be an object of Kubernetes"),
        "{error}"
    );
    let error = kubeflow("a: &a [\nb: *a\n").unwrap_err().to_string();
    assert!(
        error.contains("check the indentation") && !error.contains("aliases"),
        "{error}"
    );
}

#[test]
fn a_parser_s_error_holds_nothing_of_the_source() {
    for source in [
        "password: never-shown: a\n",
        "{\"password\": \"never-shown\", }}",
        "a: 'never-shown\n",
    ] {
        let error = kubeflow(source).unwrap_err().to_string();
        assert!(!error.contains("never-shown"), "{error}");
    }
}

#[test]
fn gpus_are_allowed_to_those_who_had_them_alone() {
    let gpu = "containers: [{name: a, image: 'r.example.org/a:1', resources: {limits: {nvidia.com/gpu: 1}}}]";
    let import = kubeflow(&(notebook("plain", POD) + &notebook("gpu", gpu))).unwrap();
    let templates = text(&import, "templates.yaml");
    assert_eq!(
        templates.matches("kind: WorkspaceTemplate").count(),
        2,
        "{templates}"
    );
    for most in ["0", "1"] {
        assert!(
            templates.contains(&format!("gpu:\n      max: \"{most}\"")),
            "{templates}"
        );
    }
    // Half a GPU is none: it is lost, and the rest is there.
    let import = kubeflow(&notebook("half", &gpu.replace("gpu: 1", "gpu: 500m"))).unwrap();
    let lost: Vec<_> = import
        .entries
        .iter()
        .filter(|it| it.outcome == Outcome::Lost)
        .collect();
    assert!(
        !lost.is_empty() && lost.iter().all(|it| it.path.contains("nvidia.com/gpu")),
        "{lost:?}"
    );
}

#[test]
fn a_second_container_runs_beside_the_application() {
    let two = "containers: [{name: a, image: 'r.example.org/a:1', volumeMounts: [{name: w, mountPath: /home/jovyan}, {name: d, mountPath: /d}]},
      {name: workspace, image: 'r.example.org/b:1', env: [{name: A_KEY, value: never-shown}],
       volumeMounts: [{name: w, mountPath: /w}, {name: d, mountPath: /d}, {name: m, mountPath: /m}]}],
      volumes: [{name: w, persistentVolumeClaim: {claimName: c}}, {name: d, persistentVolumeClaim: {claimName: d}}, {name: m, configMap: {name: m}}]";
    let import = kubeflow(&notebook("two", two)).unwrap();
    let templates = text(&import, "templates.yaml");
    // Its name would make it a part of the application.
    for expected in [
        "podTemplate:",
        "image: r.example.org/b:1",
        "name: imported-workspace",
        "cpu: 10m",
        "name: workspace-storage",
        "claimName: d",
        "configMap:",
        "key: A_KEY",
    ] {
        assert!(templates.contains(expected), "{expected}: {templates}");
    }
    assert!(
        !templates.contains("never-shown") && !templates.contains("restartPolicy"),
        "{templates}"
    );
    assert!(!text(&import, "workspaces.yaml").contains("volumes:"));
    assert!(!import.is_lossy(), "{:?}", import.entries);
    // One that knows the Notebook's path needs a variable, which a podTemplate has not.
    let knows = two.replace(
        "env: [{name: A_KEY, value: never-shown}]",
        "args: ['--base=$(NB_PREFIX)']",
    );
    let import = kubeflow(&notebook("two", &knows)).unwrap();
    assert!(text(&import, "templates.yaml").contains("restartPolicy: Always"));
    // Without an image there is nothing to run.
    let import = kubeflow(&notebook("two", &two.replace("image: 'r.example.org/b:1', ", ""))).unwrap();
    assert!(!text(&import, "templates.yaml").contains("imported-workspace"));
    assert!(import.is_lossy());
}

#[test]
fn more_kinds_of_pods_than_templates_leave_the_rarest_out() {
    let pods = (0..21).map(|at| notebook(&format!("n{at}"), &format!("{POD}, nodeSelector: {{a: b{at}}}")));
    let twice = notebook("twice", &format!("{POD}, nodeSelector: {{a: b20}}"));
    let import = kubeflow(&(pods.collect::<String>() + &twice)).unwrap();
    let lost = import
        .entries
        .iter()
        .filter(|entry| entry.outcome == Outcome::Lost);
    let lost: std::collections::BTreeSet<_> = lost.map(|entry| entry.object.as_str()).collect();
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert!(!lost.contains("Notebook team-a/n20") && !lost.contains("Notebook team-a/twice"));
}

#[test]
fn a_notebook_whose_folder_cannot_come_over_does_not_get_the_whole_claim() {
    for (folder, expected) in [
        ("subPathExpr: $(NB_NAME)", None),
        ("subPath: 'a:b'", None),
        ("subPath: ../a", None),
        ("subPath: 7", None),
        // The controls: folders that come over, and all of the claim.
        ("subPath: a", Some("subPath: a\n")),
        ("subPathExpr: a", Some("subPath: a\n")),
        ("readOnly: false", Some("claimName: homes\n")),
    ] {
        let pod = format!(
            "containers: [{{name: a, image: 'r.example.org/a:1', volumeMounts: [{{name: h, mountPath: /home/jovyan, {folder}}}]}}], \
             volumes: [{{name: h, persistentVolumeClaim: {{claimName: homes}}}}]"
        );
        let import = kubeflow(&format!("{}{}", notebook("demo", &pod), notebook("other", POD))).unwrap();
        let workspaces = text(&import, "workspaces.yaml");
        assert_eq!(
            workspaces.contains("name: demo\n"),
            expected.is_some(),
            "{folder}: {workspaces}"
        );
        assert!(workspaces.contains("name: other\n"), "{folder}");
        let rights = text(&import, "rights.yaml");
        assert_eq!(
            rights.contains("- homes"),
            folder.starts_with("readOnly"),
            "{folder}"
        );
        match expected {
            Some(part) => assert!(
                workspaces.contains(part) && !import.is_lossy(),
                "{folder}: {:?}",
                import.missing
            ),
            None => assert!(
                import.is_lossy()
                    && import.missing[0].contains("Workspace team-a/demo is not made")
                    && !text(&import, "disks").contains("demo"),
                "{folder}: {:?}",
                import.missing
            ),
        }
    }
}
