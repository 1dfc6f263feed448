//! `spec.variables` of a workspace -> invalid names and values (pure).

use std::collections::BTreeMap;

use crate::effective::variables::{is_built_in, is_name};
use crate::violation::Violation;

/// Maximum length of a name, in characters.
const MAX_NAME: usize = 63;

pub(super) fn given(variables: &BTreeMap<String, String>) -> Vec<Violation> {
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
            Some(Violation::new(format!("spec.variables[{}]", name.escape_debug()), name, rule))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ours_and_illegal_ones_are_refused() {
        let given_names = |names: &[&str]| {
            given(
                &names
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
