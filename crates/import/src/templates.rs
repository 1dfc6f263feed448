//! Workspaces whose pods are equal but for image and amounts -> one template (pure).

use std::collections::{BTreeMap, BTreeSet};

use rules::{Quantity, is_gpu};
use serde_json::{Map, Value, json};

use crate::names::hash;

/// Most templates.
const TEMPLATES: usize = 20;
/// Most images of a template.
const IMAGES: usize = 50;

/// How objects of a source are called here.
pub(crate) struct Style {
    /// Before the hash in names of templates and execution profiles.
    pub(crate) prefix: &'static str,
    /// Before the image in a template's displayed name.
    pub(crate) title: &'static str,
    /// What to do where no owner is known.
    pub(crate) no_owner: &'static str,
}

/// What one workspace needs of a template.
pub(crate) struct Need {
    /// The template's spec without images, amounts and names.
    pub(crate) spec: Value,
    pub(crate) image: String,
    /// The Workspace's `resources`.
    pub(crate) resources: Value,
}

/// Templates, and for each need the index of its template; `None`: there are too many kinds of pods, and its kind is among the rarest.
pub(crate) fn group(needs: &[Need], style: &Style) -> (Vec<Value>, Vec<Option<usize>>) {
    let mut groups: BTreeMap<(String, BTreeSet<&str>), Vec<usize>> = BTreeMap::new();
    for (index, need) in needs.iter().enumerate() {
        // A template without GPUs gives none to those who had none.
        let names = amounts(&need.resources).map(|(name, ..)| name);
        let devices = names.filter(|name| name.contains('/')).collect();
        groups
            .entry((need.spec.to_string(), devices))
            .or_default()
            .push(index);
    }
    let mut groups: Vec<Vec<usize>> = groups
        .into_values()
        .flat_map(|group| by_images(needs, &group))
        .collect();
    groups.sort_by_key(|group| (usize::MAX - group.len(), group.first().copied()));
    let mut of_need = vec![None; needs.len()];
    let mut templates = Vec::new();
    for group in groups.iter().take(TEMPLATES) {
        for index in group {
            of_need[*index] = Some(templates.len());
        }
        let members: Vec<_> = group.iter().map(|index| &needs[*index]).collect();
        templates.push(template(&members, style));
    }
    (templates, of_need)
}

/// Parts of a group that a template has room for.
fn by_images(needs: &[Need], group: &[usize]) -> Vec<Vec<usize>> {
    let images: BTreeSet<&str> = group.iter().map(|index| needs[*index].image.as_str()).collect();
    let places: BTreeMap<&str, usize> = images
        .into_iter()
        .enumerate()
        .map(|(at, image)| (image, at / IMAGES))
        .collect();
    let mut parts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for index in group {
        let place = places
            .get(needs[*index].image.as_str())
            .copied()
            .unwrap_or_default();
        parts.entry(place).or_default().push(*index);
    }
    parts.into_values().collect()
}

fn template(members: &[&Need], style: &Style) -> Value {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for need in members {
        *counts.entry(&need.image).or_default() += 1;
    }
    let usual = counts
        .iter()
        .max_by_key(|(image, count)| (**count, std::cmp::Reverse(**image)));
    let usual = usual.map_or("", |(image, _)| image);
    let mut spec = members
        .first()
        .and_then(|need| need.spec.as_object().cloned())
        .unwrap_or_default();
    let name = usual.rsplit('/').next().unwrap_or_default();
    let name = name.split(['@', ':']).next().unwrap_or_default();
    let shown: String = format!("{}: {name}", style.title).chars().take(100).collect();
    spec.insert("displayName".to_owned(), json!(shown));
    spec.insert("defaultImage".to_owned(), json!(usual));
    spec.insert(
        "allowedImages".to_owned(),
        json!(counts.keys().collect::<Vec<_>>()),
    );
    spec.insert("resourceBounds".to_owned(), bounds(members, &spec));
    let spec = Value::Object(spec);
    let name = format!("{}-{}", style.prefix, hash(&spec.to_string()));
    json!({
        "apiVersion": format!("{}/{}", api::names::GROUP, api::names::VERSION), "kind": "WorkspaceTemplate",
        "metadata": {"name": name}, "spec": spec,
    })
}

/// Requests and limits by name, as they are written.
fn amounts(resources: &Value) -> impl Iterator<Item = (&str, Quantity, &str)> {
    let maps = ["requests", "limits"].into_iter();
    let entries = maps.flat_map(|map| resources[map].as_object().into_iter().flatten());
    entries.filter_map(|(name, amount)| {
        let text = amount.as_str()?;
        Some((name.as_str(), text.parse().ok()?, text))
    })
}

/// The largest amounts of the workspaces, with what runs beside them.
pub(crate) fn bounds(members: &[&Need], spec: &Map<String, Value>) -> Value {
    let mut most: BTreeMap<String, (Quantity, String)> = BTreeMap::new();
    for (name, amount, text) in members.iter().flat_map(|need| amounts(&need.resources)) {
        let new = || (amount, text.to_owned());
        let known = most.entry(name.to_owned()).or_insert_with(new);
        if amount > known.0 {
            *known = new();
        }
    }
    let containers = spec.get("defaultInitContainers").and_then(Value::as_array);
    for container in containers.into_iter().flatten() {
        let own = amounts(&container["resources"]);
        let own: BTreeMap<&str, Quantity> = own.map(|(name, amount, _)| (name, amount)).collect();
        let stays = container["restartPolicy"] == "Always";
        for (name, known) in &mut most {
            // What the installation gives a container that asks for nothing.
            let default = match name.as_str() {
                "cpu" => Quantity::units(1),
                "memory" => Quantity::binary(1, 30),
                _ => Quantity::ZERO,
            };
            let amount = own.get(name.as_str()).copied();
            let new = match amount {
                _ if stays => known.0.plus(amount.unwrap_or(default)),
                Some(amount) if amount > known.0 => amount,
                _ => continue,
            };
            *known = (new, new.to_string());
        }
    }
    let mut bounds = json!({"gpu": {"max": "0"}});
    for (name, (most, text)) in most {
        let bound = json!({"max": text});
        match name.as_str() {
            "cpu" | "memory" => bounds[name] = bound,
            gpu if is_gpu(gpu) => {
                let before = bounds["gpu"]["max"]
                    .as_str()
                    .and_then(|it| it.parse::<Quantity>().ok());
                if before.is_none_or(|before| most > before) {
                    bounds["gpu"] = bound;
                }
            }
            _ => bounds["resources"][name] = bound,
        }
    }
    bounds
}
