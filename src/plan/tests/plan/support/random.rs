//! Random worlds.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, OnceLock},
};

use api::{DynamicObject, annotation, release::Version, service, step::StepName, version::OpenStackVersionStatus};
use plan::release::{Objects, World};
use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value, json};

use super::{NEW, OLD, Sim, bundle, custom, nodeset, versions_of};

/// A random world as a few numbers, so that it shrinks well.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// One bit for each section.
    sections: u64,
    installed: bool,
    /// How far an update went before.
    rounds: usize,
    target: &'static str,
    /// What happened to the objects since.
    objects: Vec<u8>,
    nodesets: Vec<u8>,
    custom: u8,
    paused: bool,
    hold: Option<StepName>,
    stage: Option<&'static str>,
    annotations: u8,
    memory: u8,
    bundle: &'static str,
    control_plane: u8,
}

/// Worlds; only such as nothing but work separates from their target unless `hostile`.
pub fn recipe(hostile: bool) -> impl Strategy<Value = Recipe> {
    let targets: &[&str] = if hostile { &[OLD, NEW, "1.0.2", "0.9.0", "latest", ""] } else { &[OLD, NEW] };
    let bundles: &[&str] = if hostile { &[OLD, NEW, "1.0.2", "", "junk"] } else { &[NEW] };
    let stages: &[Option<&str>] = if hostile { &[None, Some("mariadb"), Some("nonsense"), Some("")] } else { &[None] };
    let holds =
        if hostile { vec![None, Some(StepName::OvnControlplane), Some(StepName::Keystone)] } else { vec![None] };
    let limit = if hostile { u8::MAX } else { 0 };
    let what = (any::<u64>(), any::<bool>(), 0..14usize, select(targets), select(bundles));
    let state = (proptest::collection::vec(0..9u8, 0..24), proptest::collection::vec(0..8u8, 0..3));
    let options = (0..=limit, any::<bool>(), select(holds), select(stages), 0..=limit, 0..=limit, 0..=limit);
    (what, state, options).prop_map(move |(what, state, options)| {
        let (sections, installed, rounds, target, bundle) = what;
        let (objects, nodesets) = state;
        let (custom, paused, hold, stage, annotations, memory, control_plane) = options;
        let paused = paused && hostile;
        // Only newer versions can be reached from an installed one.
        let installed = if hostile { installed } else { installed || target == OLD };
        Recipe {
            sections,
            installed,
            rounds,
            target,
            objects,
            nodesets,
            custom,
            paused,
            hold,
            stage,
            annotations,
            memory,
            bundle,
            control_plane,
        }
    })
}

impl Recipe {
    /// The world.
    pub fn build(&self) -> Sim {
        let mut sim = self.base();
        sim.world.nodesets =
            Objects::Known(self.nodesets.iter().enumerate().map(|(i, kind)| some_nodeset(i, *kind)).collect());
        sim.world.bundle = bundle(NEW).into();
        sim.pass();
        if self.installed && self.rounds > 0 {
            sim.pass();
            sim.target(NEW);
            for _ in 0..self.rounds {
                sim.round();
                sim.administrator();
            }
        }
        let reached = sim.deployed() == Some(NEW) || sim.status().update.is_some();
        self.objects(&mut sim);
        let hostile = self.bundle != NEW || self.control_plane > 0 || self.memory > 0;
        sim.target(if reached && !hostile && self.target == OLD { NEW } else { self.target });
        if !self.installed && !hostile {
            sim.target(NEW);
        }
        self.options(&mut sim);
        sim
    }

    fn base(&self) -> Sim {
        static BASES: OnceLock<Mutex<HashMap<(u64, bool), Sim>>> = OnceLock::new();
        let all = service::sections();
        // A handful of clouds, each built once: building one takes longer than planning it.
        let masks = [u64::MAX, 0, 0b0110_1101_1011_0111, 0b1010_1010_1010_1010, 0b0000_1111_0000_1111, 0b1_1111];
        let mask = masks[usize::try_from(self.sections % 6).unwrap()];
        let bases = BASES.get_or_init(Mutex::default);
        let mut bases = bases.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        bases
            .entry((mask, self.installed))
            .or_insert_with(|| {
                let chosen = all.iter().enumerate().filter(|(bit, _)| mask >> (bit % 64) & 1 == 1);
                let chosen: Vec<&str> = chosen.map(|(_, section)| *section).collect();
                if self.installed { Sim::installed(Some(&chosen), OLD) } else { Sim::new(Some(&chosen), bundle(NEW)) }
            })
            .clone()
    }

