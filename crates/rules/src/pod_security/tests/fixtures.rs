//! The pods by which Kubernetes tests its Pod Security admission -> the verdict of the gate.

use std::collections::BTreeMap;

use api::template::PodSecurity;
use k8s_openapi::api::core::v1::Pod as StoredPod;
use testkit::standards::pods;

use crate::pod_security::{Grants, Judged, Pod, Stage, standards};
use crate::violation::Violation;

/// What is in the refused field's path, in lower case, where it is not the name of the file.
const FIELDS: [(&str, &str); 7] = [
    ("apparmorprofile", "apparmor"),
    ("hostnamespaces", "spec.host"),
    ("hostpathvolumes", "hostpath"),
    ("hostports", "hostport"),
    ("hostprobesandhostlifecycle", ".host"),
    ("restrictedvolumes", "spec.volumes["),
    ("windowshostprocess", "windowsoptions.hostprocess"),
];

/// What the pod breaks of the Standards. The bounds of ours would refuse more.
fn found(pod: &StoredPod, level: PodSecurity) -> Vec<Violation> {
    let pod = Pod {
        prefix: "",
        metadata: &pod.metadata,
        spec: pod.spec.as_ref().unwrap(),
    };
    let grants = Grants {
        profile: None,
        policy_labels: &[],
    };
    standards::violations(&Judged::new(pod, Stage::Finished(grants)), level)
}

#[test]
fn each_pod_that_kubernetes_refuses_is_refused_at_the_same_field_and_each_that_it_takes_is_taken() {
    let mut counts = BTreeMap::new();
    for (level, name) in [
        (PodSecurity::Baseline, "baseline"),
        (PodSecurity::Restricted, "restricted"),
    ] {
        let (refused, taken) = (pods(name, "fail"), pods(name, "pass"));
        counts.insert(name, (refused.len(), taken.len()));
        for (file, pod) in refused {
            let other = FIELDS.iter().find(|(of_file, _)| *of_file == file);
            let part = other.map_or_else(|| file.split('_').next().unwrap(), |(_, part)| part);
            let found = found(&pod, level);
            let is_at_it = |found: &Violation| found.field.to_lowercase().contains(part);
            assert!(found.iter().any(is_at_it), "{name}: {file} in {found:?}");
        }
        for (file, pod) in taken {
            assert_eq!(found(&pod, level), [], "{name}: {file}");
        }
    }
    assert_eq!(counts, [("baseline", (34, 14)), ("restricted", (74, 22))].into());
}
