//! How an answer looks, and where it goes.

use std::{
    io::{self, ErrorKind, Write as _, stderr, stdout},
    os::fd::AsFd,
};

use anyhow::Context as _;
use serde::Serialize;
use tokio::{io::Interest, net::unix::pipe::Sender};

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
        say(&text)
    }

    /// Prints one document of several: a line of JSON each, or YAML documents.
    pub(super) fn stream<T: Serialize>(self, document: &T) -> anyhow::Result<()> {
        let text = match self {
            Self::Table => return Ok(()),
            Self::Json => serde_json::to_string(document)? + "\n",
            Self::Yaml => format!("---\n{}", serde_yaml::to_string(document)?),
        };
        say(&text)
    }
}

/// Prints. Who has read enough and closed the pipe, as `head` does, keeps a command neither from what it still has to do
/// nor from ending well.
pub(super) fn say(text: &str) -> anyhow::Result<()> {
    heard(put(text))
}

/// Prints at once, and fails when nobody reads it.
pub(super) fn put(text: &str) -> io::Result<()> {
    let mut out = stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// What became of the print: a pipe that was closed is no error.
pub(super) fn heard(printed: io::Result<()>) -> anyhow::Result<()> {
    match printed {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("the answer cannot be printed"),
    }
}

/// Returns when the other end of a pipe is closed. What is no pipe never is.
pub(super) async fn unread(pipe: impl AsFd) {
    let closed = async {
        // It is only looked at: who writes to it goes on as before.
        let pipe = Sender::from_owned_fd_unchecked(pipe.as_fd().try_clone_to_owned()?)?;
        pipe.ready(Interest::ERROR).await
    };
    if closed.await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A line on the standard error. There is nowhere left to say that it cannot be written.
pub(super) fn remark(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_that_was_closed_is_no_error_and_a_full_disk_is_one() {
        assert!(heard(Ok(())).is_ok());
        assert!(heard(Err(ErrorKind::BrokenPipe.into())).is_ok());
        let error = heard(Err(ErrorKind::StorageFull.into())).unwrap_err();
        assert_eq!(error.to_string(), "the answer cannot be printed");
    }

    /// Nothing may be printed for hours: who has read enough is noticed all the same.
    #[tokio::test]
    async fn a_reader_that_leaves_is_noticed_without_a_word() {
        let (reader, writer) = io::pipe().unwrap();
        let unread = unread(writer);
        tokio::pin!(unread);
        let soon = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(soon, &mut unread).await.is_err());
        drop(reader);
        tokio::time::timeout(soon * 100, unread).await.unwrap();
        let file = tempfile::tempfile().unwrap();
        assert!(tokio::time::timeout(soon, super::unread(file)).await.is_err());
    }
}
