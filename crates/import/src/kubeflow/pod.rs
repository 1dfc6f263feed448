//! Pod of a Notebook and what `PodDefaults` add to it -> parts of our objects (pure).

use std::collections::BTreeMap;

use rules::Quantity;
use serde_json::{Value, json};

use super::secrets::Secrets;
use super::source::{APART, Source};
use super::table::{MAIN, POD};
use super::volumes::volumes;
use crate::draft::{Draft, Target};
use crate::ledger::{Fate, Ledger, Outcome};
use crate::path::Path;
use crate::secrets::{is_command_with_credential, is_credential};
use crate::table::{Place, apply, is_empty};

/// Variable by which Kubeflow's images know their path.
const PREFIX: &str = "NB_PREFIX";

/// Takes the whole pod over.
pub(super) fn take(sources: &[Source<'_>], secrets: &mut Secrets, ledger: &mut Ledger, draft: &mut Draft) {
    for source in sources {
        for (table, root) in [(MAIN, &source.main), (POD, &source.pod)] {
            let place = Place {
                object: source.object,
                value: source.value,
                root,
                offset: source.offset(),
            };
            apply(&[table], &place, ledger, draft);
        }
        resources(source, draft);
        token(source, ledger, draft);
        let (to, dest) = source.env;
        variables(
            source,
            &source.main.key("env"),
            (to, &Path::of(dest)),
            secrets,
            ledger,
            draft,
        );
    }
    let names = volumes(sources, ledger, draft);
    for source in sources {
        let (sidecars, first) = &source.sidecars;
        let init = source.pod.key("initContainers");
        for (list, from, stays) in [(&init, 0, false), (sidecars, *first, true)] {
            for index in from..source.list(list).len() {
                let shift = source.offset() + if stays { APART / 2 } else { 0 };
                let dest = Path::of("spec.defaultInitContainers").index(shift + index);
                container(
                    source,
                    &list.index(index),
                    &dest,
                    stays,
                    &names,
                    secrets,
                    ledger,
                    draft,
                );
            }
        }
    }
}

/// Requests and limits. Where one of both is unset, Kubernetes takes the limit as the request; here each container has limits.
fn resources(source: &Source<'_>, draft: &mut Draft) {
    let at = source.main.key("resources");
    let given = at.get(source.value);
    for (map, other) in [("requests", "limits"), ("limits", "requests")] {
        for (name, amount) in given[map].as_object().into_iter().flatten() {
            let text = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
            if text.parse::<Quantity>().is_err() {
                continue;
            }
            let from = (source.object, at.key(map).key(name));
            let dest = Path::of("spec.resources");
            draft.put(
                [from.clone()],
                Target::Workspace,
                dest.key(map).key(name),
                text.clone(),
            );
            if is_empty(&given[other][name.as_str()]) {
                draft.put([from], Target::Workspace, dest.key(other).key(name), text);
            }
        }
    }
}

/// Kubernetes gives a pod its account's token unless it says no.
fn token(source: &Source<'_>, ledger: &mut Ledger, draft: &mut Draft) {
    let field = source.pod.key("automountServiceAccountToken");
    let account = source.pod.key("serviceAccountName");
    let has_account = account.get(source.value).is_string();
    match field.get(source.value).as_bool() {
        Some(false) => {
            let fate = Fate::new(
                Outcome::SameByDefault,
                "no pod has a token unless its execution profile says so",
            );
            ledger.tell(source.object, &field, &fate);
        }
        given if has_account => {
            let leaf = if given.is_some() { field } else { account };
            let at = Path::of("spec.automountToken");
            draft.put([(source.object, leaf)], Target::Profile, at, true);
        }
        _ => {}
    }
}

fn variables(
    source: &Source<'_>,
    list: &Path,
    (to, dest): (Target, &Path),
    secrets: &mut Secrets,
    ledger: &mut Ledger,
    draft: &mut Draft,
) {
    for (index, variable) in source.list(list).iter().enumerate() {
        let at = list.index(index);
        let name = variable["name"].as_str().unwrap_or_default();
        if name == PREFIX {
            let why = "the template's environmentVariables set it to the workspace's own path";
            ledger.tell(source.object, &at, &Fate::new(Outcome::SameByDefault, why));
            continue;
        }
        let dest = dest.index(source.offset() + index);
        let value = at.key("value");
        let text = variable["value"].as_str().unwrap_or_default();
        if !text.is_empty() && is_credential(name, text) {
            let Some((secret, key)) = secrets.take(source.object, name, &value) else {
                let why = "it looks like a credential, and no key of a Secret can have its name: give it another name";
                ledger.tell(source.object, &at, &Fate::new(Outcome::Lost, why));
                continue;
            };
            let name_leaf = (source.object, at.key("name"));
            draft.put([name_leaf], to, dest.key("name"), name);
            let reference = json!({"secretKeyRef": {"name": secret, "key": key}});
            draft.put([(source.object, value)], to, dest.key("valueFrom"), reference);
        } else {
            rest(source, &at, to, &dest, &[], ledger, draft);
        }
    }
}

/// Moves all leaves below `at`, except those below `others`.
fn rest(
    source: &Source<'_>,
    at: &Path,
    to: Target,
    dest: &Path,
    others: &[Path],
    ledger: &Ledger,
    draft: &mut Draft,
) {
    for leaf in ledger.leaves(source.object, at) {
        let Some(below) = leaf.below(at) else { continue };
        let value = leaf.get(source.value);
        if !is_empty(value) && !others.iter().any(|other| leaf.below(other).is_some()) {
            let at = dest.then(below.iter().cloned());
            draft.put([(source.object, leaf.clone())], to, at, value.clone());
        }
    }
}

/// An init container, or one that runs beside the application.
#[allow(
    clippy::too_many_arguments,
    reason = "the way of one container into one place"
)]
fn container(
    source: &Source<'_>,
    at: &Path,
    dest: &Path,
    stays: bool,
    names: &BTreeMap<String, String>,
    secrets: &mut Secrets,
    ledger: &mut Ledger,
    draft: &mut Draft,
) {
    let (env, mounts) = (at.key("env"), at.key("volumeMounts"));
    rest(
        source,
        at,
        Target::Template,
        dest,
        &[env.clone(), mounts.clone()],
        ledger,
        draft,
    );
    variables(
        source,
        &env,
        (Target::Template, &dest.key("env")),
        secrets,
        ledger,
        draft,
    );
    if stays {
        let from = (source.object, at.key("name"));
        draft.put([from], Target::Template, dest.key("restartPolicy"), "Always");
    }
    for (index, mount) in source.list(&mounts).iter().enumerate() {
        let (at, dest) = (mounts.index(index), dest.key("volumeMounts").index(index));
        let Some(name) = mount["name"].as_str().and_then(|name| names.get(name)) else {
            let why = "an init container mounts the home and /dev/shm alone";
            ledger.tell(source.object, &at, &Fate::new(Outcome::Lost, why));
            continue;
        };
        let of_name = at.key("name");
        draft.put(
            [(source.object, of_name.clone())],
            Target::Template,
            dest.key("name"),
            name.as_str(),
        );
        rest(source, &at, Target::Template, &dest, &[of_name], ledger, draft);
    }
}

