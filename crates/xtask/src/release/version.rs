//! Text -> a version that this checkout may have in a release (pure).

use anyhow::{Context as _, ensure};
use semver::{BuildMetadata, Prerelease, Version};

/// The version of the checkout, or a pre-release of it. The CRDs have the checkout's version, and an upgrade keeps newer ones.
///
/// # Errors
/// When it is another version, or is no valid tag.
pub(super) fn check(version: &str, checkout: &str) -> anyhow::Result<()> {
    let parsed = Version::parse(version)
        .with_context(|| format!("--version `{version}` must be a semantic version such as {checkout}"))?;
    ensure!(
        parsed.build == BuildMetadata::EMPTY,
        "--version `{version}` must have no build metadata: a tag cannot contain `+`"
    );
    let plain = Version {
        pre: Prerelease::EMPTY,
        ..parsed
    };
    ensure!(
        plain.to_string() == checkout,
        "--version `{version}` must be {checkout}, which this checkout has, or a pre-release such as {checkout}-rc.1: \
         change `version` in Cargo.toml, and in charts/jupyter-k8s/Chart.yaml, to release another"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_is_released_as_its_version_or_a_pre_release_of_it() {
        check("0.1.0", "0.1.0").unwrap();
        check("0.1.0-rc.1", "0.1.0").unwrap();
        for (wrong, rule) in [
            ("1", "semantic version"),
            ("v0.1.0", "semantic version"),
            ("0.1.0+build", "build metadata"),
            ("0.2.0", "must be 0.1.0"),
        ] {
            let error = format!("{:#}", check(wrong, "0.1.0").unwrap_err());
            assert!(
                error.contains(rule) && error.contains(&format!("--version `{wrong}`")),
                "{error}"
            );
        }
    }
}
