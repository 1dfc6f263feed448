//! Minutes and a template's bounds on them -> violations (pure).

use api::template::MinutesRange;

use crate::violation::Violation;

/// A year.
const MAX_MINUTES: i32 = 525_600;

/// Checks that the number is a valid time limit. The schema has the same rule.
pub(super) fn range(field: String, minutes: i32) -> Option<Violation> {
    let rule = format!("is no timeout: choose 1 to {MAX_MINUTES} minutes");
    (!(1..=MAX_MINUTES).contains(&minutes)).then(|| Violation::new(field, minutes.to_string(), rule))
}

/// Formats `1 minute` or `2 minutes`.
pub(super) fn count(minutes: i32) -> String {
    let plural = if minutes == 1 { "" } else { "s" };
    format!("{minutes} minute{plural}")
}

/// Checks minutes against the template's bounds. `is_given`: the workspace sets them itself.
pub(super) fn within(field: String, minutes: i32, is_given: bool, bounds: MinutesRange) -> Option<Violation> {
    let filled = if is_given { "" } else { "(filled in, since unset) " };
    let rule = match bounds {
        MinutesRange { min: Some(min), .. } if minutes < min => {
            format!(
                "{filled}is less than the template's minimum {min}: choose at least {}",
                count(min)
            )
        }
        MinutesRange { max: Some(max), .. } if minutes > max => {
            format!(
                "{filled}is more than the template's maximum {max}: choose at most {}",
                count(max)
            )
        }
        _ => return None,
    };
    Some(Violation::new(field, minutes.to_string(), rule))
}

/// Reports contradictions in a template: the ends of the range by their paths, and the default by its own path.
pub(super) fn template(
    [min_field, max_field]: [String; 2],
    bounds: MinutesRange,
    default: Option<(String, i32)>,
) -> Vec<Violation> {
    let mut found = Vec::new();
    let MinutesRange { min, max } = bounds;
    for (field, end) in [(&min_field, min), (&max_field, max)] {
        found.extend(end.and_then(|end| range(field.clone(), end)));
    }
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        let name = max_field.rsplit('.').next().unwrap_or_default();
        let rule = format!("is more than {name} {max}: nothing can be between them");
        found.push(Violation::new(min_field, min.to_string(), rule));
    }
    if let Some((field, value)) = default {
        let rule = match (min, max) {
            (Some(min), _) if value < min => Some(format!("is less than the template's own minimum {min}")),
            (_, Some(max)) if value > max => Some(format!("is more than the template's own maximum {max}")),
            _ => None,
        };
        found.extend(rule.map(|rule| Violation::new(field, value.to_string(), rule)));
    }
    found
}
