//! `-o` -> how objects are printed (pure).

use std::ffi::OsStr;

use clap::builder::{PossibleValue, PossibleValuesParser, StringValueParser, TypedValueParser};
use clap::{Arg, Command};

use crate::jsonpath::Template;

const JSON: &str = "json";
const YAML: &str = "yaml";
const NAME: &str = "name";
const WIDE: &str = "wide";
/// What stands before a template.
pub(crate) const JSONPATH: &str = "jsonpath=";

/// How an object, or a list of them, is printed.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// As JSON.
    Json,
    /// As YAML.
    Yaml,
    /// Its kind and name.
    Name,
    /// What a template says, such as `{.status.url}`.
    Jsonpath(Template),
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
    pub(super) const OBJECT: Self = Self(&[JSON, YAML, NAME, JSONPATH]);
    /// Of reports, which have no name.
    pub(super) const REPORT: Self = Self(&[JSON, YAML, JSONPATH]);
}

impl TypedValueParser for Formats {
    type Value = Format;

    fn parse_ref(&self, command: &Command, flag: Option<&Arg>, value: &OsStr) -> Result<Format, clap::Error> {
        if value.as_encoded_bytes().starts_with(JSONPATH.as_bytes()) {
            let template = StringValueParser::new().try_map(|text| Template::parse(&text[JSONPATH.len()..]));
            return template.parse_ref(command, flag, value).map(Format::Jsonpath);
        }
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
    const ALL: Formats = Formats(&[JSON, YAML, NAME, WIDE, JSONPATH]);
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
