//! `run`: the operator itself.

use std::{collections::HashSet, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use plan::release::Bundle;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::{JoinError, JoinHandle, JoinSet},
};

use crate::{
    client::{self, Deadlines},
    clock, config,
    controllers::{Keystone, Name, Release},
    engine::{self, Controller, Handle, Options},
    http::{self, Insight},
    leader::{self, Election, LEASE, Leadership, Leading},
    metrics::{self, Metrics},
    telemetry::Level,
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
    /// Where probes and metrics are answered: /livez, /readyz, /metrics.
    #[arg(long, default_value = "0.0.0.0:8080", env = "HTTP_ADDRESS")]
    http_address: SocketAddr,
    /// A file whose content is the log level, or a filter as in `RUST_LOG`; it may change, come and go at any time.
    #[arg(long, env = "LOG_LEVEL_FILE")]
    log_level_file: Option<PathBuf>,
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

    /// The one namespace that is watched.
    fn scope(&self) -> Option<String> {
        self.watch_namespace.clone().filter(|namespace| !namespace.is_empty())
    }

    fn election(&self) -> anyhow::Result<Election> {
        let namespace = self.lease_namespace.clone().filter(|namespace| !namespace.is_empty());
        let identity = self.identity.clone().filter(|name| !name.is_empty());
        Ok(Election {
            namespace: namespace.or_else(|| self.scope()).unwrap_or_else(|| LEASE_NAMESPACE.to_owned()),
            identity: identity.map_or_else(hostname, Ok)?,
            duration: self.lease_duration_seconds.map_or(leader::DURATION, Duration::from_secs),
        })
    }
}

/// Where the Lease is when nothing says otherwise: OLM's namespace for operators.
const LEASE_NAMESPACE: &str = "openstack-operators";

pub(super) async fn run(args: Args, level: Level) -> anyhow::Result<()> {
    args.deadlines().set();
    if let Some(path) = args.log_level_file.clone() {
        tokio::spawn(level.follow(path));
    }
    let listener = http::bind(args.http_address)?;
    if let Some(file) = args.clock_offset_file.clone() {
        clock::follow(file);
    }
    let bundle = read_bundle();
    let (scope, election) = (args.scope(), args.election()?);
    let client = client::connect().await?;
    // On a connection of its own: a renewal must not queue behind the writes of a thousand clouds.
    let leadership = Leadership::join(client::connect().await?, election.clone());
    let (stop, stopping) = watch::channel(false);
    let leading = leadership.leading();
    let counters = metrics::Engine::default();
    let options = Options {
        client,
        scope,
        instance: election.identity,
        leading: leading.clone(),
        stopping: stopping.clone(),
        metrics: counters.clone(),
    };
    let (handles, running) = start_all(args.controllers, bundle, &options);
    let metrics = Metrics::new(&counters, handles.clone(), leading.clone());
    http::serve(listener, Insight { handles, metrics, stopping: stopping.clone() })?;
    let mut controllers = tokio::spawn(until_one_ends(running, stopping));
    match until_the_end(leading, &mut controllers).await {
        End::Asked => {
            let _ = stop.send(true);
            controllers.await.context("a controller failed")?;
            leadership.release().await;
            Ok(())
        }
        // Acting on after the lease is gone would be acting beside another leader: a write that is under way is cut off.
        End::LeaseLost => {
            controllers.abort();
            bail!("the lease {}/{LEASE} was lost; another replica may lead now", election.namespace)
        }
        // A leader that does nothing would keep the others from doing it.
        End::Failed(Ok(())) => bail!("the controllers ended by themselves"),
        End::Failed(Err(error)) => Err(error).context("a controller failed"),
    }
}

/// What the environment brings, and what is wrong with it.
fn read_bundle() -> Bundle {
    let bundle = config::bundle_from(std::env::vars());
    for problem in &bundle.problems {
        tracing::error!("{problem}");
    }
    tracing::info!(version = bundle.version, release = bundle.release, images = bundle.images.len(), "bundle");
    bundle
}

/// Starts the controllers side by side.
fn start_all(names: Vec<Name>, bundle: Bundle, options: &Options) -> (Vec<Handle>, JoinSet<()>) {
    let (mut handles, mut running) = (Vec::new(), JoinSet::new());
    let bundle = Arc::new(bundle);
    for name in names.into_iter().collect::<HashSet<_>>() {
        let options = options.clone();
        match name {
            Name::Release => start(Release { bundle: Arc::clone(&bundle) }, options, &mut handles, &mut running),
            Name::Keystone => start(Keystone, options, &mut handles, &mut running),
        }
    }
    (handles, running)
}

fn start<C: Controller>(controller: C, options: Options, handles: &mut Vec<Handle>, running: &mut JoinSet<()>) {
    let (handle, run) = engine::prepare(controller, options);
    handles.push(handle);
    running.spawn(run);
}

/// One controller that ends ends the others: a process that does half of its work would keep another replica from doing
/// all of it.
async fn until_one_ends(mut running: JoinSet<()>, mut stopping: watch::Receiver<bool>) {
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

async fn until_the_end(mut leading: Leading, controllers: &mut JoinHandle<()>) -> End {
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
        // In this order: controllers end, too, when the Lease is lost, and that is then the reason.
        biased;
        _ = terminated => End::Asked,
        _ = tokio::signal::ctrl_c() => End::Asked,
        () = lost => End::LeaseLost,
        ended = controllers => End::Failed(ended),
    }
}

fn hostname() -> anyhow::Result<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").context("no host name; set POD_NAME")?;
    Ok(name.trim().to_owned())
}
