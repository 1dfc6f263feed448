//! `version`, `whoami` -> the versions of plugin and cluster, the user (IO).

use api::names::CRD_VERSION;
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::json;

use super::identity::current_user;
use crate::args::{Shown, Version};
use crate::cluster::Cluster;
use crate::console::Console;
use crate::failure::Failure;
use crate::output;
use crate::remote::gateway::SignedIn;
use crate::remote::state::State;

/// Version of this plugin.
const OWN: &str = env!("CARGO_PKG_VERSION");

/// Shows the user as the API server knows them, and as the gateways do. `cluster`: or why there is no connection.
pub(crate) async fn whoami(
    cluster: Result<&Cluster, Failure>,
    args: &Shown,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let user = match cluster {
        Ok(cluster) => current_user(cluster).await,
        Err(failure) => Err(failure),
    };
    if let Some(format) = &args.output {
        let mut object = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        object["status"]["userInfo"] = serde_json::to_value(&user?)?;
        return Ok(console.out.data(&output::object(&object, format)?)?);
    }
    if let Ok(user) = &user {
        show_user(user, console)?;
    }
    let state = State::of_user()?;
    let sign_ins = state.sign_ins()?;
    let asked = sign_ins.iter().map(|sign_in| async {
        let signed_in = SignedIn::new(sign_in.clone(), state.clone())?;
        signed_in.counts().await
    });
    for (sign_in, counts) in sign_ins.iter().zip(futures::future::join_all(asked).await) {
        let (base, user, end) = (sign_in.auth.base(), &sign_in.user, sign_in.end());
        let end = match counts {
            Ok(true) => format!("until {end} at the latest"),
            Ok(false) => format!("ended: run kubectl workspace login https://{base}"),
            Err(error) => format!("until {end}, if it has not ended before: {error:#}"),
        };
        writeln!(console.out, "Gateway {base}: {user}, {end}")?;
    }
    let of_gateway = match user {
        // Guests of a share need no cluster.
        Err(failure) if Cluster::is_missing(&failure) && !sign_ins.is_empty() => {
            return Ok(writeln!(
                console.err,
                "There is no kubeconfig, so no cluster was asked for your name."
            )?);
        }
        Err(failure) => return Err(failure),
        Ok(_) if sign_ins.is_empty() => {
            "The page https://auth.<baseDomain>/ shows the name by which the gateway does, and after kubectl workspace login this command"
        }
        Ok(_) => "The gateway knows you by those above",
    };
    writeln!(
        console.err,
        "Workspaces know you by this user name. {of_gateway}; if they differ, see docs/sign-in.md, Names."
    )?;
    Ok(())
}

fn show_user(user: &UserInfo, console: &mut Console<'_>) -> Result<(), Failure> {
    let rows = [
        ("User:", user.username.clone().unwrap_or_default()),
        ("Groups:", user.groups.as_deref().unwrap_or_default().join(", ")),
        ("UID:", user.uid.clone().unwrap_or_default()),
    ];
    let rows: Vec<_> = rows
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    Ok(console.out.block(&output::table(&rows))?)
}

/// Shows versions, and fails with code 3 if the CRDs do not fit the plugin.
pub(crate) async fn version(
    cluster: &Cluster,
    args: &Shown,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let name = "workspaces.workspaces.jupyter.org";
    let (server, crd) = futures::join!(
        cluster.path("/version"),
        cluster.get::<CustomResourceDefinition>(None, name)
    );
    let server = server?["gitVersion"].as_str().unwrap_or_default().to_owned();
    let (crds, fit) = match crd {
        Ok(crd) => {
            let version = crd["metadata"]["annotations"][CRD_VERSION]
                .as_str()
                .unwrap_or_default();
            (Some(version.to_owned()), fits(version))
        }
        Err(Failure::Refused(status)) if status.code == 403 => (None, None),
        Err(failure) if failure.is_not_found() => {
            return Err(Failure::Other(anyhow::anyhow!(
                "the cluster has no CRD {name}: is jupyter-k8s installed there?"
            )));
        }
        Err(failure) => return Err(failure),
    };
    if let Some(format) = &args.output {
        let versions = json!({"plugin": OWN, "crds": crds, "kubernetes": server, "fit": fit});
        console
            .out
            .data(&output::report("Versions", &versions, format)?)?;
    } else {
        let crds = crds.unwrap_or_else(|| "not known: you may not read CustomResourceDefinitions".to_owned());
        let rows = [
            ("Plugin:", OWN.to_owned()),
            ("CRDs:", crds),
            ("Kubernetes:", server),
        ];
        let rows: Vec<_> = rows.map(|(name, value)| vec![name.to_owned(), value]).to_vec();
        console.out.block(&output::table(&rows))?;
        if fit == Some(false) {
            writeln!(
                console.out,
                "They do not fit: use the plugin of the installation's version."
            )?;
        }
    }
    match fit {
        Some(false) => Err(Failure::Explained),
        _ => Ok(()),
    }
}

/// Shows the plugin's version alone.
pub(crate) fn version_of_client(args: &Version, console: &mut Console<'_>) -> Result<(), Failure> {
    let Some(format) = &args.shown.output else {
        return Ok(writeln!(console.out, "Plugin:   {OWN}")?);
    };
    let report = output::report("Versions", &json!({"plugin": OWN}), format)?;
    Ok(console.out.data(&report)?)
}

/// Whether the CRDs are of the plugin's release: before 1.0 the same minor version, then the same major one. `None`: they say no version.
fn fits(crds: &str) -> Option<bool> {
    let release = |version: &str| {
        let mut parts = version.split('.').map(str::to_owned);
        let major = parts.next()?;
        let minor = parts.next()?;
        Some(if major == "0" { format!("0.{minor}") } else { major })
    };
    Some(release(crds)? == release(OWN)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crds_of_the_same_release_fit() {
        assert_eq!(fits(OWN), Some(true));
        assert_eq!(fits("77.1.0"), Some(false));
        assert_eq!(fits(""), None);
    }
}
