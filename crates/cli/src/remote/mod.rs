//! Sign-in of the user -> connections to workspaces through the gateway (IO).
//!
//! | file | holds |
//! |---|---|
//! | `address.rs` | texts -> addresses of installations and workspaces |
//! | `secret.rs` | random texts, the challenge of PKCE |
//! | `file.rs` | content -> a file, whole or not at all |
//! | `state.rs` | sign-ins <-> files |
//! | `dial.rs` | place -> a connection over TLS |
//! | `gateway.rs` | tokens, tickets, sign-out |
//! | `tunnel.rs` | websocket <-> bytes of ssh |

pub(crate) mod address;
pub(crate) mod dial;
pub(crate) mod file;
pub(crate) mod gateway;
pub(crate) mod secret;
pub(crate) mod state;
pub(crate) mod tunnel;
