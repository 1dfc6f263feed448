//! The audit log of a whole test run -> rights that were used, and calls that were forbidden.
//!
//! A call counts if it is of this run, or of an account's first minutes: what is made once, such as keys, is made then. Calls of earlier runs
//! on the same cluster do not count.
//!
//! `tests/contract/account_rights` lists the rights of each account. A right that no test uses is either superfluous, or listed in
//! `unused.txt` with a reason. This test runs after all others but those that remove the release.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
};

use anyhow::Context as _;
use e2e::cluster::audit::{self, Call};
use jiff::{SignedDuration, Timestamp};

/// Component, resource (with `/subresource`, without group) and verb.
type Right = (String, String, String);

/// First and last time of a right's use.
type Uses = BTreeMap<Right, (Timestamp, Timestamp)>;

/// The time from an account's first call in which it makes what is made once.
const FIRST_START: SignedDuration = SignedDuration::from_mins(10);

/// What begins the verbs of constrained impersonation: the rest is the verb of the impersonated user.
const AS_USER: &str = "impersonate-on:user-info:";
const CONSTRAINT: &str = "impersonate:user-info";

/// The rights in a file of `account_rights` (pure).
fn granted(component: &str, text: &str) -> BTreeSet<Right> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let rules = lines.filter_map(|line| line.rsplit_once(": "));
    rules
        .flat_map(|(about, verbs)| {
            let resource = about.split([' ', '.']).next().unwrap_or_default();
            verbs
                .split(' ')
                .map(|verb| (component.to_owned(), resource.to_owned(), verb.to_owned()))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The rights that a call shows to be in use (pure).
fn used(component: &str, call: &Call) -> Vec<Right> {
    let right = |resource: &str, verb: &str| (component.to_owned(), resource.to_owned(), verb.to_owned());
    if !call.impersonates.0.is_empty() {
        return vec![
            right("users", CONSTRAINT),
            right("groups", CONSTRAINT),
            right(&call.resource, &format!("{AS_USER}{}", call.verb)),
        ];
    }
    let mut rights = vec![right(&call.resource, &call.verb)];
    // An apply that creates the object needs both.
    if call.verb == "patch" && call.code == 201 {
        rights.push(right(&call.resource, "create"));
    }
    // A watch that begins with the list needs both.
    if call.verb == "watch" {
        rights.push(right(&call.resource, "list"));
    }
    rights
}

/// The rights that count as used, in a run that began at this time (pure).
fn counted(uses: &Uses, began: Timestamp) -> BTreeSet<Right> {
    let mut starts = BTreeMap::<&str, Timestamp>::new();
    for ((component, ..), (first, _)) in uses {
        let start = starts.entry(component).or_insert(*first);
        *start = (*start).min(*first);
    }
    let counts = |(right, (first, last)): &(&Right, &(Timestamp, Timestamp))| {
        let start = starts[right.0.as_str()];
        *last >= began || first.duration_since(start) <= FIRST_START
    };
    uses.iter()
        .filter(counts)
        .map(|(right, _)| right.clone())
        .collect()
}

#[test]
fn uses_of_earlier_runs_do_not_count_and_those_of_the_first_start_do() {
    let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
    let right = |verb: &str| ("operator".to_owned(), "pods".to_owned(), verb.to_owned());
    let uses = [
        ("create", 0, 3),
        ("patch", 20, 40),
        ("delete", 20, 70),
        ("watch", 0, 70),
    ];
    let uses = uses.map(|(verb, first, last)| (right(verb), (at(first), at(last))));
    let counted = counted(&uses.into(), at(60));
    assert_eq!(counted, ["create", "delete", "watch"].map(right).into());
}

/// `component resource: verb, verb -- reason` for each line (pure).
fn excused(text: &str) -> anyhow::Result<BTreeMap<Right, String>> {
    let mut all = BTreeMap::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (rule, reason) = line
            .split_once(" -- ")
            .with_context(|| format!("no reason: {line}"))?;
        let (about, verbs) = rule
            .split_once(": ")
            .with_context(|| format!("no verbs: {line}"))?;
        let (component, resource) = about
            .split_once(' ')
            .with_context(|| format!("no resource: {line}"))?;
        for verb in verbs.split(", ") {
            let right = (component.to_owned(), resource.to_owned(), verb.to_owned());
            all.insert(right, reason.to_owned());
        }
    }
    Ok(all)
}

#[tokio::test]
async fn each_right_of_an_account_was_used_or_has_a_reason_and_no_call_was_forbidden() -> anyhow::Result<()> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut components = BTreeMap::new();
    let mut granted_rights = BTreeSet::new();
    for file in fs::read_dir(tests.join("contract/account_rights"))? {
        let path = file?.path();
        let component = path
            .file_stem()
            .context("no name")?
            .to_string_lossy()
            .into_owned();
        granted_rights.extend(granted(&component, &fs::read_to_string(&path)?));
        components.insert(audit::user_of(&component)?, component);
    }
    anyhow::ensure!(
        granted_rights.len() > 100,
        "only {} rights were read",
        granted_rights.len()
    );

    // The last test of a run removes the release, and its pods outlive their roles. The next run on the same cluster is not to blame.
    let began = env::var("JUPYTER_K8S_BEGAN").map_or(Ok(Timestamp::UNIX_EPOCH), |seconds| {
        anyhow::Ok(Timestamp::from_second(seconds.parse()?)?)
    })?;
    let (mut uses, mut forbidden) = (Uses::new(), BTreeSet::new());
    audit::whole(
        |line| components.keys().any(|user| line.contains(user.as_str())),
        |call| {
            let Some(component) = components.get(&call.user) else {
                return;
            };
            // A test may use a component's token from outside. What an impersonated user may not do is that user's affair.
            if call.is_forbidden
                && call.received >= began
                && call.impersonates.0.is_empty()
                && call.is_from_pod
            {
                forbidden.insert(format!("{component}: {} in {:?}", call.what(), call.namespace));
            } else if !call.is_forbidden {
                for right in used(component, &call) {
                    let (first, last) = uses.entry(right).or_insert((call.received, call.received));
                    (*first, *last) = ((*first).min(call.received), (*last).max(call.received));
                }
            }
        },
    )?;

    let used_rights = counted(&uses, began);
    let excused = excused(&fs::read_to_string(tests.join("rights_in_use/unused.txt"))?)?;
    let unknown: Vec<_> = excused
        .keys()
        .filter(|right| !granted_rights.contains(*right))
        .collect();
    anyhow::ensure!(
        unknown.is_empty(),
        "unused.txt lists rights that no account has: {unknown:#?}"
    );
    let unused: Vec<_> = granted_rights
        .difference(&used_rights)
        .filter(|right| !excused.contains_key(*right))
        .map(|(component, resource, verb)| format!("{component} {resource}: {verb}"))
        .collect();
    anyhow::ensure!(
        unused.is_empty(),
        "no test of this run used these rights: take them away, or list them with a reason in unused.txt \
         (run all tests before this one)\n{}",
        unused.join("\n")
    );
    anyhow::ensure!(
        forbidden.is_empty(),
        "calls of our components were forbidden: {forbidden:#?}"
    );
    Ok(())
}
