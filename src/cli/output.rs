//! How an answer looks.

use std::io::{Write as _, stdout};

use serde::Serialize;

/// How an answer looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    /// Tables for a person.
    #[default]
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl Output {
    /// Prints a document.
    pub(super) fn print<T: Serialize>(self, document: &T, table: impl Fn(&T) -> String) -> anyhow::Result<()> {
        let text = match self {
            Self::Table => table(document),
            Self::Json => serde_json::to_string_pretty(document)? + "\n",
            Self::Yaml => serde_yaml::to_string(document)?,
        };
        Ok(stdout().write_all(text.as_bytes())?)
    }

    /// Prints one document of several: a line of JSON each, or YAML documents.
    pub(super) fn stream<T: Serialize>(self, document: &T) -> anyhow::Result<()> {
        let text = match self {
            Self::Table => return Ok(()),
            Self::Json => serde_json::to_string(document)? + "\n",
            Self::Yaml => format!("---\n{}", serde_yaml::to_string(document)?),
        };
        Ok(stdout().write_all(text.as_bytes())?)
    }
}
