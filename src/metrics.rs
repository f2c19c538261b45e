//! Metrics: a table of rows, each with its name, its labels and what it means.
//!
//! * [`objects`]: what the statuses of the root objects say, computed when somebody asks; a deleted object vanishes;
//! * [`engine`]: what the engine counts while it works.
//!
//! The values of labels are constants of the program (`&'static str`): enums, kinds, services. Only the namespace and the
//! name of an object are text. README, alert rules and dashboard are checked against these rows.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use kube::ResourceExt;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};

use crate::{clock, engine::Handle, leader::Leading};

pub mod engine;
pub mod objects;

pub use engine::Engine;

/// A metric, for whoever reads it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The name.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// The labels, besides the `namespace` and the `name` of metrics of objects.
    pub labels: &'static [&'static str],
    /// Whether it is about an object.
    pub object: bool,
}

/// Every metric there is, those of objects first.
pub fn rows() -> Vec<Row> {
    objects::METRICS.iter().map(objects::Metric::row).chain(engine::rows()).collect()
}

/// The metrics of a process.
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Those of these controllers.
    pub fn new(engine: &Engine, handles: Vec<Handle>, leading: Leading) -> Self {
        let mut registry = Registry::default();
        engine.register(&mut registry);
        registry.register_collector(Box::new(Snapshot { handles, leading }));
        Self { registry }
    }

    /// All of them, in the `OpenMetrics` text format.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// What is read from the caches and the queues at the moment of a scrape.
struct Snapshot {
    handles: Vec<Handle>,
    leading: Leading,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let samples = self.objects(clock::now());
        for (metric, samples) in objects::METRICS.iter().zip(samples) {
            let samples = samples.into_iter().map(|(object, sample)| {
                let of = [("namespace", object.0.clone()), ("name", object.1.clone())];
                let own = metric.labels.iter().zip(sample.labels).map(|(label, value)| (*label, value.to_owned()));
                (of.into_iter().chain(own).collect(), sample.value)
            });
            gauges(&mut encoder, &metric.row(), samples)?;
        }
        for row in engine::SNAPSHOT {
            let samples = (row.samples)(&self.handles, &self.leading).into_iter().map(|sample| {
                let labels = row.row.labels.iter().zip(sample.labels);
                (labels.map(|(label, value)| (*label, value.to_owned())).collect(), sample.value)
            });
            gauges(&mut encoder, &row.row, samples)?;
        }
        Ok(())
    }
}

/// The namespace and the name of an object.
type Id = Arc<(String, String)>;

impl Snapshot {
    /// The samples of every row, in the order of the rows. Each object is read once, and one at a time.
    fn objects(&self, now: Timestamp) -> Vec<Vec<(Id, objects::Sample)>> {
        let mut all: Vec<Vec<_>> = objects::METRICS.iter().map(|_| Vec::new()).collect();
        for handle in &self.handles {
            for (kind, live) in handle.root_objects() {
                let Some(object) = objects::Object::read(&kind, &live) else { continue };
                let id: Id = Arc::new((live.namespace().unwrap_or_default(), live.name_any()));
                for (metric, samples) in objects::METRICS.iter().zip(&mut all) {
                    samples.extend((metric.samples)(&object, now).into_iter().map(|sample| (Arc::clone(&id), sample)));
                }
            }
        }
        all
    }
}

fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    row: &Row,
    samples: impl Iterator<Item = (Vec<(&'static str, String)>, f64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(row.name, row.help, None, MetricType::Gauge)?;
    for (labels, value) in samples {
        ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}
