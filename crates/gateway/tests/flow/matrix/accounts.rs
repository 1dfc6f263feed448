//! Service accounts with tokens at the twelve workspaces: shared with them or their namespace, or public.

use std::collections::HashSet;

use http::StatusCode;

use super::{Layout, WORKSPACES, furnish};
use crate::flow::bearer::with;
use crate::support::tokens::Tokens;

/// Without the right to connect to anything.
pub(super) const IDLE: &str = "system:serviceaccount:ci:idle";
/// Namespace and name of each; one is called like a user's account, and some names begin as others do.
pub(super) const ACCOUNTS: [(&str, &str); 7] = [
    ("ci", "robot"),
    ("ci", "robot2"),
    ("ci", "alice"),
    ("ci", "idle"),
    ("ci2", "robot"),
    ("team", "robot"),
    ("default", "default"),
];

pub(super) fn user_name((namespace, name): (&str, &str)) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// Names of workspaces that an account enters `after` so many seconds, written down apart from the code that decides.
pub(super) fn expected(layout: Layout, (namespace, name): (&str, &str), after: i64) -> HashSet<&'static str> {
    if matches!(layout, Layout::Folders) {
        // None of them owns anything.
        return HashSet::new();
    }
    let mut entered = match (namespace, name) {
        ("ci", "idle") => return ["w07", "w08"].into(),
        ("ci", "robot") => vec!["w01", "w07"],
        ("ci", _) => vec!["w07"],
        ("team", "robot") if after < 60 => vec!["w02"],
        _ => vec![],
    };
    entered.extend(["w03", "w09", "w12"]);
    entered.into_iter().collect()
}

/// A gateway that takes tokens, with the workspaces, and a token of each account.
pub(super) async fn with_tokens(layout: Layout) -> (Tokens, Vec<String>) {
    let tokens = Tokens::new().await;
    furnish(&tokens.fixture, layout);
    let of_each = ACCOUNTS.iter().map(|account| {
        let of_namespace = format!("system:serviceaccounts:{}", account.0);
        let groups = ["system:serviceaccounts", &of_namespace, "system:authenticated"];
        tokens.account_in(&user_name(*account), &groups)
    });
    let of_each = of_each.collect();
    (tokens, of_each)
}

#[tokio::test]
async fn every_service_account_enters_exactly_what_is_public_or_shared_with_it() {
    for layout in [Layout::Hosts, Layout::Folders, Layout::FoldersAtOnesOwnRisk] {
        let (site, tokens) = with_tokens(layout).await;
        for (after, now) in [(0, 0), (59, 59), (60, 1)] {
            site.fixture.pass(now);
            for (account, token) in ACCOUNTS.into_iter().zip(&tokens) {
                let expected = expected(layout, account, after);
                for (workspace, ..) in WORKSPACES {
                    let allowed = expected.contains(workspace);
                    let cell = format!("{layout:?}: {account:?} at {workspace} after {after} s");
                    let answer = site
                        .fixture
                        .verify("GET", &layout.url(workspace), with(token))
                        .await;
                    let status = if allowed {
                        StatusCode::OK
                    } else {
                        StatusCode::FORBIDDEN
                    };
                    assert_eq!(answer.status, status, "{cell}");
                    let admitted = site
                        .fixture
                        .handshake(&layout.site(workspace), &with(token))
                        .await;
                    assert_eq!(admitted.is_some(), allowed, "{cell}");
                }
            }
        }
    }
}
