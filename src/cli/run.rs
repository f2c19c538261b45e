//! `run`: the operator itself.

use std::{collections::HashSet, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use plan::release::Bundle;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::{JoinError, JoinSet},
};

use crate::{
    client::{self, Deadlines},
    clock, config,
    controllers::{Keystone, Name, Release},
    engine::{self, Options},
    leader::{self, Election, LEASE, Leadership, Leading},
};

/// Flags of `run`. The bundle (`OPENSTACK_RELEASE_VERSION`, `OPENSTACK_RELEASE`, `RELATED_IMAGE_*`) comes from the
/// environment alone, as OLM sets it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The controllers to run.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "release,keystone", env = "CONTROLLERS")]
    controllers: Vec<Name>,
    /// Watch only this namespace; all of them when absent or empty.
    #[arg(long, env = "WATCH_NAMESPACE")]
    watch_namespace: Option<String>,
    /// The namespace of the Lease; that of the pod, else the watched one.
    #[arg(long, env = "POD_NAMESPACE")]
    lease_namespace: Option<String>,
    /// The name of this replica; a restarted replica of the same name takes its Lease up again at once.
    #[arg(long, env = "POD_NAME")]
    identity: Option<String>,
    /// Seconds that the Lease lives without renewal. For tests.
    #[arg(long, env = "LEASE_DURATION_SECONDS", hide = true, value_parser = clap::value_parser!(u64).range(3..=300))]
    lease_duration_seconds: Option<u64>,
    /// Seconds that one API call may take. For tests.
    #[arg(long, env = "CALL_DEADLINE_SECONDS", hide = true, value_parser = clap::value_parser!(u64).range(1..=60))]
    call_deadline_seconds: Option<u64>,
    /// Seconds that one watch lasts. For tests.
    #[arg(long, env = "WATCH_SECONDS", hide = true, value_parser = clap::value_parser!(u64).range(1..=290))]
    watch_seconds: Option<u64>,
    /// A file with the seconds that the clock is ahead. For tests.
    #[arg(long, env = "CLOCK_OFFSET_FILE", hide = true)]
    clock_offset_file: Option<PathBuf>,
}

impl Args {
    fn deadlines(&self) -> Deadlines {
        let usual = Deadlines::default();
        let seconds = |wanted: Option<u64>, usual: Duration| wanted.map_or(usual, Duration::from_secs);
        Deadlines {
            call: seconds(self.call_deadline_seconds, usual.call),
            watch: seconds(self.watch_seconds, usual.watch),
        }
    }
}

/// Where the Lease is when nothing says otherwise: OLM's namespace for operators.
const LEASE_NAMESPACE: &str = "openstack-operators";

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    args.deadlines().set();
    if let Some(file) = args.clock_offset_file.clone() {
        clock::follow(file);
    }
    let bundle = config::bundle_from(std::env::vars());
    for problem in &bundle.problems {
        tracing::error!("{problem}");
    }
    tracing::info!(version = bundle.version, release = bundle.release, images = bundle.images.len(), "bundle");
    let scope = args.watch_namespace.filter(|namespace| !namespace.is_empty());
    let lease_namespace = args.lease_namespace.filter(|namespace| !namespace.is_empty()).or_else(|| scope.clone());
    let lease_namespace = lease_namespace.unwrap_or_else(|| LEASE_NAMESPACE.to_owned());
    let identity = args.identity.filter(|name| !name.is_empty()).map_or_else(hostname, Ok)?;
    let client = client::connect().await?;
    let duration = args.lease_duration_seconds.map_or(leader::DURATION, Duration::from_secs);
    let election = Election { namespace: lease_namespace.clone(), identity: identity.clone(), duration };
    // On a connection of its own: a renewal must not queue behind the writes of a thousand clouds.
    let leadership = Leadership::join(client::connect().await?, election);
    let (stop, stopping) = watch::channel(false);
    let options = Options { client, scope, instance: identity, leading: leadership.leading(), stopping };
    let leading = leadership.leading();
    let mut controllers = tokio::spawn(run_all(args.controllers, bundle, options));
    let ended = tokio::select! {
        // In this order: controllers end, too, when the Lease is lost, and that is then the reason.
        biased;
        ended = until_the_end(leading) => ended,
        ended = &mut controllers => End::Failed(ended),
    };
    match ended {
        End::Asked => {
            let _ = stop.send(true);
            controllers.await.context("a controller failed")?;
            leadership.release().await;
            Ok(())
        }
        // Acting on after the lease is gone would be acting beside another leader: a write that is under way is cut off.
        End::LeaseLost => {
            controllers.abort();
            bail!("the lease {lease_namespace}/{LEASE} was lost; another replica may lead now")
        }
        // A leader that does nothing would keep the others from doing it.
        End::Failed(Ok(())) => bail!("the controllers ended by themselves"),
        End::Failed(Err(error)) => Err(error).context("a controller failed"),
    }
}

/// Runs the controllers side by side. One that ends ends the others: a process that does half of its work would keep
/// another replica from doing all of it.
async fn run_all(names: Vec<Name>, bundle: Bundle, options: Options) {
    let mut running: JoinSet<()> = JoinSet::new();
    let mut stopping = options.stopping.clone();
    let bundle = Arc::new(bundle);
    for name in names.into_iter().collect::<HashSet<_>>() {
        let options = options.clone();
        match name {
            Name::Release => running.spawn(engine::run(Release { bundle: Arc::clone(&bundle) }, options)),
            Name::Keystone => running.spawn(engine::run(Keystone, options)),
        };
    }
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
        if !*stopping.borrow_and_update() {
            return;
        }
    }
}

enum End {
    Asked,
    LeaseLost,
    Failed(Result<(), JoinError>),
}

async fn until_the_end(mut leading: Leading) -> End {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    let lost = async {
        leading.begun().await;
        tracing::info!("leading");
        leading.ended().await;
    };
    tokio::select! {
        _ = terminated => End::Asked,
        _ = tokio::signal::ctrl_c() => End::Asked,
        () = lost => End::LeaseLost,
    }
}

fn hostname() -> anyhow::Result<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").context("no host name; set POD_NAME")?;
    Ok(name.trim().to_owned())
}
