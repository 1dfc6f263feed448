//! Imported Workspaces -> what to run, in order (pure).

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::rights::Imported;
use crate::steps::{Steps, each};

/// What is otherwise here, whatever the Workspaces say.
const DIFFERENCES: &str = "\
- Every workspace comes over stopped. One pod runs on a disk at a time.
- Access and ownership are written out. The old product's default is `Public`, in templates too, and this product's is `OwnerOnly`: change
  `accessType` and `ownershipType` where nobody chose `Public`.
- To use a template, profile or claim is a right here. `rights.yaml` gives it to the owners of the workspaces.
- Templates belong to no namespace. Where two had one name, theirs begins with the namespace. A template does not change once it is made:
  edit `templates.yaml` before you apply it.
- A Workspace without a template has one here, whose bounds are what such Workspaces have.
- Pods without `serviceAccountName` have no token. `/dev/shm` is half of the memory limit where nothing says its size.
- A Workspace without an image gets this installation's. An image without a registry had the old operator's `applicationImagesRegistry`
  before it: write it out.
- Images of the old product do not check who calls them. Put the door into them, or rely on network policies: docs/templates.md, \"Who is the
  caller\".
- A Secret of a template's credentials is made in the namespaces of its workspaces. Further namespaces need a copy.
";

/// The same group: only one product can be there.
const ONE_GROUP: &str = "- Old objects of `workspaces.jupyter.org` have the group of this product's, so both cannot run side by side. The steps remove the old \
definitions before this product is installed. **To delete these definitions later deletes this product's objects.**
";

const OPERATOR: &str = "\
# The names that the old chart gives. With others, change them here.
kubectl -n jupyter-k8s-system get deployment jupyter-k8s-controller-manager --ignore-not-found -o name \\
  | xargs -r kubectl -n jupyter-k8s-system scale --replicas=0 --timeout=2m
kubectl delete mutatingwebhookconfiguration jupyter-k8s-mutating-webhook-configuration --ignore-not-found
kubectl delete validatingwebhookconfiguration jupyter-k8s-validating-webhook-configuration --ignore-not-found
";

/// The whole text. `secrets`: commands that make Secrets; `finalizers`: those of the old objects.
pub(super) fn text(
    workspaces: &[Imported],
    secrets: &str,
    has_profiles: bool,
    missing: &[String],
    finalizers: &BTreeSet<&str>,
) -> String {
    let is_ours = workspaces.iter().any(|it| group(it) == api::names::GROUP);
    let mut differences = DIFFERENCES.to_owned();
    if is_ours {
        differences.push_str(ONE_GROUP);
    }
    let title = "From the earlier jupyter-k8s to this one";
    let mut steps = Steps::new(title, &differences, missing, workspaces);
    steps.secrets(secrets);
    if !is_ours {
        steps.apply(has_profiles);
    }
    if workspaces.is_empty() {
        return steps.finish();
    }
    steps.keep_volumes();
    let pods = "kubectl -n \"$namespace\" delete deployment \"workspace-${old#*/}\" \"jupyter-${old#*/}\" --ignore-not-found \
        --cascade=foreground --timeout=5m\n";
    steps.step(
        "Stop the old operator, which would put owners back, and its webhooks, which would refuse what follows. Stop the old pods.",
        &format!("{OPERATOR}{}", each(pods)),
        "`kubectl get pods -A -l app=jupyter` lists none of them.",
    );
    steps.free_claims();
    steps.delete("Workspaces", &before_deletion(finalizers));
    if is_ours {
        remove(&mut steps, &[api::names::GROUP]);
        steps.step(
            "Install this product: docs/install.md, with these namespaces in `userNamespaces` and `create: false`.",
            "kubectl wait crd/workspaces.workspaces.jupyter.org crd/workspacetemplates.workspaces.jupyter.org --for=condition=Established --timeout=2m\n",
            "`kubectl get crd workspaces.workspaces.jupyter.org -o jsonpath='{.metadata.annotations.workspaces\\.jupyter\\.org/crd-version}'` prints a version.",
        );
        steps.apply(has_profiles);
    }
    steps.create();
    steps.start();
    steps.give_back();
    let others: BTreeSet<&str> = workspaces.iter().map(group).collect();
    let others: Vec<_> = others.into_iter().filter(|it| *it != api::names::GROUP).collect();
    if !others.is_empty() {
        remove(&mut steps, &others);
    }
    steps.finish()
}

/// Group of the old object.
fn group(workspace: &Imported) -> &str {
    let kind = workspace.old.split_once('/').map_or("", |(kind, _)| kind);
    kind.split_once('.').map_or("", |(_, group)| group)
}

/// What is done to an old object before it is deleted: it is the one of the export, and nothing holds it.
fn before_deletion(finalizers: &BTreeSet<&str>) -> String {
    let mut text = String::from(
        "test \"$uid\" = - || test \"$(kubectl -n \"$namespace\" get \"$old\" --ignore-not-found -o jsonpath='{.metadata.uid}')\" = \"$uid\" || continue\n",
    );
    if !finalizers.is_empty() {
        let names: Vec<_> = finalizers.iter().copied().collect();
        let _ = writeln!(text, "# The stopped operator would remove: {}", names.join(", "));
        text.push_str("kubectl -n \"$namespace\" patch \"$old\" --type=merge -p '{\"metadata\": {\"finalizers\": null}}'\n");
    }
    text
}

/// The old definitions go, and with them every old object that is still there. This product's are not of controller-gen.
fn remove(steps: &mut Steps, groups: &[&str]) {
    let body = "  generator=$(kubectl get crd \"$crd\" --ignore-not-found -o jsonpath='{.metadata.annotations.controller-gen\\.kubebuilder\\.io/version}')\n  \
        test -z \"$generator\" || kubectl delete crd \"$crd\" --timeout=2m\ndone\n";
    let kinds = [
        "workspaces",
        "workspacetemplates",
        "workspaceaccessstrategies",
        "workspaceintegrationtemplates",
        "workspaceintegrations",
    ];
    let names: Vec<_> = groups
        .iter()
        .flat_map(|group| kinds.map(|kind| format!("{kind}.{group}")))
        .collect();
    steps.step(
        "Uninstall the old chart (`helm list -A` names it), and delete its definitions. Old objects that did not come over are deleted with them.",
        &format!("for crd in {}; do\n{body}", names.join(" ")),
        "`kubectl get crd -o name | grep jupyter.org` lists none of the old product.",
    );
}
