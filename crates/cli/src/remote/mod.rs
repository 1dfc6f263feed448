//! Sign-in of the user -> connections to workspaces through the gateway (IO).
//!
//! | file | holds |
//! |---|---|
//! | `address.rs` | texts -> addresses of installations and workspaces |
//! | `secret.rs` | random texts, fingerprints, the challenge of PKCE |
//! | `file.rs` | content -> a file, whole or not at all |
//! | `state.rs` | sign-ins, tickets <-> files |
//! | `dial.rs` | place -> a connection over TLS |
//! | `refusal.rs` | refusal -> error, or the next attempt |
//! | `gateway.rs` | tokens, tickets, sign-out |
//! | `tunnel.rs` | websocket <-> bytes of ssh |
//! | `websocket.rs` | a local program's websocket <-> the gateway's |

pub(crate) mod address;
pub(crate) mod dial;
pub(crate) mod file;
pub(crate) mod gateway;
pub(crate) mod refusal;
pub(crate) mod secret;
pub(crate) mod state;
pub(crate) mod tunnel;
pub(crate) mod websocket;
