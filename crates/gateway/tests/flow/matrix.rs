//! Twelve people at twelve workspaces, by page and by websocket: every cell as the rules say.

use std::collections::HashSet;
use std::sync::Arc;

use api::manager::Rbac;
use api::workspace::AccessType;
use gateway::index::{Domain, Snapshot, Target};
use gateway::verify::Doorkeeper as _;
use http::StatusCode;
use rules::access::{Policy, Shared};
use serde_json::json;

use crate::support::browser::{Browser, NAVIGATION, headers};
use crate::support::world::{NOW, World, origin, target};

/// Each with their groups as the identity provider tells them; `oidc:` comes before.
const PEOPLE: [(&str, &[&str]); 12] = [
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

fn workspace((name, owner, grants): &Row) -> Target {
    let is_public = grants.iter().any(|(to, _)| *to == "public");
    let access = if is_public {
        AccessType::Public
    } else {
        AccessType::OwnerOnly
    };
    Target {
        shared: Arc::new(shared(grants)),
        ..target(&host(name), owner, access)
    }
}

/// What is to be, written down apart from the code that decides: names of workspaces that each person enters, `after` so many
/// seconds.
fn expected(person: &str, after: i64) -> HashSet<&'static str> {
    let early = after < 60;
    let public = ["w03", "w09", "w12"];
    let mut entered: Vec<&str> = match person {
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

fn publish(world: &World, workspaces: Vec<Target>) {
    let policy = Policy {
        rbac: Rbac::Required,
        admin_groups: HashSet::from(["oidc:admins".to_owned()]),
    };
    let snapshot = Snapshot::new(Some(Domain::new("ws.example", 8443)), workspaces);
    world.app.index.publish(snapshot.under(policy));
}

fn browser<'w>(world: &'w World, (name, groups): (&'static str, &[&str])) -> Browser<'w> {
    let mut browser = world.browser(name);
    browser.person.insert("groups".into(), json!(groups));
    browser
}

fn world() -> impl Future<Output = World> {
    let world = World::new();
    async {
        let world = world.await;
        world.server.review(|spec| spec["user"] != "heidi");
        publish(&world, WORKSPACES.iter().map(workspace).collect());
        world
    }
}

/// Whether a page opens now, and whether a websocket does.
async fn tries(browser: &Browser<'_>, host: &str) -> (bool, bool) {
    let url = format!("{}/", origin(host));
    let answer = browser.send("GET", &url, headers(&NAVIGATION)).await;
    let cookies = browser.cookies(host).unwrap_or_default();
    let handshake = headers(&[("cookie", &cookies), ("origin", &origin(host))]);
    let admitted = browser.world.handshake(host, &handshake).await;
    (answer.status == StatusCode::OK, admitted.is_some())
}

#[tokio::test]
async fn every_person_enters_exactly_the_workspaces_that_a_rule_opens_to_them() {
    let world = world().await;
    let browsers: Vec<_> = PEOPLE.iter().map(|person| browser(&world, *person)).collect();
    for (after, now) in [(0, 0), (59, 59), (60, 1)] {
        world.pass(now);
        for browser in &browsers {
            let name = browser.person["preferred_username"].as_str().unwrap();
            let expected = expected(name, after);
            for (workspace, ..) in WORKSPACES {
                let (host, allowed) = (host(workspace), expected.contains(workspace));
                let cell = format!("{name} at {workspace} after {after} s");
                let landing = browser.open(&format!("{}/", origin(&host))).await;
                assert_eq!(landing.is_inside(), allowed, "{cell}");
                if !allowed {
                    assert_eq!(landing.answer.status, StatusCode::FORBIDDEN, "{cell}");
                }
                assert_eq!(tries(browser, &host).await, (allowed, allowed), "{cell}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_refused_looks_like_what_does_not_exist() {
    let world = world().await;
    let eve = browser(&world, PEOPLE[4]);
    let nothing = eve.open(&format!("{}/", origin("none.ws.example"))).await.answer;
    for name in ["w01", "w04", "w07", "w10"] {
        let refused = eve.open(&format!("{}/", origin(&host(name)))).await.answer;
        assert_eq!(
            (refused.status, &refused.body),
            (nothing.status, &nothing.body),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_share_taken_back_counts_for_the_next_request_and_for_open_sockets() {
    let world = world().await;
    let bob = browser(&world, PEOPLE[1]);
    let host = host("w04");
    assert!(bob.open(&format!("{}/", origin(&host))).await.is_inside());
    let session = world.sessions().remove(0);
    world
        .app
        .sessions
        .apply(kube::runtime::watcher::Event::Apply(session))
        .await;
    let handshake = headers(&[
        ("cookie", &bob.cookies(&host).unwrap()),
        ("origin", &origin(&host)),
    ]);
    let grant = world.handshake(&host, &handshake).await.unwrap();
    assert!(world.app.holds(&grant));
    publish(&world, vec![workspace(&("w04", "alice", &[]))]);
    assert!(!world.app.holds(&grant));
    assert_eq!(tries(&bob, &host).await, (false, false));
    // Given again, until a time.
    publish(&world, vec![workspace(&("w04", "alice", &[("user:bob", 30)]))]);
    assert!(world.app.holds(&grant));
    world.pass(29);
    assert_eq!(tries(&bob, &host).await, (true, true));
    world.pass(1);
    assert!(!world.app.holds(&grant));
    assert_eq!(tries(&bob, &host).await, (false, false));
}

#[tokio::test]
async fn the_audit_log_tells_each_way_in_once_and_every_refusal() {
    let world = world().await;
    let grace = browser(&world, PEOPLE[7]);
    for name in ["w01", "w05", "w03"] {
        assert!(grace.open(&format!("{}/", origin(&host(name)))).await.is_inside());
        assert_eq!(tries(&grace, &host(name)).await, (true, true));
    }
    let opened = world.log.records("opened", 3).await;
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
    let administered = world.log.records("administered", 1).await;
    assert_eq!(administered[0]["workspace"], "w01");
    let eve = browser(&world, PEOPLE[4]);
    eve.open(&format!("{}/", origin(&host("w01")))).await;
    eve.open(&format!("{}/", origin(&host("nothing")))).await;
    let denied = world.log.records("denied", 2).await;
    assert_eq!(
        (&denied[0]["user"], &denied[0]["rule"]),
        (&json!("eve"), &json!("not_owner"))
    );
    assert_eq!(denied[0]["uid"], "uid-of-w01.ws.example");
    assert_eq!(denied[1]["rule"], "no_workspace");
    assert_eq!(denied[1]["host"], "nothing.ws.example");
}
