//! Printed steps and ways back of the guide, in bash -> what they call (IO: processes, files).

use std::path::Path;
use std::process::Command;

use import::Import;

use crate::commands::steps;
use crate::{kubeflow, text};

/// kubectl and helm that write down how they are called, and answer as a cluster does where all is in order.
const CLUSTER: &str = r#"
kubectl() {
  case "$*" in *'-f -'*) cat > /dev/null;; esac
  echo "kubectl $*" >> calls
  case "$*" in
    *'get pvc'*volumeName*) printf 'pv-%s' "$5";;
    *'get pvc'*ownerReferences*) printf 'a-claim \n';;
    'get pv '*) echo "$3 Delete";;
    *'get secret singleuser'*) printf '{"a": "e30="}';;
    *'exec deployment/hub'*) printf database;;
    *'auth whoami'*) printf admin;;
    *'{.metadata.uid} {'*) printf 'uid s3cret';;
    *'{.metadata.uid}'*) printf uid;;
  esac
}
helm() { echo "helm $*" >> calls; }
cd "$(mktemp -d)"
"#;

/// What commands call, in a folder with this list of disks. Whatever they ask is answered.
fn called(disks: &str, commands: &str) -> String {
    let script = format!(
        "{CLUSTER}trap 'rm -r \"$PWD\"' EXIT\nexec < <(yes typed)\ncat > disks <<'EOF'\n{disks}EOF\n{{\n{commands}\n}} > /dev/null\n\
         sed -E 's|/dev/fd/[0-9]+|FILE|g; s/[0-9]{{4}}-[0-9-]+T[0-9:]+Z/TIME/' calls"
    );
    let output = Command::new("bash").args(["-euc", &script]).output().unwrap();
    assert!(output.status.success(), "{commands}\n{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What all steps call, one after the other.
pub(crate) fn of_all(import: &Import) -> String {
    let all: Vec<_> = steps(import).into_iter().map(|(_, commands)| commands).collect();
    called(text(import, "disks"), &all.join("\n"))
}

/// The page, from a heading on.
fn guide(heading: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/coming-over.md");
    let text = std::fs::read_to_string(path).unwrap();
    text.split_once(&format!("\n{heading}\n")).unwrap().1.to_owned()
}

#[test]
fn ways_back_call_what_the_guide_says() {
    let disks = "team-a notebooks.kubeflow.org/demo demo a-claim -\nteam-b notebooks.kubeflow.org/x y - -\n";
    let page = guide("## Way back");
    let block = page.lines().skip_while(|line| !line.starts_with("    "));
    let block: Vec<_> = block.map_while(|line| line.strip_prefix("    ")).collect();
    let row = |begin: &str| {
        let mut rows = page.lines().filter_map(|line| line.strip_prefix(begin));
        rows.next().unwrap().split('`').nth(1).unwrap().to_owned()
    };
    for (commands, expected) in [
        (
            block.join("\n"),
            "kubectl workspace stop -n team-a demo --yes --wait\nkubectl workspace stop -n team-b y --yes --wait\n\
             kubectl delete -f workspaces.yaml --ignore-not-found\n\
             kubectl -n team-a delete rolebinding,role imported-demo --ignore-not-found\n\
             kubectl -n team-b delete rolebinding,role imported-y --ignore-not-found\n\
             kubectl delete clusterrolebinding,clusterrole workspace-importer --ignore-not-found\n",
        ),
        (
            row("| `kubeflow` | \"Delete the old Notebooks\" | "),
            "kubectl -n team-a annotate notebooks.kubeflow.org/demo kubeflow-resource-stopped-\n\
             kubectl -n team-b annotate notebooks.kubeflow.org/x kubeflow-resource-stopped-\n",
        ),
        (
            row("| `z2jh`, `--hub replace` | \"Take the hub away\" | ").replace("NAMESPACE", "jhub"),
            "kubectl -n jhub scale deployment hub --replicas=1\n",
        ),
    ] {
        assert_eq!(called(disks, &commands), expected);
    }
    let copy = guide("### The hub's database");
    let copy = copy.lines().skip_while(|line| !line.starts_with("    "));
    let copy: Vec<_> = copy.map_while(|line| line.strip_prefix("    ")).collect();
    let copy = copy.join("\n").replace("NAMESPACE", "jhub");
    let calls = called("", &format!("printf database > jupyterhub.sqlite\n{copy}"));
    let calls: Vec<_> = calls.lines().collect();
    // The overrides are JSON on several lines.
    let run = calls
        .iter()
        .position(|line| line.starts_with("kubectl -n jhub wait"))
        .unwrap();
    let overrides = calls[..run].join(" ");
    let overrides = overrides.split_once("--overrides=").unwrap().1;
    let pod: serde_json::Value = serde_json::from_str(overrides).unwrap();
    assert_eq!(
        pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"],
        "hub-db-dir"
    );
    assert_eq!(
        calls[run..],
        [
            "kubectl -n jhub wait pod/hub-db --for=condition=Ready",
            "kubectl -n jhub exec -i hub-db -- sh -c cat > /db/jupyterhub.sqlite",
            "kubectl -n jhub delete pod hub-db",
            "kubectl -n jhub scale deployment hub --replicas=1",
        ]
    );
}

#[test]
fn a_notebook_s_steps_call_kubectl_in_this_order() {
    let source = "\
{apiVersion: kubeflow.org/v1, kind: Notebook, metadata: {name: demo, namespace: team-a, annotations: {notebooks.kubeflow.org/creator: alice}},
 spec: {template: {spec: {containers: [{name: demo, image: 'r.example.org/a:1', env: [{name: A_TOKEN, value: never-shown}],
   volumeMounts: [{name: home, mountPath: /home/jovyan}]}], volumes: [{name: home, persistentVolumeClaim: {claimName: a-claim}}]}}}}";
    let calls = of_all(&kubeflow(source).unwrap());
    let calls: Vec<_> = calls.lines().collect();
    let of_step = |start: &str| calls.iter().position(|line| line.starts_with(start));
    let order = [
        "kubectl get -n team-a notebooks.kubeflow.org/demo -o jsonpath={.metadata.uid} {",
        "kubectl -n team-a create secret generic imported-demo",
        "kubectl apply --server-side -f -",
        "kubectl apply -f templates.yaml",
        "kubectl apply -f rights.yaml",
        "kubectl patch pv pv-a-claim --type=merge -p {\"spec\": {\"persistentVolumeReclaimPolicy\": \"Retain\"}}",
        "kubectl -n team-a patch notebooks.kubeflow.org/demo --type=merge -p {\"metadata\": {\"annotations\": {\"kubeflow-resource-stopped\": \"TIME\"}}}",
        "kubectl -n team-a wait pod --for=delete -l notebook-name=demo",
        "kubectl -n team-a patch pvc a-claim --type=merge -p {\"metadata\": {\"ownerReferences\": null}}",
        "kubectl -n team-a delete notebooks.kubeflow.org/demo",
        "kubectl create clusterrolebinding workspace-importer --clusterrole=workspace-importer --user=admin",
        "kubectl apply -f workspaces.yaml",
        "kubectl workspace start -n team-a demo --wait",
        "kubectl workspace stop -n team-a demo --yes --wait",
        "kubectl patch pv pv-a-claim --type=merge -p {\"spec\": {\"persistentVolumeReclaimPolicy\": \"Delete\"}}",
        "kubectl delete clusterrolebinding,clusterrole workspace-importer",
    ];
    let places: Vec<_> = order.iter().map(|start| of_step(start)).collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{places:?}\n{}",
        calls.join("\n")
    );
}
