//! Spec -> violation if it is too large to be stored, watched and recorded (pure).

use serde::Serialize;

use crate::violation::Violation;

/// Maximum size of a spec as JSON, in bytes.
const MAX_SPEC: usize = 64 * 1024;

/// Returns a violation if `spec`, of any of our kinds, is too large.
pub fn spec_size(spec: &impl Serialize) -> Option<Violation> {
    let size = serde_json::to_vec(spec).map_or(usize::MAX, |json| json.len());
    (size > MAX_SPEC).then(|| {
        let rule = format!("has {size} bytes as JSON, more than the maximum {MAX_SPEC}: make it smaller");
        Violation::new("spec", "", rule)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn exactly_64_kib_pass_and_one_byte_more_does_not() {
        let of_size = |size: usize| json!("x".repeat(size - 2));
        assert_eq!(spec_size(&of_size(65_536)), None);
        assert_eq!(spec_size(&of_size(65_537)).unwrap().field, "spec");
    }
}
