//! How long nobody acts when the leader goes: from its signal until what was asked for right after it is done.

use std::time::{Duration, Instant};

use anyhow::Context;
use testbed::{Cluster, Operator};

use super::{Line, cloud::Clouds};

/// How often the leader goes, each way.
const ROUNDS: usize = 5;

/// Measures with two replicas, the given one and another one. The given one leads when it returns.
pub(super) async fn measure(cluster: &Cluster, clouds: &Clouds, first: &mut Operator) -> anyhow::Result<[Line; 2]> {
    let namespace = first.options().namespace.clone();
    let mut second = Operator::start(cluster, first.options().clone())?;
    let (mut killed, mut asked) = (Vec::new(), Vec::new());
    for round in 0..2 * ROUNDS {
        let leader = clouds.leader(&namespace, |_| true).await?;
        let goes = if first.name() == leader { &mut *first } else { &mut second };
        let kills = round % 2 == 0;
        let start = Instant::now();
        if kills {
            goes.kill().await?;
        } else {
            goes.stop().await?;
        }
        clouds.mark(&format!("round-{round}")).await.with_context(|| goes.log_tail(20))?;
        let took = if kills { &mut killed } else { &mut asked };
        took.push(start.elapsed());
        goes.restart().await?;
    }
    second.stop().await?;
    clouds.leader(&namespace, |holder| holder == first.name()).await?;
    Ok([
        Line::new("take-over after SIGKILL", said(killed), "10 s", "20-22 s"),
        Line::new("take-over after SIGTERM", said(asked), "1 s", "-"),
    ])
}

fn said(mut took: Vec<Duration>) -> String {
    took.sort();
    let at = |index: usize| took.get(index).map_or(0.0, Duration::as_secs_f64);
    format!("{:.2} s, at worst {:.2} s", at(took.len() / 2), at(took.len().saturating_sub(1)))
}
