//! Permissions of the release's accounts, from the API server's authorizers.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
};

use anyhow::Context as _;
use e2e::{Environment, cluster};
use k8s_openapi::api::authorization::v1::SelfSubjectRulesReview;
use kube::{Api, api::PostParams};
use serde_json::json;

/// A namespace with workspaces, in which no other test changes rights of service accounts.
const TEAM: &str = "team-demo";
/// Accounts that always exist.
const LASTING: [&str; 6] = ["gateway", "identity", "operator", "portal", "proxy", "webhook"];
/// Accounts of Jobs, which exist only while these run. That of `helm test` stays until the next one if a check failed.
const OF_JOBS: [&str; 2] = ["crds", "uninstall"];

/// Resource, or resource and name of one object -> verbs.
type Rights = BTreeMap<String, BTreeSet<String>>;

/// The permissions of this service account of the release in a namespace.
async fn rights(account: &str, namespace: &str) -> anyhow::Result<Rights> {
    let system = &Environment::get()?.system_namespace;
    let user = format!("system:serviceaccount:{system}:{account}");
    let own = format!("system:serviceaccounts:{system}");
    let client = cluster::acting_as(&user, &["system:serviceaccounts", &own]).await?;
    let review: SelfSubjectRulesReview = serde_json::from_value(json!({"spec": {"namespace": namespace}}))?;
    let answer = Api::<SelfSubjectRulesReview>::all(client)
        .create(&PostParams::default(), &review)
        .await?;
    let status = answer.status.context("no status")?;
    let mut rights = Rights::new();
    for rule in status.resource_rules {
        let names = rule.resource_names.filter(|names| !names.is_empty());
        for group in rule.api_groups.unwrap_or_default() {
            for resource in rule.resources.clone().unwrap_or_default() {
                for name in names.clone().unwrap_or_else(|| vec![String::new()]) {
                    let about = format!("{resource}.{group}");
                    let about = format!("{} {name}", about.trim_end_matches('.'));
                    let verbs = rights.entry(about.trim().to_owned()).or_default();
                    verbs.extend(rule.verbs.iter().cloned());
                }
            }
        }
    }
    for rule in status.non_resource_rules {
        for path in rule.non_resource_urls.unwrap_or_default() {
            rights.entry(path).or_default().extend(rule.verbs.iter().cloned());
        }
    }
    Ok(rights)
}

/// The same without the rights that every service account of the namespace has, as text.
async fn beyond_others(account: &str, namespace: &str) -> anyhow::Result<String> {
    let mut own = rights(account, namespace).await?;
    for (about, verbs) in rights("no-such-account", namespace).await? {
        if let Some(held) = own.get_mut(&about) {
            held.retain(|verb| !verbs.contains(verb));
        }
    }
    own.retain(|_, verbs| !verbs.is_empty());
    let lines = own.into_iter().map(|(about, verbs)| {
        let verbs: Vec<String> = verbs.into_iter().collect();
        format!("{about}: {}\n", verbs.join(" "))
    });
    Ok(lines.collect())
}

async fn text(account: &str) -> anyhow::Result<String> {
    let system = &Environment::get()?.system_namespace;
    let own = beyond_others(account, system).await?;
    let team = beyond_others(account, TEAM).await?;
    Ok(format!(
        "# in its own namespace\n{own}\n# in a namespace with workspaces\n{team}"
    ))
}

#[tokio::test]
async fn each_account_of_the_release_has_the_rights_of_its_reviewed_file_and_no_others() -> anyhow::Result<()>
{
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/account_rights");
    let release = &Environment::get()?.release;
    let mut wrong = Vec::new();
    for component in LASTING {
        let path = folder.join(format!("{component}.txt"));
        let now = text(&format!("{release}-{component}")).await?;
        if env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &now)?;
        }
        let reviewed = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        if now != reviewed {
            wrong.push(format!(
                "{component} has:\n{now}\nand {} has:\n{reviewed}",
                path.display()
            ));
        }
    }
    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn accounts_of_jobs_have_no_rights_while_no_job_runs() -> anyhow::Result<()> {
    let release = &Environment::get()?.release;
    for component in OF_JOBS {
        let account = format!("{release}-{component}");
        for namespace in [Environment::get()?.system_namespace.as_str(), TEAM] {
            let rights = beyond_others(&account, namespace).await?;
            anyhow::ensure!(rights.is_empty(), "{account} in {namespace}:\n{rights}");
        }
    }
    Ok(())
}
