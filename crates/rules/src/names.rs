//! Identity of a workspace -> names, host, URL and labels of its objects (pure).

use std::collections::BTreeMap;

use api::manager::{Routing, RoutingMode};
use k8s_openapi::jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

/// Maximum length of the readable part of a host (workspace name) or of a user's slug (user name).
const MAX_SLUG: usize = 40;
/// Characters that a part of an address's path does not hold as they are.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The same for a whole path.
const PATH: &AsciiSet = &SEGMENT.remove(b'/');
/// Characters of an identity: 80 bits in base32.
const IDENTITY: usize = 16;
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Prefix of the children of workspaces.
const CHILD: &str = "workspace-";
/// Prefix of the claims of further disks.
const FURTHER_CLAIM: &str = "wsc-";

/// Name of every child of the workspace `name`: claim, Pod, Service.
pub fn child(name: &str) -> String {
    format!("{CHILD}{name}")
}

/// Whether a claim is named as the disk of some workspace.
pub fn is_disk_name(claim: &str) -> bool {
    [CHILD, FURTHER_CLAIM]
        .iter()
        .any(|prefix| claim.starts_with(prefix))
}

/// Default name of the object `object` of a template, for the workspace `name`. Names of workspaces have at most 50 characters, so it is
/// also a label.
pub fn object(name: &str, object: &str) -> String {
    format!("wso-{object}-{name}")
}

/// Name of the further disk `claim` of the workspace `name`. No two disks share one, because no name of a disk has a hyphen.
pub fn further_claim(claim: &str, name: &str) -> String {
    format!("{FURTHER_CLAIM}{claim}-{name}")
}

/// The further disk of the workspace `name` whose claim has this name.
pub fn further_disk<'a>(claim: &'a str, name: &str) -> Option<&'a str> {
    let (disk, workspace) = claim.strip_prefix(FURTHER_CLAIM)?.split_once('-')?;
    (workspace == name).then_some(disk)
}

/// Whether the claim is named as a further disk of the workspace `name`.
pub fn is_further_claim(claim: &str, name: &str) -> bool {
    further_disk(claim, name).is_some()
}

/// Name of the service account of a single workspace. It contains a part of the UID, because cloud identities match names.
/// A workspace that is created again under the same name must get another identity.
pub fn service_account(name: &str, uid: &str) -> String {
    let uid = &uid[..uid.floor_char_boundary(8)];
    format!("{}-{uid}", child(name))
}

/// The name of a manager as a label's value: managers have names of up to 253 characters.
pub fn manager_hash(manager: &str) -> String {
    base32(&format!("manager/{manager}"))
}

/// Host of a workspace: one label under `base_domain`. The label contains 80 bits of the object's identity.
/// So a workspace that is created again under its old name is another web origin.
pub fn host(namespace: &str, name: &str, uid: &str, base_domain: &str) -> String {
    let slug = &name[..name.floor_char_boundary(MAX_SLUG)];
    // Browsers read labels with this prefix as encoded Unicode.
    let prefix = if slug.starts_with("xn--") { "w-" } else { "" };
    format!("{prefix}{slug}-{}.{base_domain}", identity(namespace, name, uid))
}

/// Hosts of workspaces under `base_domain` in the pattern language of ssh's configuration, where `*` and `?` stand for dots, too.
/// The second pattern takes away what is deeper. Other servers may be named below the same domain.
pub fn host_patterns(base_domain: &str) -> [String; 2] {
    let identity = "?".repeat(IDENTITY);
    [
        format!("*-{identity}.{base_domain}"),
        format!("!*.*.{base_domain}"),
    ]
}

/// Path of a workspace on the shared host, without trailing `/` (routing mode Path).
/// Only workspaces use such a host, so the path contains no identity beyond namespace and name.
pub fn folder(namespace: &str, name: &str) -> String {
    format!("/workspaces/{namespace}/{name}")
}

/// Host and path of a workspace, the path without trailing `/`. The path is empty where the workspace has its own host.
pub fn place(routing: &Routing, namespace: &str, name: &str, uid: &str) -> (String, String) {
    match routing.mode {
        RoutingMode::Subdomain => (host(namespace, name, uid, &routing.base_domain), String::new()),
        RoutingMode::Path => (routing.base_domain.clone(), folder(namespace, name)),
    }
}

/// URL of a host as browsers see it, without port 443.
pub fn url(host: &str, port: u16) -> String {
    if port == 443 {
        format!("https://{host}/")
    } else {
        format!("https://{host}:{port}/")
    }
}

/// Last label of the names by which ssh calls workspaces.
pub const SSH_SUFFIX: &str = ".workspace";

/// The name by which ssh calls a workspace. No DNS knows it: `kubectl workspace ssh-config` tells ssh how to connect to it.
pub fn ssh_host(namespace: &str, name: &str) -> String {
    format!("{name}.{namespace}{SSH_SUFFIX}")
}

/// Address that opens a folder of a workspace in an editor on the user's computer, by ssh. `scheme`: that of the editor, such as `vscode`.
/// `host`: the name by which ssh calls the workspace.
pub fn editor_url(scheme: &str, host: &str, folder: &str) -> String {
    let (host, folder) = (
        utf8_percent_encode(host, SEGMENT),
        utf8_percent_encode(folder, PATH),
    );
    format!("{scheme}://vscode-remote/ssh-remote+{host}{folder}")
}

