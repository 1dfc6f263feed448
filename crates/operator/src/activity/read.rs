//! Bodies of answers -> times of last activity (pure). An unknown format is an error, never a time.

use api::workspace::TimestampFormat;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// Seconds since 1970 beyond this (the year 5138) are milliseconds.
const LARGEST_SECONDS: f64 = 1e11;
/// Largest clock difference, in seconds. Beyond it one clock is so wrong that times of that pod are not used.
const MAX_SKEW: i64 = 3600;

/// Name of the signal that the image's door gives, beside those of the application.
pub(super) const SSH: &str = "ssh";

/// One source of activity, and the latest activity that it reports, if any.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// `server`, `kernels`, `terminals`, `endpoint` or `ssh`.
    pub name: &'static str,
    /// By our own clock, and never in the future.
    pub last_activity: Option<Timestamp>,
}

/// The activity that a pod reports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Each source that was read.
    pub signals: Vec<Signal>,
    /// Seconds by which our clock is ahead of the pod's.
    pub skew: i64,
    /// When a process of the container was last ended for memory, by our own clock.
    pub out_of_memory: Option<Timestamp>,
}

/// Our clock, and its difference from a pod's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    now: Timestamp,
    /// Seconds by which our clock is ahead.
    pub(super) skew: i64,
}

impl Clock {
    /// `now`: our time when the answer came. `theirs`: the pod's time from the answer's `Date` header, if any.
    pub(super) fn compare(now: Timestamp, theirs: Option<Timestamp>) -> Result<Self, String> {
        let skew = theirs.map_or(0, |theirs| now.as_second() - theirs.as_second());
        if skew.abs() > MAX_SKEW {
            return Err(
                "its clock (header Date of the answer) and the operator's clock differ by more than an hour: correct the wrong \
                 clock"
                    .to_owned(),
            );
        }
        Ok(Self { now, skew })
    }

    /// A time of the pod by our clock. A time in the future becomes now.
    fn ours(self, time: Timestamp) -> Timestamp {
        shift(time, self.skew).min(self.now)
    }
}

/// A time by a clock that is ahead by `skew` seconds, to the second.
pub(super) fn shift(time: Timestamp, skew: i64) -> Timestamp {
    Timestamp::from_second(time.as_second().saturating_add(skew)).unwrap_or(time)
}

#[derive(Deserialize)]
struct Status {
    last_activity: String,
}

#[derive(Deserialize)]
struct Kernel {
    #[serde(default)]
    execution_state: String,
    last_activity: String,
}

#[derive(Deserialize)]
struct Terminal {
    /// Absent in old servers.
    #[serde(default)]
    last_activity: Option<String>,
}

/// The activity that Jupyter reports for the server: requests of users, and more.
pub(super) fn server(body: &[u8], clock: Clock) -> Result<Signal, String> {
    let status: Status = parse(body)?;
    Ok(Signal {
        name: "server",
        last_activity: Some(clock.ours(rfc3339(&status.last_activity)?)),
    })
}

/// The activity of its kernels. A kernel that computes is used now, however long it takes.
pub(super) fn kernels(body: &[u8], clock: Clock) -> Result<Signal, String> {
    let kernels: Vec<Kernel> = parse(body)?;
    let times = kernels.iter().map(|kernel| {
        if kernel.execution_state == "busy" {
            return Ok(clock.now);
        }
        Ok(clock.ours(rfc3339(&kernel.last_activity)?))
    });
    let times: Result<Vec<_>, String> = times.collect();
    Ok(Signal {
        name: "kernels",
        last_activity: times?.into_iter().max(),
    })
}

/// The activity of its terminals: input or output.
pub(super) fn terminals(body: &[u8], clock: Clock) -> Result<Signal, String> {
    let terminals: Vec<Terminal> = parse(body)?;
    let times = terminals
        .iter()
        .filter_map(|terminal| terminal.last_activity.as_deref());
    let times: Result<Vec<_>, String> = times.map(rfc3339).collect();
    Ok(Signal {
        name: "terminals",
        last_activity: times?.into_iter().max().map(|time| clock.ours(time)),
    })
}

/// The last use by ssh. `header`: of the answer.
pub(super) fn ssh(header: &[u8], clock: Clock) -> Result<Signal, String> {
    Ok(Signal {
        name: SSH,
        last_activity: Some(of_header(header, clock)?),
    })
}

/// The time in a header of the door.
pub(super) fn of_header(header: &[u8], clock: Clock) -> Result<Timestamp, String> {
    let text =
        str::from_utf8(header).map_err(|_| "the time in a header of the answer must be text".to_owned())?;
    Ok(clock.ours(rfc3339(text)?))
}

/// The time at `path` in an object.
pub(super) fn timestamp(
    body: &[u8],
    path: &[String],
    format: TimestampFormat,
    clock: Clock,
) -> Result<Signal, String> {
    let object: Value = parse(body)?;
    let found = path.iter().try_fold(&object, |value, name| value.get(name));
    let absent = || format!("the answer has no field {}", path.join("."));
    let found = found.filter(|value| !value.is_null()).ok_or_else(absent)?;
    let time = match (format, found) {
        (TimestampFormat::Rfc3339, Value::String(text)) => Some(rfc3339(text)?),
        (TimestampFormat::Unix, Value::Number(number)) => unix(number.as_f64())?,
        (TimestampFormat::Unix, Value::String(text)) => unix(text.trim().parse().ok())?,
        _ => {
            return Err(format!(
                "the answer's field {} is not written in that format",
                path.join(".")
            ));
        }
    };
    Ok(Signal {
        name: "endpoint",
        last_activity: time.map(|time| clock.ours(time)),
    })
}

/// The time of an HTTP header.
pub(super) fn date(header: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(header)
        .ok()
        .map(|time| time.timestamp())
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    // The parse error is dropped: messages must not contain text of the application.
    serde_json::from_slice(body).map_err(|_| "the answer is not the JSON that was expected".to_owned())
}

/// A time without zone is UTC, as old servers write it.
fn rfc3339(text: &str) -> Result<Timestamp, String> {
    let time = text.parse().or_else(|_| format!("{text}Z").parse::<Timestamp>());
    time.map_err(|_| "the answer's time cannot be read as RFC 3339".to_owned())
}

/// Servers report 0 as long as no user was active: no time.
fn unix(number: Option<f64>) -> Result<Option<Timestamp>, String> {
    let unreadable = || "the answer's time cannot be read as seconds or milliseconds since 1970".to_owned();
    let number = number
        .filter(|number| number.is_finite() && *number >= 0.0)
        .ok_or_else(unreadable)?;
    if number == 0.0 {
        return Ok(None);
    }
    let seconds = if number > LARGEST_SECONDS {
        number / 1000.0
    } else {
        number
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is too large becomes the largest, which is no time"
    )]
    let seconds = seconds as i64;
    Timestamp::from_second(seconds)
        .map(Some)
        .map_err(|_| unreadable())
}

#[cfg(test)]
mod tests {
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
        for theirs in ["Thu, 01 Jan 2026 10:00:00 GMT", "Thu, 01 Jan 2026 14:00:00 GMT"] {
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
            for signal in reads.into_iter().flatten() {
                prop_assert!(signal.last_activity.is_none_or(|time| time <= at(NOW)));
            }
        }
    }
}
