//! Text of a flag that `create` and `set` share -> its checked value (pure).

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use rules::Quantity;
use serde_json::{Value, json};

use super::accept;
use crate::duration;

pub(super) fn image(text: &str) -> Result<String, String> {
    accept(text, rules::checks::image_syntax("spec.image", text).as_ref())
}

pub(super) fn positive(text: &str) -> Result<String, String> {
    let value: Quantity = text
        .parse()
        .map_err(|error: rules::QuantityError| error.to_string())?;
    if value.is_negative() || value.is_zero() {
        return Err("must be more than 0".to_owned());
    }
    Ok(text.to_owned())
}

/// How many GPUs of which resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Name of the extended resource.
    pub resource: String,
    /// How many.
    pub number: u16,
}

pub(super) fn gpu(text: &str) -> Result<Gpu, String> {
    match any_gpu(text)? {
        gpu if gpu.number > 0 => Ok(gpu),
        _ => Err("expected a whole number more than 0, such as 1".to_owned()),
    }
}

/// How many GPUs of which resource, also none.
fn any_gpu(text: &str) -> Result<Gpu, String> {
    let (resource, number) = text.split_once('=').unwrap_or((rules::GPU, text));
    let number = number
        .parse()
        .map_err(|_| "expected a whole number, such as 1".to_owned())?;
    if rules::is_gpu(resource) {
        return Ok(Gpu {
            resource: resource.to_owned(),
            number,
        });
    }
    Err(format!(
        "{resource:?} must be {}, {} or nvidia.com/mig-…",
        rules::GPU,
        rules::SHARED_GPU
    ))
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

pub(super) fn choice(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((option, choice)) if !option.is_empty() && !choice.is_empty() => {
            Ok((option.to_owned(), choice.to_owned()))
        }
        _ => Err("expected OPTION=CHOICE".to_owned()),
    }
}

/// Which GPUs a workspace gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gpus {
    /// None of any kind.
    None,
    /// So many of one kind.
    Of(Gpu),
}

pub(super) fn gpus(text: &str) -> Result<Gpus, String> {
    match text {
        "0" => Ok(Gpus::None),
        text => any_gpu(text).map(Gpus::Of),
    }
}

/// What becomes of a name with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assignment {
    /// The name gets this value.
    Set(String, String),
    /// The name is removed.
    Remove(String),
}

impl Assignment {
    /// The name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Set(name, _) | Self::Remove(name) => name,
        }
    }
}

pub(super) fn assignment(text: &str) -> Result<Assignment, String> {
    if let Ok((name, value)) = pair(text) {
        return Ok(Assignment::Set(name, value));
    }
    match text.strip_suffix('-') {
        Some(name) if !name.is_empty() && !name.contains('=') => Ok(Assignment::Remove(name.to_owned())),
        _ => Err("expected NAME=VALUE, or NAME- to remove it".to_owned()),
    }
}

pub(super) fn choice_or_none(text: &str) -> Result<Assignment, String> {
    let wrong = || "expected OPTION=CHOICE, or OPTION- to choose the default".to_owned();
    match assignment(text).map_err(|_| wrong())? {
        Assignment::Set(_, choice) if choice.is_empty() => Err(wrong()),
        given => Ok(given),
    }
}

/// When an unused workspace stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// After this many minutes.
    After(u64),
    /// Never.
    Never,
}

pub(super) fn idle(text: &str) -> Result<Idle, String> {
    if text == "never" {
        return Ok(Idle::Never);
    }
    let time: Duration = duration::parse(text).map_err(|rule| format!("{rule}; or never"))?;
    match whole_minutes(time) {
        Some(minutes) => Ok(Idle::After(minutes)),
        None => Err("expected whole minutes, such as 90m, or never".to_owned()),
    }
}

pub(super) fn open_tab(text: &str) -> Result<u64, String> {
    if text == "0" {
        return Ok(0);
    }
    let time = duration::parse(text).map_err(|rule| format!("{rule}; or 0"))?;
    whole_minutes(time).ok_or_else(|| "expected whole minutes, such as 90m, or 0".to_owned())
}

/// Fields that `create` and `set` write alike.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Further {
    /// Stop it this time after its start, used or not, such as 12h; default: the template's maximum age, if it has one
    #[arg(long, value_name = "DURATION", value_parser = limit)]
    pub max_age: Option<Value>,

    /// Stop it after this time without being ready, such as 1h; default: the template's time, if it has one
    #[arg(long, value_name = "DURATION", value_parser = limit)]
    pub failed_timeout: Option<Value>,

    /// Count a start that takes longer as failed, such as 15m; default: the template's time, if it has one
    #[arg(long, value_name = "DURATION", value_parser = limit)]
    pub start_timeout: Option<Value>,

    /// Delete it this many days after its stop, such as 30; default: the template's days, if it has some. It (--retain) or the
    /// template must say retain of its home, and the template of each further disk
    #[arg(long, value_name = "DAYS", value_parser = retention)]
    pub stopped_retention: Option<Value>,

    /// Keep the home disk when the workspace is deleted; --retain=false: delete it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub retain: Option<bool>,

    /// Size of /dev/shm, such as 1Gi. What lies there counts against the memory limit
    #[arg(long, value_name = "QUANTITY", value_parser = positive, allow_hyphen_values = true)]
    pub shared_memory: Option<String>,
}

