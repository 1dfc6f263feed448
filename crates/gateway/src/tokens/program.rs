//! content of a program's code and token -> sealed text with an expiry, and back (pure).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::seal::Purpose;
use super::{RandomId, Token};

/// Lifetime of the code for a program, in seconds: a user may copy it by hand.
pub const PROGRAM_CODE_LIFE: i64 = 60;

/// One-time code by which a program gets its token. It is useless without the verifier whose challenge it names.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramCode {
    /// Identifies the code, so that it is accepted only once.
    #[serde(rename = "c")]
    pub id: RandomId,
    /// The session of the user who admitted the program.
    #[serde(rename = "s")]
    pub session: RandomId,
    /// The auth host.
    #[serde(rename = "h")]
    pub host: String,
    /// PKCE challenge (S256) of the program.
    #[serde(rename = "k")]
    pub challenge: String,
    /// The name that the program gave itself, for the audit log.
    #[serde(rename = "n")]
    pub name: String,
    /// Expiry, Unix seconds.
    #[serde(rename = "e")]
    pub expires: i64,
}

impl fmt::Debug for ProgramCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgramCode")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl Token for ProgramCode {
    const PURPOSE: Purpose = Purpose::ProgramCode;

    fn expires(&self) -> i64 {
        self.expires
    }
}

/// Token of a program: names the login session that admitted it, as the session cookie does. It is valid only while that session is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramToken {
    /// The session.
    #[serde(rename = "s")]
    pub session: RandomId,
    /// The auth host.
    #[serde(rename = "h")]
    pub host: String,
    /// When it was issued, Unix seconds.
    #[serde(rename = "i")]
    pub issued: i64,
    /// Expiry, Unix seconds: the absolute end of the session.
    #[serde(rename = "e")]
    pub expires: i64,
}

impl Token for ProgramToken {
    const PURPOSE: Purpose = Purpose::ProgramToken;

    fn expires(&self) -> i64 {
        self.expires
    }
}
