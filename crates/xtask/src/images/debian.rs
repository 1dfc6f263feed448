//! This machine's Debian -> release, mirrors and Python version for base images (IO, parsing pure).

use std::fs;

use anyhow::{Context as _, bail, ensure};

use crate::exec::Cmd;
use crate::progress::Progress;

/// Code name of this machine's release. Images use the same one: our servers are linked against its glibc here.
///
/// # Errors
/// When this is not Debian.
pub(crate) fn release() -> anyhow::Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    code_name(&text)
}

fn code_name(os_release: &str) -> anyhow::Result<String> {
    let value = |name: &str| {
        let mut values = os_release
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        values.next().map(|value| value.trim_matches('"'))
    };
    let system = value("ID").unwrap_or("unknown");
    ensure!(
        system == "debian",
        "images are made of Debian's packages, which need apt of a Debian machine; this is `{system}`: build them with a container engine, see deploy/images/README.md"
    );
    let name = value("VERSION_CODENAME").context("/etc/os-release has no VERSION_CODENAME")?;
    Ok(name.to_owned())
}

/// Lines for a sources.list: the mirrors that apt uses here for this release, its updates and its security fixes.
///
/// # Errors
/// When apt has no source of Debian.
pub(crate) fn sources(release: &str, progress: &Progress) -> anyhow::Result<String> {
    for refresh in [false, true] {
        if refresh {
            progress.line("refreshing apt's package lists");
            Cmd::new("apt-get").args(["-qq", "update"]).run()?;
        }
        let format = "$(ORIGIN)|$(RELEASE)|$(REPO_URI)|$(COMPONENT)";
        let targets = Cmd::new("apt-get").args(["indextargets", "--format", format, "Identifier: Packages"]);
        let lines = source_lines(&targets.output()?, release);
        if !lines.is_empty() {
            return Ok(lines);
        }
    }
    bail!("apt has no source of Debian {release}: add one to /etc/apt/sources.list.d")
}

fn source_lines(targets: &str, release: &str) -> String {
    let mut lines = Vec::new();
    for target in targets.lines() {
        let fields: Vec<&str> = target.split('|').collect();
        let &[origin, suite, uri, component] = fields.as_slice() else {
            continue;
        };
        let extra = suite.strip_prefix(release);
        if origin == "Debian" && matches!(extra, Some("" | "-updates" | "-security")) {
            lines.push(format!("deb {uri} {suite} {component}\n"));
        }
    }
    lines.sort();
    lines.dedup();
    lines.concat()
}

/// Version of Python in base images: that of the release's package.
///
/// # Errors
/// When apt does not know the package.
pub(crate) fn python() -> anyhow::Result<String> {
    let output = Cmd::new("apt-cache")
        .args(["show", "--no-all-versions", "python3"])
        .output()?;
    upstream_version(&output).context("apt does not know the version of python3")
}

fn upstream_version(package: &str) -> Option<String> {
    let version = package.lines().find_map(|line| line.strip_prefix("Version: "))?;
    Some(version.split(['-', '+', '~']).next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_name_is_read() {
        let text = "PRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(code_name(text).unwrap(), "bookworm");
    }

    #[test]
    fn another_distribution_is_named_with_the_alternative() {
        let error = code_name("ID=fedora\nVERSION_CODENAME=\"\"\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`fedora`") && error.contains("container engine"),
            "{error}"
        );
    }

    #[test]
    fn only_debian_sources_of_the_release_are_used_once_each() {
        let targets = "\
Debian|bookworm|http://mirror.example/debian/|main
Debian|bookworm|http://mirror.example/debian/|main
Debian|bookworm-security|http://mirror.example/security/|main
Debian|trixie|http://mirror.example/debian/|main
Debian Backports|bookworm-backports|http://mirror.example/debian/|main
Elsewhere|bookworm|http://elsewhere.example/|main
$(ORIGIN)|bookworm|http://unread.example/|main
";
        let expected = "\
deb http://mirror.example/debian/ bookworm main
deb http://mirror.example/security/ bookworm-security main
";
        assert_eq!(source_lines(targets, "bookworm"), expected);
    }

    #[test]
    fn the_upstream_part_of_a_package_version_is_read() {
        let version = |version| upstream_version(&format!("Package: python3\nVersion: {version}\n"));
        assert_eq!(version("3.11.2-1+b1").as_deref(), Some("3.11.2"));
        assert_eq!(version("3.13.5-1").as_deref(), Some("3.13.5"));
        assert_eq!(upstream_version("Package: python3\n"), None);
    }
}
