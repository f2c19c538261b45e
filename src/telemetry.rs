//! Logs, whose level may change while the process runs, and traces (feature `otel`).

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, prelude::*, reload};

#[cfg(feature = "otel")]
mod otel;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For a person.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is running for logs and traces; dropping it sends the last traces.
pub struct Telemetry {
    /// What is logged.
    pub level: Level,
    #[cfg(feature = "otel")]
    _traces: otel::Traces,
}

/// Starts logging to standard error, filtered by `RUST_LOG` (default `info`).
pub fn start(format: LogFormat) -> Telemetry {
    let (filter, handle) = reload::Layer::new(usual());
    let layer = fmt::layer().with_writer(std::io::stderr);
    let layer = match format {
        LogFormat::Text => layer.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => layer.json().boxed(),
    };
    let registry = tracing_subscriber::registry().with(layer.with_filter(filter));
    let level = Level { handle };
    #[cfg(feature = "otel")]
    {
        let (traces, layer) = otel::start();
        registry.with(layer).init();
        Telemetry { level, _traces: traces }
    }
    #[cfg(not(feature = "otel"))]
    {
        registry.init();
        Telemetry { level }
    }
}

/// What `RUST_LOG` says.
fn usual() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"))
}

/// What is logged, from now on.
pub struct Level {
    handle: reload::Handle<EnvFilter, Registry>,
}

/// How often the file with the level is looked at; the kubelet needs about a minute to bring a change of a `ConfigMap`.
const LOOK: Duration = Duration::from_secs(2);

impl Level {
    /// Follows a file with a filter as in `RUST_LOG`. Without the file, what `RUST_LOG` says holds.
    pub async fn follow(self, path: PathBuf) {
        let mut ticks = tokio::time::interval(LOOK);
        let mut before: Option<String> = None;
        loop {
            ticks.tick().await;
            let now = wanted(&path);
            if now != before {
                self.set(now.as_deref(), &path);
                before = now;
            }
        }
    }

    fn set(&self, wanted: Option<&str>, path: &Path) {
        let filter = match wanted {
            None => usual(),
            Some(text) => match EnvFilter::try_new(text) {
                Ok(filter) => filter,
                Err(error) => {
                    let file = path.display();
                    tracing::error!(%file, %error, "this is no log level and no filter such as \"info,kube=debug\"");
                    return;
                }
            },
        };
        // Said in the old level and in the new one: at least one of them shows it.
        let level = filter.to_string();
        tracing::info!(level, "log level changes");
        if let Err(error) = self.handle.reload(filter) {
            tracing::error!(%error, "the log level cannot be changed");
            return;
        }
        tracing::info!(level, "log level changed");
    }
}

/// What the file says; nothing when it is not there, or empty.
fn wanted(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
