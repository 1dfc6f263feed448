//! Imported workspaces -> what to run, in order, with the check after each step (pure).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::rights::{IMPORTER, Imported};

/// What is otherwise here, whatever the Notebooks say.
const DIFFERENCES: &str = "\
## What is otherwise here

- Every workspace comes over stopped. One pod runs on a disk at a time.
- A workspace has a host or path of its own. The templates set `NB_PREFIX` to `{workspace.basePath}` in `environmentVariables`; an image
  that fixes its path needs `defaultContainerConfig`.
- Pods run as user and group 1000. The templates add group 100, by which Kubeflow's disks are written (`defaultPodSecurityContext.fsGroup`).
- `/dev/shm` is half of the memory limit (`defaultShmSize`). Every container has limits: where a Notebook had a request alone, that is its
  limit too, and where it had neither, the installation's default.
- Kubeflow's images do not check who calls them. Put the door into them, or rely on network policies: docs/templates.md, \"Who is the caller\".
- Kubeflow's culling is `defaultIdleShutdown` of a template here, contributors are shares, and Istio and the header `kubeflow-userid` are
  the gateway. None of them comes over.
- A template does not change once it is made. To adapt one, edit `templates.yaml` before you apply it.
";

/// The whole text. `secrets`: commands that make Secrets.
pub(super) fn text(workspaces: &[Imported], secrets: &str, has_profiles: bool, missing: &[String]) -> String {
    let mut text = String::from(
        "# From Kubeflow to workspaces\n\nFor an administrator of both, in bash, in this folder. Each step may be run again.\nThe file \
         `disks` has a line per workspace: namespace, Notebook, workspace, claim of the home (`-`: none).\n\n",
    );
    text.push_str(DIFFERENCES);
    if !missing.is_empty() {
        text.push_str("\n## What is missing\n\n");
        for line in missing {
            let _ = writeln!(text, "- {line}");
        }
    }
    shared(workspaces, &mut text);
    text.push_str("\n## Steps\n");
    let mut number = 0;
    let mut step = |title: &str, commands: &str, check: &str| {
        number += 1;
        let _ = writeln!(
            text,
            "\n{number}. {title}\n\n{}\n   Check: {check}",
            indented(commands)
        );
    };
    if !secrets.is_empty() {
        step(
            "Copy values that look like credentials from the old objects to Secrets. No file here has them.",
            secrets,
            "each command prints `serverside-applied`.",
        );
    }
    let profiles = if has_profiles { " -f profiles.yaml" } else { "" };
    step(
        "Apply templates and the owners' Roles. Owners also need the Role of users of their namespace (`userNamespaces` of the chart).",
        &format!("kubectl apply -f templates.yaml{profiles}\nkubectl apply -f rights.yaml\n"),
        "`kubectl get wst` shows no template with `Valid` `False`.",
    );
    disks(&mut step);
    step(
        "Create the workspaces for their owners. The binding gives you the Role `workspace-importer` of `rights.yaml` for that time.",
        &format!(
            "kubectl create clusterrolebinding {IMPORTER} --clusterrole={IMPORTER} --user=\"$(kubectl auth whoami -o jsonpath='{{.status.userInfo.username}}')\" \
             --dry-run=client -o yaml | kubectl apply -f -\n\
             kubectl apply -f workspaces.yaml\n"
        ),
        "`kubectl get workspaces -A` shows each of them as `Stopped`, none as `Invalid`.",
    );
    step(
        "Start each once, look at its files, and stop it.",
        "while read -r namespace _ workspace _; do\n  kubectl workspace start -n \"$namespace\" \"$workspace\" --wait </dev/null\n  \
         kubectl -n \"$namespace\" exec \"workspace-$workspace\" -c workspace -- sh -c 'ls -A \"$HOME\"' </dev/null\n  \
         kubectl workspace stop -n \"$namespace\" \"$workspace\" --yes --wait </dev/null\ndone < disks\n",
        "each list holds the user's files.",
    );
    step(
        "Give the volumes their former reclaim policy, and remove the binding.",
        "while read -r volume policy; do\n  kubectl patch pv \"$volume\" --type=merge -p '{\"spec\": {\"persistentVolumeReclaimPolicy\": \"'\"$policy\"'\"}}'\ndone < policies\n\
         kubectl delete clusterrolebinding workspace-importer --ignore-not-found\n",
        "`kubectl get pv` shows the policies of the file `policies`.",
    );
    text
}

