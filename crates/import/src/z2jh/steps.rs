//! A hub that stays, or imported homes -> what to run, in order (pure).

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::secrets::Secrets;
use crate::rights::Imported;
use crate::steps::{Steps, of_claims};

/// Said first.
const FIRST: &str = "\
**Never delete a user or a named server in the hub before the last step: the hub deletes the disk with it.**

";

const SAME: &str = "\
- KubeSpawner's `1G` is 2^30 bytes, which is `1Gi` here. Every container has limits: where a guarantee had none, it is the limit too.
- Pods reach public addresses alone, and no metadata of the cloud, by network policies. No container of root sets them up.
- A template does not change once it is made. To adapt one, edit `templates.yaml` before you apply it.
";

const KEPT: &str = "\
- Servers are Workspaces, of the templates of `templates.yaml`: `hub-values.yaml` gives each profile its template. Choices of a profile
  (`profile_options`) go on, within the template's images and amounts.
- The hub's culler stops idle servers; the product's idle shutdown is off in the templates.
- `rbac.create: false` takes all Roles of the chart away. Its Let's Encrypt needs one: see docs/zero-to-jupyterhub.md.
";

const REPLACED: &str = "\
- Every workspace comes over stopped. One pod runs on a disk at a time, unless its claim is `ReadWriteMany`. Named servers are workspaces of
  their own.
- Users sign in at the gateway by OpenID Connect, and have the Role of users of their namespace (`userNamespaces` of the chart).
- The templates start `jupyter lab` without a hub and its token (`defaultContainerConfig`). It does not check who calls it: put the door into
  the images, or rely on network policies: docs/templates.md, \"Who is the caller\".
- Pods run as user 1000, and the homes are written by group 100, where your values name no other (`defaultPodSecurityContext`).
";

/// The steps where the hub stays. `home`: the setting by which servers keep their homes.
pub(super) fn keep(
    (hub, servers): (&str, &str),
    home: Option<&str>,
    homes: &[Imported],
    secrets: &Secrets,
    is_dependency: bool,
    missing: &[String],
) -> String {
    let differences = format!("{FIRST}{KEPT}{SAME}");
    let mut steps = Steps::new("From KubeSpawner to workspaces", &differences, missing, &[]);
    if hub != servers {
        steps.step(
            "Make the namespace of the servers, and list it in `userNamespaces` of the product's chart with `create: false`.",
            &format!("kubectl create namespace {servers} --dry-run=client -o yaml | kubectl apply -f -\n"),
            &format!("`kubectl get namespace {servers}` shows it as `Active`."),
        );
    }
    ask(&mut steps, &secrets.commands([servers]));
    copy(&mut steps, &secrets.copy_files(hub, [servers]));
    steps.step(
        "Apply templates, manager, execution profiles and the hub's Role.",
        "kubectl apply -f templates.yaml -f manager.yaml -f profiles.yaml -f rights.yaml\n",
        &format!(
            "`kubectl get workspacetemplates.workspaces.jupyter.org` shows no template with `Valid` `False`, and `kubectl auth can-i create workspaces.workspaces.jupyter.org -n {servers} \
             --as=system:serviceaccount:{hub}:hub` prints `yes`."
        ),
    );
    if !homes.is_empty() {
        steps.keep_volumes();
    }
    steps.step(
        "Stop all servers: the new spawner does not know KubeSpawner's pods, and nothing else stops them. Say it to the users before.",
        &stop(hub, homes),
        STOPPED,
    );
    let (names, chart) = if is_dependency {
        (
            "`RELEASE`, `CHART` and `values.yaml` are yours: the chart is the one that has JupyterHub's as a dependency.",
            "CHART",
        )
    } else {
        (
            "`RELEASE` and `values.yaml` are yours, and `VERSION` is the chart's that `helm list` shows.",
            "jupyterhub --repo https://hub.jupyter.org/helm-chart/ --version VERSION",
        )
    };
    steps.step(
        &format!(
            "Build the hub's image with our spawner (docs/zero-to-jupyterhub.md, step 1), write its name into `hub-values.yaml`, and upgrade the \
             release with your files and this one as the last. The names {names}"
        ),
        &format!(
            "helm list -n {hub}\n\
             helm upgrade RELEASE {chart} -n {hub} -f values.yaml -f hub-values.yaml\n\
             kubectl -n {hub} rollout status deployment hub\n"
        ),
        "start a server in the hub: `kubectl get workspaces.workspaces.jupyter.org -A` shows its Workspace as `Running`, and the files are there.",
    );
    if let Some(home) = home {
        steps.step(
            &format!(
                "Servers use the claims that `{home}` names, and the hub makes none: a new user needs a claim of that name, and the hub's Role its name. \
                 The claim is found by that name alone: see docs/zero-to-jupyterhub.md, \"Homes\"."
            ),
            &format!("kubectl -n {servers} get pvc\n"),
            "each user has a claim.",
        );
    }
    if !homes.is_empty() {
        steps.give_back(false);
    }
    steps.finish()
}

