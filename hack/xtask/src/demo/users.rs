//! The users of a real Keystone, who work all the time and count what fails.

use std::time::{Duration, Instant};

use anyhow::bail;
use api::keystone::Keystone;
use console::style;
use kube::{Api, Client};
use testbed::{
    fixtures,
    load::{self, Load, Served},
};

/// How many of them send requests one after the other; as many are slow on purpose.
const CLIENTS: usize = 2;
/// How often their count is told on a screen whose lines stay.
const TOLD_EVERY: Duration = Duration::from_secs(5);
const NAME: &str = "keystone";

/// The users of a real Keystone.
pub(super) struct Users {
    load: Load,
    keystones: Api<Keystone>,
    /// The phase of Keystone's own upgrade, and since when it is told.
    told: (String, Instant),
    line: String,
}

impl Users {
    /// They begin to work as soon as there is a token.
    pub(super) async fn start(client: Client, namespace: &str) -> anyhow::Result<Self> {
        let identity = load::Api {
            authority: format!("{NAME}.{namespace}.svc:5000"),
            password: fixtures::KEYSTONE_PASSWORD.to_owned(),
        };
        let token = load::until_it_serves(&identity, Duration::from_secs(60)).await?;
        let keystones = Api::namespaced(client, namespace);
        Ok(Self {
            load: Load::start(&identity, CLIENTS, &token),
            keystones,
            told: (String::new(), Instant::now()),
            line: String::new(),
        })
    }

    /// What they have seen so far, in one line.
    pub(super) fn line(&self) -> &str {
        &self.line
    }

    /// Looks anew; tells whether a screen whose lines stay should have the line now.
    pub(super) async fn look(&mut self) -> anyhow::Result<bool> {
        let status = self.keystones.get(NAME).await?.status.unwrap_or_default();
        let installed = status.installed_release.unwrap_or_default();
        let phase = match (status.upgrade.as_ref(), status.target_release) {
            (Some(upgrade), Some(target)) => format!("{installed} -> {target}: {}", upgrade.step),
            _ => installed,
        };
        let now = phase != self.told.0 || self.told.1.elapsed() > TOLD_EVERY;
        if now {
            self.told = (phase.clone(), Instant::now());
        }
        self.line = format!("Keystone {phase}; {}", count(&self.load.served()));
        Ok(now)
    }

    /// They end, and nothing may have failed.
    pub(super) async fn stop(self) -> anyhow::Result<String> {
        let served = self.load.stop().await;
        if served.failed.is_empty() {
            return Ok(count(&served));
        }
        bail!("{}\n{}", count(&served), served.failed.join("\n"));
    }
}

fn count(served: &Served) -> String {
    let failed = match served.failed.len() {
        0 => style("0 failed".to_owned()).green(),
        failed => style(format!("{failed} failed")).red().bold(),
    };
    format!("{} requests served, {failed}", served.good)
}
