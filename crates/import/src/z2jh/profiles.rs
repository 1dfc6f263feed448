//! `singleuser` and its `profileList` -> profiles with their settings and choices (pure).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::options::{Names, OVERRIDES, ProfileOption};
use super::out::Out;
use super::template::is_of_hub;
use super::traits::{Leaf, Traits};
use super::{Hub, amounts};
use crate::assemble::named;
use crate::draft::Target;
use crate::ledger::{Ledger, NO_FIELD, Outcome};
use crate::path::{Path, Step, matches};
use crate::table::is_empty;

/// What a choice may change: image and amounts.
pub(super) const OF_CHOICE: [&str; 7] = [
    "image",
    "cpu_guarantee",
    "cpu_limit",
    "mem_guarantee",
    "mem_limit",
    "extra_resource_guarantees",
    "extra_resource_limits",
];

const FORM: &str = "the hub's form: our spawner shows it, too";
const NO_RULE: &str = "the template's allowCustomImages lets its users choose any image, not only those that match a rule: list images in allowedImages";
const WHO: &str = "Roles say who uses a template: bind the verb use of this one to the group, and take it from the others, in rights.yaml";
const CHOICE: &str = "a choice beside one that users type changes image and amounts alone, and each other one nodes and tolerations, too: make a profile of each of these choices, and import again";

/// A profile, or `singleuser` where there is none.
pub(super) struct Profile {
    /// Where it is; `None`: it is `singleuser` itself.
    pub(super) at: Option<Path>,
    pub(super) traits: Traits,
    pub(super) is_default: bool,
    /// Names of the settings that it overrides.
    pub(super) overridden: Vec<String>,
    pub(super) options: Vec<ProfileOption>,
}

impl Profile {
    /// Names of the options that its template has.
    pub(super) fn of_template(&self, template: &Value) -> Vec<Names> {
        let options = self.options.iter().filter(|option| option.is_of_template);
        options.map(|option| option.names(template)).collect()
    }

    /// Names of the settings that choices override and must not.
    pub(super) fn lost_choices(&self, value: &Value) -> Vec<String> {
        let unlisted = self.unlisted();
        let fields = self.choices().chain(&unlisted);
        let fields = fields.flat_map(|at| OVERRIDES.map(|field| at.key(field)));
        let names = fields.flat_map(|at| at.get(value).as_object().cloned().unwrap_or_default());
        let names = names.map(|(name, _)| name);
        names.filter(|name| !OF_CHOICE.contains(&name.as_str())).collect()
    }

    fn choices(&self) -> impl Iterator<Item = &Path> {
        self.options.iter().flat_map(|option| &option.choices)
    }

    /// Choices that users type.
    fn unlisted(&self) -> Vec<Path> {
        let options = self.options.iter();
        options.map(|option| option.at.key("unlisted_choice")).collect()
    }
}

/// The profiles, in their order; one of them is the default one.
pub(super) fn all(hub: Hub, object: usize, value: &Value, at: &Path, ledger: &Ledger) -> Vec<Profile> {
    let common = Traits::of_values(object, value, at, ledger);
    let list = at.key("profileList");
    let mut profiles: Vec<_> = children(list.get(value), &list)
        .into_iter()
        .filter(|at| at.get(value).is_object())
        .map(|at| profile(hub, object, value, at, common.clone(), ledger))
        .collect();
    if !profiles.iter().any(|profile| profile.is_default)
        && let Some(first) = profiles.first_mut()
    {
        first.is_default = true;
    }
    if profiles.is_empty() {
        profiles.push(Profile {
            at: None,
            traits: common,
            is_default: true,
            overridden: Vec::new(),
            options: Vec::new(),
        });
    }
    profiles
}

/// Where the hub stays, the template has what the default choices set: its form says the rest at each start. A choice of a template's option lays
/// its own values over the template, and takes none away. So such default choices are not in there, but for an image where nothing else names one.
fn profile(hub: Hub, object: usize, value: &Value, at: Path, mut traits: Traits, ledger: &Ledger) -> Profile {
    let mut overridden = Vec::new();
    for field in OVERRIDES {
        let at = at.key(field);
        traits.lay(object, value, &at, ledger, |_| true);
        overridden.extend(
            at.get(value)
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone()),
        );
    }
    let has_image = traits.one("image").is_some();
    let is_laid = |name: &str, of_template: bool| match hub {
        Hub::Keep if !of_template => OF_CHOICE.contains(&name),
        _ => name == "image" && !has_image,
    };
    let mut options = Vec::new();
    for at in of_map(&at.key("profile_options"), value) {
        let choices = of_map(&at.key("choices"), value);
        let option = ProfileOption::new(hub, at, choices, value);
        for field in OVERRIDES {
            if let Some(default) = option.choices.get(option.default) {
                let at = default.key(field);
                traits.lay(object, value, &at, ledger, |name| {
                    is_laid(name, option.is_of_template)
                });
            }
        }
        options.push(option);
    }
    Profile {
        is_default: at.get(value)["default"] == true,
        at: Some(at),
        traits,
        overridden,
        options,
    }
}

