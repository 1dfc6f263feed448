//! Names and objects -> requests to the cluster, and what a test has there (IO).
//!
//! - `program`: a process on this machine with a service account.
//! - `service_account`: a test's service account, its rights and tokens.
//! - `traefik`: a test's own Traefik.
//! - `node_network`: connections from the networks of nodes and pods.
//! - `cleanup`: leftovers of tests that ended early.
//! - `api_server`: a second API server with other flags.
//! - `audit`: the API server's audit log.
//! - `namespace`: a test's own namespace.
//! - `pods`: pods, commands in them, test pods.
//! - `client`: clients of the API server.

pub mod api_server;
pub mod audit;
pub mod cleanup;
mod client;
mod namespace;
pub mod node_network;
mod pods;
pub mod program;
pub mod service_account;
pub mod traefik;

pub use self::{
    client::{acting_as, address, admin, client, kubeconfig, user, with_token},
    namespace::Scratch,
    pods::{
        component_pods, connects, exec, exec_in, has_ended, is_ready, named, restricted_pod, run_pod,
        wait_until_ready,
    },
};
pub(crate) use pods::of_component;
