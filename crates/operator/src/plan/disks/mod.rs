//! Whose a disk is, whether it can grow, and what becomes of it (pure): every decision about people's files, in one place.
//!
//! | question | where |
//! |---|---|
//! | Is the claim under the disk's name ours, inherited, somebody else's? | [`standing`] |
//! | Is a live claim as planned, and may it grow? | [`shape`] |
//! | Does a deleted workspace leave its disk behind? | [`fate`] |
//! | May an existing claim be mounted, and who else uses it? | [`borrowed`] |

pub mod borrowed;
pub mod fate;
pub mod shape;
pub mod standing;
