//! No image inside a template of the control plane, for every slot of the table.

use std::collections::BTreeSet;

use api::service::{Objects, Place, SERVICES, Service, Slot};
use serde_json::{Map, Value, json};
use testbed::fixtures::{NAME, full_control_plane};

use super::scene::{Answer, CONTROL_PLANES, Scene};

const POLICY: &str = "openstackcontrolplane-images";

async fn ask(scene: &Scene, spec: Value) -> Answer {
    scene.try_create(CONTROL_PLANES, scene.control_plane(NAME, spec)).await
}

/// `value` at the end of a dotted path.
fn nested(path: &str, value: Value) -> Value {
    path.rsplit('.').fold(value, |inner, part| {
        let mut outer = Map::new();
        outer.insert(part.to_owned(), inner);
        Value::Object(outer)
    })
}

/// The paths in the control plane at which the slot's image could be set.
fn paths(row: &Service, slot: &Slot) -> Vec<String> {
    let below = |template: &str, path: &str| format!("{}.{template}.{path}", row.section);
    match (row.objects, slot.place) {
        (Objects::One { template, .. }, Place::Path(path)) => vec![below(template, path)],
        (Objects::One { template, .. }, Place::EachEntry { map, leaf }) => {
            ["default", "my-key"].map(|key| below(template, &format!("{map}.{key}.{leaf}"))).into()
        }
        (Objects::Each { templates }, Place::Path(path)) => {
            ["openstack", "my-key"].map(|key| below(templates, &format!("{key}.{path}"))).into()
        }
        other => panic!("{}: no test for {other:?}", row.name),
    }
}

fn images() -> impl Iterator<Item = (&'static Service, &'static Slot)> {
    let rows = SERVICES.iter().filter(|row| !row.section.is_empty());
    rows.flat_map(|row| row.slots.iter().map(move |slot| (row, slot))).filter(|(_, slot)| slot.source.is_image())
}

#[tokio::test]
async fn every_image_of_the_table_is_refused() {
    let scene = Scene::new("images").await;
    let mut tried = 0;
    for (row, slot) in images() {
        for path in paths(row, slot) {
            let answer = ask(&scene, nested(&path, json!("registry.example.com/hotfix:1"))).await;
            let said = format!("spec.{path}: images are set only through OpenStackVersion spec.customContainerImages.");
            answer.refused(POLICY, &[&said, "; remove the field"]);
            tried += 1;
        }
    }
    assert!(tried > 80, "{tried}");
}

/// Upstream's webhook writes them so: a cloud that it had must stay editable.
#[tokio::test]
async fn an_image_that_is_empty_is_none() {
    let scene = Scene::new("images").await;
    for (row, slot) in images() {
        for path in paths(row, slot) {
            for empty in [json!(""), json!(null)] {
                ask(&scene, nested(&path, empty)).await.accepted();
            }
        }
    }
    let list = json!({"cinder": {"template": {"cinderVolumes": [{"containerImage": ""}, {"containerImage": "x"}]}}});
    ask(&scene, list).await.refused(POLICY, &["spec.cinder.template.cinderVolumes[1].containerImage: "]);
}

#[tokio::test]
async fn the_message_names_the_field_to_use() {
    let scene = Scene::new("images").await;
    let of = |path: &str| nested(path, json!("registry.example.com/hotfix:1"));
    for (path, field) in [
        ("glance.template.containerImage", "glanceAPIImage"),
        ("nova.template.metadataContainerImageURL", "novaAPIImage"),
        // Derived from another field.
        ("octavia.template.apacheContainerImage", "apacheImage"),
        ("ovn.template.ovnDBCluster.nb.containerImage", "ovnNbDbclusterImage or ovnSbDbclusterImage"),
        ("cinder.template.cinderVolumes.pure.containerImage", "cinderVolumeImages.pure"),
        ("cinder.template.cinderBackups.a.containerImage", "cinderBackupImage"),
        // Both kinds of Keystone, whichever is chosen.
        ("keystone.template.image.tag", "keystoneAPIImage"),
        ("keystone.template.containerImage", "keystoneAPIImage"),
    ] {
        let said = format!("spec.customContainerImages.{field}; remove the field");
        ask(&scene, of(path)).await.refused(POLICY, &[&said]);
    }
    let both = json!({"nova": {"template": {"apiContainerImageURL": "a", "schedulerContainerImageURL": "b"}}});
    let said = ["spec.nova.template.apiContainerImageURL: ", "spec.nova.template.schedulerContainerImageURL: "];
    ask(&scene, both).await.refused(POLICY, &said);
}

#[tokio::test]
async fn templates_of_any_shape_are_judged_without_an_error() {
    let scene = Scene::new("images").await;
    let mut ancestors = BTreeSet::new();
    for (row, slot) in images() {
        let path = paths(row, slot).remove(0);
        // Further up the schema does not allow every shape.
        let free = if row.section == "ovn" || matches!(row.objects, Objects::One { .. }) { 3 } else { 4 };
        let dots = path.match_indices('.').map(|(at, _)| path[..at].to_owned());
        ancestors.extend(dots.filter(|ancestor| ancestor.split('.').count() >= free));
    }
    // A list where every service has a map is refused by the evaluation itself.
    for odd in [json!(null), json!("text"), json!(3), json!(true), json!({}), json!({"a": null, "b": 1})] {
        for ancestor in &ancestors {
            ask(&scene, nested(ancestor, odd.clone())).await.accepted();
        }
    }
    let list = json!({"cinder": {"template": {"cinderVolumes": [{"name": "a"}, {"containerImage": "x"}]}}});
    ask(&scene, list).await.refused(POLICY, &["spec.cinder.template.cinderVolumes[1].containerImage: "]);
}

#[tokio::test]
async fn a_control_plane_without_images_is_accepted_and_stays_editable() {
    let scene = Scene::new("images").await;
    scene.create(CONTROL_PLANES, full_control_plane(&scene.namespace)).await.accepted();
    scene.patch(CONTROL_PLANES, json!({"metadata": {"annotations": {"a": "b"}}})).await.accepted();
    scene.patch(CONTROL_PLANES, json!({"spec": {"keystone": {"kind": "KeystoneAPI"}}})).await.accepted();
    scene.patch(CONTROL_PLANES, json!({"spec": {"secret": "other"}})).await.accepted();
    // Not an image, although the release fills it.
    let release = json!({"spec": {"keystone": {"template": {"release": "2025.2"}}}});
    scene.patch(CONTROL_PLANES, release).await.accepted();
    let image = json!({"spec": {"glance": {"template": {"containerImage": "x"}}}});
    scene.patch(CONTROL_PLANES, image).await.refused(POLICY, &["spec.glance.template.containerImage"]);
}
