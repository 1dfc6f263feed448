//! Claims, workspace -> ownership, desired claim, retention: all decisions about user files (pure).
//!
//! | question | where |
//! |---|---|
//! | Is the claim under the disk's name ours, adoptable or another owner's? | [`ownership`] |
//! | Is a live claim as planned, and may it grow? | [`desired_claim`] |
//! | Does a deleted workspace leave its disk behind? | [`retention`] |
//! | May an existing claim be mounted, and what else uses it? | [`borrowed_claims`] |

pub(crate) mod borrowed_claims;
pub(crate) mod desired_claim;
pub(crate) mod ownership;
pub(crate) mod retention;
