//! The Lease as a lock: read, judged, and written on what was read.

use std::{pin::Pin, time::Duration};

use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
    runtime::{WatchStreamExt, watcher},
};
use tokio::time::Instant;

use super::{Election, LEASE, holder, spec};

/// How long giving the Lease back may take; without it, it expires by itself.
const GIVE_BACK: Duration = Duration::from_secs(3);

/// The changes of the Lease. What it is then has to be read: a watch may lag.
pub(super) struct Changes(Pin<Box<dyn Stream<Item = watcher::Result<watcher::Event<Lease>>> + Send>>);

impl Changes {
    /// Waits for the next. One that does not come is no harm: the Lease is looked at now and then anyway.
    pub(super) async fn next(&mut self) {
        loop {
            match self.0.next().await {
                Some(Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_) | watcher::Event::InitDone)) => return,
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    tracing::debug!(%error, "the Lease cannot be watched; it is looked at now and then");
                }
                None => std::future::pending().await,
            }
        }
    }
}

pub(super) struct Lock {
    api: Api<Lease>,
    election: Election,
    /// The Lease as it was last seen.
    seen: Option<Lease>,
    /// When another's Lease, as it was last seen, is over: counted from when it was first seen so.
    others_until: Option<Instant>,
    /// Whether it may be different by now, because a write of ours got no answer or a refusal.
    stale: bool,
}

impl Lock {
    pub(super) fn new(client: Client, election: &Election) -> Self {
        let api = Api::namespaced(client, &election.namespace);
        Self { api, election: election.clone(), seen: None, others_until: None, stale: true }
    }

    /// Says when the Lease changes, or may have.
    pub(super) fn changes(&self) -> Changes {
        let only = watcher::Config::default().fields(&format!("metadata.name={LEASE}"));
        Changes(watcher(self.api.clone(), only).default_backoff().boxed())
    }

    /// How long the Lease is still another's, as far as it is known.
    pub(super) fn others_time(&self) -> Option<Duration> {
        Some(self.others_until?.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// The next attempt reads before it writes.
    pub(super) fn doubt(&mut self) {
        self.stale = true;
    }

    /// Takes or renews the Lease, if it may. Answers whether it has it.
    pub(super) async fn take(&mut self) -> Result<bool, kube::Error> {
        if self.stale || !self.is_mine() {
            let read = self.api.get_opt(LEASE).await?;
            self.saw(read);
        }
        if !self.may_take() {
            return Ok(false);
        }
        match self.write().await {
            Ok(written) => {
                self.saw(Some(written));
                self.stale = false;
                Ok(true)
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                // Somebody was quicker, or it was deleted: what is there now says who leads.
                let read = self.api.get_opt(LEASE).await?;
                self.saw(read);
                if self.may_take() {
                    let written = self.write().await?;
                    self.saw(Some(written));
                    self.stale = false;
                    return Ok(true);
                }
                Ok(false)
            }
            Err(error) => {
                self.stale = true;
                Err(error)
            }
        }
    }

    /// Gives it back, if it is ours.
    pub(super) async fn give_back(&mut self) {
        match tokio::time::timeout(GIVE_BACK, self.try_give_back()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "lease not released; it expires by itself"),
            Err(_) => tracing::warn!("lease not released in time; it expires by itself"),
        }
    }

    async fn try_give_back(&mut self) -> Result<(), kube::Error> {
        // A renewal may have been cut off a moment ago: what is there now counts.
        let read = self.api.get_opt(LEASE).await?;
        self.saw(read);
        let Some(mut lease) = self.seen.take_if(|lease| holder(lease) == Some(&self.election.identity)) else {
            return Ok(());
        };
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = None;
            spec.acquire_time = None;
            spec.renew_time = None;
        }
        self.api.replace(LEASE, &PostParams::default(), &lease).await?;
        tracing::info!("lease released");
        Ok(())
    }

    fn is_mine(&self) -> bool {
        self.seen.as_ref().is_some_and(|lease| holder(lease) == Some(&self.election.identity))
    }

    /// Nobody's, ours, or not renewed for its whole life while we looked.
    fn may_take(&self) -> bool {
        let mine = self.is_mine();
        let free = self.seen.as_ref().is_some_and(|lease| holder(lease).is_none());
        // A Lease that was deleted under its holder is still the holder's for that time.
        mine || free || self.others_until.is_none_or(|until| until <= Instant::now())
    }

    /// Called after the answer: the holder counts from before its question, so its time is over first.
    fn saw(&mut self, lease: Option<Lease>) {
        let version = |lease: &Lease| (lease.metadata.uid.clone(), lease.metadata.resource_version.clone());
        let same = self.seen.as_ref().map(version) == lease.as_ref().map(version);
        let other = lease.as_ref().filter(|lease| holder(lease).is_some_and(|holder| holder != self.election.identity));
        if let Some(lease) = other.filter(|_| !same) {
            let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
            let life = seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
            self.others_until = Some(Instant::now() + life.unwrap_or(self.election.duration));
        }
        self.seen = lease;
    }

    async fn write(&self) -> Result<Lease, kube::Error> {
        let params = PostParams::default();
        if let Some(lease) = &self.seen {
            let spec = spec(&self.election, lease.spec.as_ref());
            return self.api.replace(LEASE, &params, &Lease { spec: Some(spec), ..lease.clone() }).await;
        }
        let metadata = ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() };
        self.api.create(&params, &Lease { metadata, spec: Some(spec(&self.election, None)) }).await
    }
}
