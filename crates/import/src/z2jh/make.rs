//! Profiles -> templates and execution profiles, judged (pure).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::common::{self, Chart};
use super::out::Out;
use super::profiles::{self, Profile};
use super::volumes::Home;
use super::{Source, account, fields, files, options, template};
use crate::assemble::{Template, named};
use crate::draft::{Draft, Target};
use crate::judge::Judge;
use crate::ledger::Ledger;
use crate::path::Path;
use crate::pod_template::{POD, name_application, settle};
use crate::secrets::check_text;
use crate::templates::{Need, bounds};
use crate::texts::change_texts;
use crate::{Error, Hub, Options};

/// Before the hash in names of templates and execution profiles.
pub(super) const PREFIX: &str = "z2jh";
/// Name of the manager that a hub's templates have.
pub(super) const MANAGER: &str = "jupyterhub";

/// What starts a server of a hub: the launcher fetches the command there.
const LAUNCHER: &str =
    include_str!("../../../../python/jupyterhub-workspacespawner/workspacespawner/launcher.py");
/// What starts JupyterLab without a hub.
const PROGRAM: [&str; 7] = [
    "jupyter",
    "lab",
    "--ip=0.0.0.0",
    "--port=8888",
    "--no-browser",
    "--IdentityProvider.token=",
    "--ServerApp.base_url={workspace.basePath}",
];

/// What one profile became.
pub(super) struct Made {
    pub(super) template: Template,
    /// Name and spec of the execution profile.
    pub(super) profile: Option<(String, Value)>,
    /// The profile's name in the hub's form; `None`: there are no profiles.
    pub(super) title: Option<String>,
    pub(super) is_default: bool,
    /// Settings that its overrides must not have any more.
    pub(super) overridden: Vec<String>,
    /// Settings that its choices must not change.
    pub(super) lost_choices: Vec<String>,
    /// Options of the template, by which its choices are said.
    pub(super) options: Vec<options::Names>,
}

/// All of them.
pub(super) fn all(
    source: &mut Source<'_>,
    options: &Options,
    judge: &'static Judge,
    ledger: &mut Ledger,
) -> Result<Vec<Made>, Error> {
    let audience = match source.hub {
        Hub::Keep => Some(account::audience(source, options)?),
        Hub::Replace => None,
    };
    let at = source.chart.at("singleuser");
    let profiles = profiles::all(source.hub, source.number, source.chart.value, &at, ledger);
    let mut made = Vec::new();
    for (index, profile) in profiles.iter().enumerate() {
        made.push(one(profile, index, source, audience.as_deref(), judge, ledger)?);
    }
    Ok(made)
}

fn one(
    profile: &Profile,
    index: usize,
    source: &mut Source<'_>,
    audience: Option<&str>,
    judge: &'static Judge,
    ledger: &mut Ledger,
) -> Result<Made, Error> {
    let chart = source.chart;
    let hub = source.hub;
    let mut draft = Draft::default();
    let mut out = Out {
        object: source.number,
        hub,
        ledger,
        draft: &mut draft,
        secrets: &mut source.secrets,
        judge,
    };
    let needed = profiles::entry(profile, chart.value, &mut out);
    let volume = chart.text("singleuser.storage.dynamic.volumeNameTemplate");
    let is_static = chart.text("singleuser.storage.type").as_deref() == Some("static");
    let claim = chart.get("singleuser.storage.static.pvcName");
    let [folder, path] =
        ["static.subPath", "homeMountPath"].map(|of| chart.text(&format!("singleuser.storage.{of}")));
    let home = Home {
        volume: volume.as_deref().unwrap_or("home"),
        claim: claim.as_ref().filter(|_| is_static),
        folder: folder.as_deref().unwrap_or("{username}"),
        path: path.as_deref().unwrap_or(common::HOME),
    };
    template::take(profile.traits.clone(), home, &mut out);
    common::take(chart, &mut out);
    files::take(chart, &mut out);
    options::take(&profile.options, chart.value, &mut out);
    change(hub, &mut draft);
    name_application(&mut draft);
    let shown = title(profile, index, chart, judge);
    let from = profile.at.iter().filter_map(|at| {
        let at = at.key("display_name");
        (!at.get(chart.value).is_null()).then_some((source.number, at))
    });
    draft.put(
        from,
        Target::Template,
        Path::of("spec.displayName"),
        shown.as_str(),
    );
    let args = match hub {
        Hub::Keep => json!(["python3", "-I", "-c", LAUNCHER]),
        Hub::Replace => json!(PROGRAM),
    };
    draft.put(
        [],
        Target::Template,
        Path::of("spec.defaultContainerConfig.args"),
        args,
    );
    let place = profile.at.clone().unwrap_or_else(|| chart.at("singleuser"));
    if !draft.has(Target::Template, "spec.defaultImage") {
        let rule = "must have an image, as name and tag of singleuser.image or image of the profile: give also the chart's own values, which helm get values --all prints";
        return Err(source.object.error(&place.to_string(), rule));
    }
    if let Some(audience) = audience {
        draft.put([], Target::Template, Path::of("spec.managerRef"), MANAGER);
        account::identity(audience, &mut draft);
    }
    let unexplained = |violation: rules::Violation| {
        let rule = format!("{}: {}", violation.field, violation.message);
        source.object.error(&place.to_string(), &rule)
    };
    settle(&mut draft, |it| judge.template(&named(it))).map_err(unexplained)?;
    let has_profile = draft.has(Target::Profile, "spec") || hub == Hub::Keep;
    if has_profile {
        draft
            .settle(Target::Profile, |it| judge.profile(&named(it)))
            .map_err(unexplained)?;
    }
    let spec = draft.build(Target::Profile)["spec"].clone();
    let of_profile = spec.is_object().then(|| {
        let name = format!("{PREFIX}-{}", crate::names::hash(&spec.to_string()));
        (name, spec)
    });
    let template = finish(&draft, of_profile.as_ref(), needed, judge)?;
    draft.tell(ledger, |target| match (target, &of_profile) {
        (Target::Profile, Some((name, _))) => format!("WorkspaceExecutionProfile {name}"),
        _ => format!("WorkspaceTemplate {}", template.name()),
    });
    let options = profile.of_template(&template.value);
    let title = profile
        .at
        .as_ref()
        .map(|at| at.get(chart.value)["display_name"].clone());
    Ok(Made {
        template,
        profile: of_profile,
        title: title.map(|title| title.as_str().unwrap_or_default().to_owned()),
        is_default: profile.is_default,
        overridden: profile.overridden.clone(),
        lost_choices: profile.lost_choices(chart.value),
        options,
    })
}

