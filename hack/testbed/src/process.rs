//! Processes that cannot outlive us.
//!
//! Each runs below a small shell that reads a pipe from us. The pipe carries signal names, and its end, which the
//! kernel guarantees however we end, is the order to kill. So a test run that is killed leaves nothing behind.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    io::Write,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

/// How often a process is asked whether it is still there or ready yet; there is nothing to watch before it answers.
pub(crate) const POLL: Duration = Duration::from_millis(20);

const KEEPER: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
( while read -r signal; do kill -s "$signal" "$child"; done; kill -s KILL "$child" ) <&3 2>/dev/null &
guard=$!
exec 3<&-
wait "$child"
status=$?
kill -s KILL "$guard"
exit "$status"
"#;

/// Deletes a directory when the pipe ends. The processes in it end at the same moment, and may still write once.
const JANITOR: &str = r#"
while read -r _; do :; done
for _ in 1 2 3 4 5; do rm -rf "$1" && exit 0; sleep 0.2; done
"#;

/// A signal that a process can be sent.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// At once, without a chance to clean up.
    Kill,
    /// Please end.
    Term,
    /// Stand still.
    Stop,
    /// Go on.
    Cont,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Term => "TERM",
            Self::Stop => "STOP",
            Self::Cont => "CONT",
        }
    }
}

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    keeper: Child,
}

impl Process {
    /// Starts `program`; its output is appended to `log`. The environment is `env` and what a program needs to be found.
    pub fn spawn<A: AsRef<OsStr>>(
        name: &str,
        log: &Path,
        program: &Path,
        args: impl IntoIterator<Item = A>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        if !program.is_file() {
            bail!("{} is not there; build it first", program.display());
        }
        let out = OpenOptions::new().create(true).append(true).open(log)?;
        let keeper = shell(KEEPER)
            .arg(program)
            .args(args)
            .env_clear()
            .envs(["PATH", "HOME", "TMPDIR"].into_iter().filter_map(|key| Some((key, std::env::var_os(key)?))))
            .envs(env)
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), log: log.to_owned(), keeper })
    }

    /// Starts a process that deletes `directory` when it is dropped, or when we end.
    pub(crate) fn janitor(directory: &Path) -> anyhow::Result<Self> {
        let keeper = shell(JANITOR).arg(directory).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Self { name: "janitor".to_owned(), log: PathBuf::new(), keeper })
    }

    /// The pid of the shell that keeps the process.
    pub(crate) fn keeper(&self) -> u32 {
        self.keeper.id()
    }

    /// Sends a signal.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        let pipe = self.keeper.stdin.as_mut().context("the process was already killed")?;
        // A keeper that is gone means a process that is gone.
        let _ = writeln!(pipe, "{}", signal.name());
        Ok(())
    }

    /// How it ended, if it did. A signal counts as 128 + its number, as in a shell.
    pub fn exited(&mut self) -> anyhow::Result<Option<i32>> {
        Ok(self.keeper.try_wait()?.map(code))
    }

    /// Waits for its end.
    pub async fn wait(&mut self, timeout: Duration) -> anyhow::Result<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.exited()? {
                return Ok(status);
            }
            if start.elapsed() > timeout {
                bail!("{} did not end within {timeout:?}; the end of its log:\n{}", self.name, self.log_tail(40));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        let text = fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
    }

    /// The path of its log.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// A shell with a pipe from us, in a process group of its own: Ctrl-C is for us alone.
fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, "keeper"]).stdin(Stdio::piped()).process_group(0);
    command
}

fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn start(directory: &Path, script: &str) -> Process {
        let log = directory.join("log");
        Process::spawn("test", &log, Path::new("/bin/sh"), ["-c", script], [("A".to_owned(), "b".to_owned())]).unwrap()
    }

    async fn line(process: &Process) -> String {
        let start = Instant::now();
        while process.log_tail(1).is_empty() && start.elapsed() < Duration::from_secs(5) {
            tokio::time::sleep(POLL).await;
        }
        process.log_tail(1)
    }

    #[tokio::test]
    async fn the_exit_code_and_the_output_are_the_programs() {
        let directory = tempfile::tempdir().unwrap();
        let mut process = start(directory.path(), "echo $A; exit 7");
        assert_eq!(process.wait(Duration::from_secs(5)).await.unwrap(), 7);
        assert_eq!(process.log_tail(1), "b");
    }

    #[tokio::test]
    async fn signals_arrive_and_dropping_kills() {
        let directory = tempfile::tempdir().unwrap();
        let mut process = start(directory.path(), "trap 'exit 3' TERM; echo $$; while :; do sleep 0.05; done");
        line(&process).await;
        process.signal(Signal::Term).unwrap();
        assert_eq!(process.wait(Duration::from_secs(5)).await.unwrap(), 3);

        std::fs::remove_file(directory.path().join("log")).unwrap();
        let process = start(directory.path(), "trap '' TERM; echo $$; while :; do sleep 0.05; done");
        let pid = line(&process).await;
        assert!(Path::new("/proc").join(&pid).exists());
        drop(process);
        assert!(!Path::new("/proc").join(&pid).exists());
    }
}
