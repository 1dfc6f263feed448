//! Upgrades with other values while users work, and the rollback.
//!
//! All tests that change the whole release are here, because a change takes half a minute. The first three modules share one upgrade.
//!
//! | module | what the upgrade changes |
//! |---|---|
//! | `definitions` | CRDs of another version |
//! | `folders` | routing mode: workspaces in folders of one host |
//! | `team` | a namespace that exists becomes a team's; a template is required |
//! | `older_api_server` | all components ask an API server of Kubernetes 1.34 |

mod definitions;
mod folders;
mod older_api_server;
mod team;

use std::time::Instant;

use anyhow::Context as _;
use e2e::{installation::release, test_run::finally::always};

use definitions::Definitions;
use folders::Folders;
use team::Team;

#[tokio::test]
async fn an_upgrade_and_the_way_back_move_running_workspaces_set_up_a_team_and_update_older_crds()
-> anyhow::Result<()> {
    let (folders, team) = tokio::try_join!(Folders::new(), Team::new())?;
    let definitions = Definitions::of_other_versions().await?;
    let back = async {
        let labelled = definitions.have_no_version().await;
        let begin = Instant::now();
        release::upgrade(&[]).await?;
        println!("back after {:?}", begin.elapsed());
        labelled
    };
    always(Box::pin(upgraded(&folders, &team, &definitions)), back).await?;
    definitions.are_ours().await.context("CRDs")?;
    folders.on_hosts_again().await.context("folders")?;
    team.finish().await.context("team")?;
    folders.finish().await
}

async fn upgraded(folders: &Folders, team: &Team, definitions: &Definitions) -> anyhow::Result<()> {
    let mut values = team.values();
    values.push("routing.mode=Path".to_owned());
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let begin = Instant::now();
    release::upgrade(&values).await?;
    println!("upgraded after {:?}", begin.elapsed());
    definitions.are_upgraded().await.context("CRDs")?;
    let folders = async { folders.work().await.context("folders") };
    let team = async { team.works().await.context("team") };
    tokio::try_join!(Box::pin(folders), Box::pin(team)).map(drop)
}
