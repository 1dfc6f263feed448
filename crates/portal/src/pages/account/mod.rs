//! `/account` -> the user as Kubernetes knows it (IO for rights).
//!
//! `view.rs`: what the page shows.

mod view;

use std::collections::BTreeSet;

use axum::response::Response;
use jiff::Timestamp;

use self::view::{Account, Command};
use super::answers::note;
use super::words::moment;
use crate::app::Context;
use crate::cluster::Identity;
use crate::views::{Action, Nav, Note, Tone, Way};

/// The group that the API server adds for every user.
const AUTHENTICATED: &str = "system:authenticated";

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
    let namespaces = listable(&context).await;
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
        note: at_api_server(&context),
    })
}

/// Whether the API server knows the user as the gateway does, where the portal acts with the user's token. If it does not take the token,
/// every page says why.
fn at_api_server(context: &Context) -> Option<Note> {
    let Identity::Token { groups, .. } = &context.identity else {
        return None;
    };
    let ours: BTreeSet<&String> = context.user.groups.iter().collect();
    let theirs: BTreeSet<&String> = groups.iter().filter(|group| *group != AUTHENTICATED).collect();
    if ours == theirs {
        let text = "The API server accepts your sign-in, and knows you by the same name and groups.";
        return Some(note(Tone::Good, text));
    }
    let only = |these: &BTreeSet<&String>, those: &BTreeSet<&String>| {
        let names: Vec<_> = these.difference(those).map(|group| group.as_str()).collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    };
    Some(note(
        Tone::Warn,
        format!(
            "The API server accepts your sign-in, and knows you by this name, but by other groups. Only the gateway has: {}. Only the API \
             server has: {}. Buttons may be missing, or be refused. An administrator must give both the same claim and prefix for groups \
             (docs/sign-in.md, \"The API server\").",
            only(&ours, &theirs),
            only(&theirs, &ours)
        ),
    ))
}

/// Namespaces in which the user may list workspaces.
async fn listable(context: &Context) -> BTreeSet<String> {
    let mut namespaces = context.app.index.namespaces();
    let right = ("list", "workspaces", "");
    let listable = context
        .rights
        .namespaces(&context.user, right, namespaces.clone());
    let listable = listable.await;
    namespaces.retain(|namespace| listable.holds(namespace));
    namespaces
}
