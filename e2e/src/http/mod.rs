//! HTTP requests and websockets -> the installation's responses (IO).
//!
//! - `load`: requests and writes at a fixed rate, and their results.
//! - `pod`: requests to a workspace's pod, past proxy and gateway.
//! - `provider`: tokens of the bundled provider, as kubelogin gets them.
//! - `replica`: requests to one pod of the gateway or portal.
//! - `raw`: a request whose path is sent byte for byte.
//! - `socket`: websockets.
//! - `session`: a client with cookies, and requests with a token.

pub mod load;
pub mod pod;
pub mod provider;
pub mod raw;
pub mod replica;
mod session;
pub mod socket;

pub use session::{HttpSession, send_with_token};
