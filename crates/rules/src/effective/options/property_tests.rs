//! Random options and maps -> what a second way to choose gives (tests).

use std::collections::BTreeMap;

use api::template::{OptionChoice, TemplateOption, When};
use api::{WorkspaceTemplate, WorkspaceTemplateSpec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use testkit::random::{workspace, workspace_spec};

use super::tests::{judged, template};
use super::{Chosen, offered, resolve};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const CHOICES: [&str; 3] = ["x", "y", "z"];

/// A condition on options before the one with this index.
fn when(index: usize) -> impl Strategy<Value = When> {
    let names = prop::sample::subsequence(NAMES[..index].to_vec(), 0..=index.min(2));
    let choices = prop::sample::subsequence(CHOICES.to_vec(), 1..=2);
    (names, prop::collection::vec(choices, 2)).prop_map(|(names, choices)| {
        let all = names.into_iter().zip(choices);
        all.map(|(name, choices)| (name.to_owned(), choices.into_iter().map(str::to_owned).collect()))
            .collect()
    })
}

fn random_options() -> impl Strategy<Value = Vec<TemplateOption>> {
    let option = |index: usize| {
        let choice = (when(index), any::<bool>(), 0..SETS);
        (when(index), prop::collection::vec(choice, 1..=3)).prop_map(move |(when, choices)| {
            let choices = choices
                .into_iter()
                .enumerate()
                .map(|(number, (when, default, set))| OptionChoice {
                    name: CHOICES[number].to_owned(),
                    default,
                    when,
                    set: serde_json::from_value(value_of(set)).unwrap(),
                });
            TemplateOption {
                name: NAMES[index].to_owned(),
                when,
                choices: choices.collect(),
            }
        })
    };
    let all = (option(0), option(1), option(2), option(3)).prop_map(|(a, b, c, d)| vec![a, b, c, d]);
    (all, 0..=4_usize).prop_map(|(mut all, length)| {
        all.truncate(length);
        all
    })
}

fn random_map() -> impl Strategy<Value = BTreeMap<String, String>> {
    let choice = prop::sample::select(["x", "y", "z", "other"].as_slice()).prop_map(str::to_owned);
    let name = prop::sample::select(["a", "b", "c", "d", "e"].as_slice()).prop_map(str::to_owned);
    prop::collection::btree_map(name, choice, 0..4)
}

const SETS: usize = 12;

/// What a choice sets.
fn value_of(number: usize) -> Value {
    match number {
        0 => Value::Null,
        1 => json!({}),
        2 => json!({"image": "r/one:1", "variables": {"course": "one", "more": "one"}}),
        3 => json!({"image": "r/two:1", "command": ["two"]}),
        4 => json!({"args": ["--three"], "variables": {"course": "three"}}),
        5 => json!({"command": ["four"], "args": ["--{course}"]}),
        6 => json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "3", "nvidia.com/gpu": "1"}}}),
        7 => {
            json!({"resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}}})
        }
        8 => {
            json!({"nodeSelector": {"pool": "eight", "zone": "{course}"}, "podLabels": {"team": "eight", "x": "y"}})
        }
        9 => {
            json!({"nodeSelector": {"pool": "nine"}, "tolerations": [{"key": "nine", "operator": "Exists"}]})
        }
        10 => json!({"affinity": {"nodeAffinity": {}}, "shmSize": "64Mi", "podLabels": {"team": "{course}"}}),
        _ => json!({"env": [{"name": "A", "value": "{course}"}, {"name": "B", "value": "eleven"}]}),
    }
}

