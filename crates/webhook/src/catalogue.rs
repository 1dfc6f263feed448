//! Request for a template, manager or profile -> what is wrong with it, what is worth a warning (IO only through
//! look-ups).

use std::time::Duration;

use api::{WorkspaceManager, WorkspaceTemplate};
use rules::Settings;

use crate::changes::Changes;
use crate::findings::Findings;
use crate::lookups::Lookups;
use crate::review::Request;
use crate::workspace::unreadable;

/// Counting is only for a warning: the request does not wait for it longer than this.
const COUNTING: Duration = Duration::from_secs(2);

/// A template must not contradict itself. Its spec never changes, so that this is seen when it is written.
pub(crate) fn template(request: &Request, settings: &Settings) -> Findings {
    if !request.is_create() {
        return Findings::default();
    }
    match request.object.clone().try_parse::<WorkspaceTemplate>() {
        Ok(template) => Findings {
            invalid: rules::validate::template(&template.spec, settings),
            ..Findings::default()
        },
        Err(error) => unreadable(&error.to_string()),
    }
}

/// Another base domain is another URL for everybody, which is said before it is noticed.
pub(crate) async fn manager(request: &Request, changes: &Changes, lookups: &Lookups) -> Findings {
    let Some(old) = request.old.as_ref().filter(|_| changes.spec.contains("routing")) else {
        return Findings::default();
    };
    let domain = |object: &kube::api::DynamicObject| {
        let manager = object.clone().try_parse::<WorkspaceManager>().ok()?;
        Some(manager.spec.routing.base_domain)
    };
    if domain(old) == domain(&request.object) {
        return Findings::default();
    }
    let count = tokio::time::timeout(COUNTING, lookups.running_of_manager(&request.name)).await;
    let running = match count {
        Ok(Ok(1)) => "1 running workspace gets another URL, and its sessions end".to_owned(),
        Ok(Ok(running)) => format!("{running} running workspaces get other URLs, and their sessions end"),
        Ok(Err(_)) | Err(_) => {
            "every running workspace of this manager gets another URL, and its sessions end".to_owned()
        }
    };
    Findings {
        warnings: vec![format!("spec.routing.baseDomain changes: {running}")],
        ..Findings::default()
    }
}
