//! Values of lists -> rows of controls: environment variables, further disks (pure).

use std::collections::BTreeMap;

use rules::form::EnvRule;

use super::fields::Shown;
use super::sent::OTHER;
use crate::views;

/// Empty rows for further variables and disks. A form that is sent by [`ADD`] has them anew.
const EMPTY_ROWS: usize = 2;
/// The button for further rows.
const ADD: &str = "More rows";

impl Shown<'_> {
    /// Name within a row -> value, for each row of a list.
    fn rows(&self, path: &str) -> BTreeMap<usize, BTreeMap<&str, &str>> {
        let mut rows: BTreeMap<usize, BTreeMap<&str, &str>> = BTreeMap::new();
        for (name, value) in &self.values.0 {
            let row = name.strip_prefix(path).and_then(|rest| rest.strip_prefix('['));
            let Some((number, part)) = row.and_then(|row| row.split_once("].")) else {
                continue;
            };
            if let Ok(number) = number.parse() {
                rows.entry(number).or_default().insert(part, value);
            }
        }
        rows
    }

    pub(super) fn env_rows(&self, rules: &[EnvRule], max: usize) -> views::Input {
        let row = |parts: BTreeMap<&str, &str>| {
            let part = |name: &str| parts.get(name).copied().unwrap_or_default();
            let reference = ["secretKeyRef", "configMapKeyRef"].into_iter().find_map(|kind| {
                let name = format!("valueFrom.{kind}.name");
                let name = parts.get(&*name).copied()?;
                Some([part("name"), kind, name, part(&format!("valueFrom.{kind}.key"))].map(str::to_owned))
            });
            let from = if parts.contains_key("value") {
                "value"
            } else {
                OTHER
            };
            reference.unwrap_or_else(|| [part("name"), from, part("value"), ""].map(str::to_owned))
        };
        let mut rows: Vec<_> = self.rows("spec.env").into_values().map(row).collect();
        drop_empty(&mut rows, |[name, _, value, key]| {
            [name, value, key].iter().all(|it| it.is_empty())
        });
        let missing = rules.iter().filter(|rule| rule.is_required);
        let missing: Vec<_> = missing
            .filter(|rule| rows.iter().all(|row| row[0] != rule.name))
            .collect();
        rows.extend(
            missing
                .into_iter()
                .map(|rule| [&*rule.name, "value", "", ""].map(str::to_owned)),
        );
        rows.extend((0..EMPTY_ROWS).map(|_| ["", "value", "", ""].map(str::to_owned)));
        rows.truncate(max);
        let cells = |(index, [name, from, value, key]): (usize, [String; 4])| {
            let of = |part: &str, label: &str, value| cell("spec.env", index, part, label, value);
            let mut kinds = vec![
                ("value", "Value"),
                ("secretKeyRef", "Secret"),
                ("configMapKeyRef", "ConfigMap"),
            ];
            if from == OTHER {
                kinds.push((OTHER, "Kept as it is"));
            }
            let kinds = kinds
                .into_iter()
                .map(|(value, text)| (value.to_owned(), text.to_owned()));
            vec![
                of("name", "Name", name),
                views::Cell {
                    choices: kinds.collect(),
                    ..of("from", "From", from)
                },
                of("value", "Value, or name of the object", value),
                of("key", "Key in it", key),
            ]
        };
        views::Input::Rows {
            rows: rows.into_iter().enumerate().map(cells).collect(),
            add: ADD.to_owned(),
        }
    }

    pub(super) fn disk_rows(&self, max: usize) -> views::Input {
        let row = |parts: BTreeMap<&str, &str>| {
            let names = ["name", "persistentVolumeClaimName", "mountPath", "readOnly"];
            names.map(|name| parts.get(name).copied().unwrap_or_default().to_owned())
        };
        let mut rows: Vec<_> = self.rows("spec.volumes").into_values().map(row).collect();
        drop_empty(&mut rows, |[name, claim, path, _]| {
            [name, claim, path].iter().all(|it| it.is_empty())
        });
        rows.extend((0..EMPTY_ROWS).map(|_| <[String; 4]>::default()));
        rows.truncate(max);
        let cells = |(index, [name, claim, path, read_only]): (usize, [String; 4])| {
            let of = |part: &str, label: &str, value| cell("spec.volumes", index, part, label, value);
            let access = [("", "Read and write"), ("true", "Read only")];
            let read_only = if read_only == "true" {
                read_only
            } else {
                String::new()
            };
            vec![
                of("name", "Name", name),
                of("persistentVolumeClaimName", "Claim", claim),
                of("mountPath", "Path", path),
                views::Cell {
                    choices: access
                        .map(|(value, text)| (value.to_owned(), text.to_owned()))
                        .to_vec(),
                    ..of("readOnly", "Access", read_only)
                },
            ]
        };
        views::Input::Rows {
            rows: rows.into_iter().enumerate().map(cells).collect(),
            add: ADD.to_owned(),
        }
    }
}

/// Drops the empty rows at the end, which a form that is sent has: a page has [`EMPTY_ROWS`] of them, however often it is sent.
fn drop_empty(rows: &mut Vec<[String; 4]>, is_empty: impl Fn(&[String; 4]) -> bool) {
    while rows.last().is_some_and(&is_empty) {
        rows.pop();
    }
}

fn cell(list: &str, index: usize, part: &str, label: &str, value: String) -> views::Cell {
    views::Cell {
        name: format!("{list}[{index}].{part}"),
        label: label.to_owned(),
        value,
        choices: Vec::new(),
    }
}
