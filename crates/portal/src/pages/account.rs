//! `/account` -> the user as Kubernetes knows it (IO for rights).

use std::collections::BTreeSet;

use axum::response::Response;
use futures::future::join_all;
use jiff::Timestamp;

use super::words::moment;
use crate::app::Context;
use crate::views::{Account, Action, Command, Nav, Way};
use crate::visible::{self, AccessLevel};

/// Answers `GET /account`.
pub(crate) async fn page(context: Context) -> Response {
    let index = &context.app.index;
    let (to_create, _) = context.rights.to_create(&context.user, index, "").await;
    let namespace = to_create.first().map_or("NAMESPACE", String::as_str);
    let command = |what: &str, command: String| Command {
        what: what.to_owned(),
        command,
    };
    let commands = vec![
        command(
            "List your workspaces",
            format!("kubectl workspace list --mine -n {namespace}"),
        ),
        command(
            "Create one",
            format!("kubectl workspace create NAME -n {namespace} --template TEMPLATE"),
        ),
        command(
            "Say why one does not run",
            format!("kubectl workspace explain NAME -n {namespace}"),
        ),
        command(
            "See whether kubectl knows you by this name",
            "kubectl workspace whoami".to_owned(),
        ),
    ];
    let end = context
        .user
        .session_end
        .and_then(|end| Timestamp::from_second(end).ok());
    let namespaces = listable(&context, &to_create).await;
    let namespaces = namespaces
        .iter()
        .map(|namespace| (namespace.clone(), format!("/namespaces/{namespace}")));
    context.page(&Account {
        layout: context.layout("Your account", Nav::Account),
        name: context.user.name.clone(),
        groups: context.user.groups.clone(),
        session_end: end.map(moment),
        commands,
        namespaces: namespaces.collect(),
        sign_out: Some(Action {
            label: "Sign out of all browsers…".to_owned(),
            way: Way::Link {
                to: format!("{}/", context.served.auth_origin()),
            },
            ..Action::default()
        }),
        note: None,
    })
}

/// Those of the namespaces, and of those with workspaces that the user sees, in which they may list workspaces.
async fn listable(context: &Context, to_create: &BTreeSet<String>) -> BTreeSet<String> {
    let (rights, user) = (&context.rights, &*context.user);
    let visible = visible::all(&context.app.index, rights, user).await;
    let readers = visible
        .workspaces
        .iter()
        .filter(|seen| seen.level == AccessLevel::Reader);
    let mut found: BTreeSet<_> = readers.map(|seen| seen.namespace().to_owned()).collect();
    let others = to_create.difference(&found).cloned();
    let asked = others.map(async |namespace| {
        (
            rights.may(user, "list", "workspaces", &namespace, "").await,
            namespace,
        )
    });
    let granted = join_all(asked)
        .await
        .into_iter()
        .filter(|(granted, _)| *granted == Some(true));
    found.extend(granted.map(|(_, namespace)| namespace).collect::<Vec<_>>());
    found
}
