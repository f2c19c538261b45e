//! The alerts. Replicas see the same: what is said of objects is taken once.

use super::{Alert, Severity};

const CLOUD: &[(&str, &str)] = &[("namespace", "cloud"), ("name", "openstack")];
const KEYSTONE: &[(&str, &str)] = &[("namespace", "cloud"), ("name", "keystone")];
const KEYS: &[(&str, &str)] = &[("namespace", "cloud"), ("name", "keystone"), ("keys", "fernet")];

/// Every alert.
pub(in super::super) const ALERTS: &[Alert] = &[
    Alert {
        name: "OpenStackReleaseOperatorAbsent",
        severity: Severity::Critical,
        expr: "absent(openstack_release_operator_leader)",
        holds: "5m",
        summary: "openstack-release-operator: no replica can be asked",
        means: "no replica runs, or Prometheus does not reach any: nothing moves, and no other alert of this list can fire",
        action: "`kubectl -n openstack-operators get pods`, and their logs; then the ServiceMonitor and the NetworkPolicies",
        after: "6m",
        fires: &[("up", "1x10")],
        labels: &[],
        rests: &[("openstack_release_operator_leader{pod=\"a\"}", "0x10")],
    },
    Alert {
        name: "OpenStackReleaseOperatorNoLeader",
        severity: Severity::Critical,
        expr: "sum by (namespace) (openstack_release_operator_leader) == 0",
        holds: "2m",
        summary: "openstack-release-operator in {{ $labels.namespace }}: no replica leads",
        means: "replicas run and none holds the Lease: nothing is written",
        action: "look at `kubectl get lease openstack-release-operator` and at the replicas' logs for why it cannot be written",
        after: "4m",
        fires: &[
            ("openstack_release_operator_leader{namespace=\"operators\",pod=\"a\"}", "0x10"),
            ("openstack_release_operator_leader{namespace=\"operators\",pod=\"b\"}", "0x10"),
        ],
        labels: &[("namespace", "operators")],
        rests: &[
            ("openstack_release_operator_leader{namespace=\"operators\",pod=\"a\"}", "0x10"),
            ("openstack_release_operator_leader{namespace=\"operators\",pod=\"b\"}", "1x10"),
        ],
    },
    Alert {
        name: "OpenStackReleaseOperatorTwoLeaders",
        severity: Severity::Critical,
        expr: "sum by (namespace) (openstack_release_operator_leader) > 1",
        holds: "2m",
        summary: "openstack-release-operator in {{ $labels.namespace }}: {{ $value }} replicas lead",
        means: "more than one replica believes that it leads for longer than two scrapes can explain",
        action: "scale the Deployment to one replica, and report it with the logs of all",
        after: "4m",
        fires: &[
            ("openstack_release_operator_leader{namespace=\"operators\",pod=\"a\"}", "1x10"),
            ("openstack_release_operator_leader{namespace=\"operators\",pod=\"b\"}", "1x10"),
        ],
        labels: &[("namespace", "operators")],
        rests: &[
            ("openstack_release_operator_leader{namespace=\"operators\",pod=\"a\"}", "1 1 0x8"),
            ("openstack_release_operator_leader{namespace=\"operators\",pod=\"b\"}", "0 1 1x8"),
        ],
    },
    Alert {
        name: "OpenStackReleaseOperatorQueueStands",
        severity: Severity::Warning,
        expr: "max by (namespace, controller) (min_over_time(openstack_release_operator_queue_depth[10m])) > 0",
        holds: "5m",
        summary: "openstack-release-operator in {{ $labels.namespace }}: {{ $value }} namespaces wait for controller {{ $labels.controller }}",
        means: "namespaces are due and no pass begins: caches are not complete, or the process is stuck",
        action: "look at `/readyz` and `/livez` of the replicas; a stuck one is restarted by its liveness probe",
        after: "20m",
        // The other replica does not lead: nothing waits for it.
        fires: &[
            (
                "openstack_release_operator_queue_depth{namespace=\"operators\",pod=\"a\",controller=\"release\"}",
                "3x30",
            ),
            (
                "openstack_release_operator_queue_depth{namespace=\"operators\",pod=\"b\",controller=\"release\"}",
                "0x30",
            ),
        ],
        labels: &[("namespace", "operators"), ("controller", "release")],
        rests: &[(
            "openstack_release_operator_queue_depth{namespace=\"operators\",pod=\"a\",controller=\"release\"}",
            "3 0 3 0 3 0 3 0 3 0 3 0 3 0 3 0 3 0 3 0 3",
        )],
    },
    Alert {
        name: "OpenStackReleaseKindUnreadable",
        severity: Severity::Warning,
        expr: "max by (kind, state) (openstack_release_operator_watch_state{state=~\"Pending|Unreadable|Failing\"}) == 1",
        holds: "5m",
        summary: "Kind {{ $labels.kind }}: its watch is {{ $labels.state }}",
        means: "objects of the kind cannot be read: what is said of them is out of date, and nothing is decided without a root kind",
        action: "look at the operator's log for the error: a missing right (RBAC), or an API server that cannot be reached",
        after: "7m",
        fires: &[(
            "openstack_release_operator_watch_state{controller=\"release\",kind=\"Glance\",state=\"Failing\"}",
            "1x10",
        )],
        labels: &[("kind", "Glance"), ("state", "Failing")],
        rests: &[
            ("openstack_release_operator_watch_state{controller=\"release\",kind=\"Glance\",state=\"Synced\"}", "1x10"),
            ("openstack_release_operator_watch_state{controller=\"release\",kind=\"Swift\",state=\"Absent\"}", "1x10"),
        ],
    },
    Alert {
        name: "OpenStackReleaseWritesFail",
        severity: Severity::Warning,
        expr: "sum by (kind, reason) (rate(openstack_release_operator_api_errors_total{reason!=\"Conflict\"}[10m])) > 0",
        holds: "15m",
        summary: "Kind {{ $labels.kind }}: writes fail with {{ $labels.reason }}",
        means: "the operator tries again and again to write objects of the kind, and is refused or not answered",
        action: "`Ready` of the root object names the object and the error; mend the right, the quota or the webhook that it names",
        after: "20m",
        fires: &[("openstack_release_operator_api_errors_total{kind=\"Glance\",reason=\"Forbidden\"}", "0+1x30")],
        labels: &[("kind", "Glance"), ("reason", "Forbidden")],
        rests: &[
            ("openstack_release_operator_api_errors_total{kind=\"Glance\",reason=\"Conflict\"}", "0+1x30"),
            ("openstack_release_operator_api_errors_total{kind=\"Glance\",reason=\"ServerError\"}", "2x30"),
        ],
    },
    Alert {
        name: "OpenStackUpdateStalled",
        severity: Severity::Critical,
        expr: "max by (namespace, name, step) (openstack_release_update_step_state{state=\"Stalled\"}) == 1",
        holds: "1m",
        summary: "OpenStackVersion {{ $labels.namespace }}/{{ $labels.name }}: step {{ $labels.step }} is stalled",
        means: "a step of the update takes longer than `spec.update.stepDeadline`; nothing is rolled back by itself",
        action: "`status.update.steps` names the object that it waits for: look at that object and at its operator",
        after: "3m",
        fires: &[(
            "openstack_release_update_step_state{namespace=\"cloud\",name=\"openstack\",step=\"mariadb\",state=\"Stalled\"}",
            "1x10",
        )],
        labels: &[("namespace", "cloud"), ("name", "openstack"), ("step", "mariadb")],
        rests: &[(
            "openstack_release_update_step_state{namespace=\"cloud\",name=\"openstack\",step=\"mariadb\",state=\"Running\"}",
            "1x10",
        )],
    },
    Alert {
        name: "OpenStackUpdateWaits",
        severity: Severity::Warning,
        expr: "max by (namespace, name, step) (openstack_release_update_step_state{state=\"Waiting\"}) == 1",
        holds: "1h",
        summary: "OpenStackVersion {{ $labels.namespace }}/{{ $labels.name }}: step {{ $labels.step }} waits for you",
        means: "the update waits for an administrator, e.g. for a deployment of a nodeset",
        action: "do what `status.update.steps` says: usually create the `OpenStackDataPlaneDeployment` that it names",
        after: "65m",
        fires: &[(
            "openstack_release_update_step_state{namespace=\"cloud\",name=\"openstack\",step=\"dataplane\",state=\"Waiting\"}",
            "1x70",
        )],
        labels: &[("namespace", "cloud"), ("name", "openstack"), ("step", "dataplane")],
        rests: &[(
            "openstack_release_update_step_state{namespace=\"cloud\",name=\"openstack\",step=\"dataplane\",state=\"Pending\"}",
            "1x70",
        )],
    },
    Alert {
        name: "OpenStackUpdateHeld",
        severity: Severity::Info,
        expr: "max by (namespace, name, step) (openstack_release_update_step_state{state=\"Held\"}) == 1",
        holds: "1d",
        summary: "OpenStackVersion {{ $labels.namespace }}/{{ $labels.name }}: held at step {{ $labels.step }} for a day",
        means: "somebody paused the update or set where it stops, and a cloud between two versions may have been forgotten",
        action: "remove `spec.update.paused` or `spec.update.holdAfter`, or set `targetVersion` back while it is revertible",
        after: "1450m",
        fires: &[(
            "openstack_release_update_step_state{namespace=\"cloud\",name=\"openstack\",step=\"keystone\",state=\"Held\"}",
            "1x1500",
        )],
        labels: &[("namespace", "cloud"), ("name", "openstack"), ("step", "keystone")],
        rests: &[(
            "openstack_release_update_step_state{namespace=\"cloud\",name=\"openstack\",step=\"keystone\",state=\"Held\"}",
            "1x1300",
        )],
    },
    Alert {
        name: "OpenStackVersionRefused",
        severity: Severity::Warning,
        expr: "max by (namespace, name, type) (openstack_release_condition{kind=\"OpenStackVersion\",status=\"False\",severity!=\"Info\",\
               type=~\"TargetVersionValid|CustomImagesValid|ContainerImagesKnown|ImageSetConfirmed|BundleValid|UpdateOptionsValid\"}) == 1",
        holds: "10m",
        summary: "OpenStackVersion {{ $labels.namespace }}/{{ $labels.name }}: {{ $labels.type }} is False",
        means: "something that was asked for is not done, or an image is missing",
        action: "the message of that condition names the field and what to set",
        after: "12m",
        fires: &[(
            "openstack_release_condition{kind=\"OpenStackVersion\",namespace=\"cloud\",name=\"openstack\",type=\"TargetVersionValid\",status=\"False\"}",
            "1x20",
        )],
        labels: &[("namespace", "cloud"), ("name", "openstack"), ("type", "TargetVersionValid")],
        rests: &[
            (
                "openstack_release_condition{kind=\"OpenStackVersion\",namespace=\"cloud\",name=\"openstack\",type=\"TargetVersionValid\",status=\"True\"}",
                "1x20",
            ),
            (
                "openstack_release_condition{kind=\"OpenStackVersion\",namespace=\"cloud\",name=\"openstack\",type=\"MinorUpdateAvailable\",status=\"False\"}",
                "1x20",
            ),
            // A hotfix that a pause holds: it was asked for.
            (
                "openstack_release_condition{kind=\"OpenStackVersion\",namespace=\"cloud\",name=\"openstack\",type=\"CustomImagesValid\",status=\"False\",severity=\"Info\"}",
                "1x20",
            ),
        ],
    },
    Alert {
        name: "OpenStackControlPlaneNotReady",
        severity: Severity::Warning,
        expr: "max by (namespace, name) (openstack_release_condition{kind=\"OpenStackControlPlane\",type=\"Ready\",status!=\"True\"}) == 1 \
               unless on (namespace, name) (openstack_release_update_step_state{state=\"Running\"} == 1 \
               or openstack_release_version_state{state=\"Installing\"} == 1)",
        holds: "15m",
        summary: "OpenStackControlPlane {{ $labels.namespace }}/{{ $labels.name }} is not ready",
        means: "a service of the cloud is not ready, and no step of an update or of an installation runs that would explain it",
        action: "`status.services` of the `OpenStackVersion` of that name says which one, and what it waits for",
        after: "17m",
        // An update that waits for somebody explains nothing.
        fires: &[
            (
                "openstack_release_condition{kind=\"OpenStackControlPlane\",namespace=\"cloud\",name=\"openstack\",type=\"Ready\",status=\"False\"}",
                "1x20",
            ),
            ("openstack_release_update_seconds{namespace=\"cloud\",name=\"openstack\"}", "0+60x20"),
            (
                "openstack_release_update_step_state{namespace=\"cloud\",name=\"openstack\",step=\"dataplane\",state=\"Waiting\"}",
                "1x20",
            ),
        ],
        labels: CLOUD,
        rests: &[
            (
                "openstack_release_condition{kind=\"OpenStackControlPlane\",namespace=\"cloud\",name=\"openstack\",type=\"Ready\",status=\"False\"}",
                "1x20",
            ),
            (
                "openstack_release_update_step_state{namespace=\"cloud\",name=\"openstack\",step=\"mariadb\",state=\"Running\"}",
                "1x20",
            ),
            (
                "openstack_release_condition{kind=\"OpenStackControlPlane\",namespace=\"new\",name=\"openstack\",type=\"Ready\",status=\"False\"}",
                "1x20",
            ),
            ("openstack_release_version_state{namespace=\"new\",name=\"openstack\",state=\"Installing\"}", "1x20"),
            (
                "openstack_release_condition{kind=\"OpenStackControlPlane\",namespace=\"other\",name=\"openstack\",type=\"Ready\",status=\"True\"}",
                "1x20",
            ),
        ],
    },
    Alert {
        name: "OpenStackInstallationSlow",
        severity: Severity::Warning,
        expr: "max by (namespace, name) (openstack_release_version_state{state=\"Installing\"}) == 1",
        holds: "1h",
        summary: "OpenStackVersion {{ $labels.namespace }}/{{ $labels.name }}: not installed after an hour",
        means: "the first installation of a cloud does not come to its end",
        action: "`status.services` of the `OpenStackVersion` says which service is not ready, and what it waits for",
        after: "65m",
        fires: &[(
            "openstack_release_version_state{namespace=\"cloud\",name=\"openstack\",state=\"Installing\"}",
            "1x70",
        )],
        labels: CLOUD,
        rests: &[(
            "openstack_release_version_state{namespace=\"cloud\",name=\"openstack\",state=\"UpToDate\"}",
            "1x70",
        )],
    },
    Alert {
        name: "KeystoneNotAvailable",
        severity: Severity::Critical,
        // What was asked for has another severity: an installation, and an upgrade that stops the service.
        expr: "max by (namespace, name) \
               (openstack_release_condition{kind=\"Keystone\",type=\"Available\",status=\"False\",severity=\"Warning\"}) == 1",
        holds: "2m",
        summary: "Keystone {{ $labels.namespace }}/{{ $labels.name }}: users are not served",
        means: "no pod of the identity service serves, and nobody asked for that: nobody gets a token",
        action: "`Available` and `Degraded` say why; look at the pods (`kubectl get pods`) and at the database",
        after: "4m",
        fires: &[(
            "openstack_release_condition{kind=\"Keystone\",namespace=\"cloud\",name=\"keystone\",type=\"Available\",status=\"False\",severity=\"Warning\"}",
            "1x10",
        )],
        labels: KEYSTONE,
        rests: &[(
            "openstack_release_condition{kind=\"Keystone\",namespace=\"cloud\",name=\"keystone\",type=\"Available\",status=\"False\",severity=\"Info\"}",
            "1x10",
        )],
    },
    Alert {
        name: "KeystoneDegraded",
        severity: Severity::Critical,
        expr: "max by (namespace, name) (openstack_release_condition{kind=\"Keystone\",type=\"Degraded\",status=\"True\"}) == 1",
        holds: "5m",
        summary: "Keystone {{ $labels.namespace }}/{{ $labels.name }} is degraded",
        means: "an installation, an upgrade or the service itself is stopped by an error",
        action: "the message of `Degraded` says what happened and what to do; then set the annotation for a retry, if it says so",
        after: "7m",
        fires: &[(
            "openstack_release_condition{kind=\"Keystone\",namespace=\"cloud\",name=\"keystone\",type=\"Degraded\",status=\"True\"}",
            "1x10",
        )],
        labels: KEYSTONE,
        rests: &[(
            "openstack_release_condition{kind=\"Keystone\",namespace=\"cloud\",name=\"keystone\",type=\"Degraded\",status=\"False\"}",
            "1x10",
        )],
    },
    Alert {
        name: "KeystoneUpgradeSlow",
        severity: Severity::Warning,
        expr: "max by (namespace, name) (openstack_release_keystone_upgrade_seconds) > 4 * 3600",
        holds: "",
        summary: "Keystone {{ $labels.namespace }}/{{ $labels.name }}: its upgrade takes longer than four hours",
        means: "an upgrade that nothing stopped and that does not end either; a large database may be the reason",
        action: "`status.upgrade` names the step and its Job: `kubectl logs job/...` shows how far it is",
        after: "5m",
        fires: &[("openstack_release_keystone_upgrade_seconds{namespace=\"cloud\",name=\"keystone\"}", "14300+60x10")],
        labels: KEYSTONE,
        rests: &[("openstack_release_keystone_upgrade_seconds{namespace=\"cloud\",name=\"keystone\"}", "0+60x10")],
    },
    Alert {
        name: "KeystoneKeysOverdue",
        severity: Severity::Warning,
        expr: "max by (namespace, name, keys) (openstack_release_keystone_keys_overdue_seconds) > 0",
        holds: "",
        summary: "Keystone {{ $labels.namespace }}/{{ $labels.name }}: the {{ $labels.keys }} keys are not rotated",
        means: "keys were not rotated although it was due twice by their schedule; never while it is suspended",
        action: "`KeysRotate` says what keeps them; when it names the `CronJob`, look at that and at the controller manager",
        after: "5m",
        fires: &[(
            "openstack_release_keystone_keys_overdue_seconds{namespace=\"cloud\",name=\"keystone\",keys=\"fernet\"}",
            "0 0 0 30+60x10",
        )],
        labels: KEYS,
        rests: &[(
            "openstack_release_keystone_keys_overdue_seconds{namespace=\"cloud\",name=\"keystone\",keys=\"fernet\"}",
            "0x10",
        )],
    },
    Alert {
        name: "KeystoneKeysLagging",
        severity: Severity::Warning,
        expr: "max by (namespace, name, keys) (openstack_release_keystone_keys_lagging_pods) > 0",
        holds: "15m",
        summary: "Keystone {{ $labels.namespace }}/{{ $labels.name }}: {{ $value }} pods lack the published {{ $labels.keys }} keys",
        means: "a pod does not get the keys of the last rotation; nothing rotates before it has them",
        action: "delete the pod that `KeysRotate` names: its successor starts with them; if that lags, too, look at its node's kubelet",
        after: "17m",
        fires: &[(
            "openstack_release_keystone_keys_lagging_pods{namespace=\"cloud\",name=\"keystone\",keys=\"fernet\"}",
            "1x20",
        )],
        labels: KEYS,
        rests: &[(
            "openstack_release_keystone_keys_lagging_pods{namespace=\"cloud\",name=\"keystone\",keys=\"fernet\"}",
            "1 1 0x20",
        )],
    },
    Alert {
        name: "KeystoneKeysDoNotRotate",
        severity: Severity::Warning,
        expr: "max by (namespace, name) (openstack_release_condition{kind=\"Keystone\",type=\"KeysRotate\",status=\"False\"}) == 1 \
               unless on (namespace, name) openstack_release_keystone_upgrade_seconds",
        holds: "30m",
        summary: "Keystone {{ $labels.namespace }}/{{ $labels.name }}: keys do not rotate",
        means: "new keys were refused, a rotation failed, or it does not come to its end",
        action: "the message of `KeysRotate` names the Job, the Secret or the pod, and what to do",
        after: "32m",
        fires: &[(
            "openstack_release_condition{kind=\"Keystone\",namespace=\"cloud\",name=\"keystone\",type=\"KeysRotate\",status=\"False\"}",
            "1x40",
        )],
        labels: KEYSTONE,
        rests: &[
            (
                "openstack_release_condition{kind=\"Keystone\",namespace=\"cloud\",name=\"keystone\",type=\"KeysRotate\",status=\"False\"}",
                "1x40",
            ),
            ("openstack_release_keystone_upgrade_seconds{namespace=\"cloud\",name=\"keystone\"}", "0+60x40"),
        ],
    },
    Alert {
        name: "KeystoneTooFewKeys",
        severity: Severity::Warning,
        expr: "max by (namespace, name) (openstack_release_condition{kind=\"Keystone\",type=\"KeysSuffice\",status=\"False\"}) == 1",
        holds: "10m",
        summary: "Keystone {{ $labels.namespace }}/{{ $labels.name }}: keys go before their tokens expire",
        means: "keys rotate so often that tokens end before their time",
        action: "set `spec.fernet.maxActiveKeys` to the number that `KeysSuffice` names, or rotate less often",
        after: "12m",
        fires: &[(
            "openstack_release_condition{kind=\"Keystone\",namespace=\"cloud\",name=\"keystone\",type=\"KeysSuffice\",status=\"False\"}",
            "1x20",
        )],
        labels: KEYSTONE,
        rests: &[(
            "openstack_release_condition{kind=\"Keystone\",namespace=\"cloud\",name=\"keystone\",type=\"KeysSuffice\",status=\"True\"}",
            "1x20",
        )],
    },
];
