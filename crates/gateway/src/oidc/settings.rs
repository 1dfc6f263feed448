//! the administrator's settings of one provider -> the same, checked (pure).

use openidconnect::core::CoreJwsSigningAlgorithm;
use openidconnect::url::Url;

use crate::tokens::redacted::Secret;
use kit::process::InvalidSetting;

/// The gateway as a client of an identity provider.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `oidc-issuer-url`.
    pub issuer_url: String,
    /// `oidc-client-id`.
    pub client_id: String,
    /// Content of `oidc-client-secret-file`; `None` for a public client.
    pub client_secret: Option<Secret>,
    /// `oidc-scopes`, besides `openid`.
    pub scopes: Vec<String>,
    /// Scopes that are requested only if the provider lists them in its metadata.
    pub optional_scopes: Vec<String>,
    /// `oidc-signing-algs`.
    pub signing_algs: Vec<SigningAlg>,
}

/// An algorithm for signatures of ID tokens. Symmetric ones and `none` cannot be represented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningAlg(pub(super) CoreJwsSigningAlgorithm);

impl std::str::FromStr for SigningAlg {
    type Err = InvalidSetting;

    fn from_str(name: &str) -> Result<Self, InvalidSetting> {
        use CoreJwsSigningAlgorithm as Alg;
        Ok(Self(match name {
            "RS256" => Alg::RsaSsaPkcs1V15Sha256,
            "RS384" => Alg::RsaSsaPkcs1V15Sha384,
            "RS512" => Alg::RsaSsaPkcs1V15Sha512,
            "PS256" => Alg::RsaSsaPssSha256,
            "PS384" => Alg::RsaSsaPssSha384,
            "PS512" => Alg::RsaSsaPssSha512,
            "ES256" => Alg::EcdsaP256Sha256,
            "ES384" => Alg::EcdsaP384Sha384,
            "EdDSA" => Alg::EdDsa,
            other => {
                return Err(InvalidSetting::new(
                    "oidc-signing-algs",
                    format!(
                        "{other:?} is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA"
                    ),
                ));
            }
        }))
    }
}

impl Settings {
    /// The issuer's host, checked with the whole address.
    ///
    /// # Errors
    /// `oidc-issuer-url` is not a plain https address.
    pub fn issuer_host(&self) -> Result<String, InvalidSetting> {
        let wrong = |problem: &str| {
            InvalidSetting::new("oidc-issuer-url", format!("{:?} {problem}", self.issuer_url))
        };
        let url = Url::parse(&self.issuer_url).map_err(|error| wrong(&error.to_string()))?;
        if url.scheme() != "https" {
            return Err(wrong("does not begin with https://"));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(wrong("must have neither query, fragment nor user name"));
        }
        url.host_str()
            .map(str::to_owned)
            .ok_or_else(|| wrong("must have a host"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(issuer_url: &str) -> Settings {
        Settings {
            issuer_url: issuer_url.into(),
            client_id: "gateway".into(),
            client_secret: Some(Secret::new("s3cret".into())),
            scopes: vec![],
            optional_scopes: vec![],
            signing_algs: vec!["RS256".parse().unwrap()],
        }
    }

    #[test]
    fn only_asymmetric_algorithms_can_be_configured() {
        for name in ["RS256", "PS512", "ES384", "EdDSA"] {
            assert!(name.parse::<SigningAlg>().is_ok(), "{name}");
        }
        for name in ["none", "HS256", "HS512", "rs256", ""] {
            let error = name.parse::<SigningAlg>().unwrap_err();
            assert!(error.to_string().starts_with("--oidc-signing-algs"), "{error}");
        }
    }

    #[test]
    fn an_issuer_is_a_plain_https_address() {
        assert_eq!(
            settings("https://identity.example:8443/realms/x")
                .issuer_host()
                .unwrap(),
            "identity.example"
        );
        for wrong in [
            "",
            "identity.example",
            "http://identity.example",
            "https://u@identity.example",
            "https://i.example?x",
        ] {
            let error = settings(wrong).issuer_host().unwrap_err();
            assert_eq!(error.setting, "oidc-issuer-url", "{wrong}");
        }
    }

    #[test]
    fn debug_output_does_not_show_the_client_secret() {
        assert!(!format!("{:?}", settings("https://i.example")).contains("s3cret"));
    }
}
