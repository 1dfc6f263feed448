//! Image name -> whether it follows the grammar of container runtimes (pure).

/// Maximum length of a name without tag and digest, in characters.
const MAX_NAME: usize = 255;
/// Maximum length of a tag, in characters.
const MAX_TAG: usize = 128;

/// An image reference in two parts.
pub(crate) struct ImageParts<'a> {
    /// `[registry[:port]/]name`.
    pub(crate) name: &'a str,
    /// `[:tag][@digest]`.
    pub(crate) version: &'a str,
}

impl<'a> ImageParts<'a> {
    pub(crate) fn from_image(image: &'a str) -> Self {
        let digest = image.find('@').unwrap_or(image.len());
        // A colon before the last slash separates a registry's port.
        let last = image[..digest].rfind('/').map_or(0, |slash| slash + 1);
        let end = image[last..digest].find(':').map_or(digest, |colon| last + colon);
        let (name, version) = image.split_at(end);
        Self { name, version }
    }
}

/// Whether `image` is `[registry[:port]/]name[:tag][@digest]`.
pub(super) fn is_reference(image: &str) -> bool {
    let ImageParts { name, version } = ImageParts::from_image(image);
    let (tag, digest) = match version.split_once('@') {
        Some((tag, digest)) => (tag, Some(digest)),
        None => (version, None),
    };
    let is_version = digest.is_none_or(is_digest) && tag.strip_prefix(':').map_or(tag.is_empty(), is_tag);
    is_version && name.len() <= MAX_NAME && is_name(name)
}

/// Whether the text is `registry[:port][/path]`, the beginning of references.
pub(crate) fn is_repository_prefix(text: &str) -> bool {
    let mut segments = text.split('/');
    text.len() <= MAX_NAME && segments.next().is_some_and(is_registry) && segments.all(is_component)
}

fn is_name(name: &str) -> bool {
    let path = match name.split_once('/') {
        Some((first, path)) if is_registry(first) => path,
        _ => name,
    };
    path.split('/').all(is_component)
}

/// Whether the first part of a name is a registry: it looks like a host, or it cannot be a path component.
fn is_registry(first: &str) -> bool {
    let (host, port) = match first.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (first, None),
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let is_port = |port: &str| !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
    let looks_like_one = port.is_some()
        || host.contains('.')
        || host == "localhost"
        || host.contains(|c: char| c.is_ascii_uppercase());
    looks_like_one && port.is_none_or(is_port) && host.split('.').all(is_label)
}

/// Whether the text is lower-case letters and digits, joined by `.`, `_`, `__` or dashes.
fn is_component(component: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let between: Vec<&str> = component.split(is_word).filter(|it| !it.is_empty()).collect();
    let joined = between
        .iter()
        .all(|join| matches!(*join, "." | "_" | "__") || join.chars().all(|c| c == '-'));
    component.starts_with(is_word) && component.ends_with(is_word) && joined
}

fn is_tag(tag: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    (1..=MAX_TAG).contains(&tag.len()) && tag.chars().all(legal) && !tag.starts_with(['.', '-'])
}

/// Whether the text is `algorithm:hexadecimal`.
fn is_digest(digest: &str) -> bool {
    let Some((algorithm, value)) = digest.split_once(':') else {
        return false;
    };
    algorithm.starts_with(|c: char| c.is_ascii_alphabetic())
        && algorithm
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+._-".contains(c))
        && value.len() >= 32
        && value.chars().all(|c| c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_references_that_runtimes_accept_pass() {
        let digest = format!("r/jupyter@sha256:{}", "0a".repeat(32));
        for image in [
            "jupyter",
            "jupyter:1",
            "r/jupyter:1.0_x-y",
            "localhost/a:1",
            "localhost:5000/a",
            "registry.example.org:8443/team/a__b/c-d--e.f:latest",
            "Registry.example.org/a",
            "R/jupyter:1",
            "quay.io/jupyter/base-notebook:2024-10-07",
            &digest,
            &digest.replace('@', ":1@"),
        ] {
            assert!(is_reference(image), "{image}");
        }
    }

    #[test]
    fn image_references_that_no_node_can_pull_are_refused() {
        for image in [
            "x:y:z",
            "a:",
            "a:1:",
            "a@",
            "a@sha256",
            "a@sha256:0",
            "r/Jupyter:1",
            "a//b",
            "/a",
            "a/",
            "a:.1",
            "a._b/c",
            "host:port/a",
            "https://r/a",
            "a.-b:1",
            "-r.org/a",
            &format!("a:{}", "t".repeat(129)),
            &format!("{}/b", "a".repeat(300)),
        ] {
            assert!(!is_reference(image), "{image}");
        }
    }
}
