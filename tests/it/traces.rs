//! Traces, as a collector sees them. With the feature `otel` alone: `hack/test --test it --features otel traces::`.

use axum::{Router, body::Bytes, routing::post};
use serde_json::json;
use tokio::{net::TcpListener, sync::mpsc};

use crate::support::{Cloud, release};

/// The field of a span that has its name (`opentelemetry.proto.trace.v1.Span`), as it goes over the wire.
fn named(name: &str) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap();
    [&[(5 << 3) | 2, length], name.as_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_sees_each_pass_and_what_is_done_in_it() {
    let (tell, mut told) = mpsc::unbounded_channel::<Bytes>();
    let collect = post(move |body: Bytes| {
        let _ = tell.send(body);
        std::future::ready(())
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collector = Router::new().route("/v1/traces", collect);
    tokio::spawn(async move { axum::serve(listener, collector).await });
    let with = |options: testbed::operator::Options| options.with_env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint);
    let mut cloud = Cloud::with("traces", release("1.0.0"), with).await;
    cloud.install(json!({})).await;
    assert_eq!(cloud.operator.stop().await.unwrap(), 0, "the last ones are sent before its end");
    let mut seen = Vec::new();
    while let Ok(body) = told.try_recv() {
        seen.extend_from_slice(&body);
    }
    let has = |wanted: &[u8]| seen.windows(wanted.len()).any(|window| window == wanted);
    for name in ["pass", "plan", "report", "act"] {
        assert!(has(&named(name)), "no span {name:?} in {} bytes", seen.len());
    }
    for text in ["openstack-release-operator", &cloud.namespace, "Glance/glance"] {
        assert!(has(text.as_bytes()), "nothing about {text} in {} bytes", seen.len());
    }
}
