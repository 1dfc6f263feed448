//! Imported workspaces -> what to run, in order, with the check after each step (pure).
//!
//! A source puts the steps in order, and adds its own between them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::rights::{IMPORTER, Imported};

/// A text that grows by steps.
pub(crate) struct Steps {
    text: String,
    number: usize,
}

impl Steps {
    /// The text before the first step. `differences`: what is otherwise here, whatever the source says.
    pub(crate) fn new(title: &str, differences: &str, missing: &[String], workspaces: &[Imported]) -> Self {
        let mut text = format!(
            "# {title}\n\nFor a cluster administrator (`cluster-admin`), in bash, in this folder. Each step may be run again until users work in the \
             workspaces.\nThe file `disks` has a line per \
             workspace: namespace, old object, workspace, claim of the home, UID of the old object. `-`: none.\n\n\
             ## What is otherwise here\n\n{differences}"
        );
        if !missing.is_empty() {
            text.push_str("\n## What is missing\n\n");
            for line in missing {
                let _ = writeln!(text, "- {line}");
            }
        }
        shared(workspaces, &mut text);
        text.push_str("\n## Steps\n");
        Self { text, number: 0 }
    }

    /// One step.
    pub(crate) fn step(&mut self, title: &str, commands: &str, check: &str) {
        self.number += 1;
        let _ = writeln!(
            self.text,
            "\n{}. {title}\n\n{}\n   Check: {check}",
            self.number,
            indented(commands)
        );
    }

    /// `commands` make Secrets.
    pub(crate) fn secrets(&mut self, commands: &str) {
        if !commands.is_empty() {
            self.step(
                "Copy values that look like credentials from the old objects to Secrets. No file here has them.",
                commands,
                "each Secret prints `serverside-applied`. A value that cannot be read writes nothing: the line before says which.",
            );
        }
    }

    /// Templates, execution profiles and Roles.
    pub(crate) fn apply(&mut self, has_profiles: bool) {
        let profiles = if has_profiles { " -f profiles.yaml" } else { "" };
        self.step(
            "Apply templates and the owners' Roles. Owners also need the Role of users of their namespace (`userNamespaces` of the chart).",
            &format!("kubectl apply -f templates.yaml{profiles}\nkubectl apply -f rights.yaml\n"),
            "`kubectl get workspacetemplates.workspaces.jupyter.org` shows no template with `Valid` `False`.",
        );
    }

    /// Volumes outlive their claims.
    pub(crate) fn keep_volumes(&mut self) {
        let body = "test \"$claim\" != - || continue\n\
            volume=$(kubectl -n \"$namespace\" get pvc \"$claim\" -o jsonpath='{.spec.volumeName}')\n\
            test -n \"$volume\" || continue\n\
            grep -q \"^$volume \" policies || kubectl get pv \"$volume\" -o jsonpath='{.metadata.name} {.spec.persistentVolumeReclaimPolicy}{\"\\n\"}' >> policies\n\
            kubectl patch pv \"$volume\" --type=merge -p '{\"spec\": {\"persistentVolumeReclaimPolicy\": \"Retain\"}}'\n";
        self.step(
            "Keep the volumes, whatever becomes of their claims. The former policies are in the file `policies`.",
            &format!("touch policies\n{}", each(body)),
            "`kubectl get pv` shows `Retain` for each volume of `policies`.",
        );
    }

    /// Claims without owners.
    pub(crate) fn free_claims(&mut self) {
        let body = "test \"$claim\" = - || kubectl -n \"$namespace\" patch pvc \"$claim\" --type=merge \\\n  \
            -p '{\"metadata\": {\"ownerReferences\": null}}'\n";
        self.step(
            "Take the claims' owners away, so that no deletion takes a claim with it.",
            &each(body),
            &format!("{} prints nothing.", of_claims("{.metadata.ownerReferences}")),
        );
    }

    /// No old objects: those of the export that own no claim, whose deletion would delete it. `before`: what is done to each first; `check`: a
    /// further one.
    pub(crate) fn delete(&mut self, kind: &str, before: &str, check: &str) {
        let body = format!(
            "found=$(kubectl -n \"$namespace\" get \"$old\" --ignore-not-found -o jsonpath='{{.metadata.uid}}') || exit 1\n\
             test -n \"$found\" || continue\n\
             test \"$uid\" = - || test \"$found\" = \"$uid\" || continue\n\
             owners=$(kubectl -n \"$namespace\" get pvc -o jsonpath='{{range .items[*]}}{{.metadata.name}} {{.metadata.ownerReferences[*].uid}}{{\"\\n\"}}{{end}}') || exit 1\n\
             if owned=$(grep -E -e \"^$claim [^ ]\" -e \" $found( |\\$)\" <<< \"$owners\"); then\n  \
             echo \"$namespace $old stays, because its claims have owners, with which they would be deleted. To free those that are the home of no workspace:\" >&2\n  \
             cut -d' ' -f1 <<< \"$owned\" | while read -r name; do\n    \
               echo \"kubectl -n $namespace patch pvc $name --type=merge -p '{{\\\"metadata\\\": {{\\\"ownerReferences\\\": null}}}}'\" >&2\n  \
             done\n  \
             exit 1\n\
             fi\n\
             {before}kubectl -n \"$namespace\" delete \"$old\" --ignore-not-found --timeout=2m || exit 1\n"
        );
        self.step(
            &format!(
                "Delete the old {kind}. Keep the export from which this folder was made: it is the way back. One that owns a claim stays, and ends \
                 the commands, which print how to free the claim. If the claim is the home of no workspace, such as a further disk, free it, and run \
                 this step again. If the file `disks` names it, first take its owners away again. If it is another home, import again as \
                 docs/coming-over.md says under \"Import again\": an export that you make now lacks what is deleted already."
            ),
            &format!("(\n{})\n", shifted(&each(&body))),
            &format!(
                "{} prints `Bound` for each.{check}",
                of_claims("{.status.phase}{\"\\n\"}")
            ),
        );
    }

