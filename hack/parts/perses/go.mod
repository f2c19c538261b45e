// The pinned sources of Perses, which shows the dashboard; `hack/parts/build` builds them with their own modules.
module openstack-release-operator/hack/parts/perses

go 1.23.0

require github.com/perses/perses v0.50.0