    /// The versions of all images, by object and path.
    pub fn versions(sim: &Sim) -> BTreeMap<String, Version> {
        let mut all = BTreeMap::new();
        for (key, objects) in &sim.world.kinds {
            for object in objects {
                let name = object.metadata.name.clone().unwrap_or_default();
                let versions = versions_of(&object.data);
                all.extend(versions.into_iter().map(|(path, version)| (format!("{key}/{name} {path}"), version)));
            }
        }
        all
    }

    /// What happened to the objects meanwhile; a fair recipe only has what services may do by themselves.
    fn objects(&self, sim: &mut Sim) {
        let fair = self.control_plane == 0 && self.memory == 0 && self.annotations == 0 && self.bundle == NEW;
        let mut states = self.objects.iter();
        for objects in sim.world.kinds.values_mut() {
            let Objects::Known(objects) = objects else { continue };
            let mut gone = Vec::new();
            for (index, object) in objects.iter_mut().enumerate() {
                let object = Arc::make_mut(object);
                match states.next() {
                    Some(1) => object.data["status"]["conditions"] = json!([]),
                    Some(2) => object.data["status"]["observedGeneration"] = json!(0),
                    Some(3) => object.data["status"] = Value::Null,
                    Some(4) => object.data["status"] = json!({"conditions": [{"type": "Ready", "status": "False"}]}),
                    Some(5) if !fair => gone.push(index),
                    Some(6) if !fair => object.data["spec"]["containerImage"] = json!("other.io/thing:7"),
                    Some(7) => object.data["status"] = json!(["?"]),
                    Some(8) if !fair => object.metadata.owner_references = None,
                    _ => {}
                }
            }
            gone.into_iter().rev().for_each(|index| {
                objects.remove(index);
            });
        }
    }

    fn options(&self, sim: &mut Sim) {
        let spec = sim.spec();
        spec.update.paused = self.paused;
        spec.update.hold_after = self.hold;
        spec.custom_container_images = match self.custom % 6 {
            1 => custom(json!({"glanceAPIImage": "fix.io/glance:hotfix"})),
            2 => custom(
                json!({"cinderVolumeImages": {"default": "v.io/d:1", "pure": "v.io/pure:1", "gone": "v.io/g:1"}}),
            ),
            3 => custom(json!({"rabbitmqImage": "not an image", "noSuchImage": "a.io/b:1"})),
            4 => custom(json!({"mariadbImage": "fix.io/maria:1", "keystoneAPIImage": "fix.io/keystone:1"})),
            _ => custom(json!({})),
        };
        if let Some(stage) = self.stage {
            sim.annotate(annotation::TARGET_STAGE, stage);
        }
        if self.annotations & 1 == 1 {
            sim.annotate(annotation::SKIP_CUSTOM_IMAGES, "");
        }
        if self.annotations & 2 == 2 {
            sim.annotate(annotation::ALLOW_ROLLBACK, "true");
        }
        self.hostile(sim);
        if self.bundle != NEW {
            sim.world.bundle = if self.bundle.is_empty() { Arc::default() } else { bundle(self.bundle).into() };
        }
    }

