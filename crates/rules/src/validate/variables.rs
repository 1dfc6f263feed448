//! `spec.variables` of a workspace, or those of a choice -> invalid names (pure).

use std::collections::BTreeMap;

use crate::effective::variables::{is_built_in, is_name};
use crate::violation::Violation;

/// Maximum length of a name, in characters.
const MAX_NAME: usize = 63;

/// Checks the names of the variables at `path`.
pub(super) fn names(path: &str, variables: &BTreeMap<String, String>) -> Vec<Violation> {
    variables
        .keys()
        .filter_map(|name| {
            let rule = if is_built_in(name) {
                "is a variable that the operator sets: choose another name"
            } else if !is_name(name) || name.len() > MAX_NAME {
                "cannot be the name of a variable: use at most 63 letters, digits, '_' and '-', if need be joined by dots, \
                 each part starting with a letter or '_'"
            } else {
                return None;
            };
            Some(Violation::new(format!("{path}[{}]", name.escape_debug()), name, rule))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ours_and_illegal_ones_are_refused() {
        let given_names = |given: &[&str]| {
            names(
                "spec.variables",
                &given
                    .iter()
                    .map(|name| ((*name).to_owned(), String::new()))
                    .collect(),
            )
            .len()
        };
        assert_eq!(given_names(&["course", "a.b", "_x", "workspace", "A-1"]), 0);
        assert_eq!(
            given_names(&["workspace.name", "pvcs.x", "", "1a", "a b", "{a}", "a..b"]),
            7
        );
    }
}
