//! Traces by OTLP over HTTP, as the standard `OTEL_*` environment variables say: a span for each pass, and in it one for
//! each plan, report and act.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

/// The service name when `OTEL_SERVICE_NAME` says nothing else.
const SERVICE: &str = "openstack-release-operator";

/// Where spans go; without one of these nothing is sent.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

/// The exporter; dropping it sends what is left.
pub(super) struct Traces(Option<SdkTracerProvider>);

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Starts the exporter, if the environment names an endpoint. Outside of a runtime: it has a thread of its own.
pub(super) fn start<S>() -> (Traces, Option<impl Layer<S>>)
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let is_set = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
    if !ENDPOINTS.iter().any(|name| is_set(name)) || std::env::var("OTEL_SDK_DISABLED").is_ok_and(|on| on == "true") {
        return (Traces(None), None);
    }
    let exporter = match opentelemetry_otlp::SpanExporter::builder().with_http().build() {
        Ok(exporter) => exporter,
        Err(error) => {
            eprintln!("no traces: {error}; look at the OTEL_* environment variables");
            return (Traces(None), None);
        }
    };
    let mut resource = Resource::builder();
    if !is_set("OTEL_SERVICE_NAME") {
        resource = resource.with_service_name(SERVICE);
    }
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build();
    let tracer = provider.tracer(SERVICE);
    // Our own spans; those of the libraries that send them would have no end.
    let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), LevelFilter::INFO);
    (Traces(Some(provider)), Some(tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours)))
}
