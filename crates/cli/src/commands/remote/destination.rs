//! Name or URL of a workspace -> where it is, and the sign-in for it (IO).

use anyhow::anyhow;
use rules::names::ssh_host;

use super::super::available;
use crate::args::{Connection, Waiting, is_url, workspace_name};
use crate::cluster::Cluster;
use crate::console::Console;
use crate::failure::Failure;
use crate::remote::address::{Address, Place, WorkspaceAddress, named};
use crate::remote::gateway::{SignedIn, ended};
use crate::remote::state::{SignIn, State};

/// A workspace, and the sign-in for its installation.
pub(super) struct Destination {
    pub(super) signed_in: SignedIn,
    pub(super) address: WorkspaceAddress,
    /// The name by which ssh calls it.
    pub(super) host: String,
    /// What to do if it does not run.
    pub(super) start: String,
}

impl Destination {
    /// The workspace with this name in the namespace of the command, or with this URL. One with a name must be available; `waiting`: whether to
    /// start it first.
    pub(super) async fn find(
        flags: &Connection,
        text: &str,
        waiting: Waiting,
        command: &'static str,
        console: &mut Console<'_>,
    ) -> Result<Self, Failure> {
        let state = State::of_user().map_err(Failure::Other)?;
        if is_url(text) {
            if waiting.start {
                return Err(Failure::Usage(
                    "--start needs the workspace's name: give it, or open the URL in a browser, which starts the workspace".to_owned(),
                ));
            }
            return Self::at(&state, &Address::parse(text).map_err(Failure::Usage)?);
        }
        let name = workspace_name(text).map_err(|rule| Failure::Usage(format!("{text:?} {rule}")))?;
        let cluster = Cluster::connect(flags).await?;
        let found = Box::pin(available::url(&cluster, &name, waiting, command, console)).await;
        cluster.show_notes(&mut console.err)?;
        Self::of_name(&state, &found?, &name, cluster.namespace())
    }

    /// The workspace that ssh calls by this host, or with this URL. Whether it runs is the gateway's answer.
    pub(super) async fn of_host(flags: &Connection, host: &str) -> Result<Self, Failure> {
        let state = State::of_user().map_err(Failure::Other)?;
        if is_url(host) {
            return Self::at(&state, &Address::parse(host).map_err(Failure::Usage)?);
        }
        let Some((name, namespace)) = named(host) else {
            return Self::by_host(&state, host);
        };
        let flags = Connection {
            namespace: Some(namespace.to_owned()),
            ..flags.clone()
        };
        let cluster = Cluster::connect(&flags).await?;
        let url = available::known_url(&cluster, name).await?;
        Self::of_name(&state, &url, name, namespace)
    }

    fn of_name(state: &State, url: &str, name: &str, namespace: &str) -> Result<Self, Failure> {
        let address =
            Address::parse(url).map_err(|rule| Failure::Other(anyhow!("the workspace's URL {rule}")))?;
        Ok(Self {
            host: ssh_host(namespace, name),
            start: format!("start it: kubectl workspace start {name} -n {namespace} --wait"),
            ..Self::at(state, &address)?
        })
    }

    /// The workspace on a host that the user's installations may have; without a port, since ssh has none.
    fn by_host(state: &State, host: &str) -> Result<Self, Failure> {
        let sign_ins = state.sign_ins().map_err(Failure::Other)?;
        for sign_in in &sign_ins {
            let auth = sign_in.auth().map_err(Failure::Other)?;
            let place = Place {
                host: host.to_ascii_lowercase(),
                port: auth.port,
            };
            let path = "/".to_owned();
            let address = Address { place, path };
            if address.workspace(&auth).is_some() {
                return Self::at(state, &address);
            }
        }
        Err(Failure::Usage(format!(
            "{host:?} is no workspace: it must be <name>.<namespace>.workspace, a workspace's URL, or a host of an installation where you \
             are signed in ({})",
            installations(&sign_ins)
        )))
    }

    fn at(state: &State, address: &Address) -> Result<Self, Failure> {
        let sign_ins = state.sign_ins().map_err(Failure::Other)?;
        let candidates = address.place.auth_candidates();
        for sign_in in sign_ins {
            let auth = sign_in.auth().map_err(Failure::Other)?;
            if let Some(workspace) = address.workspace(&auth) {
                return Ok(Self {
                    host: host_of(&workspace),
                    signed_in: SignedIn::new(sign_in).map_err(Failure::Other)?,
                    start: format!("open {workspace} in a browser, which starts it, or ask its owner"),
                    address: workspace,
                });
            }
            if candidates.contains(&auth) {
                return Err(Failure::Usage(format!(
                    "https://{}{} is no workspace's URL: copy it from the browser in which the workspace is open",
                    address.place, address.path
                )));
            }
        }
        let likeliest = candidates.into_iter().next_back();
        Err(Failure::Other(anyhow!(
            "{}",
            ended(&likeliest.unwrap_or_else(|| address.place.clone()))
        )))
    }
}

/// The name by which ssh calls a workspace whose URL is known.
fn host_of(address: &WorkspaceAddress) -> String {
    let mut folders = address.path.rsplit('/');
    match (folders.next(), folders.next()) {
        (Some(name), Some(namespace)) if !name.is_empty() => ssh_host(namespace, name),
        _ => address.place.host.clone(),
    }
}

/// Installations where the user is signed in, as text.
pub(super) fn installations(sign_ins: &[SignIn]) -> String {
    let bases = sign_ins
        .iter()
        .filter_map(|sign_in| Some(sign_in.auth().ok()?.base().to_string()));
    match bases.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "there is none".to_owned(),
        bases => bases,
    }
}
