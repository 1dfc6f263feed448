//! A template of the earlier jupyter-k8s -> a template of ours (pure).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::strategy::{self, Strategy};
use super::{metadata, table};
use crate::Error;
use crate::assemble::{Template, named, unexplained};
use crate::container::{Out, ROOT, container, needs_root, resources, variables};
use crate::draft::{Draft, Target};
use crate::judge::Judge;
use crate::ledger::{Fate, Ledger, Outcome};
use crate::names::hash;
use crate::path::Path;
use crate::pod_template::settle;
use crate::read::Object;
use crate::secrets::{Owner, Secrets};
use crate::table::{COMMON, Place, apply};

/// Longest name of an object.
const LONGEST: usize = 253;
/// Longest name for users.
const SHOWN: usize = 100;

/// Names of the templates here, in their order. Those of the old product have namespaces, and ours have none.
pub(super) fn names(templates: &[(usize, &Object)]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, template) in templates {
        *counts.entry(&template.name).or_default() += 1;
    }
    let mut used = BTreeSet::new();
    let mut names = Vec::new();
    for (_, template) in templates {
        let is_shared = counts.get(template.name.as_str()).is_some_and(|count| *count > 1);
        let mut name = if is_shared && !template.namespace.is_empty() {
            format!("{}-{}", template.namespace, template.name)
        } else {
            template.name.clone()
        };
        let is_another = name != template.name && counts.contains_key(name.as_str());
        if name.len() > LONGEST || is_another || used.contains(&name) {
            let id = format!("{} {}", template.group, template.title());
            let start = &name[..name.floor_char_boundary(LONGEST - 9)];
            name = format!("{}-{}", start.trim_end_matches(['-', '.']), hash(&id));
        }
        used.insert(name.clone());
        names.push(name);
    }
    names
}

/// Which template a workspace refers to: that of the namespace that it says, else its own, a cluster-wide one, or the only one of that name.
pub(super) fn find(templates: &[(usize, &Object)], workspace: &Object) -> Option<usize> {
    let (namespace, name) = metadata::reference(workspace, "spec.templateRef")?;
    let at = |namespace: &str| {
        let is_it = |group: Option<&str>| {
            templates.iter().position(|(_, it)| {
                it.name == name && it.namespace == namespace && group.is_none_or(|group| it.group == group)
            })
        };
        is_it(Some(&workspace.group)).or_else(|| is_it(None))
    };
    if let Some(namespace) = namespace {
        return at(namespace).or_else(|| at(""));
    }
    at(&workspace.namespace).or_else(|| at("")).or_else(|| {
        let mut found = templates
            .iter()
            .enumerate()
            .filter(|(_, (_, it))| it.name == name);
        let (first, _) = found.next()?;
        found.next().is_none().then_some(first)
    })
}

/// What a template needs.
pub(super) struct Context<'c> {
    /// The access strategy that it has, if the input holds it.
    pub(super) strategy: Option<&'c Strategy<'c>>,
    pub(super) judge: &'c Judge,
}

/// One template, called `name` here. `into`: namespaces of the workspaces that use it.
pub(super) fn convert(
    number: usize,
    object: &Object,
    name: &str,
    into: &BTreeSet<&str>,
    context: &Context<'_>,
    secrets: &mut Secrets,
    ledger: &mut Ledger,
) -> Result<Template, Error> {
    let mut draft = Draft::default();
    own(object, &mut draft);
    let place = Place::whole(number, &object.value);
    apply(
        &[COMMON, table::DEFAULT_IDLE, table::TEMPLATE],
        &place,
        ledger,
        &mut draft,
    );
    let metadata_name = Path::of("metadata.name");
    let leaf = (number, metadata_name.clone());
    draft.put([leaf], Target::Template, metadata_name, name);
    let gone = Fate::new(Outcome::Stays, "templates here belong to no namespace");
    ledger.tell(number, &Path::of("metadata.namespace"), &gone);
    metadata::maps(number, object, Target::Template, ledger, &mut draft);
    let strategy = "spec.defaultAccessStrategy";
    if metadata::reference(object, strategy).is_some() && context.strategy.is_some() {
        metadata::strategy(number, strategy, true, ledger);
    }
    metadata::last_use(object, "spec.defaultIdleShutdown", Target::Template, &mut draft);
    secrets.name(
        number,
        Owner {
            old: format!("workspacetemplates.{}/{}", object.group, object.name),
            uid: object.uid().map(str::to_owned),
            namespace: object.namespace.clone(),
            secret: format!("imported-template-{}", hash(name)),
            into: into.iter().map(|it| (*it).to_owned()).collect(),
        },
    );
    pod(&place, secrets, ledger, &mut draft);
    if let Some(strategy) = context.strategy {
        let mut out = Out {
            secrets,
            ledger,
            draft: &mut draft,
        };
        strategy::take(strategy, &mut out);
    }
    rules_of(&place, &mut draft);
    images(object, &mut draft);
    metadata::adapt(Target::Template, &mut draft);
    let check = |it: &Value| context.judge.template(&named(it));
    settle(&mut draft, check).map_err(|violation| unexplained(object, &violation))?;
    draft.tell(ledger, |_| format!("WorkspaceTemplate {name}"));
    Template::new(draft.build(Target::Template), context.judge)
}

