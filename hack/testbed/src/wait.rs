//! Watching until something holds. Nothing here sleeps while it can watch.

use std::{fmt::Debug, pin::pin, time::Duration};

use anyhow::bail;
use futures::StreamExt;
use kube::{Api, Resource, runtime::watcher};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// How long a watch that failed rests before it goes on; the API server may be away on purpose.
const REST: Duration = Duration::from_millis(100);

/// Watches an object until `holds`, and returns it. An object that is not there does not hold.
///
/// The error of a timeout shows the last status that was seen.
pub async fn until<K>(
    api: &Api<K>,
    name: &str,
    timeout: Duration,
    mut holds: impl FnMut(&K) -> bool,
) -> anyhow::Result<K>
where
    K: Resource + Clone + DeserializeOwned + Serialize + Debug + Send + 'static,
{
    let found = watch(api, name, timeout, |object| object.filter(|object| holds(object)).cloned()).await?;
    Ok(found)
}

/// Watches an object until it is gone.
pub async fn gone<K>(api: &Api<K>, name: &str, timeout: Duration) -> anyhow::Result<()>
where
    K: Resource + Clone + DeserializeOwned + Serialize + Debug + Send + 'static,
{
    watch(api, name, timeout, |object| object.is_none().then_some(())).await
}

/// Watches an object until the condition of that type has that status, and returns the object.
pub async fn condition<K>(api: &Api<K>, name: &str, type_: &str, status: &str, timeout: Duration) -> anyhow::Result<K>
where
    K: Resource + Clone + DeserializeOwned + Serialize + Debug + Send + 'static,
{
    until(api, name, timeout, |object| {
        serde_json::to_value(object).is_ok_and(|value| condition_status(&value, type_) == Some(status))
    })
    .await
}

/// Watches an object until the value at a JSON pointer is `wanted`, and returns the object.
pub async fn value<K>(api: &Api<K>, name: &str, pointer: &str, wanted: &Value, timeout: Duration) -> anyhow::Result<K>
where
    K: Resource + Clone + DeserializeOwned + Serialize + Debug + Send + 'static,
{
    until(api, name, timeout, |object| {
        serde_json::to_value(object).is_ok_and(|value| value.pointer(pointer) == Some(wanted))
    })
    .await
}

/// The status of a condition of an object.
pub fn condition_status<'a>(object: &'a Value, type_: &str) -> Option<&'a str> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(type_))?;
    found.get("status")?.as_str()
}

async fn watch<K, T>(
    api: &Api<K>,
    name: &str,
    timeout: Duration,
    mut look: impl FnMut(Option<&K>) -> Option<T>,
) -> anyhow::Result<T>
where
    K: Resource + Clone + DeserializeOwned + Serialize + Debug + Send + 'static,
{
    let mut last = None;
    let mut trouble = None;
    let watching = async {
        let mut states = pin!(watcher::watch_object(api.clone(), name));
        while let Some(state) = states.next().await {
            match state {
                Ok(object) => {
                    trouble = None;
                    if let Some(found) = look(object.as_ref()) {
                        return Some(found);
                    }
                    last = object;
                }
                Err(error) => {
                    trouble = Some(error);
                    tokio::time::sleep(REST).await;
                }
            }
        }
        None
    };
    if let Ok(Some(found)) = tokio::time::timeout(timeout, watching).await {
        return Ok(found);
    }
    let trouble = trouble.map(|error| format!("\nthe watch failed: {error}")).unwrap_or_default();
    bail!("waited {timeout:?} for \"{name}\" in vain{trouble}\n{}", describe(last.as_ref()))
}

/// The generation and the status: what one looks at first.
fn describe<K: Serialize>(object: Option<&K>) -> String {
    let Some(object) = object.and_then(|object| serde_json::to_value(object).ok()) else {
        return "it does not exist".to_owned();
    };
    let generation = object.pointer("/metadata/generation").cloned().unwrap_or_default();
    let status = object.get("status").and_then(|status| serde_yaml::to_string(status).ok()).unwrap_or_default();
    format!("the last that was seen (generation {generation}):\n{status}")
}
