//! Minutes and a template's bounds on them -> violations (pure).

use api::template::MinutesRange;

use crate::violation::Violation;

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
