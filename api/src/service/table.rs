//! The rows of the service table.
//!
//! One file, however long: adding a service is adding a row here, and nowhere else. Kinds, names and image paths are
//! those of upstream's service operators; the comment at a row says what is unusual.

use super::row::{
    Body, CONFIG_MAP, Check, Enabled, Fill, Filler, Inherit, Kind, Objects, Place, Service, Slot, Source, Unique,
    Variant,
};
use crate::step::StepName;

const fn kind(group: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    Kind { group, version: "v1beta1", kind, plural }
}

const fn image(path: &'static str, name: &'static str) -> Slot {
    Slot { place: Place::Path(path), source: Source::Image(name) }
}

const fn each_entry(map: &'static str, source: Source) -> Slot {
    Slot { place: Place::EachEntry { map, leaf: "containerImage" }, source }
}

const fn switch(place: Place, field: &'static str, legacy: &'static str) -> Slot {
    Slot { place, source: Source::ServiceDefault { field, legacy } }
}

const fn one(name: &'static str) -> Objects {
    Objects::One { name, unique: Unique::No, template: "template", requires: None }
}

const fn same(field: &'static str) -> Inherit {
    Inherit { from: field, to: field }
}

const fn fill(path: &'static str, text: &'static str) -> Fill {
    Fill { path, value: Filler::Text(text) }
}

const fn fill_object(path: &'static str) -> Fill {
    Fill { path, value: Filler::Object(&[]) }
}

/// Upstream's operator names the first database when a template names none.
const DATABASE: Fill = fill("databaseInstance", "openstack");
/// Upstream's CRD names the first memcached. Without one, Keystone asks its database hundreds of times for each token.
const CACHE: Fill = Fill { path: "cache", value: Filler::Object(&[("instance", "memcached")]) };
const SCHEDULING: &[Inherit] = &[same("nodeSelector"), same("topologyRef")];
const SECRET_AND_SCHEDULING: &[Inherit] = &[same("secret"), same("nodeSelector"), same("topologyRef")];
const STORAGE_AND_SCHEDULING: &[Inherit] = &[same("storageClass"), same("nodeSelector"), same("topologyRef")];
const READY: &[Check] = &[Check::Observed, Check::Condition("Ready")];
const ON: Enabled = Enabled::BySection { default: true };
const OFF: Enabled = Enabled::BySection { default: false };

/// What most rows share: one object, a spec, the condition Ready, moved with the rest of the control plane.
const SERVICE: Service = Service {
    name: "",
    kind: CONFIG_MAP,
    section: "",
    enabled: ON,
    variant: None,
    objects: one(""),
    body: Body::Spec,
    slots: &[],
    inherits: SECRET_AND_SCHEDULING,
    fills: &[],
    drops: &[],
    ready: READY,
    step: StepName::Controlplane,
    condition: "",
    infrastructure: false,
    required_status: "{}",
};

