//! Imported Notebooks -> what to run, in order (pure).

use crate::rights::Imported;
use crate::steps::{Steps, each};

/// What is otherwise here, whatever the Notebooks say.
const DIFFERENCES: &str = "\
- Every workspace comes over stopped. One pod runs on a disk at a time, unless its claim is `ReadWriteMany`.
- A workspace has a host or path of its own. The templates set `NB_PREFIX` to `{workspace.basePath}` in `environmentVariables`; an image
  that fixes its path needs `defaultContainerConfig`.
- Pods run as user and group 1000. Where a Notebook has no security context of its own, the template adds group 100, by which Kubeflow's disks
  are written (`defaultPodSecurityContext.fsGroup`).
- `/dev/shm` is half of the memory limit (`defaultShmSize`). Every container has limits: where a Notebook had a request alone, that is its
  limit too, and where it had neither, the installation's default.
- Kubeflow's images do not check who calls them. Put the door into them, or rely on network policies: docs/templates.md, \"Who is the caller\".
- Namespaces of Profiles put Istio's containers into new pods: `kubectl get namespaces -L istio-injection,istio.io/rev`. Their init container
  breaks the rules of pods here, and Kubeflow's policies refuse this product's gateway. So the templates have
  `baseLabels: [{name: sidecar.istio.io/inject, value: \"false\"}]`. Other templates need it for workspaces in these namespaces.
- Kubeflow's culling is `defaultIdleShutdown` of a template here, contributors are shares, and Istio and the header `kubeflow-userid` are
  the gateway. None of them comes over.
- A template does not change once it is made. To adapt one, edit `templates.yaml` before you apply it.
";

/// The whole text. `secrets`: commands that make Secrets.
pub(super) fn text(workspaces: &[Imported], secrets: &str, has_profiles: bool, missing: &[String]) -> String {
    let mut steps = Steps::new("From Kubeflow to workspaces", DIFFERENCES, missing, workspaces);
    steps.secrets(secrets);
    steps.apply(has_profiles);
    steps.keep_volumes();
    steps.step(
        "Stop the old pods. Kubeflow's controller stays: it owns no claims, and ends the pods.",
        &each(
            "kubectl -n \"$namespace\" patch \"$old\" --type=merge \\\n  \
             -p '{\"metadata\": {\"annotations\": {\"kubeflow-resource-stopped\": \"'\"$(date -u +%FT%TZ)\"'\"}}}'\n\
             kubectl -n \"$namespace\" wait pod --for=delete -l \"notebook-name=${old#*/}\" --timeout=5m\n",
        ),
        "`kubectl get pods -A -l notebook-name` lists none of them.",
    );
    steps.free_claims();
    steps.delete(
        "Notebooks",
        "",
        " `kubectl get pods -A -l notebook-name` shows no pod of these Notebooks.",
    );
    steps.create();
    steps.start();
    steps.give_back(true);
    steps.finish()
}
