//! Passes of the operator against an API server in memory: what is called, what is written, and what is not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod contested;
mod crowds;
mod deaths;
mod debounced;
mod deletion;
mod disks;
mod external_changes;
mod faults;
mod idle;
mod interleaving;
mod keys;
mod late;
mod leaving;
mod lifecycle;
mod lost;
mod managers;
mod one_namespace;
mod one_pod;
mod orphans;
mod outages;
mod ownership;
mod profiles;
mod protection;
mod races;
mod restarts;
mod retried;
mod routing;
mod settled;
mod sharing;
mod stage;
mod status_words;
mod strict;
mod town;
