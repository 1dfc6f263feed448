//! User, template and names in use -> a free name for a new workspace (pure).

/// Numbers of proposed names.
const FIRST_NUMBER: u32 = 2;
const LAST_NUMBER: u32 = 999;

/// A free name of the user's and the template's name, such as `alice-jupyterlab-2`.
pub(super) fn proposed_name(user: &str, template: &str, is_free: impl Fn(&str) -> bool) -> String {
    // Of `oidc:alice@example.org` the part between.
    let user = user.rsplit(':').next().unwrap_or(user);
    let user = user.split('@').next().unwrap_or(user);
    let mut base = String::new();
    for character in format!("{user}-{template}").chars() {
        match character.to_ascii_lowercase() {
            letter @ 'a'..='z' => base.push(letter),
            digit @ '0'..='9' if !base.is_empty() => base.push(digit),
            _ if !base.is_empty() && !base.ends_with('-') => base.push('-'),
            _ => {}
        }
    }
    let base = with_room(&base);
    if is_free(base) {
        return base.to_owned();
    }
    numbered_name(base, FIRST_NUMBER, is_free)
}

/// A free name for a copy: `lab-2` of `lab`, `lab-3` of `lab-2`.
pub(super) fn copy_name(original: &str, is_free: impl Fn(&str) -> bool) -> String {
    let split = original.rsplit_once('-');
    let numbered_before = split.and_then(|(base, number)| Some((base, number.parse::<u32>().ok()?)));
    match numbered_before.filter(|(_, number)| (FIRST_NUMBER..LAST_NUMBER).contains(number)) {
        Some((base, number)) => numbered_name(with_room(base), number + 1, is_free),
        None => numbered_name(with_room(original), FIRST_NUMBER, is_free),
    }
}

/// The beginning of the name that leaves room for a number.
fn with_room(base: &str) -> &str {
    // Names are ASCII, as the API server and the loop above have it.
    let base = base.get(..api::names::MAX_WORKSPACE_NAME - 4).unwrap_or(base);
    match base.trim_end_matches('-') {
        "" => "workspace",
        base => base,
    }
}

/// The name with the first number from this one on that is free.
fn numbered_name(base: &str, first: u32, is_free: impl Fn(&str) -> bool) -> String {
    let mut names = (first..=LAST_NUMBER).map(|number| format!("{base}-{number}"));
    names.find(|name| is_free(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposed_name_is_valid_and_free() {
        let taken = ["alice-jupyterlab", "alice-jupyterlab-2"];
        let name = |user: &str, template: &str| proposed_name(user, template, |name| !taken.contains(&name));
        assert_eq!(name("oidc:alice@example.org", "jupyterlab"), "alice-jupyterlab-3");
        assert_eq!(name("Zoë Müller", "r"), "zo-m-ller-r");
        assert_eq!(name("42", "vs-code"), "vs-code");
        assert_eq!(name("", ""), "workspace");
        let long = name(&"u".repeat(80), "jupyterlab");
        assert_eq!(long.len(), 46);
        for name in [name("-a", "b."), long, name("007", "4x")] {
            assert!(rules::checks::name(&name).is_empty(), "{name}");
        }
    }

    #[test]
    fn a_copy_has_the_name_of_its_original_with_the_next_free_number() {
        let taken = ["lab", "lab-2", "data-2024", "week-7"];
        let name = |of: &str| copy_name(of, |name| !taken.contains(&name));
        assert_eq!(name("lab"), "lab-3");
        assert_eq!(name("lab-2"), "lab-3");
        assert_eq!(name("week-7"), "week-8");
        assert_eq!(name("data-2024"), "data-2024-2", "a year is no number of a copy");
        let long = name(&"a".repeat(api::names::MAX_WORKSPACE_NAME));
        assert!(
            rules::checks::name(&long).is_empty() && long.ends_with("-2"),
            "{long}"
        );
    }
}
