//! Printed steps, in bash -> what they do to a kubectl that is a function (IO: processes).

use std::process::{Command, Output};

use import::{Hub, Import};

use crate::z2jh::z2jh;
use crate::{jupyter_k8s, kubeflow, text};

/// Two old objects with a credential each.
const EARLIER: &str = "\
{apiVersion: workspace.jupyter.org/v1alpha1, kind: WorkspaceTemplate, metadata: {name: t, namespace: team-a, uid: b},
 spec: {displayName: T, defaultImage: 'r.example.org/a:1', baseEnv: [{name: API_KEY, value: never-shown}]}}
---
{apiVersion: workspace.jupyter.org/v1alpha1, kind: Workspace, metadata: {name: demo, namespace: team-a, uid: a,
   finalizers: [workspace.jupyter.org/cleanup-protection], annotations: {workspace.jupyter.org/created-by: alice}},
 spec: {displayName: Demo, image: 'r.example.org/a:1', templateRef: {name: t}, env: [{name: A_TOKEN, value: never-shown}]}}";
const NOTEBOOK: &str = "\
{apiVersion: kubeflow.org/v1, kind: Notebook, metadata: {name: demo, namespace: team-a},
 spec: {template: {spec: {containers: [{name: demo, image: 'r.example.org/a:1', env: [{name: A_TOKEN, value: never-shown}]}]}}}}";

/// Titles and commands of the printed steps.
pub(crate) fn steps(import: &Import) -> Vec<(String, String)> {
    let mut steps: Vec<(String, String)> = Vec::new();
    for line in text(import, "steps.md").lines() {
        let numbered = line.split_once(". ");
        let title = numbered.filter(|(number, _)| number.parse::<u8>().is_ok());
        if let Some((_, title)) = title {
            steps.push((title.to_owned(), String::new()));
        } else if let (Some(command), Some((_, commands))) = (line.strip_prefix("       "), steps.last_mut())
        {
            commands.push_str(command);
            commands.push('\n');
        }
    }
    steps
}

/// The commands of the step whose title starts so.
fn commands(import: &Import, title: &str) -> String {
    let mut steps = steps(import).into_iter();
    steps.find(|(found, _)| found.starts_with(title)).unwrap().1
}

