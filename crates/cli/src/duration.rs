//! Duration in kubectl's format, such as `90s` or `1h30m` -> `Duration` (pure).

use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;

/// Parses amounts of hours, minutes and seconds. The maximum is a year.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 365);
    let parsed: SignedDuration = text.parse().map_err(|_| {
        "expected whole numbers with the units s, m or h, such as 90s, 5m or 1h30m; 7 days is 168h".to_owned()
    })?;
    match parsed.try_into() {
        Ok(duration) if parsed.is_positive() && parsed <= LONGEST => Ok(duration),
        _ => Err("expected more than 0 and at most a year".to_owned()),
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn durations_read_as_in_kubectl() {
        assert_eq!(parse("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn anything_else_is_explained() {
        for text in ["", "5", "m", "-5m", "0s", "9999999999s", "4294967295h", "5d"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
