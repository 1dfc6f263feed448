//! Command line -> an operator as another version might be, which plans children otherwise: what the tests of upgrades replace
//! the installed one by (IO). It is no part of any image.

use std::{collections::BTreeMap, process::ExitCode};

use api::names;
use k8s_openapi::{
    api::core::v1::{EnvVar, Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::ResourceExt as _;
use operator::plan::Build;
use serde_json::{Value, json};

/// Label of every child, and annotation of every pod.
const MARK: &str = "e2e.test/build";

fn main() -> ExitCode {
    kit::process::main_on_one_thread(|args| operator::run::run_as(args, Build { meta, pod }))
}

fn mark(entries: &mut Option<BTreeMap<String, String>>) {
    entries
        .get_or_insert_default()
        .insert(MARK.to_owned(), "another".to_owned());
}

fn meta(meta: &mut ObjectMeta) {
    mark(&mut meta.labels);
}

/// The record with a section that the installed version does not know.
fn recorded(record: &str) -> String {
    let mut record: Value = serde_json::from_str(record).unwrap_or_default();
    record["anotherBuild"] = json!({"since": "another"});
    record.to_string()
}

fn pod(pod: &mut Pod) {
    if let Some(record) = pod.annotations_mut().get_mut(names::STARTED_FROM) {
        *record = recorded(record);
    }
    mark(&mut pod.metadata.annotations);
    if let Some(spec) = &mut pod.spec {
        // Otherwise than any that is asked for.
        spec.termination_grace_period_seconds = spec
            .termination_grace_period_seconds
            .map_or(Some(7), |it| Some(it + 1));
        for container in &mut spec.containers {
            container.env.get_or_insert_default().push(EnvVar {
                name: "ANOTHER_BUILD".to_owned(),
                value: Some("another".to_owned()),
                value_from: None,
            });
        }
    }
}
