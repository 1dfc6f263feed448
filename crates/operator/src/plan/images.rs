//! Nothing -> the command of pods that only have to be on a node (pure).

/// The operator's command that waits for its end: what pods run that only have to be there.
pub const PAUSE: &str = "pause";
