//! `-o` -> how objects are printed (pure).

use std::ffi::OsStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, Command};

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

/// Parses the formats of a command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Formats(&'static [&'static str]);

impl Formats {
    /// Of objects that the cluster has.
    pub(super) const OBJECT: Self = Self(&[JSON, YAML, NAME]);
    /// Of reports, which have no name.
    pub(super) const REPORT: Self = Self(&[JSON, YAML]);
}

impl TypedValueParser for Formats {
    type Value = Format;

    fn parse_ref(&self, command: &Command, flag: Option<&Arg>, value: &OsStr) -> Result<Format, clap::Error> {
        let known = PossibleValuesParser::new(self.0).parse_ref(command, flag, value)?;
        Ok(match known.as_str() {
            JSON => Format::Json,
            NAME => Format::Name,
            _ => Format::Yaml,
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

/// Parses the formats of commands that print a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListFormats;

impl ListFormats {
    const ALL: Formats = Formats(&[JSON, YAML, NAME, WIDE]);
}

impl TypedValueParser for ListFormats {
    type Value = ListFormat;

    fn parse_ref(
        &self,
        command: &Command,
        flag: Option<&Arg>,
        value: &OsStr,
    ) -> Result<ListFormat, clap::Error> {
        if value == WIDE {
            return Ok(ListFormat::Wide);
        }
        Self::ALL.parse_ref(command, flag, value).map(ListFormat::Objects)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Self::ALL.0.iter().map(PossibleValue::new)))
    }
}
