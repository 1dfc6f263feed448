//! Pods of Kubernetes' Pod Security tests as a `podTemplate` -> refused, or within the Standards.

use k8s_openapi::api::core::v1::Pod;
use rules::References;
use serde_json::{Value, json};
use testkit::{objects, standards};

use crate::{plan, testing};

/// Files of pods that leave out what `restricted` needs, which the finished pod then has.
const MENDED: [&str; 4] = [
    "allowprivilegeescalation",
    "capabilities_restricted",
    "runasnonroot",
    "seccompprofile_restricted",
];

/// Rules of this product alone: fields with another place, kinds of volumes, the system.
const NAMED: [&str; 4] = [
    "directs the cluster's own controllers",
    "must not be set in a podTemplate",
    "must not be mounted",
    "must be linux",
];

/// Where the pods of each file break the Standards: part of the path of the field.
const FIELDS: [(&str, &str); 18] = [
    ("allowprivilegeescalation", ".allowPrivilegeEscalation"),
    ("apparmorprofile", ".metadata.annotations[container.apparmor"),
    ("capabilities_baseline", ".capabilities.add"),
    ("capabilities_restricted", ".capabilities."),
    ("hostnamespaces", ".spec.host"),
    ("hostpathvolumes", ".hostPath"),
    ("hostports", ".hostPort"),
    ("hostprobesandhostlifecycle", ".host"),
    ("privileged", ".privileged"),
    ("procmount", ".procMount"),
    ("restrictedvolumes", ".spec.volumes["),
    ("runasnonroot", ".runAsNonRoot"),
    ("runasuser", ".runAsUser"),
    ("seccompprofile_baseline", ".seccompProfile"),
    ("seccompprofile_restricted", ".seccompProfile"),
    ("selinuxoptions", ".seLinuxOptions"),
    ("sysctls", ".sysctls["),
    ("windowshostprocess", ".windowsOptions.hostProcess"),
];

/// Whether a refusal is about what the pods of the file break, and by a rule of the Standards or one of ours in its place.
fn is_about(file: &str, line: &str) -> bool {
    let (path, rule) = line.split_once(": ").unwrap();
    let (_, field) = FIELDS.iter().find(|(name, _)| *name == file).unwrap();
    let is_standard = rule.contains("Pod Security") || NAMED.iter().any(|it| rule.contains(it));
    path.contains(field) && is_standard
}

/// The template that an author makes of a pod by doing what refusals say: some fields of a pod have another place, and containers say what
/// they need.
fn template(pod: &Pod, level: &str) -> Value {
    let mut pod = json!(pod);
    let fields = pod["spec"].as_object_mut().unwrap();
    let (context, host_users) = (fields.remove("securityContext"), fields.remove("hostUsers"));
    for list in ["containers", "initContainers"] {
        for container in fields
            .get_mut(list)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            container["resources"] = json!({"limits": {"cpu": "10m", "memory": "16Mi"}});
        }
    }
    let metadata = json!({
        "labels": pod["metadata"]["labels"].as_object().cloned().unwrap_or_default(),
        "annotations": pod["metadata"]["annotations"].as_object().cloned().unwrap_or_default(),
    });
    json!({
        "displayName": "t", "defaultImage": "uv", "podSecurity": level, "hostUsers": host_users,
        "defaultPodSecurityContext": context,
        "podTemplate": {"metadata": metadata, "spec": pod["spec"]},
    })
}

/// Why the template is refused; nothing: what its pod breaks of the rules for every pod.
fn judge(spec: &Value) -> Result<Option<String>, Vec<String>> {
    let mut template = objects::template("t");
    template.spec = serde_json::from_value(spec.clone()).unwrap();
    let found = rules::validate::template(&template.spec, &testing::settings());
    if !found.is_empty() {
        return Err(found.iter().map(ToString::to_string).collect());
    }
    let mut workspace = objects::workspace("demo");
    workspace.spec.template_ref = Some("t".to_owned());
    let manager = objects::manager("main");
    let references = References::managed_by([&manager]).with_template(Some(&template));
    let valid = rules::admit(&workspace, &references, &testing::settings()).unwrap();
    let pod = plan::run(&valid, &testing::installation(), "run1");
    Ok(plan::violations(&valid, &pod).map(|found| found.to_string()))
}

#[test]
fn each_pod_that_the_standards_refuse_is_refused_or_mended_and_each_that_they_take_is_taken_or_named() {
    let (mut mended, mut refused, mut taken) = (0, 0, 0);
    for level in ["Baseline", "Restricted"] {
        let pods = |verdict| standards::pods(&level.to_lowercase(), verdict);
        for (file, pod) in pods("fail") {
            match judge(&template(&pod, level)) {
                Err(found) => {
                    let mut lines = found.iter();
                    assert!(
                        lines.any(|line| is_about(&file, line)),
                        "{level}: {file}: {found:#?}"
                    );
                    refused += 1;
                }
                Ok(broken) => {
                    assert_eq!(broken, None, "{level}: {file}");
                    assert!(
                        MENDED.contains(&&*file) && level == "Restricted",
                        "{level}: {file}"
                    );
                    mended += 1;
                }
            }
        }
        for (file, pod) in pods("pass") {
            match judge(&template(&pod, level)) {
                Ok(broken) => {
                    assert_eq!(broken, None, "{level}: {file}");
                    taken += 1;
                }
                Err(found) => {
                    let is_named = |line: &String| NAMED.iter().any(|rule| line.contains(rule));
                    assert!(found.iter().all(is_named), "{level}: {file}: {found:#?}");
                }
            }
        }
    }
    assert_eq!(mended + refused, 34 + 74);
    assert!(
        mended > 0 && refused > mended && taken > 18,
        "{mended} {refused} {taken}"
    );
}

#[test]
fn a_refusal_for_another_cause_is_not_taken_for_one_of_the_standards() {
    let mut pods = standards::pods("baseline", "pass").into_iter();
    let (_, mut pod) = pods.find(|(file, _)| file == "privileged").unwrap();
    assert_eq!(judge(&template(&pod, "Baseline")), Ok(None), "the control");
    pod.spec.as_mut().unwrap().containers[0].image = None;
    let found = judge(&template(&pod, "Baseline")).unwrap_err();
    assert!(!found.is_empty());
    for (file, _) in FIELDS {
        let mut lines = found.iter();
        assert!(!lines.any(|line| is_about(file, line)), "{file}: {found:#?}");
    }
}
