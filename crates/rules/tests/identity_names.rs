//! Arbitrary names of users and workspaces -> derived names: safe, unique, and the same in every version.
//!
//! `identity_names.json` is the record. A changed row gives a user another folder or address: add rows, never change one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use api::Workspace;
use api::names::{CREATED_BY, owner};
use proptest::prelude::*;
use rules::checks;
use rules::names::{child, folder, host, labels, owner_slug, service_account};
use rules::variables::{Scope, expand_text, expand_value};
use serde::Deserialize;
use serde_json::json;

const UID: &str = "3e1f5a7c-0d8b-4d0a-9f5e-2b6c7d8e9f01";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Record {
    users: Vec<Owner>,
    refused_users: Vec<Refused>,
    workspaces: Vec<Named>,
    refused_workspaces: Vec<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    is: String,
    user: String,
    slug: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    is: String,
    name: String,
    label: String,
    folder: String,
    child: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    is: String,
    #[serde(alias = "user")]
    name: String,
}

fn record() -> Record {
    serde_json::from_str(include_str!("identity_names.json")).unwrap()
}

fn workspace_of(user: &str) -> Workspace {
    serde_json::from_value(json!({
        "metadata": {"name": "lab", "namespace": "team", "uid": UID, "annotations": {CREATED_BY: user}},
        "spec": {"displayName": "d"},
    }))
    .unwrap()
}

