//! Places of parts, field of a violation -> the parts that it is about (pure).

use std::collections::BTreeMap;

use crate::path::{Path, Step};

/// Parts by their places, without brackets: an index counts as a name.
pub(crate) struct Places(BTreeMap<String, Vec<usize>>);

impl Places {
    pub(crate) fn new(places: Vec<(usize, Path)>) -> Self {
        let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, at) in places {
            found.entry(words(&at.to_string())).or_default().push(number);
        }
        Self(found)
    }

    /// The parts that a field of a violation is about: those at or below it, or that hold it; else those of the closest field around it.
    pub(crate) fn about(&self, field: &str) -> Vec<usize> {
        let mut field = words(field);
        while field.contains('.') {
            let below = self.0.range(field.clone()..);
            let below = below.take_while(|(at, _)| at.starts_with(&field));
            let below = below.filter(|(at, _)| is_below(at, &field));
            let around = field.match_indices('.').map(|(end, _)| &field[..end]);
            let around = around.filter_map(|at| self.0.get(at));
            let mut found: Vec<usize> = below
                .map(|(_, parts)| parts)
                .chain(around)
                .flatten()
                .copied()
                .collect();
            if !found.is_empty() {
                found.sort_unstable();
                return found;
            }
            field.truncate(field.rfind('.').unwrap_or(0));
        }
        Vec::new()
    }
}

/// A path without brackets.
pub(crate) fn words(text: &str) -> String {
    text.replace('[', ".").replace(']', "")
}

fn is_below(inner: &str, outer: &str) -> bool {
    inner
        .strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The item of a list whose value this is, or is part of: such as a variable, a label or a header.
pub(crate) fn named_item(at: &Path) -> Option<Path> {
    let is_value = |step: &Step| matches!(step, Step::Key(key) if ["value", "valueFrom"].contains(&&**key));
    let place =
        at.0.windows(2)
            .rposition(|pair| matches!(pair, [Step::Index(_), value] if is_value(value)))?;
    Some(Path(at.0[..=place].to_vec()))
}
