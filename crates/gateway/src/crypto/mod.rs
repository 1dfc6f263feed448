//! secrets and what is made of them (pure but for the loop in `keys`).
//!
//! `assertion` tells applications who asks; `seal` hides and opens, with the keys that `keys` rotates; `tokens` are the sealed values
//! that travel in cookies and redirects; `redacted` holds what no log may show.

pub mod assertion;
pub mod keys;
pub mod redacted;
pub mod seal;
pub mod tokens;
