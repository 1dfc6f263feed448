//! Numbers -> the chart's objects, workspaces, shares, templates and users (IO: runs `helm`).

use anyhow::Context as _;
use api::names;
use serde_json::{Value, json};

use crate::bench::operator::objects::{SYSTEM, shared};
use crate::exec::Cmd;
use crate::helm;
use crate::paths::Paths;
use crate::progress::Progress;

/// Of the portal's pages.
pub(super) const ORIGIN: &str = "https://portal.workspaces.example.org";
/// Workspaces that each user owns.
const OWNED: usize = 3;
/// Templates.
const TEMPLATES: usize = 20;
/// Group of the administrators of all namespaces.
const ADMINS: &str = "oidc:admins";
/// What the API server is to know of the chart: no pods run here.
const KINDS: [&str; 6] = [
    "Namespace",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "WorkspaceManager",
];

/// Namespaces, rights and manager as the chart has them, and the installation's settings.
///
/// # Errors
/// When the chart does not render.
pub(super) fn installation(
    namespaces: usize,
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<(Vec<Value>, String)> {
    let usable: Vec<_> = (0..TEMPLATES).map(template).collect();
    let teams = (0..namespaces)
        .map(|team| json!({"name": format!("team-{team}"), "groups": [group(team)], "templates": usable}));
    let values = json!({
        "image": {"registry": "registry.example.org"},
        "routing": {"baseDomain": "workspaces.example.org"},
        "proxy": {"tls": {"secretName": "workspaces-tls"}},
        "oidc": {"issuerUrl": "https://id.example.org"},
        "userNamespaces": teams.collect::<Vec<_>>(),
    });
    let rendered = Cmd::new(helm::ensure(paths, progress)?)
        .args([
            "template",
            "bench",
            "--no-hooks",
            "--namespace",
            SYSTEM,
            "--values",
            "-",
        ])
        .arg(paths.clone_root().join("charts/jupyter-k8s"))
        .stdin(values.to_string())
        .output()?;
    let all: Vec<Value> = serde_saphyr::from_multiple(&rendered).context("what helm renders")?;
    let settings = all
        .iter()
        .find_map(|object| object["data"]["settings.yaml"].as_str());
    let settings = settings.context("the chart has no settings.yaml")?.to_owned();
    let mut objects = vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})];
    for kind in KINDS {
        objects.extend(all.iter().filter(|object| object["kind"] == kind).cloned());
    }
    objects.push(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "bench-admins"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "bench-workspace-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": ADMINS}],
    }));
    objects.extend(templates());
    Ok((objects, settings))
}

fn templates() -> impl Iterator<Item = Value> {
    let [template, _] = shared();
    (0..TEMPLATES).map(move |number| {
        let mut template = template.clone();
        template["metadata"]["name"] = self::template(number).into();
        template["spec"]["presentation"] = json!({"icon": "jupyterlab", "images": [
            {"image": template["spec"]["defaultImage"], "displayName": "JupyterLab"},
        ]});
        template
    })
}

/// Name of a template.
pub(super) fn template(number: usize) -> String {
    format!("template-{number}")
}

fn group(team: usize) -> String {
    format!("oidc:team-{team}")
}

/// One of so many namespaces, in which workspace `number` is, and its place there.
fn place(number: usize, namespaces: usize) -> (usize, usize) {
    (number % namespaces, number / namespaces)
}

fn owner(team: usize, seat: usize) -> String {
    format!("user-{team}-{}", seat / OWNED)
}

/// Workspaces of the `number`th user.
pub(super) fn owned(number: usize, namespaces: usize) -> Vec<usize> {
    let (team, seat) = place(number, namespaces);
    let seats = seat * OWNED..(seat + 1) * OWNED;
    seats.map(|seat| seat * namespaces + team).collect()
}

/// Namespace and name of a workspace.
pub(super) fn named(number: usize, namespaces: usize) -> (String, String) {
    let (team, _) = place(number, namespaces);
    (format!("team-{team}"), format!("lab-{number:05}"))
}

/// Whether a workspace runs: two of three.
pub(super) fn runs(number: usize) -> bool {
    !number.is_multiple_of(3)
}