/// Where a hub has its users and servers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Database {
    /// A file on its disk.
    File,
    /// Its values name another one, or none that outlives its pod.
    Other,
}

/// The steps where the hub goes.
pub(super) fn replace(
    (hub, database): (&str, Database),
    workspaces: &[Imported],
    (secrets, files): (&str, &str),
    has_profiles: bool,
    missing: &[String],
) -> String {
    let differences = format!("{FIRST}{REPLACED}{SAME}");
    let mut steps = Steps::new("From JupyterHub to workspaces", &differences, missing, workspaces);
    ask(&mut steps, secrets);
    copy(&mut steps, files);
    steps.apply(has_profiles);
    steps.keep_volumes();
    let stop = stop(hub, workspaces);
    match database {
        Database::File => steps.step(
            "Stop the hub, which would start servers again, and all servers. Keep a copy of its database, which names users and servers.",
            &format!(
                "test -s jupyterhub.sqlite || {{\n  \
                   kubectl -n {hub} exec deployment/hub -- cat jupyterhub.sqlite > jupyterhub.sqlite.part \\\n    \
                     && mv jupyterhub.sqlite.part jupyterhub.sqlite\n\
                 }}\n{stop}"
            ),
            &format!(
                "`test -s jupyterhub.sqlite && echo kept` prints `kept`: otherwise scale the hub to 1, and run this step again. {STOPPED}"
            ),
        ),
        Database::Other => steps.step(
            "Stop the hub, which would start servers again, and all servers. Keep a dump of its database (`hub.db`), which names users and servers.",
            &stop,
            STOPPED,
        ),
    }
    steps.free_claims();
    steps.create();
    steps.start();
    steps.step(
        "Take the hub away, and send its users to the portal. The way back until here: stop all workspaces, and scale the hub to 1. The name \
         `RELEASE` is yours.",
        &format!("helm uninstall RELEASE -n {hub}\n"),
        &format!("{} prints `Bound` for each.", of_claims("{.status.phase}{\"\\n\"}")),
    );
    steps.give_back(true);
    steps.finish()
}

const STOPPED: &str = "`kubectl get pods -A -l component=singleuser-server` lists none of this hub.";

/// Commands that end the hub and its servers, which are in its namespace or beside their homes.
fn stop(hub: &str, homes: &[Imported]) -> String {
    let mut text = format!("kubectl -n {hub} scale deployment hub --replicas=0\n");
    let of_homes = homes.iter().map(|home| home.namespace.as_str());
    let namespaces: BTreeSet<&str> = of_homes.chain([hub]).collect();
    for namespace in namespaces {
        let _ = writeln!(
            text,
            "kubectl -n {namespace} delete pods -l component=singleuser-server --timeout=5m"
        );
    }
    text
}

/// Values that look like credentials.
fn ask(steps: &mut Steps, commands: &str) {
    if !commands.is_empty() {
        steps.step(
            "Put values that look like credentials into a Secret: type each as your values have it. No file here has them.",
            commands,
            "each command prints `serverside-applied`.",
        );
    }
}

/// Files of the chart.
fn copy(steps: &mut Steps, commands: &str) {
    if !commands.is_empty() {
        steps.step(
            "Copy the files of `extraFiles`, which templates mount, from the chart's Secret `singleuser`. With `fullnameOverride` or \
             `nameOverride` in your values that Secret has another name: write it into the command. No file here has the files. Repeat it when you \
             change them; another namespace needs a copy.",
            commands,
            "each command prints `serverside-applied`.",
        );
    }
}