/// The steps by which disks leave their old owners.
fn disks(step: &mut impl FnMut(&str, &str, &str)) {
    step(
        "Keep the volumes, whatever becomes of their claims. The former policies are in the file `policies`.",
        "touch policies\nwhile read -r namespace _ _ claim; do\n  test \"$claim\" != - || continue\n  \
         volume=$(kubectl -n \"$namespace\" get pvc \"$claim\" -o jsonpath='{.spec.volumeName}' </dev/null)\n  test -n \"$volume\" || continue\n  \
         grep -q \"^$volume \" policies || kubectl get pv \"$volume\" -o jsonpath='{.metadata.name} {.spec.persistentVolumeReclaimPolicy}{\"\\n\"}' </dev/null >> policies\n  \
         kubectl patch pv \"$volume\" --type=merge -p '{\"spec\": {\"persistentVolumeReclaimPolicy\": \"Retain\"}}' </dev/null\ndone < disks\n",
        "`kubectl get pv` shows `Retain` for each volume of `policies`.",
    );
    step(
        "Stop the old pods. Kubeflow's controller stays: it owns no claims, and ends the pods.",
        "while read -r namespace notebook _ _; do\n  kubectl -n \"$namespace\" patch notebooks.kubeflow.org \"$notebook\" --type=merge \\\n    \
         -p '{\"metadata\": {\"annotations\": {\"kubeflow-resource-stopped\": \"'\"$(date -u +%FT%TZ)\"'\"}}}' </dev/null\n  \
         kubectl -n \"$namespace\" wait pod --for=delete -l \"notebook-name=$notebook\" --timeout=5m </dev/null\ndone < disks\n",
        "`kubectl get pods -A -l notebook-name` lists none of them.",
    );
    step(
        "Take the claims' owners away, so that no deletion takes a claim with it.",
        "while read -r namespace _ _ claim; do\n  test \"$claim\" = - || kubectl -n \"$namespace\" patch pvc \"$claim\" --type=merge \\\n    \
         -p '{\"metadata\": {\"ownerReferences\": null}}' </dev/null\ndone < disks\n",
        "`kubectl get pvc -A -o jsonpath='{range .items[*]}{.metadata.name} {.metadata.ownerReferences}{\"\\n\"}{end}'` shows no owner beside these claims.",
    );
    step(
        "Delete the Notebooks. Keep the export from which this folder was made: it is the way back.",
        "while read -r namespace notebook _ _; do\n  kubectl -n \"$namespace\" delete notebooks.kubeflow.org \"$notebook\" --ignore-not-found </dev/null\ndone < disks\n",
        "`while read -r namespace _ _ claim; do test \"$claim\" = - || kubectl -n \"$namespace\" get pvc \"$claim\" -o jsonpath='{.status.phase}{\"\\n\"}' </dev/null; done < disks` prints `Bound` for each.",
    );
}

/// Lines of a list item.
fn indented(commands: &str) -> String {
    commands.lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "       {line}");
        text
    })
}

/// The list that the steps read.
pub(super) fn list(workspaces: &[Imported]) -> String {
    workspaces.iter().fold(String::new(), |mut text, it| {
        let home = it.home.as_deref().unwrap_or("-");
        let _ = writeln!(text, "{} {} {} {home}", it.namespace, it.old, it.name);
        text
    })
}

/// Claims that several workspaces mount.
fn shared(workspaces: &[Imported], text: &mut String) {
    let mut users: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for workspace in workspaces {
        for claim in &workspace.claims {
            users
                .entry((&workspace.namespace, claim))
                .or_default()
                .push(&workspace.name);
        }
    }
    users.retain(|_, names| names.len() > 1);
    if users.is_empty() {
        return;
    }
    text.push_str("\n## Claims of several workspaces\n\nOf those with one home, one runs at a time; a further disk needs `ReadWriteMany`.\n\n");
    for ((namespace, claim), names) in users {
        let _ = writeln!(text, "- {namespace}/{claim}: {}", names.join(", "));
    }
}
