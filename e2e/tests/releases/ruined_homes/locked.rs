//! A home of another user: it says that an administrator can mend it, also in recovery, and starts once its mode is mended.

use api::workspace::DesiredStatus;
use e2e::{cluster::Scratch, objects::workspace};
use serde_json::json;

use super::{Lab, NAME, OWNER, disk};

/// Neither the workspaces' user nor root.
const OTHER: i64 = 65532;
/// Mode of the home, whether the workspace starts in recovery, and what the last line of its server says.
const LOCKED: [(&str, bool, &str); 3] = [
    ("0700", false, "/home/jovyan cannot be read"),
    ("0700", true, "/home/jovyan/disk cannot be read"),
    ("0755", false, "/home/jovyan cannot be written"),
];

#[tokio::test]
async fn a_home_of_another_user_names_the_administrator_and_starts_once_its_mode_is_mended()
-> anyhow::Result<()> {
    let scratch = Scratch::new("locked", &[OWNER]).await?;
    // The kubelet gives a `local` volume to the pods' group, and leaves modes of a `hostPath` as they are.
    let storage = disk::make(&scratch, OTHER, |folder| {
        let home = folder.join("home");
        ("hostPath", json!({"path": home, "type": "Directory"}))
    })
    .await?;
    disk::run_in_holder(&scratch, "mkdir -m 0777 /tmp/home").await?;
    let lab = Box::pin(Lab::new(scratch, storage)).await?;
    for (mode, in_recovery, what) in LOCKED {
        workspace::stop(&lab.workspaces, NAME).await?;
        disk::run_in_holder(&lab.scratch, &format!("chmod {mode} /tmp/home")).await?;
        let start = json!({"desiredStatus": DesiredStatus::Running, "recoveryMode": in_recovery});
        let why = format!("it belongs to user {OTHER} and has mode {mode}. An administrator can mend that");
        lab.starts_and_tells(start, &format!("{what} by user 1000: {why}"))
            .await?;
    }

    workspace::stop(&lab.workspaces, NAME).await?;
    disk::run_in_holder(&lab.scratch, "chmod 0777 /tmp/home").await?;
    workspace::start(&lab.workspaces, NAME).await?;
    lab.shows_the_files().await?;
    let name = lab.scratch.namespace.clone();
    lab.finish().await?;
    disk::remove(name).await
}
