//! What a request is about, in the words of the API server.

use std::time::Instant;

use http::{Method, Request};

/// A request that came through the proxy.
#[derive(Clone, Debug)]
pub struct Call {
    /// When it arrived.
    pub at: Instant,
    /// `get`, `list`, `watch`, `create`, `update`, `patch` or `delete`.
    pub verb: &'static str,
    /// The path.
    pub path: String,
    /// The plural name of the kind; empty when the path is not one of an object.
    pub resource: String,
    /// `status` and the like; empty for the object itself.
    pub subresource: String,
    /// The name; empty for lists and for what the server is to name.
    pub name: String,
    /// The HTTP status that the operator got; absent while, or when, there was none.
    pub status: Option<u16>,
    /// Whether a rule had something to do with it.
    pub spoiled: bool,
}

impl Call {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let path = request.uri().path();
        let (resource, name, subresource) = parts(path);
        let watches = request
            .uri()
            .query()
            .is_some_and(|query| query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1")));
        let verb = match *request.method() {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ if watches => "watch",
            _ if name.is_empty() => "list",
            _ => "get",
        };
        Self {
            at: Instant::now(),
            verb,
            path: path.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            name: name.to_owned(),
            status: None,
            spoiled: false,
        }
    }

    /// Whether it means to change something.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
    }

    /// A write that is counted: Leases tick with time, and Events follow what is counted.
    pub fn is_counted(&self) -> bool {
        self.is_write() && self.resource != "leases" && self.resource != "events"
    }

    /// Whether the server did it and the operator was told so.
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status < 300)
    }

    /// `resource/name` and the subresource, for messages.
    pub fn target(&self) -> String {
        let separator = if self.subresource.is_empty() { "" } else { "/" };
        format!("{}/{}{separator}{}", self.resource, self.name, self.subresource)
    }
}

/// The resource, the name and the subresource of a path.
fn parts(path: &str) -> (&str, &str, &str) {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    match parts.next() {
        Some("api") => drop(parts.next()),
        Some("apis") => drop((parts.next(), parts.next())),
        _ => return ("", "", ""),
    }
    let mut next = || parts.next().unwrap_or_default();
    let (first, second, third) = (next(), next(), next());
    if first == "namespaces" && !third.is_empty() { (third, next(), next()) } else { (first, second, third) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn call(method: &str, uri: &str) -> (&'static str, String) {
        let call = Call::of(&Request::builder().method(method).uri(uri).body(()).unwrap());
        (call.verb, call.target())
    }

    #[test]
    fn paths_are_read_as_the_api_server_does() {
        let glance = "/apis/glance.openstack.org/v1beta1/namespaces/ns/glances";
        assert_eq!(call("GET", &format!("{glance}?limit=500")), ("list", "glances/".to_owned()));
        assert_eq!(call("GET", &format!("{glance}?a=b&watch=true")), ("watch", "glances/".to_owned()));
        assert_eq!(call("PATCH", &format!("{glance}/g/status?x")), ("patch", "glances/g/status".to_owned()));
        assert_eq!(call("POST", "/api/v1/namespaces/ns/events"), ("create", "events/".to_owned()));
        assert_eq!(call("GET", "/api/v1/namespaces/ns"), ("get", "namespaces/ns".to_owned()));
        assert_eq!(call("GET", "/version").1, "/");
    }
}