impl Further {
    /// The given fields below `spec`, each with its value; null: the template's.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'static [&'static str], Value)> {
        let retain = self
            .retain
            .map(|keep| json!(if keep { "Retain" } else { "Delete" }));
        let fields: [(&'static [&'static str], Option<Value>); 6] = [
            (&["limits", "maxAgeMinutes"], self.max_age.clone()),
            (&["limits", "failedTimeoutMinutes"], self.failed_timeout.clone()),
            (&["limits", "startTimeoutMinutes"], self.start_timeout.clone()),
            (
                &["limits", "stoppedRetentionDays"],
                self.stopped_retention.clone(),
            ),
            (&["storage", "retain"], retain),
            (&["shmSize"], self.shared_memory.clone().map(Value::String)),
        ];
        fields
            .into_iter()
            .filter_map(|(path, value)| Some((path, value?)))
    }
}

/// Minutes; null: the template's.
pub(super) fn limit(text: &str) -> Result<Value, String> {
    if text == "default" {
        return Ok(Value::Null);
    }
    let time = duration::parse(text).map_err(|rule| format!("{rule}; or default"))?;
    match whole_minutes(time) {
        Some(minutes) => Ok(json!(minutes)),
        None => Err("expected whole minutes, such as 90m, or default".to_owned()),
    }
}

/// Days; null: the template's.
pub(super) fn retention(text: &str) -> Result<Value, String> {
    if text == "default" {
        return Ok(Value::Null);
    }
    let days = text.strip_suffix('d').unwrap_or(text).parse::<u64>().ok();
    let days = days.filter(|days| (7..=3650).contains(days));
    days.map(|days| json!(days))
        .ok_or_else(|| "expected 7 to 3650 days, such as 30, or default".to_owned())
}

fn whole_minutes(time: Duration) -> Option<u64> {
    let seconds = time.as_secs();
    (seconds > 0 && seconds.is_multiple_of(60) && time.subsec_nanos() == 0).then_some(seconds / 60)
}

pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| "expected a time with date and zone, such as 2026-12-31T18:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_of_one_kind_or_none_of_any() {
        let of = |resource: &str, number| {
            Ok(Gpus::Of(Gpu {
                resource: resource.to_owned(),
                number,
            }))
        };
        assert_eq!(gpus("0"), Ok(Gpus::None));
        assert_eq!(gpus("2"), of("nvidia.com/gpu", 2));
        assert_eq!(gpus("nvidia.com/mig-1g.5gb=1"), of("nvidia.com/mig-1g.5gb", 1));
        assert_eq!(gpus("nvidia.com/gpu.shared=0"), of("nvidia.com/gpu.shared", 0));
        for text in ["-1", "1.5", "cpu=1", "nvidia.com/gpu", "nvidia.com/gpu="] {
            assert!(gpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_limit_is_whole_minutes_or_the_template_s() {
        assert_eq!(limit("12h"), Ok(json!(720)));
        assert_eq!(limit("1h30m"), Ok(json!(90)));
        assert_eq!(limit("default"), Ok(Value::Null));
        for text in ["90s", "60500ms", "0m", "never", "720", ""] {
            assert!(limit(text).unwrap_err().ends_with("or default"), "{text}");
        }
    }

    #[test]
    fn a_retention_is_whole_days_or_the_template_s() {
        for (text, days) in [("7", 7), ("30d", 30), ("3650", 3650)] {
            assert_eq!(retention(text), Ok(json!(days)), "{text}");
        }
        assert_eq!(retention("default"), Ok(Value::Null));
        for text in ["6", "3651", "30h", "never", "-7", "d", ""] {
            assert!(retention(text).unwrap_err().ends_with("or default"), "{text}");
        }
    }

    #[test]
    fn an_option_gets_a_choice_or_its_default() {
        assert_eq!(choice("gpu=a100"), Ok(("gpu".to_owned(), "a100".to_owned())));
        let set = Assignment::Set("gpu".to_owned(), "a100".to_owned());
        assert_eq!(choice_or_none("gpu=a100"), Ok(set));
        assert_eq!(choice_or_none("gpu-"), Ok(Assignment::Remove("gpu".to_owned())));
        for text in ["gpu", "gpu=", "=a100", ""] {
            assert!(choice(text).is_err() && choice_or_none(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_gets_a_value_or_is_removed() {
        let set = |value: &str| Ok(Assignment::Set("A".to_owned(), value.to_owned()));
        assert_eq!(assignment("A=b"), set("b"));
        assert_eq!(assignment("A="), set(""));
        assert_eq!(assignment("A=b-"), set("b-"));
        assert_eq!(assignment("A-"), Ok(Assignment::Remove("A".to_owned())));
        for text in ["A", "-", "=b", "=-", ""] {
            assert!(assignment(text).is_err(), "{text}");
        }
    }
}
