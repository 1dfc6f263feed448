//! Checks of a form -> the time that the portal adds to the API server's dry run (IO).

use api::names;
use serde_json::{Value, json};

use super::objects::{self, Kind, ORIGIN};
use super::report::Form;
use super::{Bench, LISTEN, SERVER};
use crate::bench::figures::summary;

/// Checks a second, and how many in a round.
const PACE: (u32, u32) = (20, 100);
/// Users who type: each may have five checks a second.
const USERS: usize = 8;
/// What the portal says of a dry run that succeeds.
const GOOD: &str = "The API server would accept this.";

impl Bench<'_> {
    /// Checks by the portal, and the same dry runs by the API server in the same names; both take turns.
    pub(super) fn form(&self) -> anyhow::Result<Form> {
        let users = |sent: fn(usize, usize) -> Value| -> Vec<_> {
            (1..=USERS)
                .map(|number| sent(number, self.args.namespaces))
                .collect()
        };
        let mut by_portal = self.requests(&LISTEN.port().to_string(), &users(form), PACE, true);
        by_portal["says"] = GOOD.into();
        let itself = self.requests("portal", &users(dry_run), PACE, true);
        let (mut portal, mut api_server) = (Vec::new(), Vec::new());
        for _ in 0..self.args.rounds {
            portal.push(self.round(SERVER, &by_portal)?);
            api_server.push(self.round("kube-apiserver", &itself)?);
        }
        Ok(Form {
            portal: summary(portal),
            api_server: summary(api_server),
        })
    }
}

/// The form as a browser sends it.
fn form(number: usize, namespaces: usize) -> Value {
    let (namespace, name) = objects::named(number, namespaces);
    let body = format!(
        "namespace={namespace}&template={}&metadata.name=new-{name}&spec.displayName=new-{name}",
        objects::template(0)
    );
    let mut user = Kind::Member.user(number, namespaces, "/new/check");
    user["sent"] = json!({"form": [ORIGIN, body]});
    user
}

/// The dry run that the portal asks for.
fn dry_run(number: usize, namespaces: usize) -> Value {
    let (namespace, name) = objects::named(number, namespaces);
    let path = format!(
        "/apis/{}/{}/namespaces/{namespace}/workspaces?dryRun=All&fieldManager={}&fieldValidation=Strict",
        names::GROUP,
        names::VERSION,
        names::PORTAL
    );
    let mut user = Kind::Member.user(number, namespaces, &path);
    let object = json!({
        "apiVersion": format!("{}/{}", names::GROUP, names::VERSION),
        "kind": "Workspace",
        "metadata": {"name": format!("new-{name}"), "namespace": namespace},
        "spec": {"displayName": format!("new-{name}"), "templateRef": objects::template(0)},
    });
    user["sent"] = json!({"object": object});
    user
}
