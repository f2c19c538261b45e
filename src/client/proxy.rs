//! Whether the proxy of the environment leads to the API server.
//!
//! kube takes it for every cluster of a kubeconfig, and looks whether `NO_PROXY` names the proxy. The variable is about
//! what is to be reached: here it is read as kubectl reads it.

use std::net::IpAddr;

use http::Uri;
use ipnet::IpNet;
use kube::config::Kubeconfig;

/// What is reached without a proxy, as the environment says.
pub(super) fn exceptions() -> String {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    set("NO_PROXY").or_else(|| set("no_proxy")).unwrap_or_default()
}

/// Whether the kubeconfig itself names a proxy for the cluster of that context, else of the current one. That one is meant,
/// whatever the environment says.
pub(super) fn is_named(kubeconfig: &Kubeconfig, context: Option<&str>) -> bool {
    let context = context.or(kubeconfig.current_context.as_deref());
    let context = kubeconfig.contexts.iter().find(|named| Some(named.name.as_str()) == context);
    let cluster = context.and_then(|named| named.context.as_ref()).map(|context| &context.cluster);
    let cluster = kubeconfig.clusters.iter().find(|named| Some(&named.name) == cluster);
    let proxy = cluster.and_then(|named| named.cluster.as_ref()?.proxy_url.as_ref());
    proxy.is_some_and(|proxy| !proxy.is_empty())
}

/// Whether a cluster is reached without the proxy of the environment. This machine always is.
pub(super) fn is_spared(cluster: &Uri, exceptions: &str) -> bool {
    let host = cluster.host().unwrap_or_default().trim_matches(['[', ']']).trim_end_matches('.').to_lowercase();
    let address = host.parse::<IpAddr>().ok();
    let port = cluster.port_u16().unwrap_or(if cluster.scheme_str() == Some("http") { 80 } else { 443 });
    let entries = exceptions.split(|letter: char| letter == ',' || letter.is_whitespace());
    let mut entries = entries.filter(|entry| !entry.is_empty()).map(str::to_lowercase);
    host == "localhost"
        || address.is_some_and(|address| address.is_loopback())
        || entries.any(|entry| covers(&entry, &host, address, port))
}

/// Whether an entry of the variable is about that host: `*`, a network, an address, or a name with those below it; a dot in
/// front means only those. The last three may have a port.
fn covers(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(network) = entry.parse::<IpNet>() {
        return address.is_some_and(|address| network.contains(&address));
    }
    let (name, only) = split(entry);
    if only.is_some_and(|only| only != port) {
        return false;
    }
    if let Some(address) = address {
        return name.parse() == Ok(address);
    }
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    let below = host.strip_suffix(name).is_some_and(|above| name.starts_with('.') || above.ends_with('.'));
    host == name || below
}

/// The host of an entry, and its port if it has one. The colons of an address are none.
fn split(entry: &str) -> (&str, Option<u16>) {
    let parts = entry.rsplit_once(':').filter(|_| entry.parse::<IpAddr>().is_err());
    let parts = parts.and_then(|(host, port)| Some((host, Some(port.parse().ok()?))));
    let (host, port) = parts.unwrap_or((entry, None));
    (host.trim_matches(['[', ']']), port)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing("api.example.com", "", false)]
    #[case::everything("api.example.com", "*", true)]
    #[case::name("api.example.com", "other.example.com, API.example.com", true)]
    #[case::spaces("api.example.com", "a b api.example.com", true)]
    #[case::last_comma("api.example.com", "api.example.com,", true)]
    #[case::below("api.example.com", "example.com", true)]
    #[case::no_part_of_a_name("api.myexample.com", "example.com", false)]
    #[case::only_below("api.example.com", ".example.com", true)]
    #[case::not_itself("example.com", ".example.com", false)]
    #[case::star("api.example.com", "*.example.com", true)]
    #[case::service("kubernetes.default.svc", ".svc", true)]
    #[case::port("api.example.com", "api.example.com:6443", true)]
    #[case::other_port("api.example.com", "api.example.com:443", false)]
    #[case::address("10.1.2.3", "10.1.2.3", true)]
    #[case::other_address("10.1.2.30", "10.1.2.3", false)]
    #[case::network("10.1.2.3", "192.168.0.0/16,10.0.0.0/8", true)]
    #[case::other_network("10.1.2.3", "192.168.0.0/16", false)]
    #[case::name_is_in_no_network("api.example.com", "0.0.0.0/0", false)]
    #[case::address_port("10.1.2.3", "10.1.2.3:6443", true)]
    #[case::address_has_no_domain("10.1.2.3", "2.3", false)]
    #[case::address6("[fd00::1]", "fd00::1", true)]
    #[case::address6_port("[fd00::1]", "[fd00::1]:6443", true)]
    #[case::address6_other_port("[fd00::1]", "[fd00::1]:443", false)]
    #[case::network6("[fd00::1]", "fd00::/8", true)]
    #[case::this_machine("localhost", "", true)]
    #[case::loopback("127.0.0.1", "", true)]
    #[case::loopback6("[::1]", "", true)]
    fn the_exceptions_are_about_the_cluster(#[case] host: &str, #[case] exceptions: &str, #[case] spared: bool) {
        assert_eq!(is_spared(&format!("https://{host}:6443/").parse().unwrap(), exceptions), spared);
    }

    #[test]
    fn a_port_may_be_the_usual_one() {
        let spared = |cluster: &str| is_spared(&cluster.parse().unwrap(), "api.example.com:443");
        assert!(spared("https://api.example.com/k8s") && !spared("http://api.example.com/k8s"));
    }

    #[test]
    fn a_proxy_of_the_kubeconfig_belongs_to_its_cluster() {
        let kubeconfig = Kubeconfig::from_yaml(
            "current-context: near\n\
             contexts:\n\
             - {name: near, context: {cluster: one, user: u}}\n\
             - {name: far, context: {cluster: two, user: u}}\n\
             clusters:\n\
             - {name: one, cluster: {server: 'https://one'}}\n\
             - {name: two, cluster: {server: 'https://two', proxy-url: 'socks5://proxy:1080'}}\n",
        )
        .unwrap();
        let named = [None, Some("near"), Some("far"), Some("nowhere")].map(|context| is_named(&kubeconfig, context));
        assert_eq!(named, [false, false, true, false]);
    }
}
