//! Watches: bodies that last, and what may happen to them on the way.

use anyhow::anyhow;
use futures::stream;
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use kube::client::Body;
use serde_json::json;
use tokio::sync::watch;

/// What happens to the watches that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// The connections break.
    Cut,
    /// The server says that the history they follow is compacted.
    Expire,
    /// Nothing arrives any more, and nobody says so.
    Silence,
}

struct Watch {
    body: Body,
    disturbed: watch::Receiver<(u64, Disturbance)>,
    /// Whether the last byte that went out ended an event.
    between_events: bool,
    expiring: bool,
    over: bool,
}

/// The body of a watch, disturbed when it is asked for, also for what was asked for while it was being opened.
pub(super) fn watched(
    body: Body,
    disturbed: watch::Receiver<(u64, Disturbance)>,
) -> UnsyncBoxBody<Bytes, anyhow::Error> {
    let watch = Watch { body, disturbed, between_events: true, expiring: false, over: false };
    StreamBody::new(stream::unfold(watch, next)).boxed_unsync()
}

async fn next(mut watch: Watch) -> Option<(anyhow::Result<Frame<Bytes>>, Watch)> {
    loop {
        if watch.over {
            return None;
        }
        if watch.expiring && watch.between_events {
            watch.over = true;
            return Some((Ok(Frame::data(expired())), watch));
        }
        tokio::select! {
            frame = watch.body.frame() => {
                let frame = frame?.map_err(|error| anyhow!("{error}"));
                watch.over = frame.is_err();
                if let Some(data) = frame.as_ref().ok().and_then(Frame::data_ref) {
                    watch.between_events = data.last().is_none_or(|byte| *byte == b'\n');
                }
                return Some((frame, watch));
            }
            Ok(()) = watch.disturbed.changed() => {
                let (_, how) = *watch.disturbed.borrow_and_update();
                match how {
                    Disturbance::Cut => {
                        watch.over = true;
                        return Some((Err(anyhow!("cut")), watch));
                    }
                    Disturbance::Expire => watch.expiring = true,
                    Disturbance::Silence => std::future::pending().await,
                }
            }
        }
    }
}

fn expired() -> Bytes {
    let event = json!({"type": "ERROR", "object": {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "too old resource version: 1 (2)",
        "reason": "Expired",
        "code": 410,
    }});
    format!("{event}\n").into()
}