/// What the old product does without a field. What the source says comes later, and counts.
fn own(object: &Object, draft: &mut Draft) {
    let version = format!("{}/{}", api::names::GROUP, api::names::VERSION);
    let shown: String = object.name.chars().take(SHOWN).collect();
    for (field, value) in [
        ("apiVersion", Value::from(version)),
        ("kind", "WorkspaceTemplate".into()),
        ("spec.displayName", shown.into()),
        ("spec.defaultAccessType", "Public".into()),
        ("spec.defaultOwnershipType", "Public".into()),
        // No template of the old product has bounds on them.
        ("spec.allowCustomScheduling", true.into()),
        ("spec.allowCustomSecurityContext", true.into()),
    ] {
        draft.put([], Target::Template, Path::of(field), value);
    }
}

/// Amounts, variables and init containers.
fn pod(place: &Place<'_>, secrets: &mut Secrets, ledger: &mut Ledger, draft: &mut Draft) {
    let amounts = Path::of("spec.defaultResources");
    resources(&place.at(&amounts), Target::Template, &amounts, draft);
    let mut out = Out {
        secrets,
        ledger,
        draft,
    };
    // The second is the first's name in the group workspaces.jupyter.org.
    for (field, offset) in [("spec.baseEnv", 0), ("spec.environmentVariables", 1000)] {
        let root = Path::of(field);
        let list = Place {
            offset,
            ..place.at(&root)
        };
        let dest = Path::of("spec.environmentVariables");
        variables(&list, (Target::Template, &dest), &[], &mut out);
    }
    containers(place, "spec.defaultInitContainers", Target::Template, &mut out);
}

/// Init containers, which have one field name in both products.
pub(super) fn containers(place: &Place<'_>, field: &str, to: Target, out: &mut Out<'_>) {
    let list = Path::of(field);
    let count = list.get(place.value).as_array().map_or(0, Vec::len);
    for index in 0..count {
        let at = list.index(index);
        if needs_root(at.get(place.value)) {
            out.ledger
                .tell(place.object, &at, &Fate::new(Outcome::Lost, ROOT));
            continue;
        }
        // The home has one name in both products; rules say what else an init container may mount.
        let volume = |name: &str| metadata::own_volume(name).or_else(|| Some(name.to_owned()));
        container(&place.at(&at), (to, &at), false, volume, &[], out);
    }
}

/// Rules for variables and labels, and labels of pods: here each is named by `name`.
fn rules_of(place: &Place<'_>, draft: &mut Draft) {
    for (field, names) in [
        ("spec.envRequirements", "name"),
        ("spec.labelRequirements", "key"),
        ("spec.baseLabels", "key"),
    ] {
        let list = Path::of(field);
        let items = list.get(place.value).as_array().into_iter().flatten();
        for (index, item) in items.enumerate() {
            let at = list.index(index);
            for (from, to) in [
                (names, "name"),
                ("required", "required"),
                ("regex", "regex"),
                ("value", "value"),
            ] {
                let value = match &item[from] {
                    Value::Null => continue,
                    Value::String(regex) if from == "regex" => whole(regex).into(),
                    value => value.clone(),
                };
                let leaf = (place.object, at.key(from));
                draft.put([leaf], Target::Template, at.key(to), value);
            }
        }
    }
}

/// A pattern for the whole value, of one that a part of it must match.
fn whole(regex: &str) -> String {
    if regex.is_empty() || regex.starts_with('^') && regex.ends_with('$') && !regex.contains('|') {
        regex.to_owned()
    } else {
        format!("(?s:.*)(?:{regex})(?s:.*)")
    }
}

/// The default image is allowed.
fn images(object: &Object, draft: &mut Draft) {
    let spec = &object.value["spec"];
    let allowed = spec["allowedImages"].as_array();
    let default = &spec["defaultImage"];
    if let Some(allowed) = allowed.filter(|allowed| !allowed.is_empty())
        && !allowed.contains(default)
        && default.is_string()
    {
        let at = Path::of("spec.allowedImages").index(allowed.len());
        draft.put([], Target::Template, at, default.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(group: &str, namespace: &str, name: &str) -> Object {
        Object {
            origin: String::new(),
            value: json!({}),
            group: group.to_owned(),
            kind: "WorkspaceTemplate".to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn names_stay_unless_they_collide() {
        let (first, second) = ("workspace.jupyter.org", "workspaces.jupyter.org");
        let long = "l".repeat(LONGEST);
        let all = [
            object(first, "a", "one"),
            object(first, "a", "b-c"),
            object(first, "b", "b-c"),
            object(first, "a-b", "c"),
            object(first, "a", "c"),
            object(first, "a", "a-c"),
            object(first, "a", "twice"),
            object(second, "a", "twice"),
            object(first, "a", &long),
            object(first, "b", &long),
            object(second, "", "wide"),
        ];
        let templates: Vec<_> = all.iter().enumerate().collect();
        let names = names(&templates);
        assert_eq!((names[0].as_str(), names[1].as_str()), ("one", "a-b-c"));
        assert_eq!(names[10], "wide");
        assert!(names.iter().all(|name| name.len() <= LONGEST), "{names:?}");
        let unlike: BTreeSet<_> = names.iter().collect();
        assert_eq!(unlike.len(), all.len(), "{names:?}");
        // The one that nothing collides with keeps its name, whatever becomes of another one.
        assert_eq!(names[5], "a-c");
    }

    #[test]
    fn a_pattern_matches_the_same_values_as_a_whole() {
        for (regex, expected) in [
            ("^a$", "^a$"),
            ("a", "(?s:.*)(?:a)(?s:.*)"),
            ("^a|b$", "(?s:.*)(?:^a|b$)(?s:.*)"),
            ("", ""),
        ] {
            assert_eq!(whole(regex), expected);
        }
    }
}
