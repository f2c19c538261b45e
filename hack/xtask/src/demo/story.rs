//! The story: install 1.0.0, bring the bundle of 1.0.1, update.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use api::version::{OpenStackVersion, OpenStackVersionStatus};
use futures::StreamExt;
use jiff::Timestamp;
use kube::{
    Api, Client,
    api::DynamicObject,
    runtime::{WatchStreamExt, watcher::watch_object},
};
use openstack_release_operator::cli::{
    board,
    view::{Objects, View},
};
use testbed::{Actors, Operator, actors, fixtures, wait};

use super::{
    Args,
    admin::Administrator,
    events,
    ground::Ground,
    screen::{STUCK, Screen},
    users::Users,
};

const OLD: &str = "1.0.0";
const NEW: &str = "1.0.1";
/// What the two bring when Keystone is real: releases whose database differs.
const RELEASES: [&str; 2] = ["2025.2", "2026.1"];
const NODE_SETS: &[&str] = &["edpm-compute"];
/// How often it is asked whether the operator still runs; a process that ends tells nobody.
const PULSE: Duration = Duration::from_millis(500);

/// What the chapters share.
struct Stage {
    screen: Screen,
    ground: Ground,
    client: Client,
    namespace: String,
    operator: Operator,
    administrator: Administrator,
    /// What was shown last.
    view: View,
    /// Of the real Keystone, once it is installed.
    users: Option<Users>,
    _actors: Actors,
}

/// Tells the whole story.
pub(super) async fn tell(args: &Args) -> anyhow::Result<()> {
    let mut stage = Stage::set_up(args).await?;
    if let Err(error) = stage.chapters().await {
        return Err(error.context(stage.evidence().await));
    }
    if args.keep {
        stage.stay().await?;
    }
    Ok(())
}

impl Stage {
    async fn set_up(args: &Args) -> anyhow::Result<Self> {
        let mut screen = Screen::new();
        screen.heading("A real control plane, and the operator as the bundle of 1.0.0")?;
        let ground = Ground::set_up(args, &mut screen).await?;
        let client = ground.client().await?;
        let namespace = ground.namespace(&mut screen).await?;
        let actors = ground.actors(&namespace, args).await?;
        let operator = ground.operator(args, &namespace, ground.bundle(OLD, RELEASES[0])?)?;
        let scripted = if args.real { "every other service operator" } else { "every service operator" };
        screen.line(&format!("    {scripted} is scripted: it reports ready after {} ms", args.delay_ms))?;
        let (administrator, view, users) = (Administrator::default(), View::default(), None);
        Ok(Self { screen, ground, client, namespace, operator, administrator, view, users, _actors: actors })
    }

    async fn chapters(&mut self) -> anyhow::Result<()> {
        self.install().await?;
        self.new_bundle().await?;
        let start = Instant::now();
        self.update().await?;
        let update = start.elapsed();
        self.screen.heading("Done")?;
        self.show(&["get", "openstackversion"]).await?;
        self.screen.heading("What the operator told as Events")?;
        for line in events::table(self.client.clone(), &self.namespace).await? {
            self.screen.line(&line)?;
        }
        let total = self.screen.elapsed().as_secs_f64();
        self.screen.line(&format!("\nThe update took {:.1} s, everything {total:.1} s.", update.as_secs_f64()))?;
        if let Some(users) = self.users.take() {
            let count = users.stop().await?;
            self.screen.line(&format!("Keystone moved from {} to {}: {count}", RELEASES[0], RELEASES[1]))?;
        }
        Ok(())
    }

