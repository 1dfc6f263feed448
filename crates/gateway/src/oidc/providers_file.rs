//! file that lists further identity providers -> the settings of each (pure).

use crate::oidc::MAIN;
use crate::oidc::args::Oidc;

/// Maximum length of a provider's name, which is used in addresses and cookies.
const MAX_NAME: usize = 32;

/// The providers in the file.
///
/// # Errors
/// A phrase that continues "is wrong: ".
pub(crate) fn parse(text: &str) -> Result<Vec<Oidc>, String> {
    let providers: Vec<Oidc> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    for Oidc { name, .. } in &providers {
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_plain) || name == MAIN {
            return Err(format!(
                "the name {name:?} of a provider must be 1 to {MAX_NAME} lower-case letters, digits and hyphens, and not {MAIN:?}"
            ));
        }
    }
    Ok(providers)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Args;

    #[test]
    fn omitted_fields_of_a_provider_use_the_flags() {
        let file = r#"[{"name":"other","issuerUrl":"https://i.example","clientId":"c"}]"#;
        let further = parse(file).unwrap().remove(0);
        assert_eq!(further.name, "other");
        let line = [
            "gateway",
            "--namespace=system",
            "--release-name=demo",
            "--oidc-issuer-url=https://i.example",
            "--oidc-client-id=c",
        ];
        let flags = Oidc {
            name: "other".to_owned(),
            ..Args::try_parse_from(line).unwrap().oidc
        };
        assert_eq!(format!("{further:?}"), format!("{flags:?}"));
    }

    #[test]
    fn names_that_fit_no_address_and_unknown_fields_are_refused() {
        for name in ["", "main", "A", "a/b", "a b", "ä", &"a".repeat(33)] {
            let file = serde_json::json!([{"name": name, "issuerUrl": "https://i.example", "clientId": "c"}]);
            let error = parse(&file.to_string()).unwrap_err();
            assert!(error.contains("name"), "{name}: {error}");
        }
        let typo = r#"[{"name":"x","issuerUrl":"https://i.example","clientId":"c","groupClaim":"g"}]"#;
        assert!(parse(typo).unwrap_err().contains("groupClaim"));
        let of_main =
            r#"[{"name":"x","issuerUrl":"https://i.example","clientId":"c","httpsProxy":"http://p:1"}]"#;
        assert!(parse(of_main).unwrap_err().contains("httpsProxy"));
    }
}
