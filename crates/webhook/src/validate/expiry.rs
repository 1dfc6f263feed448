//! Stored workspace -> violation, unless its announced time is over (pure).
//!
//! The chart's policy asks for the rest. It has no clock.

use api::Workspace;
use k8s_openapi::jiff::Timestamp;
use rules::{Violation, expiry};

use crate::review::Request;

/// The operator deletes a stopped workspace after its notice, and no other.
pub(super) fn violation(request: &Request, now: Timestamp) -> Option<Violation> {
    let stored: Option<Workspace> = request.object.clone().try_parse().ok();
    let announced = stored.as_ref().and_then(expiry::announced);
    if stored.is_some_and(|stored| announced.is_some() && expiry::is_due(&stored, announced, now)) {
        return None;
    }
    let value = announced.map_or_else(String::new, |announced| announced.to_string());
    let rule = format!(
        "must be in the past at {now}, and be that of the present spec and owner, before the operator deletes the workspace: wait, or delete \
         it yourself"
    );
    Some(Violation::new("status.deletesAt", value, rule))
}
