//! A set of keys. Nothing here ever shows one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use api::DynamicObject;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::objects::field;

/// How long the text of a key is.
const TEXT: usize = 44;
/// How many bytes it stands for.
const BYTES: usize = 32;

/// The keys by their number. `0` is the one that will encrypt next, the highest the one that encrypts now.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct KeySet {
    keys: BTreeMap<u64, Vec<u8>>,
    /// Names that are not the number of a key.
    others: Vec<String>,
}

/// Shows which set it is, and no key.
impl fmt::Debug for KeySet {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "KeySet({})", self.name())
    }
}

impl KeySet {
    /// The keys that a Secret has.
    pub(super) fn read(secret: &DynamicObject) -> Self {
        let data = field(secret, "data").and_then(Value::as_object);
        let mut set = Self::default();
        for (name, value) in data.into_iter().flatten() {
            // The API server serves nothing that is not base64.
            let content = value.as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
            match name.parse::<u64>() {
                Ok(number) if number.to_string() == *name => drop(set.keys.insert(number, content)),
                _ => set.others.push(name.clone()),
            }
        }
        set
    }

    /// Whether nothing is there at all.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.others.is_empty()
    }

    /// Names that are not the number of a key.
    pub(super) fn others(&self) -> &[String] {
        &self.others
    }

    /// The numbers, in order.
    pub(super) fn numbers(&self) -> BTreeSet<u64> {
        self.keys.keys().copied().collect()
    }

    /// The key of that number, as it was read.
    pub(super) fn key(&self, number: u64) -> Option<&[u8]> {
        self.keys.get(&number).map(Vec::as_slice)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.keys.len()
    }

    /// The number of the key that encrypts.
    pub(super) fn primary(&self) -> Option<u64> {
        self.keys.keys().next_back().copied()
    }

    /// Numbers of keys that are not what Keystone reads.
    pub(super) fn malformed(&self) -> Vec<u64> {
        self.keys.iter().filter(|(_, key)| material(key).is_none()).map(|(number, _)| *number).collect()
    }

    /// How many different keys there are.
    pub(super) fn different(&self) -> usize {
        self.keys.values().filter_map(|key| material(key)).collect::<BTreeSet<_>>().len()
    }

    /// Whether one of them is this key, whatever is written around it.
    pub(super) fn has(&self, key: &[u8]) -> bool {
        material(key).is_some_and(|wanted| self.keys.values().any(|key| material(key).as_ref() == Some(&wanted)))
    }

    /// Which set it is: a hash that tells nothing of the keys, since nobody can guess one. The script `keyproof.py` gives
    /// the same name.
    pub(super) fn name(&self) -> String {
        let mut hasher = Sha256::new();
        for (number, key) in self.keys.iter().filter(|(_, key)| !key.trim_ascii().is_empty()) {
            hasher.update(format!("{number}:{}:", key.len()));
            hasher.update(key);
        }
        let digest = hasher.finalize();
        let first = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        format!("{first:016x}")
    }
}

/// The bytes that the text of a key stands for: 32, in URL-safe base64; a line's end may follow.
fn material(key: &[u8]) -> Option<Vec<u8>> {
    let text = key.trim_ascii();
    let bytes = (text.len() == TEXT).then(|| URL_SAFE.decode(text).ok())??;
    (bytes.len() == BYTES).then_some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(data: &Value) -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"name": "x"}, "data": data})).unwrap()
    }

    /// The script `keyproof.py` gives these keys the same name.
    #[test]
    fn a_set_has_the_name_that_the_pods_give_it() {
        let data = json!({"0": "YQ==", "10": "Ywo=", "2": "YmI=", "5": "", "note": "eA=="});
        assert_eq!(KeySet::read(&secret(&data)).name(), "797b15c0a02c40c3");
    }

    #[test]
    fn nothing_that_is_shown_tells_a_key() {
        let set = KeySet::read(&secret(&json!({"0": "c2VjcmV0"})));
        assert_eq!(format!("{set:?}"), format!("KeySet({})", set.name()));
    }

    #[test]
    fn keys_are_the_same_whatever_follows_them() {
        let key = URL_SAFE.encode([1; BYTES]);
        let (plain, line) = (STANDARD.encode(&key), STANDARD.encode(format!("{key}\n")));
        let set = KeySet::read(&secret(&json!({"0": plain, "1": line})));
        assert_eq!((set.count(), set.different(), set.malformed()), (2, 1, vec![]));
    }
}