    /// The workspaces, stopped.
    pub(crate) fn create(&mut self) {
        self.step(
            "Create the workspaces for their owners. The binding gives you the Role `workspace-importer` of `rights.yaml` for that time. An \
             owner is the annotation `created-by`: the name by which the API server knows the user, as `kubectl auth whoami` and **Account** in the \
             portal show it. A wrong one is not refused: correct it in `workspaces.yaml` and `rights.yaml` before.",
            &format!(
                "kubectl create clusterrolebinding {IMPORTER} --clusterrole={IMPORTER} --user=\"$(kubectl auth whoami -o jsonpath='{{.status.userInfo.username}}')\" \
                 --dry-run=client -o yaml | kubectl apply -f -\n\
                 kubectl apply -f workspaces.yaml\n"
            ),
            "`kubectl get workspaces.workspaces.jupyter.org -A` shows each of them as `Stopped`, none as `Invalid`. `kubectl get \
             workspaces.workspaces.jupyter.org -A -o \
             custom-columns='NAMESPACE:.metadata.namespace,NAME:.metadata.name,OWNER:.metadata.annotations.workspaces\\.jupyter\\.org/created-by'` \
             shows the owners. For each, `kubectl auth can-i create workspaces.workspaces.jupyter.org/NAME --subresource=connect -n NAMESPACE \
             --as=OWNER` prints `yes`; where groups have the Role of users, add `--as-group=GROUP`.",
        );
    }

    /// Each workspace runs once. One that does not start keeps no other from its turn.
    pub(crate) fn start(&mut self) {
        let body = each(
            "echo \"== $namespace/$workspace\"\n\
             if problem=$(kubectl workspace start -n \"$namespace\" \"$workspace\" --wait 2>&1); then\n  \
               kubectl -n \"$namespace\" exec \"workspace-$workspace\" -c workspace -- sh -c 'ls -A \"$HOME\"' \\\n    \
                 || failed+=\"$namespace/$workspace: its files cannot be listed\"$'\\n'\n\
             else\n  \
               failed+=\"$namespace/$workspace: ${problem##*$'\\n'}\"$'\\n'\n\
             fi\n\
             kubectl workspace stop -n \"$namespace\" \"$workspace\" --yes --wait \\\n  \
               || failed+=\"$namespace/$workspace: it does not stop\"$'\\n'\n",
        );
        let commands = format!(
            "failed=\n{body}test -z \"$failed\" || {{\n  printf 'Not as wanted:\\n%s' \"$failed\" >&2\n  exit 1\n}}\n"
        );
        self.step(
            "Start each once, look at its files, and stop it. Those that do not start are named at the end, with the reason: \
             docs/reasons.md says what to do. Then run this step again.",
            &format!("(\n{})\n", shifted(&commands)),
            "nothing is `Not as wanted`, and each list holds the user's files.",
        );
    }

    /// Volumes as before. `has_role`: who applied the workspaces had a Role for it.
    pub(crate) fn give_back(&mut self, has_role: bool) {
        let mut title = "Give the volumes their former reclaim policy".to_owned();
        let mut commands = "while read -r volume policy <&3; do\n  kubectl patch pv \"$volume\" --type=merge -p '{\"spec\": {\"persistentVolumeReclaimPolicy\": \"'\"$policy\"'\"}}'\ndone 3< policies\n".to_owned();
        if has_role {
            title.push_str(", and remove the Role of these steps and its binding");
            let _ = writeln!(
                commands,
                "kubectl delete clusterrolebinding,clusterrole {IMPORTER} --ignore-not-found"
            );
        }
        self.step(
            &format!("{title}."),
            &commands,
            "`kubectl get pv` shows the policies of the file `policies`.",
        );
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// Commands that run for each line of `disks`.
pub(crate) fn each(body: &str) -> String {
    let body = shifted(body);
    format!("while read -r namespace old workspace claim uid <&3; do\n{body}done 3< disks\n")
}

/// Commands within others.
fn shifted(commands: &str) -> String {
    commands.lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "  {line}");
        text
    })
}

/// A check: what a path of each claim holds.
pub(crate) fn of_claims(path: &str) -> String {
    format!(
        "`while read -r namespace _ _ claim _ <&3; do test \"$claim\" = - || kubectl -n \"$namespace\" get pvc \"$claim\" -o jsonpath='{path}'; done 3< disks`"
    )
}

/// Lines of a list item.
fn indented(commands: &str) -> String {
    commands.lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "       {line}");
        text
    })
}

/// The list that the steps read.
pub(crate) fn list(workspaces: &[Imported]) -> String {
    workspaces.iter().fold(String::new(), |mut text, it| {
        let home = it.home.as_deref().unwrap_or("-");
        let uid = it.uid.as_deref().unwrap_or("-");
        let _ = writeln!(text, "{} {} {} {home} {uid}", it.namespace, it.old, it.name);
        text
    })
}

/// Claims that several workspaces mount.
fn shared(workspaces: &[Imported], text: &mut String) {
    let mut users: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for workspace in workspaces {
        for claim in workspace.claims.keys() {
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
    text.push_str("\n## Claims of several workspaces\n\nAll run at the same time if the claim is `ReadWriteMany`. If it is not, one runs at a time where it is the home, and a further disk is on one \
         node alone.\n\n");
    for ((namespace, claim), names) in users {
        let _ = writeln!(text, "- {namespace}/{claim}: {}", names.join(", "));
    }
}
