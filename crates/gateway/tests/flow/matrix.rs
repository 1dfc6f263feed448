//! Twelve users at twelve workspaces, by page and by websocket, in hosts and in folders: each result follows the rules.

use std::collections::HashSet;
use std::sync::Arc;

use api::manager::{Rbac, RoutingMode};
use api::workspace::AccessType;
use gateway::index::{Domain, Target};
use http::StatusCode;
use rules::access::{Policy, Shared};
use serde_json::json;

use crate::support::browser::{Browser, NAVIGATION, headers};
use crate::support::fixture::{Fixture, NOW, origin, target};

/// Users with the groups that the identity provider sends. The gateway adds the prefix `oidc:`.
const USERS: [(&str, &[&str]); 12] = [
    ("alice", &["users"]),
    ("bob", &["users", "ml"]),
    ("carol", &["users", "ml", "infra"]),
    ("dave", &[]),
    ("eve", &["ML"]),
    ("Alice", &["users"]),
    ("frank", &["admins"]),
    ("grace", &["admins", "ml"]),
    // Without the right to connect to anything.
    ("heidi", &["users"]),
    ("ivan", &["ml,admins"]),
    ("judy", &["late"]),
    ("system-serviceaccount-ci-bot", &["users"]),
];

/// Name, owner, and to whom it is open.
type Row = (&'static str, &'static str, Grants);
type Grants = &'static [(&'static str, i64)];

/// What opens a workspace, beside its owner: `user:`, `group:` with an end in seconds from now (0: none), or `public`.
const WORKSPACES: [Row; 12] = [
    ("w01", "alice", &[]),
    ("w02", "bob", &[]),
    ("w03", "alice", &[("public", 0)]),
    ("w04", "alice", &[("user:bob", 0)]),
    ("w05", "alice", &[("group:oidc:ml", 0)]),
    ("w06", "alice", &[("user:bob", 60), ("group:oidc:late", 600)]),
    ("w07", "alice", &[("user:dave", -1), ("group:oidc:users", -1)]),
    ("w08", "heidi", &[]),
    ("w09", "heidi", &[("public", 0), ("user:heidi", 0)]),
    ("w10", "", &[("user:bob", 0)]),
    (
        "w11",
        "alice",
        &[("group:ml", 0), ("group:oidc:", 0), ("user:", 0)],
    ),
    (
        "w12",
        "dave",
        &[("user:heidi", 60), ("group:oidc:infra", 60), ("public", 0)],
    ),
];

/// Where workspaces are, and whether guests count there.
#[derive(Debug, Clone, Copy)]
enum Layout {
    Hosts,
    Folders,
    FoldersAtOnesOwnRisk,
}

impl Layout {
    fn domain(self) -> Domain {
        Domain::new("ws.example", 8443).in_mode(match self {
            Self::Hosts => RoutingMode::Subdomain,
            Self::Folders | Self::FoldersAtOnesOwnRisk => RoutingMode::Path,
        })
    }

    fn site(self, name: &str) -> String {
        match self {
            Self::Hosts => host(name),
            Self::Folders | Self::FoldersAtOnesOwnRisk => format!("ws.example/workspaces/team/{name}"),
        }
    }

    /// Address of a workspace.
    fn url(self, name: &str) -> String {
        match self {
            Self::Hosts => format!("{}/", origin(&host(name))),
            Self::Folders | Self::FoldersAtOnesOwnRisk => {
                format!("{}/workspaces/team/{name}/", origin("ws.example"))
            }
        }
    }

    /// Origin of a workspace's pages.
    fn origin(self, name: &str) -> String {
        origin(self.site(name).split('/').next().unwrap())
    }

    /// What is to be here.
    fn expected(self, user: &str, after: i64) -> HashSet<&'static str> {
        let everywhere = expected(user, after);
        match (self, user) {
            // Who has no right to connect came by shares alone.
            (Self::Folders, "heidi") => HashSet::new(),
            (Self::Folders, "frank" | "grace") | (Self::Hosts | Self::FoldersAtOnesOwnRisk, _) => everywhere,
            (Self::Folders, _) => {
                let owned = WORKSPACES.iter().filter(|(_, owner, _)| *owner == user);
                owned.map(|(name, ..)| *name).collect()
            }
        }
    }
}

fn host(name: &str) -> String {
    format!("{name}.ws.example")
}

