//! `<cache>/demo/credentials.json` -> the secrets of this machine's demo, made once at random (IO).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::cluster::write_secret;

/// Letters and digits that cannot be confused. There are 32 of them, so that a byte selects one without bias.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 80 random bits, still short enough to type.
const PASSWORD_LENGTH: usize = 16;
/// 160 random bits.
const SECRET_LENGTH: usize = 32;

/// The secrets; kept in one file that only its owner can read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Credentials {
    /// Secret that the gateway shows to the identity provider.
    pub(super) client_secret: String,
    /// Password of each user.
    pub(super) passwords: BTreeMap<String, String>,
}

/// Reads the file, adds what is missing for `users`, and writes it back if anything was.
///
/// # Errors
/// When the file exists but cannot be read or parsed. It is not replaced, because running systems use its content.
pub(super) fn ensure(file: &Path, users: &[&str]) -> anyhow::Result<Credentials> {
    let known = match fs::read_to_string(file) {
        Ok(text) => serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is damaged; delete it, then `./justw demo down` and `./justw demo` make new passwords",
                file.display()
            )
        })?,
        Err(error) if error.kind() == ErrorKind::NotFound => Credentials::default(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", file.display())),
    };
    let mut credentials = known.clone();
    if credentials.client_secret.is_empty() {
        credentials.client_secret = random(SECRET_LENGTH)?;
    }
    for user in users {
        if !credentials.passwords.contains_key(*user) {
            credentials
                .passwords
                .insert((*user).to_owned(), random(PASSWORD_LENGTH)?);
        }
    }
    if credentials != known {
        write_secret(file, &serde_json::to_string_pretty(&credentials)?)?;
    }
    Ok(credentials)
}

fn random(length: usize) -> anyhow::Result<String> {
    let mut bytes = vec![0; length];
    let mut source = File::open("/dev/urandom").context("opening /dev/urandom")?;
    source.read_exact(&mut bytes).context("reading /dev/urandom")?;
    Ok(bytes
        .into_iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]))
        .collect())
}
