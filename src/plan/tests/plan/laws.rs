//! The laws of `design.md` section 3 over random worlds.

use std::sync::Arc;

use api::{annotation, step::StepName};
use plan::release::{World, plan};
use proptest::{prelude::*, test_runner::Config};
use serde_json::Value;

use crate::support::{
    NEW, NEWER, OLD, Sim, checked, custom,
    random::{self, Recipe, recipe},
    same_but_time, versions_of,
};

/// `PROPTEST_CASES` asks for more.
fn config(cases: u32) -> Config {
    let more = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    Config { cases: more.unwrap_or(cases), failure_persistence: None, ..Config::default() }
}

/// The position of the frontier; past the end when no update runs.
fn frontier(sim: &Sim) -> usize {
    let step = sim.status().update.as_ref().and_then(|update| update.step);
    step.map_or(usize::MAX, api::step::position)
}

/// Brings a world to rest; a random one may need many rounds.
fn rest(sim: &mut Sim) {
    sim.rounds(120, Sim::administrator);
}

proptest! {
    #![proptest_config(config(48))]

    /// Deterministic, also through JSON; total, explained, ordered and truthful (see `checked`).
    #[test]
    fn a_world_has_one_plan(recipe in recipe(true)) {
        let world = recipe.build().world;
        let first = checked(&world);
        prop_assert_eq!(&first, &plan(&world));
        let copy: World = serde_json::from_value(serde_json::to_value(&world).unwrap()).unwrap();
        prop_assert_eq!(&first, &plan(&copy));
    }

    /// Total: whatever stands in the control plane, in the objects and in the memory.
    #[test]
    fn any_json_has_a_plan(recipe in recipe(true), junk in proptest::collection::vec(random::json(), 1..6), at: usize) {
        let mut sim = recipe.build();
        random::litter(&mut sim.world, &junk, at);
        checked(&sim.world);
        plan::release::preview(&sim.world, NEW);
    }

    /// Quiet: every world comes to rest, and a world at rest plans nothing, says the same, and has no news.
    #[test]
    fn a_world_at_rest_is_left_alone(recipe in recipe(true)) {
        let mut sim = recipe.build();
        rest(&mut sim);
        for seconds in [1, 3600] {
            sim.tick(seconds);
            let plan = checked(&sim.world);
            let stalls = seconds == 3600;
            prop_assert!(plan.actions.is_empty(), "{:?}", plan.actions);
            if !stalls {
                prop_assert!(plan.notes.is_empty(), "{:?}", plan.notes);
                let before = sim.world.clone();
                sim.report(&plan);
                prop_assert!(same_but_time(&before, &sim.world));
            }
        }
    }

    /// Convergent: with well-behaved services and nothing in the way, the target is reached and everything is ready.
    #[test]
    fn a_fair_world_reaches_its_target(recipe in recipe(false)) {
        let mut sim = recipe.build();
        rest(&mut sim);
        let target = sim.world.version_spec().unwrap().target_version.clone();
        prop_assert_eq!(sim.deployed(), Some(target.as_str()), "{:#?}", sim.status());
        prop_assert_eq!(&sim.status().update, &None);
        for kind in sim.world.kinds.values().flatten() {
            for (path, version) in versions_of(&serde_json::to_value(&**kind).unwrap()) {
                prop_assert_eq!(version.as_str(), target.as_str(), "{:?} {}", kind.metadata.name, path);
            }
        }
    }

    /// Monotone: the frontier never moves back by itself, whatever the services do.
    #[test]
    fn a_flapping_cloud_does_not_rewind(recipe in recipe(false), flips in proptest::collection::vec(any::<u64>(), 40)) {
        let mut sim = recipe.build();
        sim.pass();
        let mut reached = if sim.status().update.is_some() { frontier(&sim) } else { 0 };
        for flip in flips {
            sim.pass();
            random::flap(&mut sim, flip);
            let now = frontier(&sim);
            prop_assert!(now >= reached, "from {reached} back to {now}: {:#?}", sim.update().steps);
            reached = now;
            if reached == usize::MAX {
                break;
            }
        }
    }

    /// Crash-safe: a pass that is cut off anywhere is made up for; the end is the same.
    #[test]
    fn a_crash_between_any_two_writes_changes_nothing(recipe in recipe(false), cuts in proptest::collection::vec(any::<u8>(), 30)) {
        let mut whole = recipe.build();
        let mut cut = whole.clone();
        rest(&mut whole);
        for cutoff in cuts {
            let plan = checked(&cut.world);
            let made = usize::from(cutoff) % (plan.actions.len() + 2);
            // What was done is not done again, what was not is: losing the rest of a pass loses nothing.
            plan.actions.iter().take(made).for_each(|action| cut.act_one(action));
            let again = checked(&cut.world);
            let left: Vec<_> = plan.actions.iter().skip(made).collect();
            if !plan.actions.iter().any(|action| matches!(action, plan::release::Action::DefaultTarget { .. })) {
                prop_assert_eq!(again.actions.iter().collect::<Vec<_>>(), left);
            }
            if made > plan.actions.len() {
                cut.report(&plan);
            }
            cut.services();
            cut.administrator();
            cut.tick(10);
        }
        rest(&mut cut);
        prop_assert_eq!(bodies(&whole.world), bodies(&cut.world));
        prop_assert_eq!(whole.deployed(), cut.deployed());
        prop_assert_eq!(&whole.status().services, &cut.status().services);
    }

    /// No image steps back while the target only moves on, whatever is edited besides.
    #[test]
    fn no_image_steps_back(recipe in recipe(false), edits in proptest::collection::vec(any::<u64>(), 30)) {
        let mut sim = recipe.build();
        let mut known = Recipe::versions(&sim);
        for edit in edits {
            match edit % 7 {
                0 if sim.deployed().is_some() => {
                    sim.world.bundle = crate::support::bundle(NEWER).into();
                    sim.pass();
                    sim.target(NEWER);
                }
                1 => sim.spec().update.paused ^= true,
                2 => sim.spec().update.hold_after = Some(StepName::Mariadb),
                3 => sim.spec().update.hold_after = None,
                4 => sim.spec().custom_container_images = custom(serde_json::json!({"glanceAPIImage": "fix.io/g:1"})),
                5 => sim.lose(edit / 7),
                _ => {}
            }
            sim.pass();
            random::flap(&mut sim, edit);
            let now = Recipe::versions(&sim);
            for (place, version) in &now {
                if let Some(before) = known.get(place) {
                    prop_assert!(version >= before, "{place} went from {before} to {version}");
                }
            }
            known.extend(now);
        }
    }
}

/// What the objects say, without who they are.
fn bodies(world: &World) -> Vec<Value> {
    let objects = world.kinds.values().flatten();
    objects
        .map(|object: &Arc<api::DynamicObject>| {
            let mut data = object.data.clone();
            data["status"] = Value::Null;
            data["name"] = serde_json::json!(object.metadata.name);
            data
        })
        .collect()
}

/// The permission to keep custom images is for one update.
#[test]
fn the_annotation_names_are_upstreams() {
    assert_eq!(annotation::SKIP_CUSTOM_IMAGES, "core.openstack.org/skip-custom-images-validation");
    assert_eq!(annotation::TARGET_STAGE, "core.openstack.org/update-target-stage");
    assert_eq!((OLD, NEW, NEWER), ("1.0.0", "1.0.1", "1.0.2"));
}