fn shared(grants: &[(&str, i64)]) -> Shared {
    let mut shared = Shared::default();
    for (to, end) in grants {
        let subject = match to.split_once(':') {
            Some(("user", name)) => json!({"kind": "User", "name": name}),
            Some((_, name)) => json!({"kind": "Group", "name": name}),
            None => continue,
        };
        let end = (*end != 0).then(|| NOW + end);
        shared.add(&serde_json::from_value(subject).unwrap(), end);
    }
    shared
}

fn workspace(row: &Row) -> Target {
    workspace_at(Layout::Hosts, row)
}

fn workspace_at(layout: Layout, (name, owner, grants): &Row) -> Target {
    let is_public = grants.iter().any(|(to, _)| *to == "public");
    let access = if is_public {
        AccessType::Public
    } else {
        AccessType::OwnerOnly
    };
    Target {
        shared: Arc::new(shared(grants)),
        site: layout.site(name).into(),
        ..target(&host(name), owner, access)
    }
}

/// What is to be, written down apart from the code that decides: names of workspaces that each user enters, `after` so many
/// seconds.
fn expected(user: &str, after: i64) -> HashSet<&'static str> {
    let early = after < 60;
    let public = ["w03", "w09", "w12"];
    let mut entered: Vec<&str> = match user {
        "alice" => vec!["w01", "w03", "w04", "w05", "w06", "w07", "w11"],
        "bob" if early => vec!["w02", "w04", "w05", "w06", "w10"],
        "bob" => vec!["w02", "w04", "w05", "w10"],
        "carol" => vec!["w05"],
        "dave" => vec!["w12"],
        // No right, so neither their own nor what is public; shares need none.
        "heidi" if early => return ["w09", "w12"].into(),
        "heidi" => return ["w09"].into(),
        "judy" if after < 600 => vec!["w06"],
        "frank" | "grace" => return WORKSPACES.iter().map(|(name, ..)| *name).collect(),
        _ => vec![],
    };
    entered.extend(public);
    entered.into_iter().collect()
}

fn publish(fixture: &Fixture, workspaces: Vec<Target>) {
    publish_at(Layout::Hosts, fixture, workspaces);
}

fn publish_at(layout: Layout, fixture: &Fixture, workspaces: Vec<Target>) {
    let policy = Policy {
        rbac: Rbac::Required,
        admin_groups: HashSet::from(["oidc:admins".to_owned()]),
        disables_sharing: matches!(layout, Layout::Folders),
        ..Policy::default()
    };
    fixture.serve(layout.domain(), policy, workspaces);
}

