//! Pod of a Notebook and what `PodDefaults` add to it -> parts of our objects (pure).

use std::collections::BTreeSet;

use serde_json::Value;

use super::source::{APART, Source};
use super::table::{MAIN, POD, REST_OF_MAIN, REST_OF_POD};
use super::volumes::Volumes;
use crate::container::{Known, Out, ROOT, container, needs_root, resources, variables};
use crate::draft::{Draft, Target};
use crate::ledger::{Fate, Ledger, Outcome};
use crate::path::Path;
use crate::pod_template::{self, APPLICATION, field as field_of, mounted_by, name_application, put_whole};
use crate::secrets::{Secrets, check_credential, check_text};
use crate::table::{Table, apply, is_empty};
use crate::texts::change_texts;

/// Variable by which Kubeflow's images know their path.
const KNOWN: &Known = &[(
    "NB_PREFIX",
    "the template's environmentVariables set it to the workspace's own path",
)];

/// Label, once an annotation, by which a pod has Istio's containers or not. Namespaces of Profiles give them to each pod that does not say `false`.
const INJECT: &str = "sidecar.istio.io/inject";
/// Why a pod has none.
const INJECTED: &str = "pods have no containers of Istio here: its init container breaks the rules of pods, and Kubeflow's policies for its proxy \
                        refuse this product's gateway";

/// Takes the whole pod over. `prefix`: Kubeflow's path of the Notebook.
pub(super) fn take(
    sources: &[Source<'_>],
    prefix: &str,
    secrets: &mut Secrets,
    ledger: &mut Ledger,
    draft: &mut Draft,
) {
    for source in sources {
        let (main, pod): (&[&Table], &[&Table]) = if source.order == 0 {
            (&[MAIN, REST_OF_MAIN], &[POD, REST_OF_POD])
        } else {
            (&[MAIN], &[POD])
        };
        apply(main, &source.place(&source.main), ledger, draft);
        apply(pod, &source.place(&source.pod), ledger, draft);
        for probe in ["livenessProbe", "startupProbe"] {
            let at = source.main.key(probe);
            if !is_empty(at.get(source.value)) {
                let dest = Path::of(APPLICATION).key(probe);
                put_whole(&source.place(&at), None, dest, ledger, draft);
            }
        }
        let amounts = source.main.key("resources");
        let dest = Path::of("spec.resources");
        resources(&source.place(&amounts), Target::Workspace, &dest, draft);
        token(source, ledger, draft);
        let (to, dest) = source.env;
        let mut out = Out {
            secrets,
            ledger,
            draft,
        };
        let list = source.main.key("env");
        variables(&source.place(&list), (to, &Path::of(dest)), KNOWN, &mut out);
    }
    let volumes = Volumes::take(sources, ledger, draft);
    let mut mounted = BTreeSet::new();
    for source in sources {
        let (sidecars, first) = &source.sidecars;
        let init = source.pod.key("initContainers");
        for (list, from, stays) in [(&init, 0, false), (sidecars, *first, true)] {
            for index in from..source.list(list).len() {
                let at = list.index(index);
                if needs_root(&source.list(list)[index]) {
                    ledger.tell(source.object, &at, &Fate::new(Outcome::Lost, ROOT));
                    continue;
                }
                let mut out = Out {
                    secrets,
                    ledger,
                    draft,
                };
                let of_container = mounted_by([&source.list(list)[index]]);
                let is_fixed = !knows_path(&source.list(list)[index], prefix);
                let needs_volume = of_container.iter().any(|name| volumes.is_in_pod(name));
                let shares_memory = of_container.iter().any(|name| volumes.is_shared_memory(name));
                if is_fixed && (needs_volume || (stays && !shares_memory)) {
                    let field = if stays { "containers" } else { "initContainers" };
                    // The application's container is the first.
                    let dest = field_of(field).index(source.offset() + index + 1);
                    let name = |name: &str| volumes.name(name);
                    pod_template::container(&source.place(&at), &dest, name, KNOWN, &mut out);
                    mounted.extend(of_container);
                } else {
                    let shift = source.offset() + if stays { APART / 2 } else { 0 };
                    let dest = Path::of("spec.defaultInitContainers").index(shift + index);
                    let name = |name: &str| volumes.own_name(name);
                    let to = (Target::Template, &dest);
                    container(&source.place(&at), to, stays, name, KNOWN, &mut out);
                }
            }
        }
    }
    volumes.put(&mounted, ledger, draft);
    name_application(draft);
}

/// Whether a container's texts hold Kubeflow's path of the Notebook, which is a variable here. A `podTemplate` has none.
fn knows_path(container: &Value, prefix: &str) -> bool {
    let is_path = |text: &str| text.contains(prefix) || text.contains("NB_PREFIX");
    match container {
        Value::String(text) => is_path(text),
        Value::Array(items) => items.iter().any(|item| knows_path(item, prefix)),
        Value::Object(fields) => fields.values().any(|inner| knows_path(inner, prefix)),
        _ => false,
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

/// Labels and annotations of the pod, as lists of name and value, and the label that keeps Istio's containers out.
pub(super) fn metadata(sources: &[Source<'_>], ledger: &mut Ledger, draft: &mut Draft) {
    let mut asked = Vec::new();
    for source in sources {
        let at = source.metadata();
        for (map, field) in [
            ("labels", "spec.baseLabels"),
            ("annotations", "spec.baseAnnotations"),
        ] {
            let entries = at.key(map).get(source.value).as_object().into_iter().flatten();
            for (index, (key, text)) in entries.enumerate() {
                let leaf = (source.object, at.key(map).key(key));
                if key == INJECT {
                    if *text == "false" {
                        asked.push(leaf);
                    } else if !is_empty(text) {
                        ledger.tell(leaf.0, &leaf.1, &Fate::new(Outcome::Lost, INJECTED));
                    }
                    continue;
                }
                // The first item is the label against Istio.
                let dest = Path::of(field).index(source.offset() + index + 1);
                draft.put([leaf.clone()], Target::Template, dest.key("name"), key.as_str());
                draft.put([leaf], Target::Template, dest.key("value"), text.clone());
            }
        }
    }
    let dest = Path::of("spec.baseLabels[0]");
    draft.put(asked.clone(), Target::Template, dest.key("name"), INJECT);
    draft.put(asked, Target::Template, dest.key("value"), "false");
}

/// Texts of a template: Kubeflow's path of the Notebook is that of the workspace here, and a credential is nowhere. `is_fixed`: the texts are
/// of a `podTemplate`, which knows no escape.
pub(super) fn text(value: &Value, prefix: &str, is_fixed: bool) -> Result<Option<Value>, String> {
    change_texts(value, &|text| {
        if is_fixed {
            check_credential(text)?;
        } else {
            check_text(text)?;
        }
        let base = "{workspace.basePath}";
        let written = text.replace(&format!("{prefix}/"), base);
        let written = match written.strip_suffix(prefix) {
            Some(start) => format!("{start}{base}"),
            None => written,
        };
        Ok((written.as_str() != text).then_some(written))
    })
}
