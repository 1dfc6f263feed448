//! Bodies of answers -> times of last activity (pure). An unknown format is an error, never a time.

use api::workspace::TimestampFormat;
use jiff::Timestamp;
use rules::usage::Uses;
use serde::Deserialize;
use serde_json::Value;

use super::disk::DiskReading;

/// Seconds since 1970 beyond this (the year 5138) are milliseconds.
const LARGEST_SECONDS: f64 = 1e11;
/// Largest clock difference, in seconds. Beyond it one clock is so wrong that times of that pod are not used.
const MAX_SKEW: i64 = 3600;

/// Name of the signal that the image's door gives, beside those of the application.
pub(super) const SSH: &str = "ssh";
/// Name of the signal of the door: acts of users.
pub(super) const USER: &str = "user";
/// Name of the signal of the door: open pages.
const PRESENCE: &str = "presence";

/// One source of activity, and the latest activity that it reports, if any.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// `user` and `presence`, else `server`; `kernels`, `terminals`, `endpoint` or `ssh`.
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
    /// What the door tells of the disk.
    pub disk: Option<DiskReading>,
}

/// Why a pod did not report its activity. It does not say whether the workspace is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// The signal that is missing.
    pub name: &'static str,
    /// The reason, as a text for users. It contains nothing of the answer.
    pub why: String,
    /// What the door told of the disk all the same: an application may fail because it is full.
    pub disk: Option<DiskReading>,
}

impl Unanswered {
    /// A signal that is missing, and nothing else is known.
    pub fn new(name: &'static str, why: impl Into<String>) -> Self {
        Self {
            name,
            why: why.into(),
            disk: None,
        }
    }
}

/// The activity that a pod reports, or the first signal that could not be read.
pub type Answered = Result<Reading, Unanswered>;

/// What a door tells.
#[derive(Debug)]
pub(super) struct Door {
    /// Acts of users, and open pages.
    pub(super) signals: [Signal; 2],
    /// Paths of the application that the operator may request.
    pub(super) paths: Vec<String>,
    /// Figures of its disk, if it tells them.
    pub(super) disk: Option<DiskReading>,
}

/// Name of the question about the disk alone.
pub(super) const DISK: &str = "disk";

/// Whether a signal of this name is one that only a door gives.
pub(super) fn is_of_door(name: &str) -> bool {
    [USER, PRESENCE].contains(&name)
}

/// Signals of one reading, by what they tell.
pub(super) fn uses(signals: &[Signal]) -> Uses {
    let mut uses = Uses::default();
    for signal in signals {
        let one = match signal.name {
            USER | SSH => &mut uses.user,
            PRESENCE => &mut uses.presence,
            _ => &mut uses.work,
        };
        *one = signal.last_activity.max(*one);
    }
    uses
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

/// A door's own answer. Both times are there, if only as null.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DoorState {
    #[serde(deserialize_with = "Option::deserialize")]
    user: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    presence: Option<String>,
    activity_paths: Vec<String>,
    #[serde(default)]
    disk: Value,
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

/// What the image's door tells.
pub(super) fn door(body: &[u8], clock: Clock) -> Result<Door, String> {
    let state: DoorState = parse(body)?;
    let signal = |name, time: Option<String>| {
        let time = time.as_deref().map(rfc3339).transpose()?;
        if time.is_some_and(|time| time < Timestamp::UNIX_EPOCH) {
            return Err("the answer's time is before 1970".to_owned());
        }
        Ok(Signal {
            name,
            last_activity: time.map(|time| clock.ours(time)),
        })
    };
    Ok(Door {
        signals: [signal(USER, state.user)?, signal(PRESENCE, state.presence)?],
        paths: state.activity_paths,
        // Nothing is decided by it, so what cannot be read is left out.
        disk: serde_json::from_value(state.disk).ok(),
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
mod tests;