fn browser<'w>(fixture: &'w Fixture, (name, groups): (&'static str, &[&str])) -> Browser<'w> {
    let mut browser = fixture.browser(name);
    browser.claims.insert("groups".into(), json!(groups));
    browser
}

async fn fixture() -> Fixture {
    world_of(Layout::Hosts).await
}

/// With the workspaces, which all but one user have the right to connect to.
async fn world_of(layout: Layout) -> Fixture {
    let fixture = Fixture::new().await;
    fixture.server.review(|spec| spec["user"] != "heidi");
    let workspaces = WORKSPACES.iter().map(|row| workspace_at(layout, row));
    publish_at(layout, &fixture, workspaces.collect());
    fixture
}

/// Whether a page opens now, and whether a websocket does.
async fn tries(browser: &Browser<'_>, name: &str) -> (bool, bool) {
    tries_at(Layout::Hosts, browser, name).await
}

async fn tries_at(layout: Layout, browser: &Browser<'_>, name: &str) -> (bool, bool) {
    let url = layout.url(name);
    let answer = browser.send("GET", &url, headers(&NAVIGATION)).await;
    let site = layout.site(name);
    // The host's own, and the folder's.
    let mut places = vec![site.split('/').next().unwrap(), &site];
    places.dedup();
    let cookies: Vec<String> = places
        .into_iter()
        .filter_map(|place| browser.cookies(place))
        .collect();
    let handshake = headers(&[("cookie", &cookies.join("; ")), ("origin", &layout.origin(name))]);
    let admitted = browser.fixture.handshake(&site, &handshake).await;
    (answer.status == StatusCode::OK, admitted.is_some())
}

#[tokio::test]
async fn every_user_enters_exactly_the_workspaces_that_a_rule_opens_to_them() {
    every_cell_is_right(Layout::Hosts).await;
}

#[tokio::test]
async fn in_folders_of_one_host_owners_and_administrators_enter_and_guests_do_not() {
    every_cell_is_right(Layout::Folders).await;
}

#[tokio::test]
async fn in_folders_of_one_host_guests_enter_where_the_risk_is_accepted() {
    every_cell_is_right(Layout::FoldersAtOnesOwnRisk).await;
}

async fn every_cell_is_right(layout: Layout) {
    let fixture = world_of(layout).await;
    let browsers: Vec<_> = USERS.iter().map(|user| browser(&fixture, *user)).collect();
    for (after, now) in [(0, 0), (59, 59), (60, 1)] {
        fixture.pass(now);
        for browser in &browsers {
            let name = browser.claims["preferred_username"].as_str().unwrap();
            let expected = layout.expected(name, after);
            for (workspace, ..) in WORKSPACES {
                let allowed = expected.contains(workspace);
                let cell = format!("{layout:?}: {name} at {workspace} after {after} s");
                let landing = browser.open(&layout.url(workspace)).await;
                assert_eq!(landing.is_inside(), allowed, "{cell}");
                if !allowed {
                    assert_eq!(landing.answer.status, StatusCode::FORBIDDEN, "{cell}");
                }
                assert_eq!(
                    tries_at(layout, browser, workspace).await,
                    (allowed, allowed),
                    "{cell}"
                );
            }
        }
    }
}

#[tokio::test]
async fn refused_and_missing_workspaces_have_the_same_answer() {
    let fixture = fixture().await;
    let eve = browser(&fixture, USERS[4]);
    let nothing = eve.open(&format!("{}/", origin("none.ws.example"))).await.answer;
    for name in ["w01", "w04", "w07", "w10"] {
        let refused = eve.open(&format!("{}/", origin(&host(name)))).await.answer;
        assert_eq!(refused.visible_answer(), nothing.visible_answer(), "{name}");
    }
}

#[tokio::test]
async fn a_share_taken_back_counts_for_the_next_request_and_for_open_sockets() {
    let fixture = fixture().await;
    let bob = browser(&fixture, USERS[1]);
    let host = host("w04");
    assert!(bob.open(&format!("{}/", origin(&host))).await.is_inside());
    let session = fixture.sessions().remove(0);
    fixture
        .app
        .sessions
        .apply(kube::runtime::watcher::Event::Apply(session))
        .await;
    let handshake = headers(&[
        ("cookie", &bob.cookies(&host).unwrap()),
        ("origin", &origin(&host)),
    ]);
    let grant = fixture.handshake(&host, &handshake).await.unwrap();
    assert!(fixture.app.is_valid(&grant));
    publish(&fixture, vec![workspace(&("w04", "alice", &[]))]);
    assert!(!fixture.app.is_valid(&grant));
    assert_eq!(tries(&bob, "w04").await, (false, false));
    // Given again, until a time.
    publish(&fixture, vec![workspace(&("w04", "alice", &[("user:bob", 30)]))]);
    assert!(fixture.app.is_valid(&grant));
    fixture.pass(29);
    assert_eq!(tries(&bob, "w04").await, (true, true));
    fixture.pass(1);
    assert!(!fixture.app.is_valid(&grant));
    assert_eq!(tries(&bob, "w04").await, (false, false));
}

#[tokio::test]
async fn the_audit_log_tells_each_way_in_once_and_every_refusal() {
    let fixture = fixture().await;
    let grace = browser(&fixture, USERS[7]);
    for name in ["w01", "w05", "w03"] {
        assert!(grace.open(&format!("{}/", origin(&host(name)))).await.is_inside());
        assert_eq!(tries(&grace, name).await, (true, true));
    }
    let opened = fixture.records("opened", 3).await;
    let rules: Vec<_> = opened
        .iter()
        .map(|record| record["rule"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["administrator", "group_share", "public"]);
    assert!(
        opened
            .iter()
            .all(|record| record["user"] == "grace" && record["namespace"] == "team")
    );
    let administered = fixture.records("administered", 1).await;
    assert_eq!(administered[0]["workspace"], "w01");
    let eve = browser(&fixture, USERS[4]);
    eve.open(&format!("{}/", origin(&host("w01")))).await;
    eve.open(&format!("{}/", origin(&host("nothing")))).await;
    let denied = fixture.records("denied", 2).await;
    assert_eq!(
        (&denied[0]["user"], &denied[0]["rule"]),
        (&json!("eve"), &json!("not_owner"))
    );
    assert_eq!(denied[0]["uid"], "uid-of-w01.ws.example");
    assert_eq!(denied[1]["rule"], "no_workspace");
    assert_eq!(denied[1]["host"], "nothing.ws.example");
}
