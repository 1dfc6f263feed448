//! Values of zero-to-jupyterhub and claims of its servers -> objects, steps, ledger (pure).
//!
//! - `keep`: the files where the hub stays, with our spawner
//! - `replace`: Workspaces of the hub's users, where it goes
//! - `steps`: what to run, in order
//! - `lines`: the lines for the hub's values
//! - `make`: one profile -> template and execution profile
//! - `account`: the servers' account and token, where the hub stays
//! - `common`: storage, culling and nodes of all servers
//! - `profiles`: `profileList`, with choices
//! - `options`: choices -> options of a template
//! - `template`: settings of a profile -> parts of both
//! - `pod`, `env`, `volumes`, `files`: its containers, variables, mounts and files
//! - `fields`: fields of `KubeSpawner` in texts
//! - `out`: where parts and words go
//! - `secrets`: credentials among the variables
//! - `homes`: whose home a claim is
//! - `values`: files in Helm's order
//! - `table`: leaf -> what becomes of it
//! - `items`, `traits`, `amounts`, `names`: lists, `KubeSpawner`'s settings, amounts and names

mod account;
mod amounts;
mod common;
mod env;
mod fields;
mod files;
mod homes;
mod items;
mod keep;
mod lines;
mod make;
mod names;
mod options;
mod out;
mod pod;
mod profiles;
mod replace;
mod secrets;
mod steps;
mod table;
mod template;
mod traits;
mod values;
mod volumes;

use self::common::Chart;
use crate::draft::Draft;
use crate::judge::Judge;
use crate::ledger::{Fate, Ledger, NO_FIELD, Outcome};
use crate::path::{Path, matches};
use crate::read::{Object, Values};
use crate::table::{Place, apply, is_empty};
use crate::{Error, Hub, Import, Options};

/// A source on its way.
struct Source<'a> {
    /// The values' number in the ledger.
    number: usize,
    /// The values, as an object for messages.
    object: &'a Object,
    chart: Chart<'a>,
    hub: Hub,
    homes: homes::Homes<'a>,
    secrets: secrets::Secrets,
}

/// Converts values and claims.
pub(crate) fn convert(files: Values, objects: &[Object], options: &Options) -> Result<Import, Error> {
    let unreadable = |words: &str| Error::Unreadable(words.to_owned());
    let hub = options.hub.ok_or_else(|| {
        unreadable("--hub must be keep or replace: whether the hub stays, with our spawner")
    })?;
    if files.is_empty() {
        return Err(unreadable(
            "the input holds no values of zero-to-jupyterhub: give your values files in Helm's order, or what helm get values prints",
        ));
    }
    let values = values::merge(files)?;
    let mut ledger = Ledger::default();
    let number = ledger.open(&values.object);
    for file in &values.replaced {
        let number = ledger.open(file);
        let fate = Fate::new(Outcome::Stays, "another file says otherwise");
        ledger.tell(number, &Path::default(), &fate);
    }
    let chart = Chart {
        value: &values.object.value,
        root: &values.root,
    };
    let is_static = chart.text("singleuser.storage.type").as_deref() == Some("static");
    let common = chart
        .text("singleuser.storage.static.pvcName")
        .filter(|_| is_static);
    let homes = homes::find(objects, common.as_deref(), &mut ledger);
    let mut source = Source {
        number,
        object: &values.object,
        chart,
        hub,
        homes,
        secrets: secrets::Secrets::default(),
    };
    tables(&source, &mut ledger);
    let judge = Judge::get()?;
    let made = make::all(&mut source, options, judge, &mut ledger)?;
    let import = match hub {
        Hub::Keep => keep::files(&source, &made, options, ledger),
        Hub::Replace => replace::files(&source, made, options, judge, ledger),
    }?;
    if import.entries.iter().any(|entry| entry.text.is_empty()) {
        return Err(Error::Bug("a leaf has no words".to_owned()));
    }
    Ok(import)
}

/// What servers are not made of.
fn tables(source: &Source<'_>, ledger: &mut Ledger) {
    let place = Place {
        object: source.number,
        value: source.chart.value,
        root: source.chart.root,
        offset: 0,
    };
    let of_hub = match source.hub {
        Hub::Keep => table::KEEP,
        Hub::Replace => table::REPLACE,
    };
    apply(&[table::SERVERS, of_hub], &place, ledger, &mut Draft::default());
    if !source.chart.root.0.is_empty() {
        let others: Vec<_> = ledger.leaves(source.number, &Path::default());
        let fate = Fate::new(Outcome::Stays, "another chart's");
        for leaf in others
            .iter()
            .filter(|leaf| leaf.below(source.chart.root).is_none())
        {
            ledger.tell(source.number, leaf, &fate);
        }
    }
}

/// What became of the leaves that nothing was said about.
fn finish(source: &Source<'_>, ledger: &mut Ledger) {
    let chart = source.chart;
    let list = chart.at("singleuser.profileList");
    ledger.tell_rest(source.number, |path| {
        let below = Path(path.below(chart.root).unwrap_or_default().to_vec());
        if is_empty(path.get(chart.value)) {
            Fate::new(Outcome::SameByDefault, "it is empty")
        } else if path.below(&list).is_some_and(profiles::is_override) {
            let why = "a choice of its profile_options says otherwise";
            Fate::new(Outcome::SameByDefault, why)
        } else if let Some(steps) = path.below(&list) {
            let (outcome, words) = match source.hub {
                Hub::Keep => (
                    Outcome::Stays,
                    "the hub's own: our spawner hands it on to code of the hub",
                ),
                Hub::Replace => profiles::of_form(steps),
            };
            Fate::new(outcome, words)
        } else if traits::is_setting(&below) {
            Fate::new(Outcome::SameByDefault, "no profile has it: each sets its own")
        } else {
            let reason = table::REASONS
                .iter()
                .find(|(pattern, _)| matches(pattern, &below.0));
            Fate::new(Outcome::Lost, reason.map_or(NO_FIELD, |(_, reason)| reason))
        }
    });
}