    fn hostile(&self, sim: &mut Sim) {
        let now = sim.world.now;
        let status = &mut sim.version().status;
        match self.memory % 8 {
            1 => *status = OpenStackVersionStatus::default(),
            2 => status.deployed_version = None,
            3 => status.container_image_version_defaults.clear(),
            4 => {
                status.update = serde_json::from_value(json!({
                    "from": "9.9.9", "to": NEW, "imageSetHash": "?", "startedAt": now, "step": "keystone",
                    "steps": [{"name": "keystone", "state": "Done"}, {"name": "keystone", "state": "Stalled"}],
                }))
                .unwrap();
            }
            5 => status.deployed_version = Some("?".into()),
            6 => status.update = None,
            _ => {}
        }
        match self.control_plane % 12 {
            1 => sim.world.control_plane = None,
            2 => sim.world.control_plane.as_mut().unwrap().spec = Err("spec.x: bad".into()),
            3 => sim.world.control_plane.as_mut().unwrap().meta.deleting = true,
            4 => sim.world.control_plane.as_mut().unwrap().meta.name = "other".into(),
            5 => sim.world.version = None,
            6 => sim.version().spec = Err("spec.targetVersion: bad".into()),
            7 => sim.version().meta.deleting = true,
            10 => {
                let meta = &mut sim.version().meta;
                (meta.deleting, meta.finalizers) = (true, vec![api::UPSTREAM_FINALIZER.into(), "a.io/b".into()]);
            }
            8 => sim.world.kinds.values_mut().take(3).for_each(|kind| *kind = Objects::Absent),
            9 => sim.world.nodesets = Objects::Absent,
            _ => {}
        }
    }
}

fn some_nodeset(index: usize, kind: u8) -> Arc<DynamicObject> {
    let status = match kind {
        0 | 1 => Sim::deployed_with(OLD),
        2 => Sim::deployed_with(NEW),
        3 => json!({"observedGeneration": 0, "deployedVersion": OLD}),
        4 => json!({"deploymentStatuses": {"first": []}}),
        5 => json!("?"),
        _ => Value::Null,
    };
    nodeset(&format!("nodeset-{index}"), usize::from(kind % 4 != 1), status)
}

/// Services and nodesets change as they like; about half of them get ready.
pub fn flap(sim: &mut Sim, seed: u64) {
    let mut bits = seed;
    for objects in sim.world.kinds.values_mut() {
        for object in objects {
            bits = bits.rotate_left(7).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            if bits.is_multiple_of(8) {
                Arc::make_mut(object).data["status"] = json!({"conditions": [{"type": "Ready", "status": "False"}]});
            }
        }
    }
    if seed.is_multiple_of(2) {
        sim.services();
    }
    if seed.is_multiple_of(3) {
        sim.administrator();
    }
}

/// Any JSON.
pub fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        select(vec!["", "True", "1.0.0", "template", "\u{0}", "ünïcode", "a.b", "0"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let keys =
            select(vec!["enabled", "template", "templates", "conditions", "type", "status", "containerImage", "0"]);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((keys, inner), 0..4)
                .prop_map(|all| Value::Object(all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())),
        ]
    })
}

/// Puts junk wherever there is room for it.
pub fn litter(world: &mut World, junk: &[Value], at: usize) {
    let mut pieces = junk.iter().cycle().cloned();
    if let Some(Ok(spec)) = world.control_plane.as_mut().map(|cp| &mut cp.spec) {
        let fields: Vec<String> = spec.fields.keys().cloned().collect();
        for (index, field) in fields.iter().enumerate() {
            match (index + at) % 3 {
                0 => drop(spec.fields.insert(field.clone(), pieces.next().unwrap())),
                1 => {
                    let mut section: Map<String, Value> = Map::new();
                    section.insert("enabled".into(), json!(true));
                    section.insert("template".into(), pieces.next().unwrap());
                    section.insert("templates".into(), pieces.next().unwrap());
                    spec.fields.insert(field.clone(), Value::Object(section));
                }
                _ => {}
            }
        }
        spec.fields.insert("junk".into(), pieces.next().unwrap());
    }
    let objects = world.kinds.values_mut().flatten().chain(&mut world.nodesets);
    for (index, object) in objects.enumerate() {
        let object = Arc::make_mut(object);
        match (index + at) % 4 {
            0 => object.data = pieces.next().unwrap(),
            1 if object.data.is_object() => object.data["spec"] = pieces.next().unwrap(),
            2 if object.data.is_object() => object.data["status"] = pieces.next().unwrap(),
            _ => object.metadata.name = None,
        }
    }
}
