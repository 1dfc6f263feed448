//! The objects' contract on a real API server, with the webhook and the operator running.

#![expect(clippy::needless_pass_by_value, reason = "literals of JSON are passed")]

mod accounts;
mod agreement;
mod annotations;
mod applied_again;
mod attested_template;
mod being_deleted;
mod bounds;
mod catalog;
mod connections;
mod default_template;
mod disks;
mod dry_run;
mod equal_messages;
mod idle;
mod impersonation;
mod limits;
mod manifests;
mod operator_bounds;
mod orphans;
mod ownership;
mod policies;
mod protection;
mod public;
mod refusals;
mod rejected_early;
mod rights;
mod rules;
mod samples;
mod schema;
mod security;
mod shares;
mod sharing;
mod stopped;
mod variables;
