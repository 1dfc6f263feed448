//! Claims of a hub, and users of a common claim -> whose home each is (pure).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Source;
use super::names::{Scheme, expand};
use crate::ledger::{Fate, Ledger, Outcome};
use crate::path::Path;
use crate::read::Object;
use crate::{Error, Options};

/// Annotations of claims: whose they are.
pub(super) const USER: &str = "hub.jupyter.org/username";
pub(super) const SERVER: &str = "hub.jupyter.org/servername";
/// Label: what an object of the chart is.
const COMPONENT: &str = "component";
const HOMES: &str = "singleuser-storage";

const STAYS: &str = "the claim stays as it is";
const NO_HOME: &str = "no home of a server";
const COMMON: &str = "the claim of all homes stays as it is";
const NOT_READ: &str = "objects of this kind are not read";

const SCHEME: &str = "--slug-scheme must be escape or safe: singleuser.storage.static names each user's folder, and nothing given says how the hub \
                      writes names such as ann@b there, which the disk shows: ann-40b is escape (KubeSpawner before 7), ann-b--- and a hash is safe";

/// The home of a server.
pub(super) struct Home<'a> {
    /// Its claim.
    pub(super) object: &'a Object,
    /// The claim's number in the ledger.
    pub(super) number: usize,
    pub(super) user: String,
    /// Empty: the user's default server.
    pub(super) server: String,
}

/// What the objects beside the values say.
#[derive(Default)]
pub(super) struct Homes<'a> {
    pub(super) all: Vec<Home<'a>>,
    /// Other claims, by name, with their numbers.
    pub(super) others: BTreeMap<&'a str, (usize, &'a Object)>,
    pub(super) missing: Vec<String>,
}

/// Takes every object into the ledger, and finds the homes.
/// `common`: name of the claim of which each home is a folder.
pub(super) fn find<'a>(objects: &'a [Object], common: Option<&str>, ledger: &mut Ledger) -> Homes<'a> {
    let mut homes = Homes::default();
    for object in objects {
        if !object.is("", "PersistentVolumeClaim") || object.namespace.is_empty() {
            ledger.whole(object, Fate::new(Outcome::Stays, NOT_READ));
            continue;
        }
        let number = ledger.open(object);
        let metadata = &object.value["metadata"];
        let annotation = |name: &str| metadata["annotations"][name].as_str().unwrap_or_default();
        let user = annotation(USER);
        let stays = match user {
            "" if common == Some(object.name.as_str()) => COMMON,
            "" => NO_HOME,
            _ => STAYS,
        };
        ledger.tell(number, &Path::default(), &Fate::new(Outcome::Stays, stays));
        if user.is_empty() {
            if metadata["labels"][COMPONENT] == HOMES {
                homes.missing.push(format!(
                    "{}: it has no annotation {USER}, so whose it is is not known (the label is no name): annotate it, and import again",
                    object.title()
                ));
            }
            homes.others.insert(&object.name, (number, object));
            continue;
        }
        homes.all.push(Home {
            object,
            number,
            user: user.to_owned(),
            server: annotation(SERVER).to_owned(),
        });
    }
    homes
}

/// The scheme in which claims are named by a template: the one that fits most of them.
pub(super) fn scheme(template: &str, homes: &[Home<'_>]) -> Scheme {
    let fits = |scheme: Scheme| {
        homes
            .iter()
            .filter(|home| expand(template, &home.user, &home.server, scheme) == home.object.name)
            .count()
    };
    if fits(Scheme::Escape) > fits(Scheme::Safe) {
        Scheme::Escape
    } else {
        Scheme::Safe
    }
}

/// The scheme in which a folder of the common claim is named, as the option or the values say; needed where this name is not the same in both.
pub(super) fn scheme_of_folder(
    source: &Source<'_>,
    options: &Options,
    template: &str,
    (user, server): (&str, &str),
) -> Result<Scheme, Error> {
    let of_values = source.chart.text("hub.config.KubeSpawner.slug_scheme");
    let [escaped, safe] = [Scheme::Escape, Scheme::Safe].map(|it| expand(template, user, server, it));
    match options.slug_scheme.clone().or(of_values).as_deref() {
        Some("escape") => Ok(Scheme::Escape),
        Some("safe") => Ok(Scheme::Safe),
        _ if escaped == safe => Ok(Scheme::Safe),
        _ => Err(Error::Usage(SCHEME.to_owned())),
    }
}

/// Users whom the values name, with the leaves that name each.
pub(super) fn users(value: &Value, at: &Path) -> BTreeMap<String, Vec<Path>> {
    let mut lists: BTreeSet<Path> = ["auth.whitelist.users", "auth.allowedUsers", "auth.admin.users"]
        .map(|list| at.then(Path::of(list).0))
        .into();
    let config = at.then(Path::of("hub.config").0);
    for class in config.get(value).as_object().into_iter().flatten() {
        for field in ["allowed_users", "admin_users"] {
            lists.insert(config.key(class.0).key(field));
        }
    }
    let mut found: BTreeMap<String, Vec<Path>> = BTreeMap::new();
    for list in lists {
        let items = list.get(value).as_array().into_iter().flatten();
        for (index, user) in items.enumerate() {
            if let Some(user) = user.as_str().filter(|user| !user.is_empty()) {
                found.entry(user.to_owned()).or_default().push(list.index(index));
            }
        }
    }
    found
}
