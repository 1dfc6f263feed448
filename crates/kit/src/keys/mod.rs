//! Keys and certificates -> Secrets that replicas agree on, and signed tokens (IO).
//!
//! - `assertion_signer`: JSON Web Tokens that name the calling user; the crate `assertion` checks them
//! - `rotating_keys`: key sets that are renewed daily
//! - `shared_secret`: a Secret that replicas agree on
//! - `pki`: a private certificate authority

pub mod assertion_signer;
pub mod pki;
pub mod rotating_keys;
pub mod shared_secret;