/// What an entry says beside its overrides. Returns the amounts that its choices need.
pub(super) fn entry(profile: &Profile, value: &Value, out: &mut Out<'_>) -> Vec<Value> {
    let Some(at) = &profile.at else {
        return Vec::new();
    };
    let fields: &[&str] = match out.hub {
        Hub::Keep => &["slug", "default", "profile_options"],
        Hub::Replace => &["slug", "default"],
    };
    for field in fields {
        let text = match out.hub {
            Hub::Keep => FORM,
            Hub::Replace if *field == "default" => {
                "the hub's form: where it is true, workspaces of homes have this profile's template"
            }
            Hub::Replace => "names it in the hub's form",
        };
        for path in out.ledger.leaves(out.object, &at.key(field)) {
            let is_choice = *field == "profile_options"
                && path
                    .0
                    .iter()
                    .any(|step| matches!(step, Step::Key(key) if OVERRIDES.contains(&&**key)));
            let leaf = leaf(&path, value);
            if is_empty(&leaf.value) {
                out.tell([&leaf], Outcome::SameByDefault, "it is empty");
            } else if !is_choice {
                out.tell([&leaf], Outcome::Stays, text);
            }
        }
    }
    let description = at.key("description");
    if let Some(text) = description.get(value).as_str().filter(|text| !text.is_empty()) {
        let at = Path::of("spec.description");
        out.put(&leaf(&description, value), Target::Template, at, text);
    }
    choices(profile, value, out)
}

/// Images that the template allows, and the amounts of each choice.
fn choices(profile: &Profile, value: &Value, out: &mut Out<'_>) -> Vec<Value> {
    let mut images: BTreeMap<String, Vec<Leaf>> = BTreeMap::new();
    let mut needed = Vec::new();
    let choices = profile.options.iter();
    let choices = choices.flat_map(|option| {
        option
            .choices
            .iter()
            .map(move |choice| (choice, option.is_of_template))
    });
    for (choice, of_template) in choices {
        for field in OVERRIDES {
            let root = choice.key(field);
            let mut resources = json!({});
            for path in out.ledger.leaves(out.object, &root) {
                let leaf = leaf(&path, value);
                let name = path.below(&root).and_then(|below| below.first());
                let Some(Step::Key(name)) = name.filter(|_| !is_empty(&leaf.value)) else {
                    out.tell([&leaf], Outcome::SameByDefault, "it is empty");
                    continue;
                };
                match (&**name, leaf.value.as_str()) {
                    ("image", Some(image)) if !of_template => {
                        images.entry(image.to_owned()).or_default().push(leaf);
                    }
                    (name, _) if OF_CHOICE.contains(&name) && name != "image" => {
                        amount(&leaf, &path, name, &mut resources, out);
                    }
                    (name, _) if out.hub == Hub::Keep && is_of_hub(name) => {
                        out.tell([&leaf], Outcome::Stays, FORM);
                    }
                    _ if of_template => {}
                    _ => out.lose([&leaf], CHOICE),
                }
            }
            needed.push(resources);
        }
    }
    if let Some(own) = profile.traits.one("image")
        && !images.is_empty()
        && let Some(image) = own.value.as_str()
    {
        images.entry(image.to_owned()).or_default().push(own.clone());
    }
    for (index, (image, leaves)) in images.iter().enumerate() {
        for leaf in leaves {
            let at = Path::of("spec.allowedImages").index(index);
            out.put(leaf, Target::Template, at, image.as_str());
        }
    }
    for at in profile.unlisted() {
        unlisted(&at, value, out);
    }
    needed
}

/// What becomes of what a profile says to the form of a hub that goes. `steps`: below the list of profiles.
pub(super) fn of_form(steps: &[Step]) -> (Outcome, &'static str) {
    let patterns: [(&[&str], Outcome, &str); 3] = [
        (
            &[
                "*.allowed_groups",
                "*.profile_allowed_groups",
                "*.allowed_users",
                "*.groups",
                "*.users",
            ],
            Outcome::Lost,
            WHO,
        ),
        (
            &["*.profile_options.*.choices.*.slug"],
            Outcome::Stays,
            "names it in the hub's form",
        ),
        (
            &[
                "*.profile_options.*.unlisted_choice.display_name",
                "*.profile_options.*.unlisted_choice.display_name_in_choices",
                "*.profile_options.*.unlisted_choice.description_in_choices",
                "*.profile_options.*.unlisted_choice.validation_message",
            ],
            Outcome::Stays,
            "a text of the hub's form",
        ),
    ];
    let found = patterns
        .iter()
        .find(|(patterns, ..)| patterns.iter().any(|pattern| matches(pattern, steps)));
    found.map_or((Outcome::Lost, NO_FIELD), |(_, outcome, words)| {
        (*outcome, *words)
    })
}

