//! Times and amounts -> words (pure).

use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::views::Moment;

/// Names of the limits that stop a workspace.
pub(super) const MAX_AGE: &str = "Maximum age";
pub(super) const FAILED_TIMEOUT: &str = "Stops when not ready for";
/// Name of the limit that deletes a stopped workspace.
pub(super) const STOPPED_RETENTION: &str = "Deleted when stopped for";

/// A time, for a sentence.
pub(super) fn moment(time: Timestamp) -> Moment {
    Moment {
        exact: time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        text: time
            .to_zoned(TimeZone::UTC)
            .strftime("%-d %b %Y, %H:%M UTC")
            .to_string(),
        short: false,
    }
}

/// A time, for a table.
pub(super) fn short(time: Timestamp) -> Moment {
    Moment {
        short: true,
        ..moment(time)
    }
}

/// A time of an object, for a table.
pub(super) fn short_of(time: Option<&Time>) -> Option<Moment> {
    time.map(|time| short(time.0))
}

/// A time in RFC 3339, for a sentence.
pub(super) fn parse_moment(time: &str) -> Option<Moment> {
    time.parse().ok().map(moment)
}

/// An amount of a resource in words, such as `2 CPU`, `0.5 CPU`, `4 GiB`, `1 GPU`.
pub(super) fn amount(resource: &str, quantity: &Quantity) -> String {
    match resource {
        "cpu" => match quantity
            .0
            .strip_suffix('m')
            .and_then(|milli| milli.parse::<u64>().ok())
        {
            Some(milli) => {
                let text = format!("{}.{:03}", milli / 1000, milli % 1000);
                let text = text.trim_end_matches('0').trim_end_matches('.');
                format!("{text} CPU")
            }
            None => format!("{} CPU", quantity.0),
        },
        "memory" | "ephemeral-storage" | "storage" => bytes(quantity),
        gpu if gpu.contains("gpu") => format!("{} GPU", quantity.0),
        other => format!("{} {other}", quantity.0),
    }
}

/// A number of bytes: `4Gi` is `4 GiB`.
pub(super) fn bytes(quantity: &Quantity) -> String {
    let text = &*quantity.0;
    let digits = text.trim_end_matches(|it: char| it.is_ascii_alphabetic());
    match &text[digits.len()..] {
        "" => format!("{digits} bytes"),
        unit @ ("Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "k" | "M" | "G" | "T" | "P") => {
            format!("{digits} {unit}B")
        }
        _ => text.to_owned(),
    }
}

/// What is used of a bound; `None`: there is no bound.
pub(super) fn percent(used: &Quantity, bound: &Quantity) -> Option<u8> {
    let (used, bound) = (approximate(used)?, approximate(bound)?);
    if bound <= 0.0 {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is clamped to 0 to 100"
    )]
    let percent = (used / bound * 100.0).clamp(0.0, 100.0).round() as u8;
    Some(percent)
}

/// An approximate value, for display alone.
pub(super) fn approximate(quantity: &Quantity) -> Option<f64> {
    let quantity = rules::Quantity::try_from(quantity).ok()?;
    #[expect(clippy::cast_precision_loss, reason = "the first digits count")]
    let thousandths = quantity.count(rules::Quantity::thousandths(1)).0 as f64;
    Some(thousandths / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_readable_units() {
        let said = |resource, text: &str| amount(resource, &Quantity(text.to_owned()));
        assert_eq!(said("cpu", "500m"), "0.5 CPU");
        assert_eq!(said("cpu", "1500m"), "1.5 CPU");
        assert_eq!(said("cpu", "2"), "2 CPU");
        assert_eq!(said("memory", "4Gi"), "4 GiB");
        assert_eq!(said("memory", "512M"), "512 MB");
        assert_eq!(said("memory", "1024"), "1024 bytes");
        assert_eq!(said("nvidia.com/gpu", "1"), "1 GPU");
        assert_eq!(said("example.com/fpga", "2"), "2 example.com/fpga");
    }

    #[test]
    fn a_time_is_exact_and_readable() {
        let time = "2026-11-22T16:02:00Z".parse().unwrap();
        let moment = moment(time);
        assert_eq!(moment.exact, "2026-11-22T16:02:00Z");
        assert_eq!(moment.text, "22 Nov 2026, 16:02 UTC");
    }
}
