//! User names -> kubeconfigs that act as them (IO).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::kubectl;
use super::site::{ADMINISTRATOR, ADMINISTRATORS, USER_NAMESPACE};
use crate::cluster::{kubeconfig_for_user, write_secret};
use crate::paths::Paths;

/// The certificates are valid for a day. Older ones are replaced early, so that they do not end during use.
const RENEW_BEFORE: Duration = Duration::from_hours(12);

/// The kubeconfig of `user` in the cluster's state folder. It is kept while it is new enough and the cluster accepts it.
///
/// # Errors
/// When the cluster signs no certificate.
pub(super) fn kubeconfig(user: &str, paths: &Paths) -> anyhow::Result<PathBuf> {
    let file = paths.cluster().join("users").join(format!("{user}.kubeconfig"));
    let group = (user == ADMINISTRATOR).then_some(ADMINISTRATORS);
    let first = group.unwrap_or("system:authenticated");
    let whoami = [
        "auth",
        "whoami",
        "-o",
        "jsonpath={.status.userInfo.username} {.status.userInfo.groups[0]}",
    ];
    let known = || {
        kubectl::as_holder_of(&file, paths)
            .args(whoami)
            .output()
            .is_ok_and(|found| found == format!("{user} {first}"))
    };
    if !is_fresh(&file) || !known() {
        let config = kubeconfig_for_user(paths, user, group, USER_NAMESPACE)?;
        write_secret(&file, &config)?;
    }
    Ok(file)
}

fn is_fresh(file: &Path) -> bool {
    let age = fs::metadata(file)
        .ok()
        .and_then(|data| data.modified().ok()?.elapsed().ok());
    age.is_some_and(|age| age < RENEW_BEFORE)
}
