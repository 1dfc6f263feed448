//! Name or URL of a workspace -> where it is, and the sign-in for it (IO).

use anyhow::anyhow;
use rules::names::ssh_host;

use super::super::available;
use crate::args::{Connection, Waiting};
use crate::cluster::{Cluster, Stdin};
use crate::console::Console;
use crate::failure::Failure;
use crate::remote::address::{Address, Called, Place, WorkspaceAddress};
use crate::remote::gateway::{SignedIn, not_signed_in};
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
    /// The workspace that the user calls so. One with a name must be available; `waiting`: whether to start it first.
    pub(super) async fn find(
        flags: &Connection,
        text: &str,
        waiting: Waiting,
        command: &'static str,
        console: &mut Console<'_>,
    ) -> Result<Self, Failure> {
        let state = State::of_user()?;
        let (flags, name) = match Called::parse(text).map_err(Failure::Usage)? {
            Called::Name(name) => (flags.clone(), name),
            Called::Named { name, namespace } => (within(flags, namespace)?, name),
            Called::Url(_) | Called::Host(_) if waiting.start => {
                return Err(Failure::Usage(
                    "--start needs the workspace's name: give it, or open the URL in a browser, which starts the workspace".to_owned(),
                ));
            }
            Called::Url(address) => return Self::at(state, &address),
            Called::Host(host) => return Self::by_host(state, &host),
        };
        let cluster = cluster(&flags, Stdin::Free).await?;
        let found = Box::pin(available::url(&cluster, &name, waiting, command, console)).await;
        cluster.show_notes(&mut console.err)?;
        Self::of_name(state, &found?, &name, cluster.namespace())
    }

    /// The workspace that ssh calls by this host, or with this URL. Whether it runs is the gateway's answer. Standard input is ssh's.
    pub(super) async fn of_host(flags: &Connection, host: &str) -> Result<Self, Failure> {
        let state = State::of_user()?;
        let (name, namespace) = match Called::parse(host).map_err(Failure::Usage)? {
            Called::Named { name, namespace } => (name, namespace),
            Called::Url(address) => return Self::at(state, &address),
            Called::Host(host) | Called::Name(host) => return Self::by_host(state, &host),
        };
        let found = async {
            let cluster = cluster(&within(flags, namespace)?, Stdin::InUse).await?;
            Ok::<_, Failure>((available::known_url(&cluster, &name).await?, cluster))
        };
        let (url, cluster) = found.await.map_err(|failure| recorded(flags, failure))?;
        Self::of_name(state, &url, &name, cluster.namespace())
    }

    fn of_name(state: State, url: &str, name: &str, namespace: &str) -> Result<Self, Failure> {
        let address =
            Address::parse(url).map_err(|rule| Failure::Other(anyhow!("the workspace's URL {rule}")))?;
        Ok(Self {
            host: ssh_host(namespace, name),
            start: format!("start it: kubectl workspace start {name} -n {namespace} --wait"),
            ..Self::at(state, &address)?
        })
    }

    /// The workspace on a host that the user's installations may have; without a port, since ssh has none.
    fn by_host(state: State, host: &str) -> Result<Self, Failure> {
        let sign_ins = state.sign_ins()?;
        for sign_in in &sign_ins {
            let place = Place {
                host: host.to_owned(),
                port: sign_in.auth.port,
            };
            let path = "/".to_owned();
            let address = Address { place, path };
            if address.workspace(&sign_in.auth).is_some() {
                return Self::at(state, &address);
            }
        }
        Err(Failure::Usage(format!(
            "{host:?} must be <name>.<namespace>.workspace, a workspace's URL, or a host of an installation where you \
             are signed in ({})",
            installations(&sign_ins)
        )))
    }

    fn at(state: State, address: &Address) -> Result<Self, Failure> {
        let candidates = address.place.auth_candidates();
        for sign_in in state.sign_ins()? {
            if let Some(workspace) = address.workspace(&sign_in.auth) {
                return Ok(Self {
                    host: host_of(&workspace),
                    signed_in: SignedIn::new(sign_in, state)?,
                    start: format!("open {workspace} in a browser, which starts it, or ask its owner"),
                    address: workspace,
                });
            }
            if candidates.contains(&sign_in.auth) {
                return Err(Failure::Usage(format!(
                    "https://{}{} is not a workspace's URL: copy it from the browser in which the workspace is open",
                    address.place, address.path
                )));
            }
        }
        let likeliest = candidates.into_iter().next_back();
        Err(Failure::Other(anyhow!(
            "{}",
            not_signed_in(&likeliest.unwrap_or_else(|| address.place.clone()))
        )))
    }
}

/// The flags with the namespace that a host names.
fn within(flags: &Connection, namespace: String) -> Result<Connection, Failure> {
    match &flags.namespace {
        Some(other) if *other != namespace => Err(Failure::Usage(format!(
            "-n {other} must be the namespace of the host, {namespace}: leave it out"
        ))),
        _ => Ok(Connection {
            namespace: Some(namespace),
            ..flags.clone()
        }),
    }
}

/// Why ssh finds no workspace, with where it looked: what `ssh-config` recorded may be gone, or another cluster's.
fn recorded(flags: &Connection, failure: Failure) -> Failure {
    if matches!(failure, Failure::Usage(_) | Failure::NotAsWanted { .. }) {
        return failure;
    }
    let where_from = match (&flags.context, flags.kubeconfig.is_empty()) {
        (Some(context), _) => format!("context {context:?}, which kubectl workspace ssh-config recorded"),
        (None, false) => "the kubeconfig that kubectl workspace ssh-config recorded".to_owned(),
        (None, true) => return failure,
    };
    Failure::Other(anyhow!(
        "{failure}. ssh went by {where_from}: to go by another one, run kubectl workspace ssh-config again where kubectl works, or with \
         --context"
    ))
}

/// The cluster that knows a workspace's name.
async fn cluster(flags: &Connection, stdin: Stdin) -> Result<Cluster, Failure> {
    match Cluster::connect(flags, stdin).await {
        Err(Failure::Other(error)) => Err(Failure::Other(
            error.context("only a cluster knows the workspace's name; without one, give its URL"),
        )),
        connected => connected,
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
    let bases = sign_ins.iter().map(|sign_in| sign_in.auth.base().to_string());
    match bases.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "there is none".to_owned(),
        bases => bases,
    }
}
