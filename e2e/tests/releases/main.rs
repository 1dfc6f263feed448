//! Tests that change the installed release, or install another. `.config/nextest.toml` says which of them run each time.
//!
//! | module | state of the release during the test |
//! |---|---|
//! | `assigned_ids` | workspaces whose user the cluster chooses |
//! | `certificates` | a certificate of cert-manager, then one of the gateway's own |
//! | `crds` | nothing: an upgrade of it fails |
//! | `evictions` | two replicas of portal and proxy, whose pods are evicted |
//! | `fronts` | a front of the cluster before its proxy, of each kind |
//! | `identity` | a database for the bundled identity provider, and a broker |
//! | `last_release` | the chart and the CRDs of the last release, then its own again |
//! | `one_namespace` | one namespace with the rules of a strict cluster, whose administrator installs it, beside another one |
//! | `pictures` | nothing: it makes the pictures of the documentation (`PICTURES` names the folder to write them to) |
//! | `production` | nothing: another namespace has a release by the values of the installation guide |
//! | `providers` | two identity providers |
//! | `ruined_homes` | nothing: a workspace of it starts on one ruined home after another, one on a full disk, and one on a disk of another user |
//! | `taken_over` | nothing: disks of other systems are taken over beside it |
//! | `uninstall` | nothing: it is removed and installed again |
//! | `usage` | nothing: metrics-server measures its workspaces |

mod assigned_ids;
mod certificates;
mod crds;
mod evictions;
mod fronts;
mod identity;
mod last_release;
mod one_namespace;
mod pictures;
mod production;
mod providers;
mod ruined_homes;
mod taken_over;
mod uninstall;
mod usage;
