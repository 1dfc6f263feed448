//! Keys and certificates -> Secrets that replicas agree on, and signed tokens (IO).
//!
//! - `assertion`: JSON Web Tokens that name the calling user, signed and checked
//! - `rotating_keys`: key sets that are renewed daily
//! - `shared_secret`: a Secret that replicas agree on
//! - `pki`: a private certificate authority

pub mod assertion;
pub mod pki;
pub mod rotating_keys;
pub mod shared_secret;
