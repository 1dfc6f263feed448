//! Whose a disk is, whether it can grow, and what becomes of it (pure): every decision about people's files, in one place.
//!
//! | question | where |
//! |---|---|
//! | Is the claim under the disk's name ours, inherited, somebody else's? | [`ownership`] |
//! | Is a live claim as planned, and may it grow? | [`desired_claim`] |
//! | Does a deleted workspace leave its disk behind? | [`retention`] |
//! | May an existing claim be mounted, and who else uses it? | [`borrowed_claims`] |

pub mod borrowed_claims;
pub mod desired_claim;
pub mod ownership;
pub mod retention;
