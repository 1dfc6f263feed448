//! Answers of applications and doors, as they write them -> times.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const NOW: &str = "2026-01-01T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn clock() -> Clock {
    Clock::compare(at(NOW), None).unwrap()
}

fn time(read: Result<Signal, String>) -> Option<Timestamp> {
    read.unwrap().last_activity
}

#[test]
fn jupyter_s_own_pages_are_understood() {
    let status = br#"{"connections": 1, "kernels": 2, "last_activity": "2026-01-01T11:30:00.123456Z", "started": "x"}"#;
    assert_eq!(time(server(status, clock())), Some(at("2026-01-01T11:30:00Z")));
    let page = json!([
        {"id": "a", "execution_state": "idle", "last_activity": "2026-01-01T10:00:00Z"},
        {"id": "b", "execution_state": "starting", "last_activity": "2026-01-01T11:00:00Z"},
    ]);
    let page = page.to_string();
    assert_eq!(
        time(kernels(page.as_bytes(), clock())),
        Some(at("2026-01-01T11:00:00Z"))
    );
    let page = br#"[{"name": "1", "last_activity": "2026-01-01T09:00:00Z"}, {"name": "2"}]"#;
    assert_eq!(time(terminals(page, clock())), Some(at("2026-01-01T09:00:00Z")));
    assert_eq!(time(kernels(b"[]", clock())), None);
    assert_eq!(time(terminals(b"[]", clock())), None);
}

