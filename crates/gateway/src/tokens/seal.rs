//! bytes and a purpose -> text that only this gateway's replicas can make or read, and back (pure).
//!
//! AES-256-GCM-SIV: a repeated nonce would reveal only that two values are equal. Every purpose has its own sub-key, so a value
//! sealed for one purpose never opens for another, whatever its content.
//!
//! Text: base64url of `version (1) | key id (8) | nonce (12) | ciphertext | tag (16)`.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::random::CryptoError;

const VERSION: u8 = 1;
const HEADER: usize = 1 + KeyId::LENGTH;
const SALT: &[u8] = b"jupyter-k8s gateway sealing v1";

/// Purpose of a sealed value. Each purpose has its own sub-key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Cookie that admits a browser to one workspace host.
    Ticket,
    /// Session cookie of the auth host.
    Session,
    /// Cookie that binds a login in progress to its browser.
    Login,
    /// Redirect from a workspace host to the auth host.
    Enter,
    /// One-time code from the auth host to a workspace host.
    Code,
    /// Content of a stored session.
    Content,
    /// One-time code for a program that a user admits.
    ProgramCode,
    /// Token of a program that a user admitted.
    ProgramToken,
    /// Header that admits a program to one workspace.
    ProgramTicket,
}

const PURPOSES: [Purpose; 9] = [
    Purpose::Ticket,
    Purpose::Session,
    Purpose::Login,
    Purpose::Enter,
    Purpose::Code,
    Purpose::Content,
    Purpose::ProgramCode,
    Purpose::ProgramToken,
    Purpose::ProgramTicket,
];

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Ticket => b"ticket",
            Self::Session => b"session",
            Self::Login => b"login",
            Self::Enter => b"enter",
            Self::Code => b"code",
            Self::Content => b"content",
            Self::ProgramCode => b"program code",
            Self::ProgramToken => b"program token",
            Self::ProgramTicket => b"program ticket",
        }
    }
}

/// Identifies a sealing key; part of every sealed value. Not secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyId([u8; Self::LENGTH]);

impl KeyId {
    const LENGTH: usize = 8;

