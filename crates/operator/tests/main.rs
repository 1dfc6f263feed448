//! Reconciles of the operator against an API server in memory: which calls are made.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cluster;
mod contested;
mod crashes;
mod deletion;
mod disk_use;
mod disks;
mod expiry;
mod external_changes;
mod faults;
mod gates;
mod idle;
mod images;
mod interleaving;
mod keep;
mod keys;
mod lifecycle;
mod limits;
mod managers;
mod network_policies;
mod object_samples;
mod objects;
mod one_namespace;
mod one_pod;
mod outages;
mod ownership;
mod pause;
mod profiles;
mod protection;
mod races;
mod recovery;
mod rendered_pods;
mod required_template;
mod restarts;
mod routing;
mod services;
mod settled;
mod sharing;
mod stage;
mod start_timeout;
mod status_values;
mod stops;
mod terminating;
mod triggers;
mod waits;
