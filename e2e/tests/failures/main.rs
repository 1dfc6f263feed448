//! Why it does not run: each staged failure gives its reason and a message that says what to do, within 2 s after the API
//! server holds the evidence, in one Event, and clears by itself when the cause is mended. The portal and `kubectl workspace explain`
//! tell its owner the same words and the remedy, until then.

mod admission;
mod evidence;
mod external_changes;
mod images;
mod references;
mod runtime;
mod scheduling;
mod volumes;
mod without_failure;