#[test]
fn a_door_s_times_are_understood_and_one_in_the_future_is_now() {
    let read = |user: Value, presence: Value| {
        let body = json!({"user": user, "presence": presence, "activityPaths": ["/healthz"], "more": 1});
        door(body.to_string().as_bytes(), clock()).map(|door| door.signals.map(|it| it.last_activity))
    };
    assert_eq!(
        read(json!("2026-01-01T11:00:00.5Z"), json!("2026-01-01T11:30:00Z")).unwrap(),
        ["2026-01-01T11:00:00Z", "2026-01-01T11:30:00Z"].map(|time| Some(at(time)))
    );
    assert_eq!(
        read(json!(null), json!("2999-01-01T00:00:00Z")).unwrap(),
        [None, Some(at(NOW))]
    );
    for wrong in [
        json!("-000044-03-15T00:00:00Z"),
        json!("1969-12-31T23:59:59Z"),
        json!("secret"),
        json!(-5),
        json!(1_767_264_600),
        json!(false),
        json!({}),
    ] {
        for (user, presence) in [(wrong.clone(), json!(null)), (json!(null), wrong.clone())] {
            let error = read(user, presence).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }
    // A door of an earlier version, and what is no door.
    for wrong in [
        r#"{"lastActivity": "2026-01-01T11:00:00Z", "outOfMemory": null}"#,
        r#"{"user": null, "activityPaths": []}"#,
        r#"{"user": null, "presence": null}"#,
        "[]",
        "<html>",
        "",
    ] {
        assert!(door(wrong.as_bytes(), clock()).is_err(), "{wrong}");
    }
}

#[test]
fn a_kernel_that_computes_is_used_now() {
    let page = br#"[{"execution_state": "busy", "last_activity": "2026-01-01T01:00:00Z"}]"#;
    assert_eq!(time(kernels(page, clock())), Some(at(NOW)));
}

fn endpoint(body: &Value, path: &str, format: TimestampFormat) -> Result<Signal, String> {
    let path: Vec<_> = path.split('.').map(str::to_owned).collect();
    timestamp(body.to_string().as_bytes(), &path, format, clock())
}

#[test]
fn seconds_and_milliseconds_are_distinguished_by_their_size() {
    let half_past_eleven = at("2026-01-01T11:30:00Z");
    let seconds = half_past_eleven.as_second();
    for body in [
        json!({"lastHeartbeat": seconds * 1000}),
        json!({"lastHeartbeat": seconds}),
        json!({"lastHeartbeat": seconds.to_string()}),
    ] {
        let read = endpoint(&body, "lastHeartbeat", TimestampFormat::Unix);
        assert_eq!(time(read), Some(half_past_eleven), "{body}");
    }
}

#[test]
fn a_time_lies_where_the_path_says() {
    let body = json!({"server": {"last": "2026-01-01T11:30:00+01:00"}});
    let read = endpoint(&body, "server.last", TimestampFormat::Rfc3339);
    assert_eq!(time(read), Some(at("2026-01-01T10:30:00Z")));
}

#[test]
fn an_unknown_format_is_an_error_without_text_of_the_answer() {
    for (body, path, format) in [
        (json!({}), "a", TimestampFormat::Rfc3339),
        (json!({"a": null}), "a", TimestampFormat::Rfc3339),
        (json!({"a": "secret"}), "a", TimestampFormat::Rfc3339),
        (json!({"a": 5}), "a", TimestampFormat::Rfc3339),
        (json!({"a": "secret"}), "a", TimestampFormat::Unix),
        (json!({"a": -5}), "a", TimestampFormat::Unix),
        (json!({"a": 1e300}), "a", TimestampFormat::Unix),
        (json!("secret"), "a", TimestampFormat::Unix),
        (json!({"a": {"b": []}}), "a.b", TimestampFormat::Unix),
    ] {
        let error = endpoint(&body, path, format).unwrap_err();
        assert!(!error.contains("secret"), "{error}");
    }
    assert!(server(b"<html>", clock()).is_err());
    assert!(server(b"[]", clock()).is_err());
    assert!(kernels(br#"{"message": "Forbidden"}"#, clock()).is_err());
    assert!(kernels(br#"[{"execution_state": "idle", "last_activity": "?"}]"#, clock()).is_err());
}

#[test]
fn a_future_time_is_now() {
    let body = json!({"a": "2027-01-01T00:00:00Z"});
    assert_eq!(
        time(endpoint(&body, "a", TimestampFormat::Rfc3339)),
        Some(at(NOW))
    );
}

#[test]
fn a_skew_of_minutes_is_corrected_and_one_of_hours_is_refused() {
    let read = |theirs: &str| {
        let clock = Clock::compare(at(NOW), date(theirs))?;
        server(br#"{"last_activity": "2026-01-01T11:50:00Z"}"#, clock)
    };
    let put_right = |theirs: &str| time(read(theirs)).unwrap();
    assert_eq!(
        put_right("Thu, 01 Jan 2026 11:55:00 GMT"),
        at("2026-01-01T11:55:00Z")
    );
    assert_eq!(
        put_right("Thu, 01 Jan 2026 12:05:00 GMT"),
        at("2026-01-01T11:45:00Z")
    );
    assert_eq!(put_right("nonsense"), at("2026-01-01T11:50:00Z"));
    for theirs in ["Thu, 01 Jan 2026 11:00:00 GMT", "Thu, 01 Jan 2026 13:00:00 GMT"] {
        assert!(read(theirs).is_ok(), "an hour");
    }
    for theirs in ["Thu, 01 Jan 2026 10:59:59 GMT", "Thu, 01 Jan 2026 13:00:01 GMT"] {
        assert!(read(theirs).unwrap_err().contains("differ by more than an hour"));
    }
}

#[test]
fn an_unused_server_reports_no_activity() {
    // The text that code-server returns.
    let body = br#"{"status":"expired","lastHeartbeat":0}"#;
    let path = ["lastHeartbeat".to_owned()];
    assert_eq!(time(timestamp(body, &path, TimestampFormat::Unix, clock())), None);
    assert_eq!(
        time(endpoint(&json!({"a": "0"}), "a", TimestampFormat::Unix)),
        None
    );
}

proptest! {
    #[test]
    fn no_answer_makes_a_time_that_has_not_come(body: Vec<u8>, number: f64) {
        let path = vec!["a".to_owned()];
        let object = json!({"a": number}).to_string();
        let reads = [
            server(&body, clock()), kernels(&body, clock()), terminals(&body, clock()),
            timestamp(object.as_bytes(), &path, TimestampFormat::Unix, clock()),
        ];
        prop_assert!(door(&body, clock()).is_err());
        for signal in reads.into_iter().flatten() {
            prop_assert!(signal.last_activity.is_none_or(|time| time <= at(NOW)));
        }
    }
}
