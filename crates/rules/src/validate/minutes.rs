//! Amounts of time and a template's bounds on them -> violations (pure).

use api::template::MinutesRange;

use crate::violation::Violation;

/// Formats `1 minute` or `2 minutes`.
pub(super) fn count(minutes: i32) -> String {
    count_of(minutes, "minute")
}

/// Formats `1 day` or `2 days`.
pub(super) fn count_of(amount: i32, unit: &str) -> String {
    let plural = if amount == 1 { "" } else { "s" };
    format!("{amount} {unit}{plural}")
}

/// Checks minutes against the template's bounds. `is_given`: the workspace sets them itself.
pub(super) fn within(field: String, minutes: i32, is_given: bool, bounds: MinutesRange) -> Option<Violation> {
    amount_within(field, (minutes, "minute"), is_given, [bounds.min, bounds.max])
}

/// Checks an amount of a unit against the template's minimum and maximum. `is_given`: the workspace sets it itself.
pub(super) fn amount_within(
    field: String,
    (amount, unit): (i32, &str),
    is_given: bool,
    bounds: [Option<i32>; 2],
) -> Option<Violation> {
    let filled = filled(is_given);
    let rule = match bounds {
        [Some(min), _] if amount < min => {
            format!(
                "{filled}is less than the template's minimum {min}: choose at least {}",
                count_of(min, unit)
            )
        }
        [_, Some(max)] if amount > max => {
            format!(
                "{filled}is more than the template's maximum {max}: choose at most {}",
                count_of(max, unit)
            )
        }
        _ => return None,
    };
    Some(Violation::new(field, amount.to_string(), rule))
}

/// What precedes a rule about a value that the workspace does not set itself.
pub(super) fn filled(is_given: bool) -> &'static str {
    if is_given { "" } else { "(filled in, since unset) " }
}
