//! Constrained impersonation by the API server: what an account may do as another user.

use api::Workspace;
use e2e::{
    Environment,
    cluster::{self, Scratch, audit, service_account},
    wait,
};
use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    core::v1::{Namespace, Pod},
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use kube::{
    Api, Client, Config,
    api::{DeleteParams, ListParams, PostParams},
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

/// The right to impersonate users, and the API server's name for what it allows.
const CONSTRAINT: &str = "impersonate:user-info";

/// An account that may impersonate each user and group, list workspaces of its namespace as them, and read its identity then.
struct Account {
    scratch: Scratch,
    token: String,
    name: String,
}

impl Account {
    async fn new() -> anyhow::Result<Self> {
        let scratch = Scratch::new("impersonation", &["alice"]).await?;
        let namespace = &scratch.namespace;
        service_account::make(&scratch).await?;
        let token = service_account::token(&scratch, None).await?;
        let name = format!("system:serviceaccount:{namespace}:{}", service_account::NAME);
        let list = json!([{
            "apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces"], "verbs": ["impersonate-on:user-info:list"],
        }]);
        scratch.grant("acts", &name, &list).await?;
        let admin = cluster::admin().await?;
        let owner = Api::<Namespace>::all(admin.clone()).get(namespace).await?;
        // Both go with the namespace.
        let metadata = json!({"name": namespace, "ownerReferences": [
            {"apiVersion": "v1", "kind": "Namespace", "name": namespace, "uid": owner.metadata.uid},
        ]});
        let role: ClusterRole = serde_json::from_value(json!({"metadata": metadata, "rules": [
            {"apiGroups": ["authentication.k8s.io"], "resources": ["users", "groups"], "verbs": [CONSTRAINT]},
            {
                "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"],
                "verbs": ["impersonate-on:user-info:create"],
            },
        ]}))?;
        let binding: ClusterRoleBinding = serde_json::from_value(json!({
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": namespace},
            "subjects": [{"kind": "ServiceAccount", "name": service_account::NAME, "namespace": namespace}],
        }))?;
        Api::all(admin.clone())
            .create(&PostParams::default(), &role)
            .await?;
        Api::all(admin).create(&PostParams::default(), &binding).await?;
        let account = Self { scratch, token, name };
        let alice = account.acting_as(first()?, "alice", &[]).await?;
        wait::until("the account to act as alice", wait::USUAL, || who(&alice)).await?;
        Ok(account)
    }

    /// The account as another user, at the server of `kubeconfig`.
    async fn acting_as(&self, kubeconfig: Kubeconfig, user: &str, groups: &[&str]) -> anyhow::Result<Client> {
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config.auth_info = AuthInfo {
            token: Some(self.token.clone().into()),
            impersonate: Some(user.to_owned()),
            impersonate_groups: Some(groups.iter().map(|group| (*group).to_owned()).collect()),
            ..AuthInfo::default()
        };
        Ok(Client::try_from(config)?)
    }
}

fn first() -> anyhow::Result<Kubeconfig> {
    Ok(Kubeconfig::read_from(&Environment::get()?.kubeconfig)?)
}

/// The API server's identity of the client.
async fn who(client: &Client) -> kube::Result<SelfSubjectReview> {
    let reviews = Api::<SelfSubjectReview>::all(client.clone());
    reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
}

/// The API server's message of refusal.
fn refusal<T: std::fmt::Debug>(result: kube::Result<T>) -> anyhow::Result<String> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(status.message),
        other => anyhow::bail!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn an_account_acts_as_a_user_with_the_rights_that_both_have() -> anyhow::Result<()> {
    let account = Account::new().await?;
    let (namespace, all) = (&account.scratch.namespace, ListParams::default());
    let alice = account.acting_as(first()?, "alice", &["team"]).await?;
    let workspaces = Api::<Workspace>::namespaced(alice.clone(), namespace);
    workspaces.list(&all).await?;
    let lacks = |verb: &str| format!("User {:?} cannot {verb} resource", account.name);
    let refused = refusal(workspaces.delete("lab", &DeleteParams::default()).await)?;
    assert!(
        refused.contains(&lacks("impersonate-on:user-info:delete")),
        "{refused}"
    );
    let pods = Api::<Pod>::namespaced(alice.clone(), namespace);
    let refused = refusal(pods.list(&all).await)?;
    assert!(
        refused.contains(&lacks("impersonate-on:user-info:list")),
        "{refused}"
    );
    let elsewhere = Api::<Workspace>::namespaced(alice, "default");
    let refused = refusal(elsewhere.list(&all).await)?;
    assert!(
        refused.contains(&lacks("impersonate-on:user-info:list")),
        "{refused}"
    );
    let unknown = account.acting_as(first()?, "unknown", &[]).await?;
    let refused = refusal(Api::<Workspace>::namespaced(unknown, namespace).list(&all).await)?;
    assert!(
        refused.contains("User \"unknown\" cannot list resource"),
        "{refused}"
    );
    let itself = cluster::with_token(&account.token).await?;
    let refused = refusal(Api::<Workspace>::namespaced(itself, namespace).list(&all).await)?;
    assert!(refused.contains(&lacks("list")), "{refused}");
    account.scratch.finish().await
}

#[tokio::test]
async fn an_account_acts_neither_as_an_administrator_nor_as_a_node_or_service_account() -> anyhow::Result<()>
{
    let account = Account::new().await?;
    for (user, groups) in [
        ("alice", &["team", "system:masters"][..]),
        ("alice", &[""]),
        ("system:serviceaccount:kube-system:default", &[]),
        ("system:node:node", &[]),
        ("system:node:node", &["system:nodes"]),
    ] {
        let refused = refusal(who(&account.acting_as(first()?, user, groups).await?).await)?;
        assert!(
            refused.contains(" is forbidden: "),
            "{user} {groups:?}: {refused}"
        );
    }
    account.scratch.finish().await
}

#[tokio::test]
async fn the_audit_log_of_the_api_server_names_the_account_the_user_and_the_constraint() -> anyhow::Result<()>
{
    let account = Account::new().await?;
    let mut log = audit::Log::open()?;
    let user = format!("{} with spaces", account.scratch.namespace);
    let groups: Vec<String> = (0..1000)
        .map(|number| format!("group {}", number % 999))
        .collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let review = who(&account.acting_as(first()?, &user, &groups).await?).await?;
    let info = review
        .status
        .and_then(|status| status.user_info)
        .unwrap_or_default();
    assert_eq!(info.username.as_ref(), Some(&user));
    let actual = info.groups.unwrap_or_default();
    assert_eq!(
        actual[..1000],
        groups,
        "all in this order, also the one that is there twice"
    );
    assert_eq!(actual[1000..], ["system:authenticated"]);
    let wanted = (user, CONSTRAINT.to_owned());
    let mut calls = Vec::new();
    wait::until("the call in the audit log", wait::USUAL, || {
        calls.extend(log.calls(|line| line.contains(&account.name)).unwrap_or_default());
        let is_there = calls
            .iter()
            .any(|call| call.is_done() && call.impersonates == wanted);
        let outcome = if is_there {
            Ok(())
        } else {
            Err(format!("{calls:?}"))
        };
        async { outcome }
    })
    .await?;
    account.scratch.finish().await
}