    /// Makes an identifier of 8 bytes, usually random ones.
    pub fn new(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The identifier with these 16 hexadecimal digits.
    pub(super) fn from_hex(digits: &str) -> Option<Self> {
        let number = u64::from_str_radix(digits, 16).ok()?;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// One key, as the sub-keys of all purposes. The master key is not stored.
pub struct SealingKey {
    id: KeyId,
    active_from: i64,
    /// In the order of [`PURPOSES`].
    ciphers: Vec<RandomizedNonceKey>,
}

impl SealingKey {
    /// Derives the sub-keys. `active_from`: Unix seconds from which the key seals.
    ///
    /// # Errors
    /// The crypto library refuses.
    pub fn derive(id: KeyId, active_from: i64, master: &[u8; 32]) -> Result<Self, CryptoError> {
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(master);
        let cipher = |purpose: Purpose| {
            let mut key = Zeroizing::new([0; 32]);
            secret
                .expand(&[purpose.label()], hkdf::HKDF_SHA256)
                .and_then(|okm| okm.fill(key.as_mut()))
                .and_then(|()| RandomizedNonceKey::new(&AES_256_GCM_SIV, key.as_ref()))
                .map_err(|_| CryptoError)
        };
        let ciphers = PURPOSES.into_iter().map(cipher).collect::<Result<_, _>>()?;
        Ok(Self {
            id,
            active_from,
            ciphers,
        })
    }

    fn cipher(&self, purpose: Purpose) -> &RandomizedNonceKey {
        &self.ciphers[purpose as usize]
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({} from {})", self.id, self.active_from)
    }
}

/// The present keys; replaced as a whole when they rotate.
#[derive(Debug)]
pub struct KeyRing(ArcSwap<Vec<SealingKey>>);

impl KeyRing {
    /// A ring of these keys. Without any, no value can be sealed or opened.
    pub fn new(keys: Vec<SealingKey>) -> Self {
        Self(ArcSwap::from_pointee(keys))
    }

    /// Replaces all keys.
    pub fn replace(&self, keys: Vec<SealingKey>) {
        self.0.store(Arc::new(keys));
    }

    /// Number of keys, and since when (Unix seconds) the key seals that is active at `now`.
    pub(crate) fn state(&self, now: i64) -> (usize, Option<i64>) {
        let keys = self.0.load();
        let since = keys
            .iter()
            .map(|key| key.active_from)
            .filter(|from| *from <= now)
            .max();
        (keys.len(), since)
    }

    /// Seals `value` as JSON with the key that is active at `now` (Unix seconds). `context` is not part of the text; opening needs
    /// the same one.
    ///
    /// # Errors
    /// There is no active key, or no randomness.
    pub fn seal<T: Serialize>(
        &self,
        purpose: Purpose,
        context: &str,
        value: &T,
        now: i64,
    ) -> Result<Sealed, CryptoError> {
        let keys = self.0.load();
        let key = keys
            .iter()
            .filter(|key| key.active_from <= now)
            .max_by_key(|key| key.active_from)
            .ok_or(CryptoError)?;
        let mut header = [VERSION; HEADER];
        header[1..].copy_from_slice(&key.id.0);
        let mut body = serde_json::to_vec(value).map_err(|_| CryptoError)?;
        let nonce = key
            .cipher(purpose)
            .seal_in_place_append_tag(associated_data(&header, context), &mut body)
            .map_err(|_| CryptoError)?;
        let mut raw = Vec::with_capacity(HEADER + NONCE_LEN + body.len());
        raw.extend_from_slice(&header);
        raw.extend_from_slice(nonce.as_ref());
        raw.append(&mut body);
        Ok(Sealed {
            key_id: key.id,
            text: BASE64URL.encode(raw),
        })
    }

    /// The JSON bytes that were sealed for this purpose and context. `None` in all other cases, without a reason.
    pub fn open_bytes(&self, purpose: Purpose, context: &str, text: &str) -> Option<Zeroizing<Vec<u8>>> {
        let mut raw = Zeroizing::new(BASE64URL.decode(text).ok()?);
        let (header, rest) = raw.split_first_chunk_mut::<HEADER>()?;
        let (nonce, body) = rest.split_first_chunk_mut::<NONCE_LEN>()?;
        if header[0] != VERSION {
            return None;
        }
        let keys = self.0.load();
        let key = keys.iter().find(|key| key.id.0 == header[1..])?;
        let opened = key
            .cipher(purpose)
            .open_in_place(Nonce::from(&*nonce), associated_data(header, context), body)
            .ok()?;
        Some(Zeroizing::new(opened.to_vec()))
    }

    /// As [`KeyRing::open_bytes`], parsed as `T`.
    pub fn open<T: DeserializeOwned>(&self, purpose: Purpose, context: &str, text: &str) -> Option<T> {
        serde_json::from_slice(&self.open_bytes(purpose, context, text)?).ok()
    }
}

/// A sealed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The key that sealed it.
    pub key_id: KeyId,
    /// base64url text.
    pub text: String,
}

/// The associated data of a value: its header and context.
fn associated_data(header: &[u8], context: &str) -> Aad<Vec<u8>> {
    Aad::from([header, context.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(number: u8, active_from: i64) -> SealingKey {
        SealingKey::derive(KeyId::new([number; 8]), active_from, &[number; 32]).unwrap()
    }

    #[test]
    fn sealed_values_open_for_their_own_purpose_and_context_only() {
        let ring = KeyRing::new(vec![key(1, 0)]);
        for sealed_for in PURPOSES {
            let sealed = ring.seal(sealed_for, "s-1", &"x", 10).unwrap();
            for purpose in PURPOSES {
                let opened = ring.open::<String>(purpose, "s-1", &sealed.text);
                assert_eq!(opened.is_some(), purpose == sealed_for);
            }
            assert_eq!(ring.open::<String>(sealed_for, "s-2", &sealed.text), None);
            assert_eq!(ring.open::<String>(sealed_for, "", &sealed.text), None);
        }
    }

    #[test]
    fn the_newest_active_key_seals_and_every_key_of_the_ring_opens() {
        let ring = KeyRing::new(vec![key(1, 0), key(2, 100), key(3, 200)]);
        let before = ring.seal(Purpose::Ticket, "", &1, 99).unwrap();
        let after = ring.seal(Purpose::Ticket, "", &2, 100).unwrap();
        assert_eq!(
            (before.key_id, after.key_id),
            (KeyId::new([1; 8]), KeyId::new([2; 8]))
        );
        assert_eq!(ring.open::<i32>(Purpose::Ticket, "", &before.text), Some(1));
        ring.replace(vec![key(2, 100)]);
        assert_eq!(ring.open::<i32>(Purpose::Ticket, "", &before.text), None);
        assert_eq!(ring.open::<i32>(Purpose::Ticket, "", &after.text), Some(2));
    }

    #[test]
    fn nothing_seals_before_a_key_is_active() {
        let ring = KeyRing::new(vec![key(1, 100)]);
        assert_eq!(ring.seal(Purpose::Ticket, "", &1, 99), Err(CryptoError));
    }

    #[test]
    fn debug_output_shows_no_key_material() {
        let shown = format!("{:?}", KeyRing::new(vec![key(7, 0)]));
        assert!(shown.contains("0707070707070707 from 0"), "{shown}");
        assert!(!shown.contains("[7"), "{shown}");
    }

    proptest! {
        #[test]
        fn every_value_survives_seal_and_open(value in ".{0,200}", context in "[a-z0-9-]{0,64}") {
            let ring = KeyRing::new(vec![key(1, 0)]);
            let sealed = ring.seal(Purpose::Code, &context, &value, 1).unwrap();
            prop_assert_eq!(ring.open::<String>(Purpose::Code, &context, &sealed.text), Some(value));
        }

        #[test]
        fn a_changed_or_cut_value_never_opens(position in 0_usize..200, flip in 1_u8..64, cut in 0_usize..80) {
            let ring = KeyRing::new(vec![key(1, 0)]);
            let text = ring.seal(Purpose::Ticket, "", &"some content", 1).unwrap().text;
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let mut bytes = text.clone().into_bytes();
            let position = position % bytes.len();
            let old = alphabet.iter().position(|b| *b == bytes[position]).unwrap();
            bytes[position] = alphabet[(old + usize::from(flip)) % 64];
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(ring.open::<String>(Purpose::Ticket, "", &changed), None);
            let cut = &text[..text.len() - 1 - cut % (text.len() - 1)];
            prop_assert_eq!(ring.open::<String>(Purpose::Ticket, "", cut), None);
        }

        #[test]
        fn foreign_text_never_opens(text in "\\PC{0,200}") {
            let ring = KeyRing::new(vec![key(1, 0)]);
            prop_assert_eq!(ring.open::<String>(Purpose::Ticket, "", &text), None);
        }
    }
}
