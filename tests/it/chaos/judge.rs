//! Whether what happened to the objects is in order, whatever else happened.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::stage::NEWEST;
use crate::support::{Frame, NEW, OLD, position, versions};

/// The versions, oldest first. Other tags are those of images that a user chose.
const VERSIONS: [&str; 3] = [OLD, NEW, NEWEST];

/// Judges a record. `back` tells that the target went back to the deployed version, `forgot` that the images of a version
/// were forgotten with the `OpenStackVersion`: what is deleted then comes back with the target's.
pub fn judge(frames: &[Frame], back: bool, forgot: bool) -> Result<(), String> {
    let mut objects: BTreeMap<String, Vec<&Frame>> = BTreeMap::new();
    for frame in frames.iter().filter(|frame| frame.is_service()) {
        objects.entry(frame.label()).or_default().push(frame);
    }
    if !back {
        objects.iter().try_for_each(|(label, frames)| never_older(label, frames))?;
        frames.iter().filter(|frame| frame.kind == "Deployment").try_fold(None, never_older_pods)?;
    }
    for to in &VERSIONS[1..] {
        in_order(&objects, to, forgot)?;
    }
    keys_rotate_one_after_the_other(frames)?;
    phases_in_order(frames)
}

/// A record for a person: what was written when.
pub fn told(frames: &[Frame]) -> String {
    let line = |frame: &Frame| {
        let (object, status) = (&frame.object, &frame.object["status"]);
        let said = match frame.kind.as_str() {
            "OpenStackVersion" => format!(
                "target {} deployed {} step {}",
                object["spec"]["targetVersion"], status["deployedVersion"], status["update"]["step"]
            ),
            "OpenStackControlPlane" => {
                format!("target {} deployed {}", status["targetVersion"], status["deployedVersion"])
            }
            _ if frame.is_service() => format!("{:?} done {}", versions(object), is_done(frame)),
            "Job" => format!("{}", object["status"]["succeeded"]),
            _ => return None,
        };
        Some(format!("{:6} {} {said}", frame.version, frame.label()))
    };
    frames.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

/// The newest version of an object, as its place in [`VERSIONS`].
fn newest(object: &Value) -> Option<usize> {
    let all = versions(object);
    VERSIONS.iter().rposition(|version| all.contains(*version))
}

/// The newest image of an object never becomes older. A custom image hides the one of the release.
fn never_older(label: &str, frames: &[&Frame]) -> Result<(), String> {
    let mut last = None;
    for frame in frames {
        let Some(newest) = newest(&frame.object) else { continue };
        if let Some(before) = last.filter(|before| newest < *before) {
            let (from, to) = (VERSIONS[before], VERSIONS[newest]);
            return Err(format!("{label} went back from {from} to {to} at {}", frame.version));
        }
        last = Some(newest);
    }
    Ok(())
}

/// The image of the pods of Keystone never becomes older.
fn never_older_pods(before: Option<String>, frame: &Frame) -> Result<Option<String>, String> {
    let image = &frame.object["spec"]["template"]["spec"]["containers"][0]["image"];
    let tag = image.as_str().and_then(|image| image.rsplit_once(':')).map(|(_, tag)| tag.to_owned());
    if tag < before {
        return Err(format!("{} went back from {before:?} to {tag:?} at {}", frame.label(), frame.version));
    }
    Ok(tag)
}

/// No object gets an image of a version before every object of the steps before was ready with it.
fn in_order(objects: &BTreeMap<String, Vec<&Frame>>, to: &str, forgot: bool) -> Result<(), String> {
    for (later, frames) in objects {
        let Some(begun) = frames.iter().find(|frame| versions(&frame.object).contains(to)) else { continue };
        let uid = |frame: &Frame| frame.object["metadata"]["uid"].clone();
        let same = frames.iter().find(|frame| uid(frame) == uid(begun));
        let created = same.is_some_and(|first| first.version == begun.version);
        let first = frames.first().is_some_and(|first| first.version == begun.version);
        // Made new in the middle of an update.
        if first || (forgot && created) {
            continue;
        }
        for (earlier, others) in objects.iter().filter(|(_, others)| position(&others[0].kind) < position(&begun.kind))
        {
            let Some(then) = others.iter().rfind(|other| other.version < begun.version) else { continue };
            // All that it had then was chosen by the user, who took that back later: its step was done again.
            if newest(&then.object).is_none() {
                continue;
            }
            let ready = |other: &&&Frame| is_at(&other.object, to) && is_done(other);
            let done = others.iter().find(ready).map(|other| other.version);
            // Whatever carries no image of any other version has only such as the user chose.
            let moves = others.iter().any(|other| versions(&other.object).contains(to));
            if moves && done.is_none_or(|done| done > begun.version) {
                let at = begun.version;
                return Err(format!("{later} moved to {to} at {at} before {earlier} was ready with it ({done:?})"));
            }
        }
    }
    Ok(())
}

/// Whether the status speaks of the spec, and well; our own Keystone also says what it is doing.
fn is_done(frame: &Frame) -> bool {
    let (object, status) = (&frame.object, &frame.object["status"]);
    let ours = frame.kind == "Keystone" && !status["installedRelease"].is_null();
    if !ours {
        return frame.is_ready();
    }
    status["observedGeneration"] == object["metadata"]["generation"]
        && testbed::wait::condition_status(object, "Ready") == Some("True")
}

/// Whether the object has images of that version, and beside it only what the user chose.
fn is_at(object: &Value, to: &str) -> bool {
    let all = versions(object);
    all.contains(to) && !VERSIONS.iter().any(|version| *version != to && all.contains(*version))
}

/// Each set of keys is what a rotation makes of the one before, and is everywhere before the next one comes.
fn keys_rotate_one_after_the_other(frames: &[Frame]) -> Result<(), String> {
    for word in ["fernet", "credential"] {
        let name = format!("keystone-{word}-keys");
        let mut sets: Vec<(u64, BTreeMap<u64, String>)> = Vec::new();
        for frame in frames.iter().filter(|frame| frame.kind == "Secret" && frame.name == name) {
            let data = frame.object["data"].as_object().cloned().unwrap_or_default();
            let keys: BTreeMap<u64, String> =
                data.iter().map(|(key, value)| (key.parse().unwrap(), value.to_string())).collect();
            if sets.last().is_none_or(|(_, last)| *last != keys) {
                sets.push((frame.version, keys));
            }
        }
        for pair in sets.windows(2) {
            let [(_, before), (at, after)] = pair else { continue };
            let primary = before.keys().max().copied().unwrap_or_default();
            if after.get(&(primary + 1)) != before.get(&0) || after.keys().max() != Some(&(primary + 1)) {
                return Err(format!("{name} at {at}: not what a rotation makes of {:?}", before.keys()));
            }
            if !everywhere(frames, word, i64::try_from(primary).unwrap(), *at) {
                return Err(format!("{name} at {at}: key {primary} was not everywhere yet"));
            }
        }
    }
    Ok(())
}

/// Whether the status said, before that version, that every pod has the set with that primary key.
fn everywhere(frames: &[Frame], word: &str, primary: i64, before: u64) -> bool {
    frames.iter().filter(|frame| frame.kind == "Keystone" && frame.version < before).any(|frame| {
        let all = frame.object["status"]["keys"].as_array();
        all.into_iter()
            .flatten()
            .any(|set| set["name"] == word && set["primary"] == primary && set["everywhere"] == true)
    })
}

/// The Jobs that change the schema for one image run once each, one after the other, and contract after the rollout.
fn phases_in_order(frames: &[Frame]) -> Result<(), String> {
    for to in &VERSIONS[1..] {
        let mut before: Option<(&str, Option<u64>)> = None;
        for task in ["expand", "migrate", "verify", "contract"] {
            let jobs: Vec<&Frame> = frames.iter().filter(|frame| is_job(frame, task, to)).collect();
            let names: BTreeSet<&str> = jobs.iter().map(|frame| frame.name.as_str()).collect();
            if names.len() > 1 && task != "verify" {
                return Err(format!("{task} for {to} ran more than once: {names:?}"));
            }
            let Some(begun) = jobs.first() else { continue };
            if let Some((earlier, done)) = before
                && done.is_none_or(|done| done > begun.version)
            {
                return Err(format!(
                    "{task} for {to} began at {} before {earlier} had succeeded ({done:?})",
                    begun.version
                ));
            }
            let done = jobs.iter().find(|frame| frame.object["status"]["succeeded"] == 1).map(|frame| frame.version);
            before = Some((task, done));
        }
    }
    Ok(())
}

fn is_job(frame: &Frame, task: &str, to: &str) -> bool {
    let image = &frame.object["spec"]["template"]["spec"]["containers"][0]["image"];
    frame.kind == "Job"
        && frame.name.contains(&format!("-db-{task}-"))
        && image.as_str().is_some_and(|image| image.ends_with(&format!(":{to}")))
}
