//! Kubeflow's Notebooks, `PodDefaults`, Profiles, claims -> objects, steps, ledger (pure).
//!
//! - `steps`: what to run, in order
//! - `notebook`: one Notebook -> parts of our objects
//! - `pod`: its pod
//! - `volumes`: what its pod mounts
//! - `tokens`: volumes of tokens that it mounts
//! - `source`: an object that says something about a pod
//! - `pod_default`: which Notebooks a `PodDefault` selects
//! - `table`: leaf -> what becomes of it

mod notebook;
mod pod;
mod pod_default;
mod source;
mod steps;
mod table;
mod tokens;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};

use crate::assemble::{Assembled, Candidate, Template, unique};
use crate::draft::{Draft, Target};
use crate::judge::Judge;
use crate::ledger::{Fate, Ledger, Outcome};
use crate::path::Path;
use crate::read::Object;
use crate::secrets::Secrets;
use crate::table::{self as tables, CLAIM, NOT_READ, Place, apply, rest};
use crate::templates::{Need, Style, group};
use crate::{Error, Import, Options};

const GROUP: &str = "kubeflow.org";
const CONTRIBUTOR: &str =
    "contributors have no Role here: share the workspace with them, by kubectl workspace share";
const TOO_MANY: &str = "its pod is unlike those of the 20 templates that most Notebooks have: convert such Notebooks in a run of their own";
const STYLE: Style = Style {
    prefix: "kubeflow",
    title: "Kubeflow",
    no_owner: "give its Profile in the input",
};
/// Kinds by which Kubeflow lets contributors in.
const CONTRIBUTORS: [&str; 2] = ["RoleBinding", "AuthorizationPolicy"];

/// Objects by kind, each with its number in the ledger.
#[derive(Default)]
struct Sorted<'a> {
    notebooks: Vec<(usize, &'a Object)>,
    pod_defaults: Vec<(usize, &'a Object)>,
    profiles: BTreeMap<&'a str, (usize, &'a Object)>,
}

/// Converts all Notebooks.
pub(crate) fn convert(objects: &[Object], options: &Options) -> Result<Import, Error> {
    let mut ledger = Ledger::default();
    let sorted = sort(objects, &mut ledger)?;
    if sorted.notebooks.is_empty() {
        let words = "the input holds no Notebook of kubeflow.org: give what kubectl get notebooks,poddefaults,profiles,pvc -A -o json prints";
        return Err(Error::Unreadable(words.to_owned()));
    }
    let judge = Judge::get()?;
    let mut secrets = Secrets::default();
    let mut selected = BTreeSet::new();
    let mut notebooks = Vec::new();
    for (number, object) in &sorted.notebooks {
        let of_pod: Vec<_> = sorted
            .pod_defaults
            .iter()
            .filter(|(_, it)| it.namespace == object.namespace && pod_default::chooses(it, object))
            .collect();
        selected.extend(of_pod.iter().map(|(number, _)| *number));
        let mut notebook = notebook::draft(
            *number,
            object,
            &of_pod,
            &sorted,
            options,
            &mut secrets,
            &mut ledger,
        )?;
        notebook::settle(&mut notebook, judge)?;
        notebooks.push(notebook);
    }
    unique(&notebooks)?;
    let needs: Vec<_> = notebooks.iter().map(need).collect();
    let (templates, of_notebook) = group(&needs, &STYLE);
    let templates = templates.into_iter().map(|it| Template::new(it, judge));
    let templates: Vec<_> = templates.collect::<Result<_, _>>()?;
    let mut assembled = Assembled::default();
    for (mut notebook, template) in notebooks.into_iter().zip(of_notebook) {
        if let Some(template) = template {
            assembled.add(&mut notebook, &templates[template], &STYLE, judge, &mut ledger)?;
        } else {
            notebook.draft.lose(TOO_MANY);
            notebook.draft.tell(&mut ledger, |_| String::new());
        }
    }
    finish(&sorted, &selected, &mut ledger);
    let commands = secrets.commands();
    let notes = assembled.notes(options);
    assembled.finish(templates, ledger, notes, |kept, has_profiles, missing| {
        steps::text(kept, &commands, has_profiles, missing)
    })
}

/// What a Notebook needs of a template.
fn need(notebook: &Candidate<'_>) -> Need {
    let workspace = notebook.draft.build(Target::Workspace);
    Need {
        spec: notebook.draft.build(Target::Template)["spec"].clone(),
        image: workspace["spec"]["image"].as_str().unwrap_or_default().to_owned(),
        resources: workspace["spec"]["resources"].clone(),
    }
}

/// Takes every object into the ledger.
fn sort<'a>(objects: &'a [Object], ledger: &mut Ledger) -> Result<Sorted<'a>, Error> {
    let mut sorted = Sorted::default();
    for object in objects {
        let is_notebook = object.is(GROUP, "Notebook");
        let is_pod_default = object.is(GROUP, "PodDefault");
        if (is_notebook || is_pod_default) && object.namespace.is_empty() {
            return Err(object.error("metadata.namespace", "must be set: give what kubectl get prints"));
        }
        if is_notebook {
            sorted.notebooks.push((ledger.open(object), object));
        } else if is_pod_default {
            sorted.pod_defaults.push((ledger.open(object), object));
        } else if object.is(GROUP, "Profile") {
            sorted
                .profiles
                .insert(&object.name, (ledger.open(object), object));
        } else if object.is("", "PersistentVolumeClaim") {
            ledger.stays(object, CLAIM);
        } else {
            let fate = if CONTRIBUTORS.contains(&object.kind.as_str()) {
                Fate::new(Outcome::Lost, CONTRIBUTOR)
            } else {
                Fate::new(Outcome::Stays, NOT_READ)
            };
            ledger.whole(object, fate);
        }
    }
    Ok(sorted)
}

/// Says what became of the leaves that no Notebook's parts are made of.
fn finish(sorted: &Sorted<'_>, selected: &BTreeSet<usize>, ledger: &mut Ledger) {
    for (number, notebook) in &sorted.notebooks {
        ledger.tell_rest(*number, rest(&notebook.value, table::REASONS));
    }
    let mut told = |number: usize, object: &Object, table: &tables::Table| {
        let place = Place::whole(number, &object.value);
        apply(&[tables::COMMON, table], &place, ledger, &mut Draft::default());
    };
    for (number, object) in &sorted.pod_defaults {
        told(*number, object, table::POD_DEFAULT);
    }
    for (number, object) in sorted.profiles.values() {
        told(*number, object, table::PROFILE);
    }
    for (number, object) in &sorted.pod_defaults {
        if !selected.contains(number) {
            let why =
                "no Notebook has the labels that it selects: write it into a template when it is needed";
            ledger.tell_rest(*number, |_| Fate::new(Outcome::Lost, why));
        }
        ledger.tell_rest(*number, rest(&object.value, table::REASONS));
    }
    for (number, object) in sorted.profiles.values() {
        let why = "each Notebook of it names its creator";
        ledger.tell_rest(*number, |path| {
            if *path == Path::of("spec.owner.name") {
                Fate::new(Outcome::Stays, why)
            } else {
                rest(&object.value, table::REASONS)(path)
            }
        });
    }
}
