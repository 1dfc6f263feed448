//! Assertions of gateway and operator about who calls a pod, as servers and pods check them.
//!
//! It brings no client of Kubernetes, because the door in each pod uses it, too. `kit` signs.
//!
//! Modules from top to bottom. Each imports only from modules further down (`crates/xtask/tests/modules.rs`):
//!
//! - `verifier`: published key set -> checks of assertions.
//! - `names`: what pods and servers call the same thing.

pub mod names;
#[cfg(feature = "verifier")]
mod verifier;

#[cfg(feature = "verifier")]
pub use verifier::{InvalidAssertion, InvalidKeySet, VerifiedClaims, Verifier, claimed_issuer};

#[cfg(feature = "verifier")]
#[cfg(test)]
mod tests;