/// A user's name as a DNS label: for a folder, a label's value, the name of an object, or a part of one.
/// The readable part is for humans. 80 bits of the exact name separate all users that Kubernetes separates.
/// This holds also where disks or humans see no difference: `a-b` and `a.b`, `Alice` and `alice`, composed and decomposed Unicode
/// letters.
pub fn owner_slug(user: &str) -> String {
    let mut slug = String::new();
    for c in user.chars() {
        if slug.len() >= MAX_SLUG {
            break;
        }
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    let hash = base32(&format!("owner/{user}"));
    if slug.is_empty() {
        format!("u-{hash}")
    } else if slug.starts_with(|c: char| c.is_ascii_digit()) {
        format!("u-{slug}-{hash}")
    } else {
        format!("{slug}-{hash}")
    }
}

/// The identity of a workspace. It is unambiguous, because no part of `uid/namespace/name` can contain a slash.
fn identity(namespace: &str, name: &str, uid: &str) -> String {
    base32(&format!("{uid}/{namespace}/{name}"))
}

/// The first 80 bits of SHA-256 over `text`, as 16 characters of base32.
fn base32(text: &str) -> String {
    let digest = Sha256::digest(text);
    let bits = digest[..10]
        .iter()
        .fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    (0..IDENTITY)
        .rev()
        .map(|place| char::from(BASE32[(bits >> (place * 5) & 31) as usize]))
        .collect()
}

/// A name for a new share of the workspace `name`. It is not left to the API server (`generateName`): without a name a denial would come
/// from another check, with another message.
pub fn share(name: &str, now: Timestamp) -> String {
    format!("{name}-{:x}", now.as_nanosecond())
}

/// Labels that select all objects of the workspace `name`. They never change.
pub fn selector(name: &str) -> BTreeMap<String, String> {
    [
        (api::names::APP_NAME_LABEL, api::names::WORKSPACE_APP),
        (api::names::WORKSPACE_LABEL, name),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// Labels of a child of the workspace `name` with the role `component`, such as `disk`.
pub fn labels(name: &str, component: &str) -> BTreeMap<String, String> {
    let mut labels = selector(name);
    labels.extend(
        [
            (api::names::APP_COMPONENT_LABEL, component),
            (api::names::APP_PART_OF_LABEL, api::names::PRODUCT),
            (api::names::APP_MANAGED_BY_LABEL, api::names::OPERATOR),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    labels
}

/// Annotations of a child that stays without an owner reference.
pub fn not_pruned() -> impl Iterator<Item = (String, String)> {
    api::names::NOT_PRUNED
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
}

/// Whether `text` is a DNS-1035 label of at most `max` characters.
pub(crate) fn is_dns_1035_label(text: &str, max: usize) -> bool {
    text.len() <= max
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Whether `text` can be the name of an object (a DNS-1123 subdomain). Other texts are not looked up: they would change the request's
/// URL.
pub fn is_dns_1123_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UID: &str = "3e1f5a7c-0d8b-4d0a-9f5e-2b6c7d8e9f01";

    #[test]
    fn hosts_stay_what_they_are() {
        for (name, expected) in [
            ("demo", "demo-ukb5wakby6jim56e.workspaces.localhost"),
            ("xn--demo", "w-xn--demo-agwz35u3vqeo2ey6.workspaces.localhost"),
            (
                "a2345678901234567890123456789012345678901234567890",
                "a234567890123456789012345678901234567890-aiwca6kghg7jmxdy.workspaces.localhost",
            ),
        ] {
            assert_eq!(host("team-demo", name, UID, "workspaces.localhost"), expected);
            let label = expected.strip_suffix(".workspaces.localhost").unwrap();
            assert_eq!(label.rsplit_once('-').unwrap().1.len(), IDENTITY);
        }
    }

    #[test]
    fn an_editor_s_address_is_one_host_and_its_folder() {
        let url = |name, folder| editor_url("vscode", &ssh_host("team-demo", name), folder);
        assert_eq!(
            url("demo", "/home/jovyan"),
            "vscode://vscode-remote/ssh-remote+demo.team-demo.workspace/home/jovyan"
        );
        assert_eq!(
            url("a/b?c", "/data/my files#1%\"<é"),
            "vscode://vscode-remote/ssh-remote+a%2Fb%3Fc.team-demo.workspace/data/my%20files%231%25%22%3C%C3%A9"
        );
    }

    #[test]
    fn a_folder_is_the_namespace_and_the_name() {
        let routing = |mode| Routing {
            mode,
            path_mode_sharing: api::manager::PathModeSharing::Refuse,
            base_domain: "b.org".to_owned(),
            port: None,
            traefik: None,
            custom: None,
            external: None,
        };
        let place = |mode| place(&routing(mode), "team-demo", "demo", UID);
        assert_eq!(
            place(RoutingMode::Path),
            ("b.org".to_owned(), "/workspaces/team-demo/demo".to_owned())
        );
        let (host, folder) = place(RoutingMode::Subdomain);
        assert!(host.starts_with("demo-") && host.ends_with(".b.org") && folder.is_empty());
    }

    #[test]
    fn a_url_omits_the_default_port() {
        assert_eq!(url("a.example.org", 443), "https://a.example.org/");
        assert_eq!(url("a.example.org", 8443), "https://a.example.org:8443/");
    }

    #[test]
    fn children_select_by_constant_labels() {
        let labels = labels("demo", "disk");
        assert!(
            selector("demo")
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
        );
        assert_eq!(labels[api::names::APP_COMPONENT_LABEL], "disk");
        assert!(
            !labels.contains_key(api::names::APP_INSTANCE_LABEL),
            "Argo CD takes what carries it for an object of the application of that name"
        );
    }

    fn workspace_name() -> impl Strategy<Value = String> {
        "[a-z]([-a-z0-9]{0,48}[a-z0-9])?"
    }

    proptest! {
        #[test]
        fn label_values_are_legal(name in workspace_name()) {
            for (_, value) in labels(&name, "disk") {
                prop_assert!(value.len() <= 63);
            }
        }
    }
}