    /// A control plane with every service, and a nodeset.
    async fn install(&mut self) -> anyhow::Result<()> {
        self.screen.heading("A control plane with every service, and a nodeset, installed as 1.0.0")?;
        for node_set in NODE_SETS {
            self.ground.apply(fixtures::node_set(&self.namespace, node_set)).await?;
        }
        self.ground.apply(self.ground.control_plane(&self.namespace)).await?;
        self.follow(|status| status.deployed_version.as_deref() == Some(OLD)).await?;
        let deployment = fixtures::deployment(&self.namespace, "edpm-install", NODE_SETS, &[]);
        self.ground.apply(deployment).await?;
        let kind = actors::resource(api::dataplane::NODE_SET);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &kind);
        for node_set in NODE_SETS {
            let ready = wait::condition(&api, node_set, "Ready", "True", STUCK);
            let what = format!("the administrator deploys the nodeset {node_set}");
            self.screen.during(&what, ready).await?;
        }
        if matches!(self.ground, Ground::Real(_)) {
            let users = Users::start(self.client.clone(), &self.namespace);
            self.users = Some(self.screen.during("users of Keystone start to work, and will not stop", users).await?);
        }
        self.show(&["get", "openstackversion"]).await
    }

    /// The bundle of 1.0.1 takes over; nothing moves before somebody asks.
    async fn new_bundle(&mut self) -> anyhow::Result<()> {
        self.screen.heading("The operator is replaced by the bundle of 1.0.1")?;
        self.operator.restart_with(&self.ground.bundle(NEW, RELEASES[1])?).await?;
        let api: Api<OpenStackVersion> = Api::namespaced(self.client.clone(), &self.namespace);
        let available = wait::until(&api, fixtures::NAME, STUCK, |version| {
            version.status.as_ref().is_some_and(|status| status.available_version.as_deref() == Some(NEW))
        });
        self.screen.during("1.0.1 is available", available).await?;
        self.show(&["get", "openstackversion"]).await
    }

    /// The administrator asks for 1.0.1.
    async fn update(&mut self) -> anyhow::Result<()> {
        self.screen.heading("The administrator asks for 1.0.1")?;
        let patch = format!(r#"{{"spec":{{"targetVersion":"{NEW}"}}}}"#);
        self.show(&["patch", "openstackversion", fixtures::NAME, "--type=merge", "--patch", &patch]).await?;
        self.follow(|status| status.deployed_version.as_deref() == Some(NEW)).await
    }

    /// Shows what moves until `done`, and does what the administrator has to do.
    async fn follow(&mut self, done: fn(&OpenStackVersionStatus) -> bool) -> anyhow::Result<()> {
        let api: Api<OpenStackVersion> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut versions = pin!(watch_object(api, fixtures::NAME).default_backoff());
        let mut pulse = tokio::time::interval(PULSE);
        let mut progress = Instant::now();
        loop {
            tokio::select! {
                version = versions.next() => {
                    let Some(version) = version.and_then(Result::ok).flatten() else { continue };
                    let view = self.look(&version)?;
                    let Some(status) = version.status else { continue };
                    if view != self.view {
                        progress = Instant::now();
                        self.present(view)?;
                    }
                    if done(&status) {
                        self.screen.keep_board();
                        return Ok(());
                    }
                    self.administer(&status).await?;
                }
                _ = pulse.tick() => {
                    self.check(progress)?;
                    self.tell_of_users().await?;
                }
            }
        }
    }

    /// What `kubectl openstack status` would say.
    fn look(&self, version: &OpenStackVersion) -> anyhow::Result<View> {
        let version = serde_json::from_value(serde_json::to_value(version)?)?;
        let objects = Objects { versions: vec![Arc::new(version)], ..Objects::default() };
        let mut view = View::of(&self.namespace, &objects, "").unwrap_or_default();
        view.remember(&self.view);
        Ok(view)
    }

    fn present(&mut self, view: View) -> anyhow::Result<()> {
        let before = std::mem::replace(&mut self.view, view);
        if self.screen.is_live() {
            return self.draw();
        }
        for change in board::changes(&self.view, &before) {
            self.screen.stamped(&change)?;
        }
        Ok(())
    }

    async fn tell_of_users(&mut self) -> anyhow::Result<()> {
        let Some(users) = &mut self.users else { return Ok(()) };
        let now = users.look().await?;
        if self.screen.is_live() {
            return self.draw();
        }
        match self.users.as_ref().filter(|_| now) {
            Some(users) => self.screen.stamped(users.line()),
            None => Ok(()),
        }
    }

    /// The board, below what the users say.
    fn draw(&mut self) -> anyhow::Result<()> {
        let (rows, columns) = self.screen.size();
        let users = self.users.as_ref().map(|users| board::cut(users.line(), columns));
        let rows = rows.saturating_sub(usize::from(users.is_some()));
        let board = board::fitted(&self.view, Timestamp::now(), rows, columns);
        self.screen.draw(users.into_iter().chain(board).collect())
    }

    async fn administer(&mut self, status: &OpenStackVersionStatus) -> anyhow::Result<()> {
        if let Some(deed) = self.administrator.next(status, &self.namespace, NODE_SETS) {
            self.screen.stamped(&deed.words)?;
            self.ground.apply(deed.object).await?;
        }
        Ok(())
    }

    fn check(&mut self, progress: Instant) -> anyhow::Result<()> {
        if let Some(code) = self.operator.exited()? {
            bail!("the operator ended with {code}");
        }
        if progress.elapsed() > STUCK {
            bail!("nothing moved for {STUCK:?}");
        }
        Ok(())
    }

    /// Runs kubectl in the namespace, and shows command and answer.
    async fn show(&mut self, args: &[&str]) -> anyhow::Result<()> {
        let quoted = args.iter().map(|arg| if arg.contains('{') { format!("'{arg}'") } else { (*arg).to_owned() });
        self.screen.line(&format!("\n$ kubectl {}", quoted.collect::<Vec<_>>().join(" ")))?;
        let args: Vec<&str> = ["-n", &self.namespace].into_iter().chain(args.iter().copied()).collect();
        for line in self.ground.kubectl(&args).await?.lines() {
            self.screen.line(line)?;
        }
        Ok(())
    }

    /// What one needs to see when the demo fails: the operator's last words and the status.
    async fn evidence(&mut self) -> String {
        let api: Api<OpenStackVersion> = Api::namespaced(self.client.clone(), &self.namespace);
        let status = match api.get_opt(fixtures::NAME).await {
            Ok(Some(version)) => serde_yaml::to_string(&version.status).unwrap_or_default(),
            Ok(None) => "it does not exist".to_owned(),
            Err(error) => error.to_string(),
        };
        let log = self.operator.log_tail(40);
        format!(
            "the demo failed\n--- the status of the OpenStackVersion:\n{status}\n--- the end of the operator's log:\n{log}\n---"
        )
    }

    /// Leaves everything running until Ctrl-C.
    async fn stay(&mut self) -> anyhow::Result<()> {
        let kubeconfig = self.ground.kubeconfig();
        self.screen.heading("Everything keeps running. Ctrl-C stops it and deletes its files.")?;
        self.screen.line(&format!("  export KUBECONFIG={}", kubeconfig.display()))?;
        self.screen.line(&format!("  kubectl -n {} get openstackversion -o yaml", self.namespace))?;
        self.screen.line(&format!("  tail -f {}", self.operator.log().display()))?;
        tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")
    }
}
