//! Idle timeouts and limits of workspaces and templates: values on both sides of each rule.

use super::*;

/// Minutes within what anything may take, mostly, and one beyond each end.
pub(super) fn minutes() -> Vec<Value> {
    [0, 1, 30, 30, 31, 60, 60, 525_600, 525_601]
        .map(Value::from)
        .to_vec()
}

pub(super) fn limits(chance: &mut Chance) -> Value {
    chance.object(&[("startTimeoutMinutes", minutes())])
}

pub(super) fn idle_shutdown(chance: &mut Chance) -> Value {
    let mut idle = chance.object(&[
        ("enabled", vec![json!(true), json!(false)]),
        ("idleTimeoutInMinutes", minutes()),
    ]);
    if chance.below(2) == 0 {
        idle["detection"] = detection(chance);
    }
    idle
}

fn detection(chance: &mut Chance) -> Value {
    let paths = [
        "/api/status",
        "/lab/api/status",
        "/a%20b/api/status",
        "/healthz",
        "/api/status?all=1",
        "/api/status/",
        "/api/status\n",
        "/a b/api/status",
        "api/status",
        "",
    ];
    let longest = format!("/{}/api/status", "a".repeat(1024 - "//api/status".len()));
    let longer = format!("/a{longest}");
    let mut paths = paths.map(Value::from).to_vec();
    paths.extend([json!(longest), json!(longer)]);
    let mut detection = json!({});
    if chance.below(4) > 0 {
        detection["httpGet"] = chance.object(&[
            ("path", paths),
            (
                "port",
                vec![json!(1023), json!(1024), json!(8888), json!(65535), json!(65536)],
            ),
            ("scheme", vec![json!("HTTP"), json!("HTTPS")]),
        ]);
    }
    if chance.below(2) == 0 {
        let places = ["lastHeartbeat", "$.server.last-seen", ".a_1", "$a", "a..b", "a."].map(Value::from);
        detection["lastActivityTimestamp"] = chance.object(&[
            ("responseBodyPath", places.to_vec()),
            ("format", vec![json!("RFC3339"), json!("unix")]),
        ]);
    }
    detection
}
