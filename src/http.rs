//! Probes and metrics, on one port.
//!
//! | path | says |
//! |---|---|
//! | `/livez` | whether the process works; trouble with the API server is none of its own |
//! | `/readyz` | whether its caches are complete; true for replicas that do not lead, too |
//! | `/metrics` | the metrics, made at this moment: nobody who asks, no work |

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use anyhow::Context as _;
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::future;
use tokio::sync::watch;

use crate::{engine::Handle, metrics::Metrics};

/// The format of the metrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the answers are made of.
pub struct Insight {
    /// The controllers that run.
    pub handles: Vec<Handle>,
    /// The metrics.
    pub metrics: Metrics,
    /// Turns true when the process is to end.
    pub stopping: watch::Receiver<bool>,
}

/// Takes the address, before anything else is begun.
pub fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| {
        format!("the address {address} for probes and metrics cannot be used; set another one with --http-address")
    })?;
    tracing::info!(address = %listener.local_addr()?, "probes and metrics");
    Ok(listener)
}

/// Answers until the process ends, in a thread of its own: what keeps the others from working must not keep it from
/// saying so.
pub fn serve(listener: TcpListener, insight: Insight) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    listener.set_nonblocking(true)?;
    let answer = async move {
        if let Err(error) = answer(listener, insight).await {
            tracing::error!(%error, "probes and metrics are not answered any more");
        }
    };
    std::thread::Builder::new().name("http".to_owned()).spawn(move || runtime.block_on(answer))?;
    Ok(())
}

async fn answer(listener: TcpListener, insight: Insight) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(insight));
    axum::serve(tokio::net::TcpListener::from_std(listener)?, routes).await
}

async fn livez(State(insight): State<Arc<Insight>>) -> Response {
    let stuck = future::join_all(insight.handles.iter().map(Handle::stuck)).await;
    verdict(&stuck.into_iter().flatten().collect::<Vec<_>>())
}

async fn readyz(State(insight): State<Arc<Insight>>) -> Response {
    if *insight.stopping.borrow() {
        return verdict(&["the process ends".to_owned()]);
    }
    verdict(&insight.handles.iter().filter_map(Handle::unsynced).collect::<Vec<_>>())
}

fn verdict(problems: &[String]) -> Response {
    if problems.is_empty() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, problems.join("\n") + "\n").into_response()
}

async fn metrics(State(insight): State<Arc<Insight>>) -> Response {
    match insight.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