/// Labels and annotations of the pod, as lists of name and value.
pub(super) fn metadata(object: usize, value: &Value, at: &Path, offset: usize, draft: &mut Draft) {
    for (map, field) in [
        ("labels", "spec.baseLabels"),
        ("annotations", "spec.baseAnnotations"),
    ] {
        let entries = at.key(map).get(value).as_object().into_iter().flatten();
        for (index, (key, text)) in entries.enumerate() {
            let dest = Path::of(field).index(offset + index);
            let leaf = (object, at.key(map).key(key));
            draft.put([leaf.clone()], Target::Template, dest.key("name"), key.as_str());
            draft.put([leaf], Target::Template, dest.key("value"), text.clone());
        }
    }
}

/// Texts of a template: Kubeflow's path of the Notebook is that of the workspace here, and a credential is nowhere.
pub(super) fn text(value: &Value, prefix: &str) -> Result<Option<Value>, String> {
    let Some(text) = value.as_str() else {
        return Ok(None);
    };
    if is_command_with_credential(text) {
        return Err("it, or what stands beside it, looks like a password, and whoever reads templates would see it: name a Secret by a variable, and write $(NAME)".to_owned());
    }
    if text.contains("{{") {
        return Err("{{ is an escape in templates: write the field by hand".to_owned());
    }
    let base = "{workspace.basePath}";
    let written = text.replace(&format!("{prefix}/"), base);
    let written = match written.strip_suffix(prefix) {
        Some(start) => format!("{start}{base}"),
        None => written,
    };
    Ok((written.as_str() != text).then_some(Value::String(written)))
}