/// Runs commands with this body of a function `kubectl`.
fn run(kubectl: &str, commands: &str) -> Output {
    let script = format!("kubectl() {{\n{kubectl}\n}}\n{commands}");
    Command::new("bash").args(["-uc", &script]).output().unwrap()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn a_secret_is_written_only_of_the_values_of_the_exported_objects() {
    let earlier = jupyter_k8s(EARLIER).unwrap();
    let notebook = kubeflow(NOTEBOOK).unwrap();
    let copy = |import: &Import, found: &str, is_found: bool| {
        // What it creates it prints, and apply passes on.
        let kubectl = format!(
            "case \"$*\" in *create*) for word; do case \"$word\" in --from-file=*) cat \"${{word#--from-file=*=}}\"; printf '|';; esac; done;; \
             apply*) cat;; *) printf %s $'{found}'; {is_found};; esac"
        );
        run(&kubectl, &commands(import, "Copy values"))
    };
    // The Workspace's Secret alone, the template's alone; the value as it is, with its line ends.
    for (import, found, expected) in [
        (&earlier, "a s3 cret\\n\\n", "s3 cret\n\n|"),
        (&earlier, "b {x}.", "{x}.|"),
        (&notebook, "c s3cret", "s3cret|"),
    ] {
        let output = copy(import, found, true);
        assert_eq!(out(&output), expected, "{output:?}");
    }
    // Another object of the name; no value; no object.
    for (import, found, is_found) in [
        (&earlier, "c s3cret", true),
        (&earlier, "a ", true),
        (&earlier, "a s3cret", false),
        (&earlier, "", false),
        (&notebook, "c ", true),
        (&notebook, "", false),
    ] {
        let output = copy(import, found, is_found);
        assert_eq!(out(&output), "", "{output:?}");
        assert!(!output.status.success());
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(
            errors.contains("nothing is written") && !errors.contains("cret"),
            "{errors}"
        );
    }
}

#[test]
fn old_definitions_stay_while_an_old_workspace_is_left() {
    let uninstall = commands(&jupyter_k8s(EARLIER).unwrap(), "Uninstall the old chart");
    let delete = |workspaces: &str, generator: &str| {
        let kubectl = format!(
            "case \"$*\" in *' crd '*metadata.annotations*) printf '{generator}';; 'get workspaces.'*) printf '{workspaces}';; \
             'get workspacetemplates.'*) printf 'one team-a\\ntwo \\n';; get*) ;; *) echo \"$*\";; esac"
        );
        run(&kubectl, &uninstall)
    };
    let refused = delete("demo team-b\\n", "v0.18.0");
    assert_eq!(out(&refused), "");
    assert!(!refused.status.success());
    let errors = String::from_utf8(refused.stderr).unwrap();
    assert!(errors.contains("demo team-b"), "{errors}");
    // The control: none is left. No finalizer holds the others.
    let deleted = delete("", "v0.18.0");
    assert!(deleted.status.success(), "{deleted:?}");
    let lines: Vec<_> = out(&deleted).lines().collect();
    assert_eq!(lines.len(), 7, "{lines:?}");
    assert!(lines[0].starts_with("delete crd workspaces.workspace.jupyter.org"));
    let patch = "--type=merge -p {\"metadata\": {\"finalizers\": null}}";
    assert_eq!(
        lines[1],
        format!("patch workspacetemplates.workspace.jupyter.org one -n team-a {patch}")
    );
    assert_eq!(
        lines[2],
        format!("patch workspacetemplates.workspace.jupyter.org two {patch}")
    );
    assert!(lines[3].starts_with("delete crd workspacetemplates."));
    // This product's definitions are of no generator.
    assert_eq!(out(&delete("demo team-b\\n", "")), "");
}

#[test]
fn an_old_object_stays_while_a_claim_has_an_owner() {
    let owned = EARLIER.replace("templateRef: {name: t},", "templateRef: {name: t}, storage: {},");
    let earlier = commands(&jupyter_k8s(&owned).unwrap(), "Delete the old");
    let notebook = commands(&kubeflow(NOTEBOOK).unwrap(), "Delete the old");
    // In a folder with the list of the workspaces. Finds an object of this UID, and these claims with the UIDs of their owners.
    let delete = |commands: &str, list: &str, uid: &str, claims: &str, is_found: bool| {
        let kubectl = format!(
            "case \"$*\" in *'get pvc'*) printf '{claims}'; {is_found};; *' get '*) printf '{uid}';; *) echo \"${{*:3}}\";; esac"
        );
        let folder = "folder=$(mktemp -d); trap 'rm -r \"$folder\"' EXIT; cd \"$folder\"";
        run(
            &kubectl,
            &format!("{folder}; printf '{list}' > disks\n{commands}"),
        )
    };
    let list = "team-a workspaces.workspace.jupyter.org/demo demo workspace-demo-pvc a\n";
    let unlisted = list.replace("workspace-demo-pvc", "-");
    let notebooks = "team-a notebooks.kubeflow.org/demo demo - -\n";
    for (commands, list, uid, claims, stays) in [
        // One that was made after the export, or that it did not hold; one that belongs to what the object owns; one of many owners.
        (&earlier, list, "a", "workspace-demo-pvc \\nlate a\\n", "late"),
        (
            &earlier,
            unlisted.as_str(),
            "a",
            "workspace-demo-pvc a\\n",
            "workspace-demo-pvc",
        ),
        (
            &earlier,
            list,
            "a",
            "workspace-demo-pvc b\\n",
            "workspace-demo-pvc",
        ),
        (&notebook, notebooks, "n", "data b n c\\n", "data"),
    ] {
        let refused = delete(commands, list, uid, claims, true);
        assert_eq!(out(&refused), "", "{claims}");
        assert!(!refused.status.success());
        let errors = String::from_utf8(refused.stderr).unwrap();
        let named: Vec<_> = errors.lines().skip(1).collect();
        let free = format!(
            "kubectl -n team-a patch pvc {stays} --type=merge -p '{{\"metadata\": {{\"ownerReferences\": null}}}}'"
        );
        assert_eq!(named, [free], "{errors}");
    }
    // Whoever cannot read the claims deletes nothing.
    let unread = delete(&earlier, list, "a", "", false);
    assert!(out(&unread).is_empty() && !unread.status.success(), "{unread:?}");
    // The controls: claims of others, and an object of the name that is another one.
    for (commands, list, uid, expected) in [
        (
            &earlier,
            list,
            "a",
            "delete workspaces.workspace.jupyter.org/demo",
        ),
        (&notebook, notebooks, "n", "delete notebooks.kubeflow.org/demo"),
        (&earlier, list, "c", ""),
        (&earlier, list, "", ""),
    ] {
        let deleted = delete(commands, list, uid, "workspace-demo-pvc \\nof-b aa\\n", true);
        assert!(deleted.status.success(), "{deleted:?}");
        let printed = out(&deleted).lines().last().unwrap_or_default();
        assert!(
            printed.starts_with(expected) && printed.is_empty() == expected.is_empty(),
            "{printed}"
        );
    }
}

#[test]
fn a_second_run_keeps_the_copy_of_a_hub_s_database() {
    let values = (
        "values.yaml",
        "singleuser: {image: {name: r.example.org/a, tag: '1'}}",
    );
    let claims = (
        "pvcs.json",
        "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: claim-alice, namespace: jhub, annotations: {hub.jupyter.org/username: alice}}}",
    );
    let stop = |values| commands(&z2jh(Hub::Replace, &[values, claims]).unwrap(), "Stop the hub");
    let commands = stop(values);
    // A hub that is there, then one that is stopped, of which kubectl writes a part at most.
    let script = |kubectl: &str, before: &str| {
        let folder = "folder=$(mktemp -d); trap 'rm -r \"$folder\"' EXIT; cd \"$folder\"";
        run(
            kubectl,
            &format!("{folder}; {before}\n{commands}\ncat jupyterhub.sqlite"),
        )
    };
    let there = "case \"$*\" in *exec*) printf database;; esac";
    let stopped = "case \"$*\" in *exec*) printf data; false;; esac";
    assert_eq!(out(&script(there, ":")), "database");
    assert_eq!(
        out(&script(stopped, "printf database > jupyterhub.sqlite")),
        "database"
    );
    // The controls: nothing half is taken for a copy, and another database is not in the pod.
    let nothing = script(stopped, ":");
    assert!(
        out(&nothing).is_empty() && !nothing.status.success(),
        "{nothing:?}"
    );
    let other = "hub: {db: {type: postgres}}\nsingleuser: {image: {name: r.example.org/a, tag: '1'}}";
    assert!(!stop(("values.yaml", other)).contains("sqlite"));
}

#[test]
fn one_that_does_not_start_is_named_with_its_reason_and_the_others_have_their_turn() {
    let start = commands(&kubeflow(NOTEBOOK).unwrap(), "Start each once");
    let with = |answer: &str| {
        let folder = "folder=$(mktemp -d); trap 'rm -r \"$folder\"' EXIT; cd \"$folder\"";
        let disks = "printf 'team-a notebooks.kubeflow.org/x x - -\\nteam-b notebooks.kubeflow.org/y y - -\\n' > disks";
        let kubectl = format!("case \"$*\" in {answer} *) echo \"$*\";; esac");
        run(
            &kubectl,
            &format!("{folder}; {disks}\nset -e\n{start}echo reached"),
        )
    };
    let of = |namespace: &str, name: &str, files: bool| {
        let exec = format!("-n {namespace} exec workspace-{name} -c workspace -- sh -c ls -A \"$HOME\"\n");
        let exec = if files { exec } else { String::new() };
        format!("== {namespace}/{name}\n{exec}workspace stop -n {namespace} {name} --yes --wait\n")
    };
    let refused = with(
        "'workspace start -n team-a x --wait') printf 'Starting\\nerror: workspace \"x\" is not available: ImagePullFailed: none\\n' >&2; return 4;;",
    );
    assert_eq!(
        out(&refused),
        [of("team-a", "x", false), of("team-b", "y", true)].concat()
    );
    assert_eq!(
        std::str::from_utf8(&refused.stderr).unwrap(),
        "Not as wanted:\nteam-a/x: error: workspace \"x\" is not available: ImagePullFailed: none\n"
    );
    assert_eq!(refused.status.code(), Some(1));
    // One whose files cannot be listed, and that does not stop.
    let unread = with("'-n team-b exec '*|'workspace stop -n team-b '*) return 1;;");
    assert_eq!(
        std::str::from_utf8(&unread.stderr).unwrap(),
        "Not as wanted:\nteam-b/y: its files cannot be listed\nteam-b/y: it does not stop\n"
    );
    assert_eq!(unread.status.code(), Some(1));
    // The control.
    let all = with("");
    let expected = [of("team-a", "x", true), of("team-b", "y", true)].concat();
    assert_eq!(out(&all), format!("{expected}reached\n"));
    assert!(all.status.success() && all.stderr.is_empty(), "{all:?}");
}
