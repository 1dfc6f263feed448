//! Staged failures -> one reason, message and Event, soon after the evidence, until the cause is fixed.
//!
//! The time starts when the API server has the evidence. The portal, `kubectl workspace explain` and the gateway's page in place of a
//! workspace that has not started give the owner the same explanation and the remedy.

mod admission;
mod evidence;
mod grace;
mod images;
mod runtime;
mod scheduling;
mod volumes;
mod without_failure;
