//! The bundled Keycloak with another realm, as a second provider.
//!
//! It is an edit of the chart's manifests (pure), and a program that applies it during `helm upgrade` (IO).

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use anyhow::Context as _;
use e2e::{Environment, cluster};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Name of the realm, and of the provider.
pub(crate) const NAME: &str = "partners";
/// Where the chart mounts the realm that it has.
const ENTRY: &str = "jupyter-realm.json";

/// An account of the realm: name, password, group.
pub(crate) type Account<'a> = (&'a str, &'a str, &'a str);

/// The realm as Keycloak imports it: the chart's own with another name, other users, another client secret and redirect URI.
pub(crate) async fn of(
    accounts: &[Account<'_>],
    client_secret: &str,
    redirect_uri: &str,
) -> anyhow::Result<Value> {
    let environment = Environment::get()?;
    let maps = Api::<ConfigMap>::namespaced(cluster::admin().await?, &environment.system_namespace);
    let map = maps.get(&format!("{}-identity", environment.release)).await?;
    let text = map.data.unwrap_or_default().remove(ENTRY).context("no realm")?;
    Ok(changed(
        serde_json::from_str(&text)?,
        accounts,
        client_secret,
        redirect_uri,
    ))
}

fn changed(mut realm: Value, accounts: &[Account<'_>], client_secret: &str, redirect_uri: &str) -> Value {
    realm["realm"] = json!(NAME);
    let groups: BTreeSet<_> = accounts.iter().map(|(.., group)| group).collect();
    realm["groups"] = groups.into_iter().map(|group| json!({"name": group})).collect();
    realm["users"] = accounts
        .iter()
        .map(|(name, password, group)| {
            json!({
                "username": name,
                "enabled": true,
                "email": format!("{name}@partner.example"),
                "emailVerified": true,
                "firstName": name,
                "lastName": "Partner",
                "groups": [format!("/{group}")],
                "credentials": [{"type": "password", "temporary": false, "value": password}],
            })
        })
        .collect();
    let client = &mut realm["clients"][0];
    client["secret"] = json!(client_secret);
    client["redirectUris"] = json!([redirect_uri]);
    realm
}

/// A program that edits manifests on their way from helm to the cluster. It lies in a folder that goes with this.
pub(crate) struct Edit {
    _folder: TempDir,
    pub(crate) program: PathBuf,
}

impl Edit {
    pub(crate) fn adding(realm: &Value) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (script, program) = (folder.path().join("edit.sed"), folder.path().join("edit"));
        fs::write(&script, edits(realm)?)?;
        fs::write(&program, format!("#!/bin/sh\nexec sed -f {}\n", script.display()))?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700))?;
        Ok(Self {
            _folder: folder,
            program,
        })
    }
}

/// In sed's language: the realm beside the first one, the proxy's way to its pages, and new pods for both.
fn edits(realm: &Value) -> anyhow::Result<String> {
    let realm = realm.to_string();
    anyhow::ensure!(!realm.contains(['\'', '\n']), "{realm}");
    let dotted = ENTRY.replace('.', "\\.");
    Ok(format!(
        "/^  {dotted}: |$/i\\  {NAME}-realm.json: '{realm}'\n\
         s#PathPrefix(`/realms/jupyter/`)#PathPrefix(`/realms/jupyter/`) || PathPrefix(`/realms/{NAME}/`)#\n\
         s#\\(workspaces.jupyter.org/\\(realm\\|routes\\)-hash:\\) .*#\\1 {NAME}#\n"
    ))
}