/// Fit for a folder, a label's value, the name of any object, and one label of a host.
fn is_safe(slug: &str) -> bool {
    slug.len() <= 63
        && slug.starts_with(|c: char| c.is_ascii_lowercase())
        && slug.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && !slug.contains("--")
        && slug
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[test]
fn every_user_has_the_recorded_slug_and_no_other_user_has_it() {
    let users = record().users;
    let mut slugs = BTreeSet::new();
    for Owner { is, user, slug } in &users {
        assert_eq!(owner_slug(user), *slug, "{is}");
        assert!(is_safe(slug), "{is}: {slug}");
        assert!(slugs.insert(slug.as_str()), "{is}: {slug} is another user's");
        // Each user owns the workspaces that they created under this exact name.
        let workspace = workspace_of(user);
        assert_eq!(owner(&workspace.metadata), Some(user.as_str()), "{is}");
        let scope = Scope::for_workspace(&workspace);
        assert_eq!(
            expand_text("home/{owner.slug}", &scope).unwrap(),
            format!("home/{slug}")
        );
        assert_eq!(expand_text("{owner.name}", &scope).unwrap(), *user, "{is}");
        assert_eq!(
            expand_text("{owner.slug}", &scope.identity()).unwrap(),
            *slug,
            "{is}: no annotation of an account refuses it"
        );
        assert_eq!(checks::user_name("f", user), None, "{is}");
    }
}

#[test]
fn an_owner_name_that_is_not_one_folder_name_is_refused() {
    let mount =
        json!({"volumeMounts": [{"name": "homes", "mountPath": "/h", "subPath": "people/{owner.name}"}]});
    for Owner { is, user, .. } in record().users {
        let expanded = expand_value("spec.c", &mount, &Scope::for_workspace(&workspace_of(&user)));
        let is_folder = !user.contains('/') && user != ".";
        match expanded {
            Ok(value) => {
                assert!(is_folder, "{is}");
                assert_eq!(
                    value["volumeMounts"][0]["subPath"],
                    format!("people/{user}"),
                    "{is}"
                );
            }
            Err(faults) => {
                assert!(!is_folder, "{is}: {faults:?}");
                assert_eq!(faults[0].field, "spec.c.volumeMounts[0].subPath");
                let message = faults[0].to_string();
                assert!(
                    message.contains("{owner.slug}") && message.contains("one folder"),
                    "{message}"
                );
            }
        }
    }
}

#[test]
fn invisible_or_invalid_owner_names_are_refused() {
    for Refused { is, name } in record().refused_users {
        if name.is_empty() {
            assert_eq!(owner(&workspace_of(&name).metadata), None, "{is}");
            let message =
                expand_text("{owner.slug}", &Scope::for_workspace(&workspace_of(&name))).unwrap_err();
            assert!(
                message.to_string().contains("unknown variable {owner.slug}"),
                "{message}"
            );
            continue;
        }
        let refused = checks::user_name("metadata.annotations[x]", &name);
        let message = refused.unwrap_or_else(|| panic!("{is} passes")).to_string();
        assert!(
            message.contains("metadata.annotations[x]") && message.contains("as Kubernetes knows them"),
            "{message}"
        );
        assert!(!message.chars().any(char::is_control), "{is}: {message:?}");
        // Such a name does no harm, even if an API server attests it.
        assert!(is_safe(&owner_slug(&name)), "{is}");
    }
}

#[test]
fn every_workspace_has_the_recorded_address_and_no_other_has_it() {
    let mut seen = BTreeSet::new();
    for row in record().workspaces {
        let Named { is, name, .. } = &row;
        assert!(checks::name(name).is_empty(), "{is}");
        assert_eq!(
            host("team", name, UID, "b.org"),
            format!("{}.b.org", row.label),
            "{is}"
        );
        assert!(row.label.len() <= 63 && !row.label.starts_with("xn--"), "{is}");
        assert_eq!(folder("team", name), row.folder, "{is}");
        assert_eq!(child(name), row.child, "{is}");
        assert!(service_account(name, UID).len() <= 253, "{is}");
        assert!(
            labels(name, "disk").values().all(|value| value.len() <= 63),
            "{is}"
        );
        for derived in [&row.label, &row.folder, &row.child] {
            assert!(seen.insert(derived.clone()), "{is}: {derived} is another's");
        }
    }
}

#[test]
fn a_workspace_name_that_needs_escapes_is_refused_with_the_reason() {
    for Refused { is, name } in record().refused_workspaces {
        let refused = checks::name(&name);
        assert_eq!(refused.len(), 1, "{is}");
        let message = refused[0].to_string();
        assert!(
            message.contains("metadata.name") && message.contains("lower-case letters, digits and '-'"),
            "{message}"
        );
    }
}

/// Names that differ in one place, by characters that users and file systems easily confuse.
fn alike() -> impl Strategy<Value = (String, String)> {
    let pairs = [
        ("-", "."),
        (".", "_"),
        ("@", "-"),
        ("\\", "/"),
        ("a", "A"),
        ("a", "\u{430}"),
        ("\u{eb}", "e\u{308}"),
        (" ", "\u{a0}"),
        ("", "-"),
        ("", "\u{200b}"),
        ("fi", "\u{fb01}"),
    ];
    ("\\PC{0,60}", prop::sample::select(pairs.to_vec()), "\\PC{0,500}").prop_map(
        |(before, (one, other), after)| (format!("{before}{one}{after}"), format!("{before}{other}{after}")),
    )
}

proptest! {
    #[test]
    fn any_name_gives_a_safe_slug(user in "(?s).{1,600}") {
        let slug = owner_slug(&user);
        prop_assert!(is_safe(&slug), "{slug}");
    }

    #[test]
    fn names_that_differ_have_slugs_that_differ((one, other) in alike()) {
        prop_assert_ne!(owner_slug(&one), owner_slug(&other));
    }

    #[test]
    fn workspaces_that_differ_have_addresses_that_differ(
        one in ("[a-z][a-z0-9-]{0,8}", "[a-z]([a-z0-9-]{0,48}[a-z0-9])?"),
        other in ("[a-z][a-z0-9-]{0,8}", "[a-z]([a-z0-9-]{0,48}[a-z0-9])?"),
    ) {
        prop_assume!(one != other);
        prop_assert_ne!(folder(&one.0, &one.1), folder(&other.0, &other.1));
        prop_assert_ne!(host(&one.0, &one.1, UID, "b.org"), host(&other.0, &other.1, UID, "b.org"));
    }
}

/// Cookies, service workers and sessions of the one before are those of another host.
#[test]
fn a_namesake_made_anew_has_an_address_of_its_own() {
    let of = |uid: &str| host("team", "lab", uid, "b.org");
    assert_ne!(of(UID), of("3e1f5a7c-0d8b-4d0a-9f5e-2b6c7d8e9f02"));
}
