//! The objects' contract on a real API server, with the webhook and the operator running.

mod bounds;
mod schema;
mod security;