/// Every service of the cloud.
pub const SERVICES: &[Service] = &[
    Service {
        name: "ovn-controller",
        kind: kind("ovn.openstack.org", "OVNController", "ovncontrollers"),
        section: "ovn",
        // Without NIC mappings there is no gateway to run: upstream deletes the object, too.
        objects: Objects::One {
            name: "ovncontroller",
            unique: Unique::No,
            template: "template.ovnController",
            requires: Some("nicMappings"),
        },
        slots: &[
            image("ovnContainerImage", "ovnControllerImage"),
            image("ovsContainerImage", "ovnControllerOvsImage"),
            image("exporterImage", "openstackNetworkExporterImage"),
        ],
        inherits: SCHEDULING,
        step: StepName::OvnControlplane,
        condition: "OpenStackControlPlaneOVNReady",
        infrastructure: true,
        ..SERVICE
    },
    Service {
        name: "ovn-dbcluster",
        kind: kind("ovn.openstack.org", "OVNDBCluster", "ovndbclusters"),
        section: "ovn",
        objects: Objects::Each { templates: "template.ovnDBCluster" },
        slots: &[
            Slot {
                place: Place::Path("containerImage"),
                source: Source::ByField {
                    field: "dbType",
                    cases: &[("NB", "ovnNbDbclusterImage"), ("SB", "ovnSbDbclusterImage")],
                },
            },
            image("exporterImage", "openstackNetworkExporterImage"),
        ],
        inherits: STORAGE_AND_SCHEDULING,
        condition: "OpenStackControlPlaneOVNReady",
        infrastructure: true,
        ..SERVICE
    },
    Service {
        name: "ovn-northd",
        kind: kind("ovn.openstack.org", "OVNNorthd", "ovnnorthds"),
        section: "ovn",
        objects: Objects::One { name: "ovnnorthd", unique: Unique::No, template: "template.ovnNorthd", requires: None },
        slots: &[image("containerImage", "ovnNorthdImage"), image("exporterImage", "openstackNetworkExporterImage")],
        inherits: SCHEDULING,
        condition: "OpenStackControlPlaneOVNReady",
        infrastructure: true,
        ..SERVICE
    },
    Service {
        name: "rabbitmq",
        kind: kind("rabbitmq.openstack.org", "RabbitMq", "rabbitmqs"),
        section: "rabbitmq",
        objects: Objects::Each { templates: "templates" },
        slots: &[
            image("containerImage", "rabbitmqImage"),
            switch(Place::Path("targetVersion"), "rabbitmqVersion", "3.9"),
        ],
        inherits: SCHEDULING,
        ready: &[
            Check::Observed,
            Check::Condition("Ready"),
            Check::StatusFollowsSpec { status: "currentVersion", spec: "targetVersion" },
        ],
        step: StepName::Rabbitmq,
        condition: "OpenStackControlPlaneRabbitMQReady",
        infrastructure: true,
        ..SERVICE
    },
    Service {
        name: "galera",
        kind: kind("mariadb.openstack.org", "Galera", "galeras"),
        section: "galera",
        objects: Objects::Each { templates: "templates" },
        slots: &[image("containerImage", "mariadbImage")],
        inherits: &[same("secret"), same("storageClass"), same("nodeSelector"), same("topologyRef")],
        ready: &[Check::Observed, Check::Condition("DeploymentReady")],
        step: StepName::Mariadb,
        condition: "OpenStackControlPlaneMariaDBReady",
        infrastructure: true,
        required_status: r#"{"bootstrapped": true, "stopRequired": false}"#,
        ..SERVICE
    },
    Service {
        name: "memcached",
        kind: kind("memcached.openstack.org", "Memcached", "memcacheds"),
        section: "memcached",
        objects: Objects::Each { templates: "templates" },
        slots: &[image("containerImage", "infraMemcachedImage")],
        inherits: SCHEDULING,
        step: StepName::Memcached,
        condition: "OpenStackControlPlaneMemcachedReady",
        infrastructure: true,
        ..SERVICE
    },
    // Our own kind; the next row is the choice of a cloud that runs the upstream keystone-operator.
    Service {
        name: "keystone",
        kind: kind("keystone.openstack.org", "Keystone", "keystones"),
        section: "keystone",
        variant: Some(Variant {
            field: "kind",
            value: "Keystone",
            default: true,
            maps: &[
                ("databaseInstance", "database.instance"),
                ("secret", "secret"),
                ("memcachedInstance", "cache.instance"),
            ],
            accepts: &[
                "autoscaling",
                "bootstrap",
                "cache",
                "credentialKeys",
                "database",
                "deletionPolicy",
                "extraConfig",
                "fernet",
                "nodeSelector",
                "preStopSleepSeconds",
                "priorityClassName",
                "processes",
                "replicas",
                "resources",
                "terminationGracePeriodSeconds",
                "tolerations",
                "topologyRef",
                "topologySpreadConstraints",
                "upgrade",
            ],
        }),
        objects: one("keystone"),
        slots: &[
            Slot { place: Place::Path("image"), source: Source::ImageParts("keystoneAPIImage") },
            Slot { place: Place::Path("release"), source: Source::Release },
        ],
        fills: &[CACHE],
        ready: &[
            Check::Observed,
            Check::Condition("Ready"),
            Check::StatusEmpty("targetRelease"),
            Check::StatusHasImage { status: "installedImage", spec: "image" },
        ],
        // It is the bundle's, and comes together with the image, in the step.
        drops: &["release"],
        step: StepName::Keystone,
        condition: "OpenStackControlPlaneKeystoneAPIReady",
        ..SERVICE
    },
    Service {
        name: "keystone-api",
        kind: kind("keystone.openstack.org", "KeystoneAPI", "keystoneapis"),
        section: "keystone",
        variant: Some(Variant { field: "kind", value: "KeystoneAPI", default: false, maps: &[], accepts: &[] }),
        objects: one("keystone"),
        slots: &[image("containerImage", "keystoneAPIImage")],
        fills: &[DATABASE],
        step: StepName::Keystone,
        condition: "OpenStackControlPlaneKeystoneAPIReady",
        ..SERVICE
    },
    Service {
        name: "dns",
        kind: kind("network.openstack.org", "DNSMasq", "dnsmasqs"),
        section: "dns",
        objects: one("dns"),
        slots: &[image("containerImage", "infraDnsmasqImage")],
        inherits: SCHEDULING,
        condition: "OpenStackControlPlaneDNSReadyCondition",
        infrastructure: true,
        ..SERVICE
    },
    Service {
        name: "placement",
        kind: kind("placement.openstack.org", "PlacementAPI", "placementapis"),
        section: "placement",
        objects: one("placement"),
        slots: &[image("containerImage", "placementAPIImage")],
        fills: &[DATABASE],
        condition: "OpenStackControlPlanePlacementAPIReady",
        ..SERVICE
    },
    Service {
        name: "glance",
        kind: kind("glance.openstack.org", "Glance", "glances"),
        section: "glance",
        objects: Objects::One { name: "glance", unique: Unique::OnRequest, template: "template", requires: None },
        slots: &[
            image("containerImage", "glanceAPIImage"),
            switch(Place::Annotation("glance.openstack.org/wsgi"), "glanceWsgi", "false"),
            switch(Place::Annotation("glance.openstack.org/locationapi"), "glanceLocationAPI", "false"),
        ],
        inherits: &[
            same("secret"),
            Inherit { from: "storageClass", to: "storage.storageClass" },
            same("nodeSelector"),
            same("topologyRef"),
        ],
        fills: &[DATABASE, fill("imageCache.size", "")],
        condition: "OpenStackControlPlaneGlanceReady",
        ..SERVICE
    },
    Service {
        name: "cinder",
        kind: kind("cinder.openstack.org", "Cinder", "cinders"),
        section: "cinder",
        objects: Objects::One { name: "cinder", unique: Unique::OnRequest, template: "template", requires: None },
        slots: &[
            image("cinderAPI.containerImage", "cinderAPIImage"),
            image("cinderScheduler.containerImage", "cinderSchedulerImage"),
            image("cinderBackup.containerImage", "cinderBackupImage"),
            each_entry("cinderBackups", Source::Image("cinderBackupImage")),
            each_entry("cinderVolumes", Source::Backend("cinderVolumeImages")),
        ],
        fills: &[DATABASE],
        condition: "OpenStackControlPlaneCinderReady",
        required_status: r#"{"cinderAPIReadyCount": 1, "cinderBackupReadyCount": 0, "cinderSchedulerReadyCount": 1}"#,
        ..SERVICE
    },
    Service {
        name: "neutron",
        kind: kind("neutron.openstack.org", "NeutronAPI", "neutronapis"),
        section: "neutron",
        objects: one("neutron"),
        slots: &[image("containerImage", "neutronAPIImage")],
        fills: &[DATABASE],
        condition: "OpenStackControlPlaneNeutronReady",
        ..SERVICE
    },
    Service {
        name: "nova",
        kind: kind("nova.openstack.org", "Nova", "nova"),
        section: "nova",
        objects: one("nova"),
        slots: &[
            image("apiContainerImageURL", "novaAPIImage"),
            // The metadata service runs the API's image.
            image("metadataContainerImageURL", "novaAPIImage"),
            image("computeContainerImageURL", "novaComputeImage"),
            image("conductorContainerImageURL", "novaConductorImage"),
            image("novncproxyContainerImageURL", "novaNovncImage"),
            image("schedulerContainerImageURL", "novaSchedulerImage"),
        ],
        condition: "OpenStackControlPlaneNovaReady",
        ..SERVICE
    },
    Service {
        name: "heat",
        kind: kind("heat.openstack.org", "Heat", "heats"),
        section: "heat",
        enabled: OFF,
        objects: one("heat"),
        slots: &[
            image("heatAPI.containerImage", "heatAPIImage"),
            image("heatCfnAPI.containerImage", "heatCfnapiImage"),
            image("heatEngine.containerImage", "heatEngineImage"),
        ],
        condition: "OpenStackControlPlaneHeatReady",
        ..SERVICE
    },
    Service {
        name: "ironic",
        kind: kind("ironic.openstack.org", "Ironic", "ironics"),
        section: "ironic",
        enabled: OFF,
        objects: one("ironic"),
        slots: &[
            image("images.api", "ironicAPIImage"),
            image("images.conductor", "ironicConductorImage"),
            image("images.inspector", "ironicInspectorImage"),
            image("images.neutronAgent", "ironicNeutronAgentImage"),
            image("images.pxe", "ironicPxeImage"),
            image("images.ironicPythonAgent", "ironicPythonAgentImage"),
        ],
        inherits: &[same("secret"), same("storageClass"), same("nodeSelector"), same("topologyRef")],
        fills: &[DATABASE, fill_object("ironicAPI"), fill_object("ironicInspector"), fill_object("ironicNeutronAgent")],
        condition: "OpenStackControlPlaneIronicReady",
        ..SERVICE
    },
    Service {
        name: "openstackclient",
        kind: kind("client.openstack.org", "OpenStackClient", "openstackclients"),
        section: "openstackclient",
        enabled: Enabled::Follows("keystone"),
        objects: one("openstackclient"),
        slots: &[image("containerImage", "openstackClientImage")],
        inherits: SCHEDULING,
        ready: &[Check::Observed, Check::Condition("OpenStackClientReady")],
        condition: "OpenStackControlPlaneClientReady",
        ..SERVICE
    },
    Service {
        name: "manila",
        kind: kind("manila.openstack.org", "Manila", "manilas"),
        section: "manila",
        enabled: OFF,
        objects: one("manila"),
        slots: &[
            image("manilaAPI.containerImage", "manilaAPIImage"),
            image("manilaScheduler.containerImage", "manilaSchedulerImage"),
            each_entry("manilaShares", Source::Backend("manilaShareImages")),
            switch(Place::Annotation("manila.openstack.org/sharev1"), "manilaSharev1", "false"),
        ],
        fills: &[DATABASE],
        condition: "OpenStackControlPlaneManilaReady",
        ..SERVICE
    },
    Service {
        name: "horizon",
        kind: kind("horizon.openstack.org", "Horizon", "horizons"),
        section: "horizon",
        enabled: OFF,
        objects: one("horizon"),
        slots: &[image("containerImage", "horizonImage")],
        condition: "OpenStackControlPlaneHorizonReady",
        ..SERVICE
    },
    Service {
        name: "telemetry",
        kind: kind("telemetry.openstack.org", "Telemetry", "telemetries"),
        section: "telemetry",
        objects: one("telemetry"),
        slots: &[
            image("ceilometer.centralImage", "ceilometerCentralImage"),
            image("ceilometer.computeImage", "ceilometerComputeImage"),
            image("ceilometer.ipmiImage", "ceilometerIpmiImage"),
            image("ceilometer.notificationImage", "ceilometerNotificationImage"),
            image("ceilometer.sgCoreImage", "ceilometerSgcoreImage"),
            image("ceilometer.proxyImage", "ceilometerProxyImage"),
            image("ceilometer.ksmImage", "ksmImage"),
            image("ceilometer.mysqldExporterImage", "ceilometerMysqldExporterImage"),
            image("autoscaling.aodh.apiImage", "aodhAPIImage"),
            image("autoscaling.aodh.evaluatorImage", "aodhEvaluatorImage"),
            image("autoscaling.aodh.listenerImage", "aodhListenerImage"),
            image("autoscaling.aodh.notifierImage", "aodhNotifierImage"),
            image("cloudkitty.cloudKittyAPI.containerImage", "cloudkittyAPIImage"),
            image("cloudkitty.cloudKittyProc.containerImage", "cloudkittyProcImage"),
        ],
        inherits: &[
            same("nodeSelector"),
            same("topologyRef"),
            Inherit { from: "secret", to: "ceilometer.secret" },
            Inherit { from: "secret", to: "autoscaling.aodh.secret" },
            Inherit { from: "secret", to: "cloudkitty.secret" },
            Inherit { from: "storageClass", to: "cloudkitty.storageClass" },
        ],
        // Both are in upstream's samples.
        drops: &["autoscaling.aodh.passwordSelectors", "logging.ipaddr"],
        condition: "OpenStackControlPlaneTelemetryReady",
        ..SERVICE
    },
    Service {
        name: "barbican",
        kind: kind("barbican.openstack.org", "Barbican", "barbicans"),
        section: "barbican",
        objects: one("barbican"),
        slots: &[
            image("barbicanAPI.containerImage", "barbicanAPIImage"),
            image("barbicanWorker.containerImage", "barbicanWorkerImage"),
            image("barbicanKeystoneListener.containerImage", "barbicanKeystoneListenerImage"),
        ],
        // The account is named by the operator of Barbican; its CRD wants the field to be there.
        fills: &[DATABASE, fill("serviceAccount", "")],
        condition: "OpenStackControlPlaneBarbicanReady",
        ..SERVICE
    },
    Service {
        name: "redis",
        kind: kind("redis.openstack.org", "Redis", "redises"),
        section: "redis",
        enabled: OFF,
        objects: Objects::Each { templates: "templates" },
        slots: &[image("containerImage", "infraRedisImage")],
        inherits: SCHEDULING,
        condition: "OpenStackControlPlaneRedisReady",
        infrastructure: true,
        ..SERVICE
    },
    Service {
        name: "octavia",
        kind: kind("octavia.openstack.org", "Octavia", "octavias"),
        section: "octavia",
        enabled: OFF,
        objects: one("octavia"),
        slots: &[
            image("octaviaAPI.containerImage", "octaviaAPIImage"),
            image("apacheContainerImage", "octaviaApacheImage"),
            image("octaviaWorker.containerImage", "octaviaWorkerImage"),
            image("octaviaHealthManager.containerImage", "octaviaHealthmanagerImage"),
            image("octaviaHousekeeping.containerImage", "octaviaHousekeepingImage"),
            image("octaviaRsyslog.containerImage", "octaviaRsyslogImage"),
            image("octaviaRsyslog.initContainerImage", "octaviaHealthmanagerImage"),
        ],
        // The operator of Octavia gives its parts what they need; its CRD wants the fields to be there.
        fills: &[
            DATABASE,
            fill("octaviaAPI.databaseInstance", ""),
            fill("octaviaAPI.secret", ""),
            fill("octaviaAPI.serviceAccount", ""),
            fill("octaviaWorker.databaseInstance", ""),
            fill("octaviaWorker.role", ""),
            fill("octaviaWorker.secret", ""),
            fill("octaviaWorker.serviceAccount", ""),
            fill("octaviaHealthManager.databaseInstance", ""),
            fill("octaviaHealthManager.role", ""),
            fill("octaviaHealthManager.secret", ""),
            fill("octaviaHealthManager.serviceAccount", ""),
            fill("octaviaHousekeeping.databaseInstance", ""),
            fill("octaviaHousekeeping.role", ""),
            fill("octaviaHousekeeping.secret", ""),
            fill("octaviaHousekeeping.serviceAccount", ""),
            fill("octaviaRsyslog.serviceAccount", ""),
        ],
        condition: "OpenStackControlPlaneOctaviaReady",
        ..SERVICE
    },
    Service {
        name: "designate",
        kind: kind("designate.openstack.org", "Designate", "designates"),
        section: "designate",
        enabled: OFF,
        objects: one("designate"),
        slots: &[
            image("designateAPI.containerImage", "designateAPIImage"),
            image("designateCentral.containerImage", "designateCentralImage"),
            image("designateMdns.containerImage", "designateMdnsImage"),
            image("designateMdns.netUtilsImage", "netUtilsImage"),
            image("designateProducer.containerImage", "designateProducerImage"),
            image("designateWorker.containerImage", "designateWorkerImage"),
            image("designateBackendbind9.containerImage", "designateBackendbind9Image"),
            image("designateBackendbind9.netUtilsImage", "netUtilsImage"),
            image("designateUnbound.containerImage", "designateUnboundImage"),
        ],
        fills: &[DATABASE],
        condition: "OpenStackControlPlaneDesignateReady",
        ..SERVICE
    },
    Service {
        name: "swift",
        kind: kind("swift.openstack.org", "Swift", "swifts"),
        section: "swift",
        objects: one("swift"),
        slots: &[
            // The ring is built with the proxy's image.
            image("swiftRing.containerImage", "swiftProxyImage"),
            image("swiftStorage.containerImageAccount", "swiftAccountImage"),
            image("swiftStorage.containerImageContainer", "swiftContainerImage"),
            image("swiftStorage.containerImageObject", "swiftObjectImage"),
            image("swiftStorage.containerImageProxy", "swiftProxyImage"),
            image("swiftProxy.containerImageProxy", "swiftProxyImage"),
        ],
        inherits: &[
            Inherit { from: "secret", to: "swiftProxy.secret" },
            same("storageClass"),
            Inherit { from: "storageClass", to: "swiftStorage.storageClass" },
            same("nodeSelector"),
            same("topologyRef"),
        ],
        condition: "OpenStackControlPlaneSwiftReady",
        ..SERVICE
    },
    Service {
        name: "watcher",
        kind: kind("watcher.openstack.org", "Watcher", "watchers"),
        section: "watcher",
        enabled: OFF,
        objects: one("watcher"),
        slots: &[
            image("apiContainerImageURL", "watcherAPIImage"),
            image("applierContainerImageURL", "watcherApplierImage"),
            image("decisionengineContainerImageURL", "watcherDecisionEngineImage"),
        ],
        condition: "OpenStackControlPlaneWatcherReady",
        ..SERVICE
    },
    // Read by the test operator.
    Service {
        name: "test-operator-config",
        kind: CONFIG_MAP,
        enabled: Enabled::Always,
        objects: Objects::One { name: "test-operator-config", unique: Unique::No, template: "", requires: None },
        body: Body::Data,
        slots: &[
            image("tempest-image", "testTempestImage"),
            image("tobiko-image", "testTobikoImage"),
            image("horizontest-image", "testHorizontestImage"),
            image("ansibletest-image", "testAnsibletestImage"),
        ],
        inherits: &[],
        ready: &[],
        condition: "OpenStackControlPlaneTestCMReadyCondition",
        ..SERVICE
    },
    // Read by instance HA.
    Service {
        name: "infra-instanceha-config",
        kind: CONFIG_MAP,
        enabled: Enabled::Always,
        objects: Objects::One { name: "infra-instanceha-config", unique: Unique::No, template: "", requires: None },
        body: Body::Data,
        slots: &[image("instanceha-image", "openstackClientImage")],
        inherits: &[],
        ready: &[],
        condition: "OpenStackControlPlaneInstanceHaCMReadyCondition",
        ..SERVICE
    },
];
