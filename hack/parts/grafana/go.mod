// Grafana's own types of dashboards, pinned, by which main.go checks ours; `hack/parts/build` builds it.
module openstack-release-operator/hack/parts/grafana

go 1.24.0

require (
	github.com/grafana/grafana-foundation-sdk/go v0.0.22
	sigs.k8s.io/yaml v1.4.0
)
