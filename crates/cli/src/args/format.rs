//! `-o` -> how objects are printed (pure).

use clap::builder::{PossibleValuesParser, TypedValueParser};

const JSON: &str = "json";
const YAML: &str = "yaml";
const NAME: &str = "name";
const WIDE: &str = "wide";

/// How an object, or a list of them, is printed.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// As JSON.
    Json,
    /// As YAML.
    Yaml,
    /// Its kind and name.
    Name,
}

/// What is printed in place of the usual table.
#[derive(Debug, Clone, PartialEq)]
pub enum ListFormat {
    /// The table with more columns.
    Wide,
    /// The objects.
    Objects(Format),
}

impl ListFormat {
    /// How the objects are printed; `None`: as a table.
    pub(crate) fn objects(format: Option<&Self>) -> Option<&Format> {
        match format {
            None | Some(Self::Wide) => None,
            Some(Self::Objects(format)) => Some(format),
        }
    }
}

/// Formats of objects that the cluster has.
pub(super) fn object_format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new([JSON, YAML, NAME]).map(|name| format(&name))
}

/// Formats of reports, which have no name.
pub(super) fn report_format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new([JSON, YAML]).map(|name| format(&name))
}

/// Formats of commands that print a table.
pub(super) fn list_format() -> impl TypedValueParser<Value = ListFormat> {
    PossibleValuesParser::new([JSON, YAML, NAME, WIDE]).map(|name| match name.as_str() {
        WIDE => ListFormat::Wide,
        name => ListFormat::Objects(format(name)),
    })
}

fn format(name: &str) -> Format {
    match name {
        JSON => Format::Json,
        NAME => Format::Name,
        _ => Format::Yaml,
    }
}
