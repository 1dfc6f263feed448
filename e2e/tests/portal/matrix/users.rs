//! Nine users of a namespace, and the roles that make them different (IO).

use anyhow::Context as _;
use e2e::cluster::{self, Scratch};
use e2e::portal::attested::User;
use e2e::{Environment, objects::template};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

/// The product's group of the API.
const GROUP: &str = api::names::GROUP;

/// What a user is to the namespace and its workspaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Has the chart's role of users, and the workspaces.
    Owner,
    /// Has the chart's role of users.
    Neighbour,
    /// May read workspaces and shares.
    Viewer,
    /// Has the chart's role of administrators, in one namespace.
    NamespaceAdministrator,
    /// Has `cluster-admin`, everywhere.
    ClusterAdministrator,
    /// Has a share, and no role.
    GuestByName,
    /// Is in a group that has a share, and has no role.
    GuestByGroup,
    /// May connect to what is public.
    GuestByPublic,
    /// Has nothing.
    Stranger,
}

impl Kind {
    pub(super) const ALL: [Self; 9] = [
        Self::Owner,
        Self::Neighbour,
        Self::Viewer,
        Self::NamespaceAdministrator,
        Self::ClusterAdministrator,
        Self::GuestByName,
        Self::GuestByGroup,
        Self::GuestByPublic,
        Self::Stranger,
    ];

    /// A word for names of objects.
    pub(super) fn label(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// A user, and their kubectl.
pub(super) struct Member {
    pub(super) kind: Kind,
    pub(super) user: User,
    pub(super) kubectl: Client,
}

/// A namespace with its users and templates.
pub(super) struct Team {
    pub(super) scratch: Scratch,
    pub(super) members: Vec<Member>,
}

impl Team {
    /// Makes a namespace, its templates, and the roles of nine users.
    pub(super) async fn make() -> anyhow::Result<Self> {
        let scratch = Scratch::bare("portal-matrix", &[]).await?;
        let spec = json!({"defaultImage": Environment::get()?.images.echo, "allowCustomScheduling": true});
        template::make(&scratch, &spec).await?;
        template::make_named(&restricted(&scratch), &spec).await?;
        let members = futures::future::try_join_all(Kind::ALL.map(|kind| member(kind, &scratch))).await?;
        let team = Self { scratch, members };
        team.give_roles().await?;
        Ok(team)
    }

    /// The user of that kind.
    pub(super) fn member(&self, kind: Kind) -> anyhow::Result<&Member> {
        let found = self.members.iter().find(|member| member.kind == kind);
        found.with_context(|| format!("no {kind:?}"))
    }

    /// The group of the guest by group.
    pub(super) fn group(&self) -> String {
        group(&self.scratch)
    }

    /// The template that users may use.
    pub(super) fn template(&self) -> &str {
        &self.scratch.namespace
    }

    /// The template that only the administrator of the cluster may use.
    pub(super) fn restricted(&self) -> String {
        restricted(&self.scratch)
    }

    /// Gives the owner the role of users in the namespace of another team.
    pub(super) async fn join(&self, other: &Self) -> anyhow::Result<()> {
        let owner = &*self.member(Kind::Owner)?.user.name;
        let rules = json!([
            {"apiGroups": [GROUP], "resources": ["workspaces", "workspaceshares"], "verbs": ["get", "list", "watch", "create", "patch", "delete"]},
            {"apiGroups": [GROUP], "resources": ["workspacetemplates"], "resourceNames": [other.template()], "verbs": ["use"]},
            {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["list"]},
            {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        ]);
        other.scratch.grant("guest-worker", owner, &rules).await
    }

    async fn give_roles(&self) -> anyhow::Result<()> {
        let name = |kind| anyhow::Ok(&*self.member(kind)?.user.name);
        let (owner, neighbour) = (name(Kind::Owner)?, name(Kind::Neighbour)?);
        let administrator = name(Kind::NamespaceAdministrator)?;
        self.scratch.bind("workspace-user", &[owner, neighbour]).await?;
        self.scratch.bind("workspace-admin", &[administrator]).await?;
        self.administer_cluster(name(Kind::ClusterAdministrator)?).await?;
        let of_ours = |resources: &[&str], verbs: &[&str]| json!([{"apiGroups": [GROUP], "resources": resources, "verbs": verbs}]);
        let use_template = json!([{"apiGroups": [GROUP], "resources": ["workspacetemplates"], "resourceNames": [self.template()], "verbs": ["use"]}]);
        let read_logs = json!([{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}]);
        let grants: [(&str, &[&str], Value); 4] = [
            (
                "viewer",
                &[name(Kind::Viewer)?],
                of_ours(&["workspaces", "workspaceshares"], &["get", "list", "watch"]),
            ),
            (
                "connector",
                &[name(Kind::GuestByPublic)?],
                of_ours(&["workspaces/connect"], &["create"]),
            ),
            ("logs", &[owner], read_logs),
            ("template", &[owner, neighbour, administrator], use_template),
        ];
        for (role, users, rules) in grants {
            self.scratch.grant_all(role, users, &rules).await?;
        }
        // The API server learns of bindings of the cluster apart from those of namespaces.
        let everything = json!({"apiGroups": [GROUP], "resources": ["workspaces"], "verbs": ["administer"]});
        self.scratch
            .wait_for_permission(name(Kind::ClusterAdministrator)?, &everything)
            .await
    }

    async fn administer_cluster(&self, user: &str) -> anyhow::Result<()> {
        let binding: ClusterRoleBinding = serde_json::from_value(json!({
            "metadata": {"name": self.scratch.namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }))?;
        let bindings = Api::<ClusterRoleBinding>::all(cluster::admin().await?);
        bindings.create(&PostParams::default(), &binding).await?;
        Ok(())
    }

    /// Deletes namespace, templates and the role of the cluster.
    pub(super) async fn finish(self) -> anyhow::Result<()> {
        let bindings = Api::<ClusterRoleBinding>::all(cluster::admin().await?);
        bindings
            .delete(&self.scratch.namespace, &DeleteParams::default())
            .await?;
        let restricted = self.restricted();
        template::finish(self.scratch).await?;
        template::forget(&restricted).await
    }
}

async fn member(kind: Kind, scratch: &Scratch) -> anyhow::Result<Member> {
    let name = format!("{}.{}", kind.label(), scratch.namespace);
    let groups = if kind == Kind::GuestByGroup {
        vec![group(scratch)]
    } else {
        Vec::new()
    };
    let of_kubectl: Vec<_> = groups.iter().map(String::as_str).collect();
    Ok(Member {
        kind,
        kubectl: cluster::acting_as(&name, &of_kubectl).await?,
        user: User { name, groups },
    })
}

fn group(scratch: &Scratch) -> String {
    format!("guests.{}", scratch.namespace)
}

fn restricted(scratch: &Scratch) -> String {
    format!("{}-restricted", scratch.namespace)
}
