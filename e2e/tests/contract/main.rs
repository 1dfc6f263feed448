//! The objects' contract on a real API server, with the webhook and the operator running.

#![expect(clippy::needless_pass_by_value, reason = "literals of JSON are passed")]

mod agreement;
mod annotations;
mod applied_again;
mod applied_twice;
mod bounds;
mod catalogue;
mod default_template;
mod disks;
mod idle;
mod later;
mod leaving;
mod limits;
mod manifests;
mod operator_bounds;
mod orphans;
mod ownership;
mod policies;
mod protection;
mod public;
mod refusals;
mod rights;
mod rules;
mod same_words;
mod samples;
mod schema;
mod security;
mod shares;
mod sharing;
mod stopped;
mod variables;
mod vouched;
