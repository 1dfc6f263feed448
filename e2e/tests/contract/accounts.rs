//! Permissions of the release's accounts, from the API server's authorizers.

use std::{env, fs, path::Path};

use anyhow::Context as _;
use e2e::{Environment, cluster::service_account::rights_beyond_others};

/// A namespace with workspaces, in which no other test changes rights of service accounts.
const TEAM: &str = "team-demo";
/// Accounts that always exist.
const LASTING: [&str; 6] = ["gateway", "identity", "operator", "portal", "proxy", "webhook"];
/// Accounts of Jobs, which exist only while these run: until then they have no rights. That of `helm test` stays until the next one if a check failed.
const OF_JOBS: [&str; 2] = ["crds", "uninstall"];

async fn text(account: &str) -> anyhow::Result<String> {
    let system = &Environment::get()?.system_namespace;
    let own = rights_beyond_others(system, account, system).await?;
    let team = rights_beyond_others(system, account, TEAM).await?;
    let images = format!("{}-images", Environment::get()?.release);
    let images = rights_beyond_others(system, account, &images).await?;
    let also = images.lines().filter(|line| !team.lines().any(|it| it == *line));
    let also: String = also.flat_map(|line| [line, "\n"]).collect();
    let mut text = format!("# in its own namespace\n{own}\n# in a namespace with workspaces\n{team}");
    if !also.is_empty() {
        text += "\n# also in the namespace of images\n";
        text += &also;
    }
    Ok(text)
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
    let system = Environment::get()?.system_namespace.as_str();
    for component in OF_JOBS {
        let account = format!("{release}-{component}");
        for namespace in [system, TEAM] {
            let rights = rights_beyond_others(system, &account, namespace).await?;
            anyhow::ensure!(rights.is_empty(), "{account} in {namespace}:\n{rights}");
        }
    }
    Ok(())
}
