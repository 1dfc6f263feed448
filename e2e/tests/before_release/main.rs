//! What an administrator sets up once, on a release that this changes: tests that run before a release, when they are named.
//!
//! | module | what the release has meanwhile |
//! |---|---|
//! | `certificates` | a certificate of cert-manager, then one of the gateway's own |
//! | `fronts` | a front of the cluster before its proxy, of each kind |
//! | `identity` | a database for the bundled identity provider |
//! | `older_api_server` | a portal that asks an API server without constrained impersonation |
//! | `one_namespace` | one namespace, whose administrator installs it |
//! | `providers` | two identity providers |
//! | `uninstall` | nothing: it is removed and installed again |

mod certificates;
mod fronts;
mod identity;
mod older_api_server;
mod one_namespace;
mod providers;
mod uninstall;
