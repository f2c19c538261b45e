//! How long a decision takes, with every service of the table enabled.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use anyhow::Context;
use api::{
    controlplane::OpenStackControlPlaneStatus,
    service,
    version::{OpenStackVersionSpec, OpenStackVersionStatus},
};
use jiff::Timestamp;
use plan::release::{Bundle, Meta, Objects, Root, World, kind_key, plan};
use testbed::{Release, fixtures};

use super::Line;

/// How many decisions are timed.
const ROUNDS: u32 = 200;

pub(super) fn measure() -> anyhow::Result<Line> {
    let world = world()?;
    let start = Instant::now();
    for _ in 0..ROUNDS {
        std::hint::black_box(plan(std::hint::black_box(&world)));
    }
    let each = start.elapsed() / ROUNDS;
    let ours = format!("{:.2} ms (in the build of xtask)", each.as_secs_f64() * 1000.0);
    Ok(Line::new("plan(), every service enabled", ours, "1 ms", "-"))
}

/// An installed cloud with every service, as the operator sees it when an update begins.
fn world() -> anyhow::Result<World> {
    let mut world = empty(&Release::named("1.0.0")?)?;
    let plan = plan(&world);
    for action in &plan.actions {
        if let plan::release::Action::Apply { service, object } = action {
            let kind = service::find(service).context("a row")?.kind;
            let object = serde_json::from_value(object.clone())?;
            if let Some(Objects::Known(objects)) = world.kinds.get_mut(&kind_key(&kind)) {
                objects.push(Arc::new(object));
            }
        }
    }
    Ok(world)
}

fn empty(release: &Release) -> anyhow::Result<World> {
    let control_plane = fixtures::full_control_plane("openstack");
    let meta = Meta { name: fixtures::NAME.to_owned(), uid: "uid".to_owned(), ..Meta::default() };
    let spec = serde_json::from_value(control_plane.get("spec").cloned().unwrap_or_default())?;
    Ok(World {
        now: Timestamp::now(),
        namespace: "openstack".to_owned(),
        bundle: Arc::new(Bundle {
            version: release.version.clone(),
            release: release.release.clone(),
            images: release.images.clone(),
            service_defaults: service::release_defaults(),
            problems: Vec::new(),
        }),
        version: Some(Root {
            meta: meta.clone(),
            spec: Ok(OpenStackVersionSpec::default()),
            status: OpenStackVersionStatus::default(),
        }),
        control_plane: Some(Root { meta, spec: Ok(spec), status: OpenStackControlPlaneStatus::default() }),
        surplus: Vec::new(),
        kinds: service::kinds().iter().map(|kind| (kind_key(kind), Objects::Known(Vec::new()))).collect(),
        nodesets: Objects::Absent,
        failures: BTreeMap::new(),
        stale: BTreeMap::new(),
    })
}
