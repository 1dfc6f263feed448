//! Imported Workspaces -> what to run, in order (pure).

use std::collections::BTreeSet;

use super::GROUPS;
use crate::rights::Imported;
use crate::steps::{Steps, each};

/// What is otherwise here, whatever the Workspaces say.
const DIFFERENCES: &str = "\
- Every workspace comes over stopped. One pod runs on a disk at a time, unless its claim is `ReadWriteMany`.
- Access and ownership are written out. The old product's default is `Public`, in templates too, and this product's is `OwnerOnly`: change
  `accessType` and `ownershipType` where nobody chose `Public`.
- To use a template, profile or claim is a right here. `rights.yaml` gives it to the owners of the workspaces, of
  claims only where they are theirs alone.
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
    let [other, ours] = GROUPS;
    let is_ours = workspaces.iter().any(|it| group(it) == ours);
    let has_others = workspaces.iter().any(|it| group(it) == other);
    let groups = if is_ours {
        r"workspaces?\.jupyter\.org"
    } else {
        r"workspace\.jupyter\.org"
    };
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
        "Stop the old operator, which would put owners back, and its webhooks, which would refuse what follows. Stop the old pods. The way \
         back: `helm upgrade` of the old release starts the operator and makes the webhooks again.",
        &format!("{OPERATOR}{}", each(pods)),
        &format!(
            "`kubectl get deployments -A` shows the old operator, whatever its name, at `0/0`. `kubectl get \
             mutatingwebhookconfigurations,validatingwebhookconfigurations -o \
             custom-columns='NAME:.metadata.name,GROUPS:.webhooks[*].rules[*].apiGroups' | grep -E '{groups}'` prints nothing. `kubectl get pods \
             -A -l app=jupyter` lists none of them."
        ),
    );
    steps.free_claims();
    steps.delete("Workspaces", &before_deletion(finalizers), "");
    if is_ours {
        remove(&mut steps, ours);
        steps.step(
            "Install this product: docs/install.md, with these namespaces in `userNamespaces` and `create: false`.",
            "kubectl wait crd/workspaces.workspaces.jupyter.org crd/workspacetemplates.workspaces.jupyter.org --for=condition=Established --timeout=2m\n",
            "`kubectl get crd workspaces.workspaces.jupyter.org -o jsonpath='{.metadata.annotations.workspaces\\.jupyter\\.org/crd-version}'` prints a version.",
        );
        steps.apply(has_profiles);
    }
    steps.create();
    steps.start();
    steps.give_back(true);
    if has_others {
        remove(&mut steps, other);
    }
    steps.finish()
}

/// Group of the old object.
fn group(workspace: &Imported) -> &str {
    let kind = workspace.old.split_once('/').map_or("", |(kind, _)| kind);
    kind.split_once('.').map_or("", |(_, group)| group)
}

/// What is done to an old object before it is deleted, so that nothing holds it.
fn before_deletion(finalizers: &BTreeSet<&str>) -> String {
    if finalizers.is_empty() {
        return String::new();
    }
    let names: Vec<_> = finalizers.iter().copied().collect();
    format!(
        "# The stopped operator would remove: {}\n\
         kubectl -n \"$namespace\" patch \"$old\" --type=merge -p '{{\"metadata\": {{\"finalizers\": null}}}}'\n",
        names.join(", ")
    )
}

/// The old definitions go, with the old objects other than Workspaces. This product's definitions are not of controller-gen.
fn remove(steps: &mut Steps, group: &str) {
    let kinds = [
        "workspaces",
        "workspacetemplates",
        "workspaceaccessstrategies",
        "workspaceintegrationtemplates",
        "workspaceintegrations",
    ];
    let commands = format!(
        r#"(
  for kind in {}; do
    crd=$kind.{group}
    generator=$(kubectl get crd "$crd" --ignore-not-found -o jsonpath='{{.metadata.annotations.controller-gen\.kubebuilder\.io/version}}') || exit 1
    test -n "$generator" || continue
    objects=$(kubectl get "$crd" -A -o jsonpath='{{range .items[*]}}{{.metadata.name}} {{.metadata.namespace}}{{"\n"}}{{end}}') || exit 1
    if test "$kind" = workspaces && test -n "$objects"; then
      echo "old Workspaces are left, so nothing is deleted:" >&2
      echo "$objects" >&2
      exit 1
    fi
    # The stopped operator would remove their finalizers.
    while read -r name namespace <&3; do
      test -z "$name" || kubectl patch "$crd" "$name" ${{namespace:+-n "$namespace"}} --type=merge -p '{{"metadata": {{"finalizers": null}}}}' || exit 1
    done 3<<< "$objects"
    kubectl delete crd "$crd" --timeout=2m || exit 1
  done
)
"#,
        kinds.join(" ")
    );
    steps.step(
        &format!(
            "Uninstall the old chart, not this product's (`helm list -A` names both), and delete the old definitions. **This deletes all old \
             templates, access strategies and integrations of the cluster, everybody's; an old Workspace that is left would lose its disk and its files.** \
             Begin only when `kubectl get workspaces.{group} -A` prints no old Workspace: the commands refuse while one is left, the chart does not."
        ),
        &commands,
        "`kubectl get crd -o name | grep jupyter.org` lists none of the old product.",
    );
}