/// Changes texts to those of templates.
fn change(hub: Hub, draft: &mut Draft) {
    let images = Path::of("spec.allowedImages");
    for to in [Target::Template, Target::Profile] {
        draft.change(to, |at, value| {
            let is_fixed = at.below(&Path::of(POD)).is_some();
            // A tag with a digest looks like a user with a password.
            let is_image =
                at.ends_with("image") || at.ends_with("defaultImage") || at.below(&images).is_some();
            change_texts(value, &|text| {
                if !is_image {
                    check_text(text)?;
                }
                fields::change(text, hub, is_fixed)
            })
        });
    }
}

/// The template, named by its content, within the amounts of the profile and its choices.
fn finish(
    draft: &Draft,
    profile: Option<&(String, Value)>,
    needed: Vec<Value>,
    judge: &Judge,
) -> Result<Template, Error> {
    let mut spec = draft.build(Target::Template)["spec"].clone();
    let need = |resources: Value| Need {
        spec: Value::Null,
        image: String::new(),
        resources,
    };
    let needs: Vec<_> = std::iter::once(spec["defaultResources"].clone())
        .chain(needed)
        .map(need)
        .collect();
    let members: Vec<_> = needs.iter().collect();
    if let Some(fields) = spec.as_object_mut() {
        let bounds = bounds(&members, fields);
        fields.insert("resourceBounds".to_owned(), bounds);
        if let Some((name, _)) = profile {
            fields.insert("executionProfileRef".to_owned(), json!(name));
        }
    }
    let name = format!("{PREFIX}-{}", crate::names::hash(&spec.to_string()));
    let version = format!("{}/{}", api::names::GROUP, api::names::VERSION);
    let value =
        json!({"apiVersion": version, "kind": "WorkspaceTemplate", "metadata": {"name": name}, "spec": spec});
    Template::new(value, judge)
}

/// The profile's name if a template can be called so, else a number.
fn title(profile: &Profile, index: usize, chart: Chart<'_>, judge: &Judge) -> String {
    let given = profile
        .at
        .as_ref()
        .and_then(|at| at.get(chart.value)["display_name"].as_str());
    let fits = |title: &str| {
        let spec = json!({"displayName": title, "defaultImage": "one"});
        judge.template(&named(&json!({"spec": spec}))).is_empty()
    };
    match given {
        Some(title) if fits(title) => title.to_owned(),
        _ if profile.at.is_none() => "JupyterHub".to_owned(),
        _ => format!("JupyterHub {}", index + 1),
    }
}

/// Names of all distinct templates, in order.
pub(super) fn distinct(made: &[Made]) -> Vec<&Made> {
    let mut seen = BTreeSet::new();
    made.iter()
        .filter(|made| seen.insert(made.template.name()))
        .collect()
}
