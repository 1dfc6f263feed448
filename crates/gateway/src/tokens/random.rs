//! system's random source -> random bytes; text -> fingerprint, comparison in constant time (pure).

/// 256 random bits as 43 characters of base64url: state, nonce, verifier, pre-cookie.
///
/// # Errors
/// The operating system provides no random bytes.
pub(crate) fn random_token() -> Result<String, CryptoError> {
    Ok(encode(&random::<32>()?))
}

/// `N` random bytes.
///
/// # Errors
/// The operating system provides no random bytes.
pub fn random<const N: usize>() -> Result<[u8; N], CryptoError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| CryptoError)?;
    Ok(bytes)
}

/// No sealing key is active, or the crypto library refused, for example because the operating system provides no random bytes.
/// Nothing may be issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no sealing key is active, or the crypto library refused to use it")]
pub struct CryptoError;

/// SHA-256 as 43 characters of base64url.
pub(crate) fn fingerprint(text: &str) -> String {
    encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()).as_ref())
}

/// Whether two texts are equal. The time depends on their lengths only.
pub(crate) fn equal(left: &str, right: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left.as_bytes(), right.as_bytes()).is_ok()
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_is_the_s256_challenge_of_rfc_7636() {
        assert_eq!(
            fingerprint("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn random_tokens_differ_and_have_43_characters() {
        let (one, two) = (random_token().unwrap(), random_token().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 43);
    }
}
