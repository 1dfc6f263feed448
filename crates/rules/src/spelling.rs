//! Misspelt name and known names -> the one that was probably meant (pure).

/// Typing errors between two names.
pub use strsim::damerau_levenshtein as errors;

/// Most typing errors in a name that is taken for a known one.
pub const MOST: usize = 2;

/// The known name that `name` was probably meant to be. Short names allow for fewer typing errors.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = MOST.min(name.len() / 3).max(1);
    known
        .filter(|known| known.len().abs_diff(name.len()) <= most)
        .map(|known| (errors(name, known), known))
        .filter(|(errors, _)| *errors <= most)
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_allows_for_one_typing_error_and_a_longer_one_for_two() {
        let known = ["env", "image", "imagePullPolicy", "port"];
        for (name, meant) in [
            ("imgae", Some("image")),
            ("prot", Some("port")),
            ("evn", Some("env")),
            ("enviro", None),
            ("ports", Some("port")),
            ("ptr", None),
            ("imagePulPolici", Some("imagePullPolicy")),
            ("imgPulPolicy", None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), meant, "{name}");
        }
    }
}
