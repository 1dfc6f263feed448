//! What is reconciled beside workspaces (IO), one folder or file each.
//!
//! | name | input -> output |
//! |---|---|
//! | `catalog` | templates, managers, profiles -> in-use finalizers, number of users, whether they are valid |
//! | `shares` | WorkspaceShares -> bound, active, ended, removed |
//! | `routes` | managers with `routing.custom` -> route objects of each workspace |
//! | `idle` | workspaces that stop when idle -> their last activity, and a stop |
//! | `assertion_keys` | public keys of gateway and operator -> a ConfigMap in each namespace with workspaces |
//! | `orphans` | network policies without workspace or pod -> deleted |
//! | `definitions` | CRDs in the cluster -> which status fields they lack |
//! | `resync` | changes of what users write -> reconciles of all objects |
//! | `attempt` | a failed attempt -> a metric, a log line and the wait before the next attempt |

pub mod assertion_keys;
mod attempt;
pub mod catalog;
pub mod definitions;
pub mod idle;
pub mod orphans;
pub mod resync;
pub mod routes;
pub mod shares;
