//! The portal's account has no rights beyond its pages, neither by itself nor as other users.

use std::sync::Arc;

use anyhow::bail;
use api::Workspace;
use e2e::cluster::{self, Scratch};
use e2e::portal::attested::{Connection, User, keys, signer};
use e2e::{Environment, objects::template};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

/// The status of a request of the portal's own token, as another user if there are headers for that.
async fn status(token: &str, (method, path): (&str, &str), as_user: &[(&str, &str)]) -> anyhow::Result<u16> {
    let client = cluster::with_token(token).await?;
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in as_user {
        request = request.header(*name, *value);
    }
    let body = match method {
        "POST" => b"{}".to_vec(),
        _ => Vec::new(),
    };
    let request = request.header("content-type", "application/json").body(body)?;
    match client.request::<Value>(request).await {
        Ok(_) => Ok(200),
        Err(kube::Error::Api(refusal)) => Ok(refusal.code),
        Err(error) => bail!("{method} {path}: {error}"),
    }
}

async fn token() -> anyhow::Result<String> {
    let environment = Environment::get()?;
    let accounts: Api<ServiceAccount> =
        Api::namespaced(cluster::admin().await?, &environment.system_namespace);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            expiration_seconds: Some(600),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let account = format!("{}-portal", environment.release);
    let made = accounts
        .create_token_request(&account, &PostParams::default(), &request)
        .await?;
    Ok(made.status.map(|status| status.token).unwrap_or_default())
}

#[tokio::test]
async fn the_portals_own_token_writes_nothing_and_impersonates_no_user() -> anyhow::Result<()> {
    let scratch = Scratch::new("portal-account", &["alice"]).await?;
    let token = token().await?;
    let of = |resource: &str| {
        format!(
            "/apis/workspaces.jupyter.org/v1alpha1/namespaces/{}/{resource}",
            scratch.namespace
        )
    };
    let core = |resource: &str| format!("/api/v1/namespaces/{}/{resource}", scratch.namespace);
    assert_eq!(
        status(&token, ("GET", &of("workspaces")), &[]).await?,
        200,
        "it watches them"
    );
    for (method, path) in [
        ("POST", of("workspaces")),
        ("DELETE", of("workspaces/ws")),
        ("POST", of("workspaceshares")),
        ("GET", core("secrets")),
        ("GET", core("pods")),
        ("GET", core("configmaps")),
        ("POST", core("pods")),
    ] {
        assert_eq!(
            status(&token, (method, &path), &[]).await?,
            403,
            "{method} {path}"
        );
    }
    let alice = [("Impersonate-User", "alice")];
    assert_eq!(
        status(&token, ("GET", &core("pods")), &alice).await?,
        200,
        "as alice it lists pods"
    );
    for (method, path) in [
        ("GET", core("secrets")),
        ("POST", core("secrets")),
        ("POST", core("pods")),
        ("POST", core("pods/ws/exec")),
        (
            "GET",
            format!("/apis/apps/v1/namespaces/{}/deployments", scratch.namespace),
        ),
        (
            "POST",
            format!(
                "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
                scratch.namespace
            ),
        ),
    ] {
        assert_eq!(
            status(&token, (method, &path), &alice).await?,
            403,
            "{method} {path}"
        );
    }
    for headers in [
        &[
            ("Impersonate-User", "root"),
            ("Impersonate-Group", "system:masters"),
        ][..],
        &[(
            "Impersonate-User",
            "system:serviceaccount:kube-system:generic-garbage-collector",
        )],
        &[("Impersonate-User", "system:node:node")],
        &[("Impersonate-User", "alice"), ("Impersonate-Uid", "1")],
    ] {
        assert_eq!(
            status(&token, ("GET", &core("pods")), headers).await?,
            403,
            "{headers:?}"
        );
    }
    scratch.finish().await
}

/// Names that providers give out, and that are unlike those of tests.
fn odd_names(suffix: &str) -> Vec<String> {
    let names = [
        "Doe, Jane",
        "\"quoted\" O'Brien",
        "Zo\u{eb}",
        "Zoe\u{308}",
        "two  spaces",
        "a/b:c%2Fd?e#f&g=h;i\\j",
        "oidc:jane@example.com",
    ];
    let mut names: Vec<_> = names.iter().map(|name| format!("{name} {suffix}")).collect();
    names.push(format!("{}{suffix}", "x".repeat(500 - suffix.len())));
    names
}

