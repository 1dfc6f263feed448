//! rendered roles and bindings -> permissions of each account, as reviewed (IO: runs `helm`).
//!
//! `e2e/tests/contract/accounts.rs` compares the accounts of a cluster with the same files. `UPDATE_EXPECT=1` writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::render::{self, SYSTEM, of_kind, rendering};

/// A namespace with workspaces.
const TEAM: &str = "team-demo";
/// The namespace of images.
const IMAGES: &str = "jupyter-k8s-images";

/// Resource, or resource and name of one object -> verbs.
type Rights<'a> = BTreeMap<String, BTreeSet<&'a str>>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/tests/contract/account_rights")
}

/// What the rules of a role allow.
fn add<'a>(rights: &mut Rights<'a>, role: &'a Value) {
    for [verb, group, resource, name] in render::rights(role) {
        let about = format!("{resource}.{group}");
        let about = format!("{} {name}", about.trim_end_matches('.'));
        rights.entry(about.trim().to_owned()).or_default().insert(verb);
    }
}

/// The permissions of the account in a namespace.
fn rights<'a>(objects: &'a [Value], account: &str, namespace: &str) -> Rights<'a> {
    let mut rights = Rights::new();
    let bindings = [
        of_kind(objects, "ClusterRoleBinding"),
        of_kind(objects, "RoleBinding"),
    ]
    .concat();
    for binding in bindings {
        let place = binding["metadata"]["namespace"].as_str().unwrap_or(SYSTEM);
        let bound = binding["subjects"].as_array().unwrap().iter().any(|subject| {
            subject["kind"] == "ServiceAccount"
                && subject["name"] == account
                && subject["namespace"] == SYSTEM
        });
        if !bound || (binding["kind"] == "RoleBinding" && place != namespace) {
            continue;
        }
        let reference = &binding["roleRef"];
        let role = of_kind(objects, reference["kind"].as_str().unwrap())
            .into_iter()
            .find(|role| {
                let of = role["metadata"]["namespace"].as_str().unwrap_or(SYSTEM);
                role["metadata"]["name"] == reference["name"]
                    && (role["kind"] == "ClusterRole" || of == place)
            });
        add(&mut rights, role.unwrap_or_else(|| panic!("no role {reference}")));
    }
    rights
}

fn lines(objects: &[Value], account: &str, namespace: &str) -> Vec<String> {
    let rights = rights(objects, account, namespace).into_iter();
    let lines = rights.map(|(about, verbs)| {
        let verbs: Vec<&str> = verbs.into_iter().collect();
        format!("{about}: {}\n", verbs.join(" "))
    });
    lines.collect()
}

fn text(objects: &[Value], account: &str) -> String {
    let [own, team, mut images] = [SYSTEM, TEAM, IMAGES].map(|namespace| lines(objects, account, namespace));
    let mut text = format!(
        "# in its own namespace\n{}\n# in a namespace with workspaces\n{}",
        own.concat(),
        team.concat()
    );
    images.retain(|line| !team.contains(line));
    if !images.is_empty() {
        text += "\n# also in the namespace of images\n";
        text += &images.concat();
    }
    text
}

#[test]
fn each_account_has_the_rights_of_its_reviewed_file_and_no_others() {
    let objects = &rendering("values-local").objects;
    let mut files = BTreeSet::new();
    for account in of_kind(objects, "ServiceAccount") {
        let account = account["metadata"]["name"].as_str().unwrap();
        let file = format!("{}.txt", account.strip_prefix("jupyter-k8s-").unwrap());
        let (path, now) = (folder().join(&file), text(objects, account));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::create_dir_all(folder()).unwrap();
            fs::write(&path, &now).unwrap();
        }
        let reviewed = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            now, reviewed,
            "{account}: if the change is wanted, write {file} by UPDATE_EXPECT=1 and have it reviewed"
        );
        files.insert(file);
    }
    let present = fs::read_dir(folder()).unwrap();
    let present = present.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(
        present.collect::<BTreeSet<_>>(),
        files,
        "a file of an account that is gone"
    );
}