/// Whether the steps below the list of profiles are in an override of a profile.
pub(super) fn is_override(steps: &[Step]) -> bool {
    matches!(steps.get(1), Some(Step::Key(key)) if OVERRIDES.contains(&&**key))
}

/// An amount of a choice.
fn amount(leaf: &Leaf, path: &Path, name: &str, resources: &mut Value, out: &mut Out<'_>) {
    let (resource, amount) = match name {
        "cpu_guarantee" | "cpu_limit" => ("cpu".to_owned(), amounts::processors(&leaf.value)),
        "mem_guarantee" | "mem_limit" => ("memory".to_owned(), amounts::bytes(&leaf.value)),
        _ => match path.0.last() {
            Some(Step::Key(key)) if **key != *name => (key.to_string(), amounts::count(&leaf.value)),
            _ => (String::new(), None),
        },
    };
    let Some(amount) = amount else {
        return out.lose([leaf], "must be an amount, such as 0.5, 2 or 4G");
    };
    let map = if name.ends_with("_limit") || name.ends_with("_limits") {
        "limits"
    } else {
        "requests"
    };
    let alone = json!({map: {&resource: amount}});
    let spec = json!({"displayName": "one", "defaultImage": "one", "defaultResources": alone});
    let found = out.judge.template(&named(&json!({"spec": spec})));
    if let Some(violation) = found.first() {
        return out.lose([leaf], &violation.message);
    }
    resources[map][&resource] = amount.into();
    let text = "the resourceBounds of its profile's template";
    out.tell([leaf], Outcome::Template, text);
}

/// A choice that users type: an image of the workspace, where no rule of the hub's form bounds it.
fn unlisted(at: &Path, value: &Value, out: &mut Out<'_>) {
    let given = at.get(value);
    let is_on = given["enabled"] == true;
    let has_rule = !is_empty(&given["validation_regex"]);
    let allowed = Path::of("spec.allowCustomImages");
    let enabled = at.key("enabled");
    let rule = at.key("validation_regex");
    if out.hub == Hub::Replace && has_rule {
        let rule = leaf(&rule, value);
        if is_on {
            out.lose([&rule], NO_RULE);
        } else {
            out.tell([&rule], Outcome::SameByDefault, "it is off");
        }
    }
    if out.hub == Hub::Replace && !enabled.get(value).is_null() {
        let leaf = leaf(&enabled, value);
        match is_on {
            true if !has_rule => out.put(&leaf, Target::Template, allowed.clone(), true),
            true => out.lose([&leaf], NO_RULE),
            false => out.tell([&leaf], Outcome::SameByDefault, "it is off"),
        }
    }
    for field in OVERRIDES {
        let root = at.key(field);
        for path in out.ledger.leaves(out.object, &root) {
            let leaf = leaf(&path, value);
            if is_empty(&leaf.value) {
                out.tell([&leaf], Outcome::SameByDefault, "it is empty");
            } else if path.below(&root) != Some(&[Step::Key("image".into())]) {
                out.lose([&leaf], CHOICE);
            } else if !is_on {
                out.tell([&leaf], Outcome::SameByDefault, "it is off");
            } else if out.hub == Hub::Replace && (has_rule || leaf.value != "{value}") {
                out.lose([&leaf], NO_RULE);
            } else {
                out.put(&leaf, Target::Template, allowed.clone(), true);
            }
        }
    }
}

/// A leaf of its own.
fn leaf(path: &Path, value: &Value) -> Leaf {
    Leaf {
        below: Vec::new(),
        from: vec![path.clone()],
        value: path.get(value).clone(),
    }
}

/// Paths of the items of a list, or of a map.
fn children(value: &Value, at: &Path) -> Vec<Path> {
    match value {
        Value::Array(items) => (0..items.len()).map(|index| at.index(index)).collect(),
        Value::Object(items) => {
            let mut keys: Vec<_> = items.keys().collect();
            keys.sort();
            keys.into_iter().map(|key| at.key(key)).collect()
        }
        _ => Vec::new(),
    }
}

/// Paths of the values of a map.
fn of_map(at: &Path, value: &Value) -> Vec<Path> {
    let found = at.get(value);
    if found.is_object() {
        children(found, at)
    } else {
        Vec::new()
    }
}