fn base() -> Value {
    json!({
        "displayName": "t", "defaultImage": "r/plain:1", "allowedImages": ["r/plain:1"],
        "defaultContainerConfig": {"command": ["base"], "args": ["--base"]},
        "defaultResources": {"requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
        "defaultNodeSelector": {"pool": "base"},
        "baseLabels": [{"name": "team", "value": "base"}],
        "environmentVariables": [{"name": "A", "value": "base"}],
    })
}

/// Lays a choice over a template by hand, in JSON.
fn merge_by_hand(template: &mut Value, set: &Value) {
    let by_name = |list: &mut Value, entry: &Value| {
        let list = list.as_array_mut().unwrap();
        match list.iter_mut().find(|known| known["name"] == entry["name"]) {
            Some(known) => *known = entry.clone(),
            None => list.push(entry.clone()),
        }
    };
    let empty = Map::new();
    for (field, value) in set.as_object().unwrap_or(&empty) {
        match field.as_str() {
            "image" => template["defaultImage"] = value.clone(),
            "command" => {
                template["defaultContainerConfig"] =
                    json!({"command": value, "args": set["args"].as_array().cloned().unwrap_or_default()});
            }
            "args" => template["defaultContainerConfig"]["args"] = value.clone(),
            "resources" => json_patch::merge(&mut template["defaultResources"], value),
            "nodeSelector" => json_patch::merge(&mut template["defaultNodeSelector"], value),
            "affinity" => template["defaultAffinity"] = value.clone(),
            "shmSize" => template["defaultShmSize"] = value.clone(),
            "tolerations" if template["defaultTolerations"] == *value => {}
            "tolerations" => template["defaultTolerations"] = value.clone(),
            "env" => value
                .as_array()
                .unwrap()
                .iter()
                .for_each(|it| by_name(&mut template["environmentVariables"], it)),
            "podLabels" => {
                for (name, value) in value.as_object().unwrap() {
                    by_name(
                        &mut template["baseLabels"],
                        &json!({"name": name, "value": value}),
                    );
                }
            }
            "variables" => {}
            other => unreachable!("{other}"),
        }
    }
}

/// All ways to choose, each tried against the rule itself.
fn choose_by_trying(
    options: &[TemplateOption],
    given: &BTreeMap<String, String>,
) -> Option<BTreeMap<String, String>> {
    let mut all = vec![BTreeMap::new()];
    for option in options {
        let mut longer = all.clone();
        for choice in &option.choices {
            longer.extend(all.iter().cloned().map(|mut map: BTreeMap<String, String>| {
                map.insert(option.name.clone(), choice.name.clone());
                map
            }));
        }
        all = longer;
    }
    let fits = |map: &BTreeMap<String, String>| {
        let holds = |when: &When| {
            when.iter()
                .all(|(name, choices)| map.get(name).is_some_and(|choice| choices.contains(choice)))
        };
        options.iter().all(|option| {
            let left: Vec<_> = option
                .choices
                .iter()
                .filter(|it| holds(&option.when) && holds(&it.when))
                .collect();
            let default = left
                .iter()
                .find(|choice| choice.default)
                .map(|choice| &choice.name);
            let wanted = given.get(&option.name).or(default);
            match map.get(&option.name) {
                None => left.is_empty(),
                Some(choice) => Some(choice) == wanted && left.iter().any(|it| it.name == *choice),
            }
        })
    };
    let mut fitting = all.into_iter().filter(fits);
    let found = fitting.next()?;
    assert_eq!(fitting.next(), None, "there is at most one way");
    given.keys().all(|name| found.contains_key(name)).then_some(found)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_chosen_is_the_one_way_that_fits(options in random_options(), given in random_map()) {
        let spec = WorkspaceTemplateSpec { options, ..WorkspaceTemplateSpec::default() };
        let found = resolve(&spec, &given);
        let accepted = found.violations.is_empty().then(|| found.names());
        prop_assert_eq!(accepted, choose_by_trying(&spec.options, &given));
    }

    #[test]
    fn what_is_offered_is_what_may_be_chosen(options in random_options(), given in random_map()) {
        let spec = WorkspaceTemplateSpec { options, ..WorkspaceTemplateSpec::default() };
        let shown = offered(&spec, &given);
        for (index, option) in spec.options.iter().enumerate() {
            let shown = shown.iter().find(|it| it.name == option.name);
            for choice in &option.choices {
                // What is chosen after it may have to change with it.
                let before = &spec.options[..index];
                let mut wanted = given.clone();
                wanted.retain(|name, _| before.iter().any(|option| option.name == *name));
                wanted.insert(option.name.clone(), choice.name.clone());
                let is_taken = resolve(&spec, &wanted).names().get(&option.name) == Some(&choice.name);
                let is_shown = shown.is_some_and(|it| it.choices.iter().any(|it| it.name == choice.name));
                prop_assert_eq!(is_taken, is_shown, "{} {}", option.name, choice.name);
            }
        }
        let chosen = shown.iter().filter_map(|it| Some((it.name.to_owned(), it.chosen()?.name.to_owned())));
        prop_assert_eq!(chosen.collect::<BTreeMap<_, _>>(), resolve(&spec, &given).names());
    }

    #[test]
    fn choices_are_refused_or_give_what_the_template_merged_by_hand_gives(
        options in random_options(), given in random_map(), spec in workspace_spec(false)
    ) {
        let mut own = spec;
        own["templateRef"] = json!("t");
        own["variables"] = json!({"more": "own"});
        let mut with_options = own.clone();
        with_options["options"] = json!(given);
        let mut of_template = base();
        of_template["options"] = json!(options);
        let spec: WorkspaceTemplateSpec = serde_json::from_value(of_template.clone()).unwrap();
        let template = WorkspaceTemplate { metadata: template(json!({})).metadata, spec, status: None };
        let found = judged(&workspace(with_options, true), &template);
        let resolution = resolve(&template.spec, &given);
        let refused = found.violations.iter().flat_map(crate::Violations::iter);
        let refused: Vec<_> = refused.filter(|it| it.field.starts_with("spec.options[")).cloned().collect();
        prop_assert_eq!(&refused, &resolution.violations);
        if !refused.is_empty() {
            return Ok(());
        }
        let mut by_hand = base();
        let mut variables = json!({});
        for Chosen { choice, .. } in &resolution.chosen {
            let set = json!(choice.set);
            merge_by_hand(&mut by_hand, &set);
            json_patch::merge(&mut variables, &set["variables"].as_object().map_or_else(|| json!({}), |it| json!(it)));
        }
        json_patch::merge(&mut variables, &json!({"more": "own"}));
        own["variables"] = variables;
        let by_hand = WorkspaceTemplate { spec: serde_json::from_value(by_hand).unwrap(), ..template };
        prop_assert_eq!(found.effective, judged(&workspace(own, true), &by_hand).effective);
    }
}
