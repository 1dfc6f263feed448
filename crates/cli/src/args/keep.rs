//! Command line of `keep` -> its arguments (pure).

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::values::time;
use super::{Format, name, object_format};
use crate::duration;

/// Which workspace is kept, and until when.
#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("end").required(true).args(["lasts", "until", "off"]),
    override_usage = "kubectl workspace keep [OPTIONS] <NAME> <DURATION|--until <TIME>|--off>")]
pub struct Keep {
    /// Name of the workspace
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,

    /// For how long from now, such as 8h
    #[arg(value_name = "DURATION", value_parser = duration::parse)]
    pub lasts: Option<Duration>,

    /// Until when, such as 2026-12-31T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<Timestamp>,

    /// No longer: the idle rule counts again
    #[arg(long)]
    pub off: bool,

    /// The changed object, or its name, in place of a sentence
    #[arg(short, long, value_name = "FORMAT", value_parser = object_format())]
    pub output: Option<Format>,
}
