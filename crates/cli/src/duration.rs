//! Duration in kubectl's format, such as `90s` or `1h30m` -> `Duration` (pure).

use std::time::Duration;

/// Units. A suffix that ends in another one comes first.
const UNITS: [(&str, Duration); 4] = [
    ("ms", Duration::from_millis(1)),
    ("h", Duration::from_hours(1)),
    ("m", Duration::from_mins(1)),
    ("s", Duration::from_secs(1)),
];

/// Parses a sequence of whole numbers with units `h`, `m`, `s` and `ms`. The maximum is a year.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    const RULE: &str =
        "expected whole numbers with the units s, m or h, such as 90s, 5m or 1h30m; 7 days is 168h";
    const LONGEST: Duration = Duration::from_hours(24 * 365);
    let mut rest = text;
    let mut sum = Duration::ZERO;
    if rest.is_empty() {
        return Err(RULE.to_owned());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: u32 = rest[..digits].parse().map_err(|_| RULE.to_owned())?;
        let (unit, length) = UNITS
            .into_iter()
            .find(|(unit, _)| rest[digits..].starts_with(unit))
            .ok_or_else(|| RULE.to_owned())?;
        rest = &rest[digits + unit.len()..];
        sum = length
            .checked_mul(count)
            .and_then(|part| sum.checked_add(part))
            .unwrap_or(Duration::MAX);
    }
    if sum.is_zero() || sum > LONGEST {
        return Err("expected more than 0 and at most a year".to_owned());
    }
    Ok(sum)
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
        for text in [
            "",
            "5",
            "m",
            "-5m",
            "5 m",
            "1.5h",
            "0s",
            "9999999999s",
            "4294967295h",
            "5d",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
