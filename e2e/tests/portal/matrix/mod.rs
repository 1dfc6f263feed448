//! Nine users x six workspaces x fifteen actions: portal and kubectl do and refuse the same.
//!
//! | file | holds |
//! |---|---|
//! | `users.rs` | the users and their roles |
//! | `places.rs` | the workspaces and their shares |
//! | `expected.rs` | what docs/rights.md says of each cell (pure) |
//! | `kubectl.rs` | action -> the user's own request to the API server, as a dry run |
//! | `forms.rs` | action -> the user's request to the portal, also where its page has no such button |
//! | `cell.rs` | what both answers mean (pure) |
//! | `stored.rs` | what is stored before and after |
//! | `column.rs` | one workspace, all users and actions |
//!
//! Each cell has three sources that must agree: the rules, kubectl and the portal. A refused change must be refused with the same code
//! and in the same words, and must leave the workspace, its shares and its namespace as they were.
//!
//! The portal differs from kubectl in what it shows, on purpose (docs/using.md):
//!
//! - Owners see their workspace without any role ([`Outcome::AsOwner`]).
//! - Guests see state, owner and link ([`Outcome::AsGuest`]). All else is hidden from them.
//! - For other users without the right to list, the workspace does not exist ([`Outcome::Hidden`]), where kubectl names the missing right.
//!   The exception is a new workspace: a refusal to create it shows nothing.
//!
//! Left out:
//!
//! - the owner's own workspace: it is the private one (15 cells of 810);
//! - checks of forms: the same request as their change, marked as a dry run;
//! - pages that only ask: they change nothing. What they offer is in `crates/portal/tests`;
//! - pods that run: no node has what the workspaces ask for, so their output is empty;
//! - proxy and sign-in: `e2e::portal::attested` names the users. `acting.rs` and `changes.rs` go all the way.

mod cell;
mod column;
mod expected;
mod forms;
mod kubectl;
mod places;
mod stored;
mod users;

use std::{sync::Arc, time::Instant};

use e2e::portal::attested::{keys, signer};
use futures::future::try_join_all;

use self::column::Column;
use self::expected::expected;
use self::places::Place;
use self::users::{Kind, Team};

/// What users do in the portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// The page of the workspace, with its events.
    Page,
    Text,
    Logs,
    Stop,
    Restart,
    /// The form that stops many.
    StopMany,
    Start,
    /// Another display name.
    Form,
    /// Another node, which is about what runs.
    Yaml,
    /// Another workspace of the same template.
    Create,
    Share,
    Prolong,
    EndShare,
    HandOver,
    Delete,
}

/// Actions in an order in which few of them need the workspace started or stopped before. Pods are there for the first ones.
const PHASES: [&[Action]; 4] = [
    &[Action::Page, Action::Text, Action::Logs],
    &[Action::Stop, Action::Restart, Action::StopMany],
    &[Action::Start],
    &[
        Action::Form,
        Action::Yaml,
        Action::Create,
        Action::Share,
        Action::Prolong,
        Action::EndShare,
        Action::HandOver,
        Action::Delete,
    ],
];

/// What an action leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// As by kubectl.
    Done,
    /// With kubectl's code and words.
    Refused,
    /// Not by kubectl, but to the owner.
    AsOwner,
    /// Not by kubectl, but to a guest, and little of it.
    AsGuest,
    /// As if it did not exist.
    Hidden,
}

/// One cell of the table, or how its sources differ.
type Cell = (Kind, Place, Action, Result<Outcome, String>);

#[tokio::test]
async fn users_do_by_the_portal_exactly_what_kubectl_lets_them_do() -> anyhow::Result<()> {
    let start = Instant::now();
    let signer = Arc::new(signer(&keys("gateway").await?)?);
    // A user may change something 60 times a minute. So two teams share the workspaces.
    let (first, second) = futures::try_join!(Team::make(), Team::make())?;
    second.join(&first).await?;
    let mut columns = Vec::new();
    for place in Place::ALL {
        let team = if place.is_of_first_team() { &first } else { &second };
        columns.push(Column::make(place, team, &first, signer.clone()));
    }
    let columns = try_join_all(columns).await?;
    let ready = start.elapsed();
    let cells = try_join_all(columns.into_iter().map(Column::run)).await?.concat();
    println!(
        "{} cells in {:?}, {ready:?} of it to prepare",
        cells.len(),
        start.elapsed()
    );
    let differ: Vec<_> = cells
        .iter()
        .filter_map(|(kind, place, action, found)| {
            let expected = expected(*kind, *place, *action);
            let is_so = found.as_ref().is_ok_and(|found| *found == expected);
            (!is_so).then(|| format!("{kind:?} {place:?} {action:?}: {found:?}, by the rules {expected:?}"))
        })
        .collect();
    assert!(
        differ.is_empty(),
        "{} cells differ:\n{}",
        differ.len(),
        differ.join("\n")
    );
    assert_eq!(cells.len(), 795);
    for outcome in [Outcome::Done, Outcome::Refused, Outcome::Hidden] {
        let count = cells.iter().filter(|(.., found)| *found == Ok(outcome)).count();
        println!("{outcome:?}: {count}");
        assert!(count > 100, "{outcome:?}: {count}");
    }
    futures::try_join!(first.finish(), second.finish())?;
    Ok(())
}