/// A workspace, and the status that the operator would give it.
pub(super) fn workspace(number: usize, namespaces: usize) -> (Value, Value) {
    let (namespace, name) = named(number, namespaces);
    let (team, seat) = place(number, namespaces);
    let owner = owner(team, seat);
    let runs = runs(number);
    let [phase, desired] = if runs { ["Running"; 2] } else { ["Stopped"; 2] };
    let resources =
        json!({"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}});
    let image = "registry.example.org/team/jupyterlab:2026.11";
    let condition = |kind: &str, holds: bool, reason: &str| {
        json!({
            "type": kind, "status": if holds { "True" } else { "False" }, "reason": reason, "message": "",
            "observedGeneration": 1, "lastTransitionTime": "2026-11-20T08:00:07Z",
        })
    };
    let mut status = json!({
        "observedGeneration": 1, "phase": phase, "reason": if runs { "Ready" } else { "Stopped" }, "message": "",
        "url": format!("https://{name}-1f3870be274f6c49.workspaces.example.org/"),
        "deploymentName": format!("workspace-{name}"), "serviceName": format!("workspace-{name}"),
        "runID": format!("{number:08x}"), "owner": owner,
        "resolved": {
            "manager": "default", "image": image, "resources": resources, "accessType": "OwnerOnly",
            "ownershipType": "OwnerOnly", "idleTimeoutInMinutes": 120,
        },
        "conditions": [
            condition("Valid", true, "Valid"), condition("Available", runs, "Ready"), condition("Progressing", false, "Done"),
            condition("Degraded", false, "Healthy"), condition("Stopped", !runs, "Stopped"),
        ],
    });
    if runs {
        status["endpoint"] = json!({"podName": format!("workspace-{name}-6d4cf56db6-x7k2p"), "podIP": "10.1.2.3", "port": 8888});
        status["startedAt"] = json!("2026-11-20T08:00:05Z");
        status["stopsAt"] = json!("2026-11-22T22:00:00Z");
        status["stopsBecause"] = json!("Idle");
    }
    let workspace = json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "Workspace",
        "metadata": {
            "name": name, "namespace": namespace, "annotations": {names::CREATED_BY: owner},
        },
        "spec": {
            "displayName": name, "templateRef": template(number % TEMPLATES), "desiredStatus": desired,
            "resources": resources,
        },
    });
    (workspace, json!({"status": status}))
}

/// A share of a workspace with a user of the next namespace, and its status.
pub(super) fn share(number: usize, namespaces: usize, uid: &str) -> (Value, Value) {
    let (namespace, name) = named(number, namespaces);
    let (team, seat) = place(number, namespaces);
    let subjects = [
        json!({"kind": "User", "name": owner((team + 1) % namespaces, seat)}),
        json!({"kind": "Group", "name": format!("oidc:project-{}", number % 500)}),
    ];
    let share = json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "WorkspaceShare",
        "metadata": {
            "name": format!("{name}-share"), "namespace": namespace,
            "annotations": {names::CREATED_BY: owner(team, seat)},
        },
        "spec": {"workspaceRef": name, "workspaceUID": uid, "role": "Connect", "subjects": subjects},
    });
    let active = json!({
        "type": "Active", "status": "True", "reason": "Shared", "message": "Two subjects may connect.",
        "observedGeneration": 1, "lastTransitionTime": "2026-11-20T08:00:06Z",
    });
    (
        share,
        json!({"status": {"observedGeneration": 1, "workspaceUID": uid, "conditions": [active]}}),
    )
}

/// Who looks at a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Owns three workspaces, and may list no namespace.
    Owner,
    /// The same user with the chart's role in a namespace, who sees everything in it.
    Member,
    /// Sees everything.
    Admin,
}

impl Kind {
    /// The `number`th user of this kind, who opens `path`, as the load generator reads it.
    pub(super) fn user(self, number: usize, namespaces: usize, path: &str) -> Value {
        let (team, seat) = place(number, namespaces);
        let name = match self {
            Self::Admin => format!("admin-{number}"),
            Self::Owner | Self::Member => owner(team, seat * OWNED),
        };
        let groups = match self {
            Self::Admin => vec![ADMINS.to_owned()],
            Self::Owner => vec![],
            Self::Member => vec![group(team)],
        };
        json!({"name": name, "groups": groups, "path": path})
    }
}

#[cfg(test)]
mod tests {
    use api::{Workspace, WorkspaceShare, WorkspaceTemplate};

    use super::*;

    fn read<T: serde::de::DeserializeOwned>((mut object, status): (Value, Value)) -> T {
        object["status"] = status["status"].clone();
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn every_user_owns_three_workspaces_and_sees_three_of_other_teams() {
        let user = Kind::Member.user(4, 4, "/");
        let (mut owned, mut shared) = (0, 0);
        for number in 0..100 {
            let workspace: Workspace = read(workspace(number, 4));
            owned += usize::from(names::owner(&workspace.metadata) == user["name"].as_str());
            let share: WorkspaceShare = read(share(number, 4, "uid"));
            shared += usize::from(share.spec.subjects[0].name == user["name"]);
            assert_eq!(share.metadata.namespace, workspace.metadata.namespace);
        }
        assert_eq!((owned, shared), (3, 3));
        for number in super::owned(4, 4) {
            let workspace: Workspace = read(workspace(number, 4));
            assert_eq!(names::owner(&workspace.metadata), user["name"].as_str());
        }
        assert_eq!(user["groups"][0], "oidc:team-0");
    }

    #[test]
    fn the_templates_are_of_that_kind() {
        for template in templates() {
            serde_json::from_value::<WorkspaceTemplate>(template).unwrap();
        }
    }
}
