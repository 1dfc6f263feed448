//! Unit tests of `audit`: events -> records (in memory).

use std::io;

use kit::audit::chain::Checker;
use serde_json::Value;

use super::*;
use crate::oidc::claims::Identity;
use crate::session::Credential;

/// A log that can be read while it is written.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// What was written when `act` recorded events.
fn written(act: impl FnOnce(&Audit)) -> (Vec<Value>, String) {
    let paper = Paper::default();
    let (audit, writer) = Audit::to(paper.clone(), Metrics::default()).unwrap();
    act(&audit);
    writer.finish();
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
fn a_process_writes_one_whole_chain_that_says_who_what_and_by_which_rule() {
    let (alice, lab) = (session("alice"), target());
    let (records, text) = written(|audit| {
        audit.login(alice.id, "alice", &alice.identity.groups, alice.end);
        audit.allowed(&alice, &lab, Allowed::Owner);
        audit.allowed(&alice, &lab, Allowed::Owner);
        audit.denied(&session("bob"), "lab.ws.example", Some(&lab), "not_owner");
        audit.denied(&session("bob"), "none.ws.example", None, "no_workspace");
        audit.logout(alice.id, "alice", "user");
    });
    assert_eq!(
        events(&records),
        ["start", "login", "opened", "denied", "denied", "logout", "end"]
    );
    let opened = &records[2];
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
    assert_eq!(opened["session"], records[1]["session"]);
    assert_eq!(opened["request"].as_str().unwrap().len(), 16);
    assert_eq!(records[3]["rule"], "not_owner");
    assert_eq!(records[4].get("workspace"), None);
    assert!(
        !text.contains(&alice.id.to_string()),
        "the session's id is a secret"
    );
    let mut checker = Checker::default();
    for line in text.lines() {
        checker.check(line).unwrap();
    }
    let verified = checker.finish();
    assert_eq!((verified.records, verified.chains, verified.open), (7, 1, 0));
}

#[test]
fn administrator_access_has_its_own_record() {
    let (records, _) = written(|audit| {
        let root = session("root");
        audit.allowed(&root, &target(), Allowed::Administrator);
        audit.allowed(&root, &target(), Allowed::Administrator);
    });
    assert_eq!(events(&records), ["start", "opened", "administered", "end"]);
    assert_eq!(records[1]["rule"], "administrator");
    assert_eq!(records[2]["requests"], 1);
}

#[test]
fn a_flood_of_anonymous_requests_does_not_suppress_records_of_users() {
    let (records, _) = written(|audit| {
        for _ in 0..1_000 {
            audit.login_refused("state");
        }
        audit.denied(&session("bob"), "lab.ws.example", Some(&target()), "not_owner");
    });
    let of = |event: &str| records.iter().filter(|record| record["event"] == event).count();
    assert_eq!(of("denied"), 1);
    assert!(of("login_refused_more") > 0 && of("denied_more") == 0);
    let recorded = of("login_refused") as u64;
    let summed: u64 = records.iter().filter_map(|record| record["count"].as_u64()).sum();
    assert!(recorded < 200, "{recorded}");
    assert_eq!(recorded + summed, 1_000);
}

#[test]
fn records_that_the_check_would_refuse_are_counted_and_not_written() {
    let login = |groups: &[String]| {
        written(|audit| {
            audit.login(RandomId::new().unwrap(), "alice", groups, 0);
            audit.logout(RandomId::new().unwrap(), "alice", "user");
        })
    };
    let verified = |text: &str| {
        let mut checker = Checker::default();
        text.lines().for_each(|line| checker.check(line).unwrap());
        checker.finish()
    };
    // The maximum of an identity's groups, in the characters that take the most space.
    let groups: Vec<String> = (0..1000).map(|_| "\"".repeat(64)).collect();
    let (records, text) = login(&groups);
    assert_eq!(events(&records), ["start", "login", "logout", "end"]);
    assert_eq!(verified(&text).records, 4);
    let named = records[1]["groups"].as_array().unwrap().len();
    assert_eq!((named, records[1]["groupCount"].as_u64()), (GROUPS, Some(1000)));
    // More than that.
    let (records, text) = login(&["\u{1}".repeat(64 * 1024)]);
    assert_eq!(events(&records), ["start", "logout", "lost", "end"]);
    assert_eq!(records[2]["count"], 1);
    assert_eq!((verified(&text).records, verified(&text).open), (4, 0));
}

#[tokio::test]
async fn records_name_the_client_s_address_only_where_the_settings_say_so() {
    let client: IpAddr = "203.0.113.7".parse().unwrap();
    for names in [false, true] {
        let paper = Paper::default();
        let (audit, writer) = Audit::to(paper.clone(), Metrics::default()).unwrap();
        let audit = audit.naming_clients(names);
        let denied = async { audit.denied(&session("bob"), "lab.ws.example", None, "not_owner") };
        audit.about(|| Some(client), denied).await;
        audit.logout(RandomId::new().unwrap(), "alice", "provider");
        tokio::task::spawn_blocking(|| writer.finish()).await.unwrap();
        let text = paper.text();
        let records: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(events(&records), ["start", "denied", "logout", "end"]);
        let address = records[1].get("address").and_then(Value::as_str);
        assert_eq!(address, names.then_some("203.0.113.7"));
        assert_eq!(records[2].get("address"), None, "no request led to it");
        let mut checker = Checker::default();
        text.lines().for_each(|line| checker.check(line).unwrap());
    }
}
