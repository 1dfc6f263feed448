//! Unit tests of `audit`: events -> records (in memory).

use serde_json::Value;
use testkit::log::Log as Paper;

use super::*;
use crate::oidc::claims::Identity;
use crate::session::Credential;

/// What was written when `act` recorded events.
fn written(act: impl FnOnce(&Audit)) -> (Vec<Value>, String) {
    let paper = Paper::default();
    let (audit, writer) = Audit::to(paper.clone(), Metrics::default());
    act(&audit);
    drop(writer);
    let text = paper.text();
    let records = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    (records, text)
}

fn session(user: &str) -> Session {
    Session {
        id: RandomId::new().unwrap(),
        identity: Identity {
            user_name: user.into(),
            groups: vec!["oidc:ml".into()],
        },
        end: 1_800_000_000,
        credential: Credential::Login,
        id_token: None,
    }
}

fn target() -> Target {
    Target {
        uid: "u-1".into(),
        run_id: "run-7".into(),
        ..Target::lab()
    }
}

fn events(records: &[Value]) -> Vec<&str> {
    records
        .iter()
        .map(|record| record["event"].as_str().unwrap())
        .collect()
}

#[test]
fn records_say_who_what_which_workspace_and_run_and_by_which_rule() {
    let (alice, lab) = (session("alice"), target());
    let (records, text) = written(|audit| {
        audit.login(alice.id, "alice", &alice.identity.groups, alice.end);
        audit.record_visit(&alice, &lab, Allowed::Owner, None);
        audit.record_visit(&alice, &lab, Allowed::Owner, None);
        audit.record_denial(&session("bob"), "lab.ws.example", Some(&lab), "not_owner");
        audit.record_denial(&session("bob"), "none.ws.example", None, "no_workspace");
        audit.logout(alice.id, "alice", "user");
    });
    assert_eq!(
        events(&records),
        ["login", "opened", "denied", "denied", "logout"]
    );
    let opened = &records[1];
    for (field, value) in [
        ("log", "audit"),
        ("user", "alice"),
        ("namespace", "team"),
        ("workspace", "lab"),
        ("uid", "u-1"),
        ("runID", "run-7"),
        ("rule", "owner"),
    ] {
        assert_eq!(opened[field], value, "{field}");
    }
    assert_eq!(opened["session"], records[0]["session"]);
    assert_eq!(opened["request"].as_str().unwrap().len(), 16);
    assert_eq!(records[2]["rule"], "not_owner");
    assert_eq!(records[3].get("workspace"), None);
    assert!(
        !text.contains(&alice.id.to_string()),
        "the session's id is a secret"
    );
}

#[test]
fn administrator_access_has_its_own_record() {
    let (records, _) = written(|audit| {
        let root = session("root");
        audit.record_visit(&root, &target(), Allowed::Administrator, None);
        audit.record_visit(&root, &target(), Allowed::Administrator, None);
    });
    assert_eq!(events(&records), ["opened", "administered"]);
    assert_eq!(records[0]["rule"], "administrator");
    assert_eq!(records[1]["requests"], 1);
}

#[test]
fn a_user_of_many_groups_has_the_first_ones_in_the_record_and_their_number() {
    let groups: Vec<String> = (0..1000).map(|number| format!("oidc:{number}")).collect();
    let (records, _) = written(|audit| audit.login(RandomId::new().unwrap(), "alice", &groups, 0));
    let named = records[0]["groups"].as_array().unwrap().len();
    assert_eq!((named, records[0]["groupCount"].as_u64()), (GROUPS, Some(1000)));
}

#[tokio::test]
async fn records_name_the_client_s_address_only_where_the_settings_say_so() {
    let client: IpAddr = "203.0.113.7".parse().unwrap();
    for names in [false, true] {
        let paper = Paper::default();
        let (audit, writer) = Audit::to(paper.clone(), Metrics::default());
        let audit = audit.naming_clients(names);
        let denied = async { audit.record_denial(&session("bob"), "lab.ws.example", None, "not_owner") };
        audit.about(|| Some(client), denied).await;
        audit.logout(RandomId::new().unwrap(), "alice", "provider");
        tokio::task::spawn_blocking(|| drop(writer)).await.unwrap();
        let text = paper.text();
        let records: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(events(&records), ["denied", "logout"]);
        let address = records[0].get("address").and_then(Value::as_str);
        assert_eq!(address, names.then_some("203.0.113.7"));
        assert_eq!(records[1].get("address"), None, "no request led to it");
    }
}
