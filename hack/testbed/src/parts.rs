//! Where the real parts are: what `hack/parts/build` prints, which gets them if need be.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use tokio::process::Command;

/// The directory of the control plane: `ORO_PARTS`, if somebody knows it already.
pub(crate) async fn control_plane() -> anyhow::Result<PathBuf> {
    match std::env::var_os("ORO_PARTS") {
        Some(directory) => Ok(directory.into()),
        None => directory(&[]).await,
    }
}

/// The directory of Prometheus.
pub(crate) async fn metrics() -> anyhow::Result<PathBuf> {
    directory(&["metrics"]).await
}

/// The directory of Perses.
pub(crate) async fn perses() -> anyhow::Result<PathBuf> {
    directory(&["perses"]).await
}

async fn directory(set: &[&str]) -> anyhow::Result<PathBuf> {
    let script = crate::root().join("hack/parts/build");
    let output =
        Command::new(&script).args(set).output().await.with_context(|| format!("cannot run {}", script.display()))?;
    if !output.status.success() {
        bail!("{} failed:\n{}", script.display(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?.trim().into())
}
