//! Amounts as `KubeSpawner` reads them -> quantities of Kubernetes (pure).

use rules::Quantity;
use serde_json::Value;

/// Suffixes of bytes, each 1024 times the one before, and how Kubernetes writes them.
const BYTES: [(&str, &str); 4] = [("K", "Ki"), ("M", "Mi"), ("G", "Gi"), ("T", "Ti")];

/// An amount of memory: `1G` is 2^30 bytes there, and `1.5G` is 1536Mi.
pub(super) fn bytes(value: &Value) -> Option<String> {
    let text = plain(value)?;
    for (place, (suffix, ours)) in BYTES.iter().enumerate() {
        let Some(number) = text.strip_suffix(suffix) else {
            continue;
        };
        if number.parse::<u64>().is_ok() {
            return checked(format!("{number}{ours}"));
        }
        let factor = 1_u32.checked_shl(10)?.pow(u32::try_from(place).ok()?);
        // In the suffix before, which a part of one is usually a whole number of.
        let small: f64 = number.parse::<f64>().ok()? * 1024.0;
        let is_whole = small.fract() == 0.0 && (0.0..1e15).contains(&small);
        let before = place.checked_sub(1).map_or("", |place| BYTES[place].1);
        if is_whole {
            return checked(format!("{small:.0}{before}"));
        }
        let all = small * f64::from(factor);
        return (0.0..9e15)
            .contains(&all)
            .then(|| format!("{all:.0}"))
            .and_then(checked);
    }
    checked(text)
}

/// A number of processors, in thousandths upwards, as Kubernetes reads it.
pub(super) fn processors(value: &Value) -> Option<String> {
    let text = count(value)?;
    let finer = text
        .split_once('.')
        .filter(|(_, part)| part.trim_end_matches('0').len() > 3);
    let Some((whole, part)) = finer else {
        return Some(text);
    };
    let thousandths: u64 = format!("{whole}{}", part.get(..3)?).parse().ok()?;
    part.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| format!("{}m", thousandths.saturating_add(1)))
}

/// A number of devices.
pub(super) fn count(value: &Value) -> Option<String> {
    checked(plain(value)?)
}

/// Text or number as text, without the fraction of a whole number.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => {
            let text = number.to_string();
            Some(
                text.strip_suffix(".0")
                    .map_or_else(|| text.clone(), str::to_owned),
            )
        }
        _ => None,
    }
}

fn checked(text: String) -> Option<String> {
    let amount = text.parse::<Quantity>().ok()?;
    (!amount.is_negative()).then_some(text)
}

/// Seconds, in whole minutes upwards.
pub(super) fn minutes(value: &Value) -> Option<u64> {
    let seconds = value
        .as_u64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()))?;
    Some(seconds.div_ceil(60))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn suffixes_of_bytes_are_binary() {
        for (given, expected) in [
            (json!("1G"), Some("1Gi")),
            (json!("512M"), Some("512Mi")),
            (json!("1.5G"), Some("1536Mi")),
            (json!("0.5K"), Some("512")),
            (json!("0.3T"), Some("329853488333")),
            (json!("2T"), Some("2Ti")),
            (json!("2Gi"), Some("2Gi")),
            (json!(1_073_741_824), Some("1073741824")),
            (json!("-1G"), None),
            (json!("much"), None),
            (json!([]), None),
        ] {
            assert_eq!(bytes(&given).as_deref(), expected, "{given}");
        }
    }

    #[test]
    fn processors_and_seconds_are_numbers_or_text() {
        for (given, expected) in [
            (json!(0.5), Some("0.5")),
            (json!(2.0), Some("2")),
            (json!("500m"), Some("500m")),
            (json!(-1), None),
            (json!(true), None),
        ] {
            assert_eq!(count(&given).as_deref(), expected, "{given}");
        }
        for (given, expected) in [
            (json!(0.434_875), Some("435m")),
            (json!("12.0001"), Some("12001m")),
            (json!("0.250000"), Some("0.250000")),
            (json!(0.5), Some("0.5")),
            (json!("0.1234m"), None),
            (json!("x"), None),
        ] {
            assert_eq!(processors(&given).as_deref(), expected, "{given}");
        }
        assert_eq!(
            [json!(3600), json!("61"), json!(0), json!("x")].map(|it| minutes(&it)),
            [Some(60), Some(2), Some(0), None]
        );
    }
}
