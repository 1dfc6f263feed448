//! The objects' contract on a real API server, with the webhook and the operator running.

#![expect(clippy::needless_pass_by_value, reason = "literals of JSON are passed")]

mod accounts;
mod bounds;
mod catalog;
mod connections;
mod default_template;
mod deletions;
mod image_bounds;
mod manifests;
mod objects;
mod operator_bounds;
mod options;
mod ownership;
mod policies;
mod protection;
mod rights;
mod rules;
mod samples;
mod schema;
mod security;
mod templates;
mod variables;
mod volume_claims;
