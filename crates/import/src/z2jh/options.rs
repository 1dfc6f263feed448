//! `profile_options` of a profile -> options of its template (pure).
//!
//! Where the hub's form goes, all of them; else those that a workspace cannot say.

use serde_json::Value;

use super::out::{Out, list};
use super::traits::{Leaf, Traits};
use super::{Hub, env, template};
use crate::draft::Target;
use crate::names::hash;
use crate::path::{Path, Step};
use crate::table::is_empty;

/// Fields with overrides; the later one counts.
pub(super) const OVERRIDES: [&str; 2] = ["kubespawner_override", "spawner_override"];
/// Longest name of an option or a choice.
const LONGEST: usize = 63;
/// What a choice of a hub that stays says by the template alone.
const OF_TEMPLATE: [&str; 2] = ["node_selector", "tolerations"];
const CHOICE: &str = "a choice sets image, amounts, node_selector, tolerations, environment and extra_labels: make a profile of this one, and import again";

/// An option of a profile.
pub(super) struct ProfileOption {
    pub(super) at: Path,
    pub(super) choices: Vec<Path>,
    /// Which of the choices counts if nobody chooses.
    pub(super) default: usize,
    /// Whether the template has it.
    pub(super) is_of_template: bool,
}

/// What an option and its choices are called in the hub's form, and in the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) key: String,
    pub(super) name: String,
    /// Those that the template has.
    pub(super) choices: Vec<(String, String)>,
}

impl ProfileOption {
    pub(super) fn new(hub: Hub, at: Path, choices: Vec<Path>, value: &Value) -> Self {
        let default = choices.iter().position(|at| at.get(value)["default"] == true);
        let says = |at: &Path| {
            let overrides = OVERRIDES.map(|field| at.key(field));
            OF_TEMPLATE
                .iter()
                .any(|name| overrides.iter().any(|at| !is_empty(&at.get(value)[*name])))
        };
        // What a user types has no choice that a template could have.
        let is_open = at.get(value)["unlisted_choice"]["enabled"] == true;
        let is_of_template = match hub {
            Hub::Keep => !is_open && choices.iter().any(says),
            Hub::Replace => !choices.is_empty(),
        };
        Self {
            at,
            choices,
            default: default.unwrap_or(0),
            is_of_template,
        }
    }

    /// Its names, with the choices that came over into `template`.
    pub(super) fn names(&self, template: &Value) -> Names {
        let list = |value: &Value, field: &str| value[field].as_array().cloned().unwrap_or_default();
        let ours = name(&self.at);
        let found = list(&template["spec"], "options")
            .into_iter()
            .find(|option| option["name"] == *ours);
        let made = list(&found.unwrap_or_default(), "choices");
        let choices = self.choices.iter().map(|at| (key(at).to_owned(), name(at)));
        Names {
            key: key(&self.at).to_owned(),
            name: ours,
            choices: choices
                .filter(|(_, name)| made.iter().any(|choice| choice["name"] == **name))
                .collect(),
        }
    }
}

/// Takes the options that the template has.
pub(super) fn take(options: &[ProfileOption], value: &Value, out: &mut Out<'_>) {
    let options = options.iter().filter(|option| option.is_of_template);
    let amounts = out.draft.build(Target::Template)["spec"]["defaultResources"].clone();
    for (index, option) in options.enumerate() {
        let dest = Path::of("spec.options").index(index);
        let name = name(&option.at);
        let shown = Path::of("spec.presentation.options").key(&name);
        title(&option.at, value, &shown, out);
        let mut of_option = Vec::new();
        for (index, at) in option.choices.iter().enumerate() {
            let dest = dest.key("choices").index(index);
            let name = self::name(at);
            title(at, value, &shown.key("choices").key(&name), out);
            let from = choice(at, value, (&dest, &amounts), out);
            // With all that it sets, the choice is lost.
            let default = (index == option.default).then_some(true);
            for (field, value) in [
                ("name", Some(Value::from(name))),
                ("default", default.map(Value::from)),
            ] {
                if let Some(value) = value {
                    out.draft
                        .put(from.clone(), Target::Template, dest.key(field), value);
                }
            }
            of_option.extend(from);
        }
        out.draft.put(of_option, Target::Template, dest.key("name"), name);
    }
}

/// What a choice sets, over these amounts. Returns its leaves.
fn choice(
    at: &Path,
    value: &Value,
    (dest, amounts): (&Path, &Value),
    out: &mut Out<'_>,
) -> Vec<(usize, Path)> {
    let mut traits = Traits::default();
    let is_laid = |name: &str| out.hub == Hub::Replace || !template::is_of_hub(name);
    for field in OVERRIDES {
        traits.lay(out.object, value, &at.key(field), out.ledger, is_laid);
    }
    let mut from: Vec<Path> = traits
        .0
        .values()
        .flatten()
        .flat_map(|leaf| leaf.from.clone())
        .collect();
    if out.hub == Hub::Replace {
        from.extend(out.ledger.leaves(out.object, &at.key("default")));
    }
    let set = dest.key("set");
    for leaf in traits.take("image") {
        out.put(&leaf, Target::Template, set.key("image"), leaf.value.clone());
    }
    template::amounts(&mut traits, &set.key("resources"), amounts, out);
    let at = set.key("nodeSelector");
    out.shift(&traits.take("node_selector"), Target::Template, &at);
    list(&traits.take("tolerations"), &set.key("tolerations"), 0, out);
    env::take(&traits.take("environment"), &set.key("env"), out);
    let at = set.key("podLabels");
    out.shift(&traits.take("extra_labels"), Target::Template, &at);
    let names: Vec<_> = traits.0.keys().cloned().collect();
    for name in names {
        out.lose(&traits.take(&name), CHOICE);
    }
    from.into_iter().map(|path| (out.object, path)).collect()
}

/// The key at the end of a path.
fn key(at: &Path) -> &str {
    match at.0.last() {
        Some(Step::Key(key)) => key,
        _ => "",
    }
}

/// The name of an option or a choice: its key, or a hash of it.
fn name(at: &Path) -> String {
    let key = key(at);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let begins = key.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && key.len() <= LONGEST && key.chars().all(is_plain) {
        key.to_owned()
    } else {
        format!("o-{}", hash(key))
    }
}

/// How users see it.
fn title(at: &Path, value: &Value, shown: &Path, out: &mut Out<'_>) {
    for (field, ours) in [("display_name", "displayName"), ("description", "description")] {
        let from = at.key(field);
        let text = from.get(value).clone();
        if text.as_str().is_some_and(|text| !text.is_empty()) {
            let leaf = Leaf {
                below: Vec::new(),
                from: vec![from],
                value: text,
            };
            out.put(&leaf, Target::Template, shown.key(ours), leaf.value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_options_cannot_have_are_hashes() {
        let long = "a".repeat(64);
        for (key, expected) in [
            ("image", Some("image")),
            ("A.b_c-1", Some("A.b_c-1")),
            ("_a", None),
            ("a b", None),
            (long.as_str(), None),
        ] {
            let found = name(&Path::default().key(key));
            assert_eq!(
                found,
                expected.map_or_else(|| format!("o-{}", hash(key)), str::to_owned)
            );
        }
    }
}