#[tokio::test]
async fn users_with_odd_names_own_what_they_create_by_exactly_that_name_or_a_page_refuses()
-> anyhow::Result<()> {
    let scratch = Scratch::bare("portal-names", &[]).await?;
    let image = &Environment::get()?.images.echo;
    template::make(&scratch, &json!({"defaultImage": image})).await?;
    let own = &scratch.namespace;
    let names = odd_names(own);
    let users: Vec<_> = names.iter().map(String::as_str).collect();
    let rules = json!([
        {"apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces"], "verbs": ["create", "get", "list", "watch", "patch"]},
        {"apiGroups": ["workspaces.jupyter.org"], "resources": ["workspacetemplates"], "resourceNames": [own], "verbs": ["use"]},
    ]);
    scratch.grant_all("odd-names", &users, &rules).await?;
    let portal = Connection::open(Arc::new(signer(&keys("gateway").await?)?)).await?;
    let workspaces = scratch.api::<Workspace>();
    let groups: Vec<_> = (0..kit::assertion::MAX_GROUPS)
        .map(|number| format!("group, {number}"))
        .collect();
    for (number, name) in names.iter().enumerate() {
        let user = User {
            name: name.clone(),
            // One of them is in as many groups as are allowed.
            groups: if number == 0 { groups.clone() } else { Vec::new() },
        };
        let account = portal.get(&user, "/account").await?;
        assert!(account.status == 200 && account.says(name), "{name}: {account:?}");
        let object = format!("of-{number}");
        let text = format!(
            "apiVersion: workspaces.jupyter.org/v1alpha1\nkind: Workspace\nmetadata: {{name: {object}}}\n\
             spec: {{displayName: Odd, desiredStatus: Stopped}}\n"
        );
        let form = [
            ("namespace", &**own),
            ("template", own),
            ("written", "yaml"),
            ("yaml", &text),
        ];
        let made = portal.post(&user, "/new", &form).await?;
        assert_eq!(made.status, 303, "{name}: {:?}", made.view);
        let stored = workspaces.get(&object).await?;
        let owner = api::names::owner(&stored.metadata);
        assert_eq!(owner, Some(&**name), "byte for byte");
    }
    // The two forms of one letter are two users: neither may start what the other one made.
    // The same request of the owner is taken.
    for (number, other) in [(2_usize, &names[3]), (3, &names[2])] {
        let object = format!("of-{number}");
        let uid = workspaces.get(&object).await?.uid().unwrap_or_default();
        let user = User {
            name: other.clone(),
            groups: Vec::new(),
        };
        let path = format!("/w/{own}/{object}/start");
        let form = [("uid", &*uid)];
        let answer = portal.post(&user, &path, &form).await?;
        assert!([403, 404].contains(&answer.status), "{other}: {:?}", answer.view);
        let owner = User {
            name: names[number].clone(),
            groups: Vec::new(),
        };
        let answer = portal.post(&owner, &path, &form).await?;
        assert_eq!(answer.status, 303, "{:?}", answer.view);
    }
    unusable_names_are_refused(&portal, groups).await?;
    template::finish(scratch).await
}

/// Each gets a page that says so, and nothing of the portal.
async fn unusable_names_are_refused(portal: &Connection, mut groups: Vec<String>) -> anyhow::Result<()> {
    groups.push("one too many".to_owned());
    let user = |name: &str, groups: &[String]| User {
        name: name.to_owned(),
        groups: groups.to_vec(),
    };
    for user in [
        user(" space before", &[]),
        user("space behind ", &[]),
        user("system:admin", &[]),
        user("system:serviceaccount:kube-system:default", &[]),
        user("two\nlines", &[]),
        user("alice", &["system:masters".to_owned()]),
        user("alice", &["space behind ".to_owned()]),
        user("alice", &groups),
    ] {
        let answer = portal.get(&user, "/").await?;
        let name = &user.name;
        anyhow::ensure!(answer.status == 403, "{name:?}: {answer:?}");
        anyhow::ensure!(
            answer.says("cannot be used with Kubernetes"),
            "{name:?}: {answer:?}"
        );
    }
    Ok(())
}
