//! What the controllers and the kubelet do: Jobs get pods, pods run and end, a Deployment replaces its pods one by one.

use std::sync::Arc;

use plan::{json, keystone::SCHEMA_WRITER};
use serde_json::{Value, json};

use super::sim::{Behaviour, Sim};

impl Sim {
    /// Everybody does one thing.
    pub fn cluster(&mut self) {
        for job in self.names("Job") {
            self.job(&job);
        }
        for pod in self.names("Pod") {
            self.pod(&pod);
        }
        self.deployment();
        self.refresh_all();
    }

    /// How the Job of that name behaves.
    fn behaviour(&self, job: &str) -> Behaviour {
        let known = self.jobs.iter().find(|(task, _)| job.contains(&format!("-{task}-")));
        let report = r#"{"check": 2, "version": "29.1.0", "doctor": 0, "upgradeCheck": 0, "ahead": false}"#;
        known.map_or(Behaviour::Succeeds(report.into()), |(_, behaviour)| behaviour.clone())
    }

    /// The Job controller.
    pub fn job(&mut self, name: &str) {
        let Some(job) = self.find("Job", name).cloned() else { return };
        if job.data.get("status").and_then(|status| status.get("conditions")).is_some() {
            return;
        }
        let pods = self.pods_of(name);
        let Some(pod) = pods.last() else {
            let template = json::get(&job.data, "spec.template").cloned().unwrap();
            self.make_pod(&format!("{name}-p"), &template, Some(name));
            return;
        };
        let phase = json::text(&self.find("Pod", pod).unwrap().data, "status.phase").unwrap().to_owned();
        let condition = match phase.as_str() {
            "Succeeded" => "Complete",
            "Failed" => "Failed",
            _ => return,
        };
        self.ran.push(name.to_owned());
        let status = json!({"conditions": [{"type": condition, "status": "True", "reason": "BackoffLimitExceeded"}]});
        self.edit("Job", name, |job| json::set(job, &["status".into()], status));
    }

    /// The API server takes no pod whose account is not there; whoever makes it tries again.
    fn make_pod(&mut self, name: &str, template: &Value, job: Option<&str>) {
        let account = json::text(template, "spec.serviceAccountName");
        if account.is_some_and(|account| self.find("ServiceAccount", account).is_none()) {
            return;
        }
        self.uids += 1;
        let uid = self.uids;
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "uid": format!("uid-{uid}"), "labels": {}, "annotations": {}},
            "spec": template["spec"],
            "status": {"phase": "Pending"},
        });
        for part in ["labels", "annotations"] {
            if let Some(value) = template["metadata"].get(part) {
                pod["metadata"][part] = value.clone();
            }
        }
        if let Some(job) = job {
            pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] = json!(job);
        }
        self.objects("Pod").push(Arc::new(serde_json::from_value(pod).unwrap()));
        self.refresh(name);
    }

    /// The kubelet: one transition of one pod.
    pub fn pod(&mut self, name: &str) {
        let Some(pod) = self.find("Pod", name).cloned() else { return };
        let phase = json::text(&pod.data, "status.phase").unwrap_or_default().to_owned();
        if pod.metadata.deletion_timestamp.is_some() && self.lingering {
            return;
        }
        if pod.metadata.deletion_timestamp.is_some() {
            self.objects("Pod").retain(|pod| pod.metadata.name.as_deref() != Some(name));
            return;
        }
        let job = pod.metadata.labels.as_ref().and_then(|all| all.get("batch.kubernetes.io/job-name")).cloned();
        let image = json::text(&pod.data, "spec.containers.0.image").unwrap().to_owned();
        if phase == "Pending" && job.is_some() && !self.broken.contains(&image) {
            self.may_begin(name);
        }
        let status = match (phase.as_str(), job) {
            ("Pending", _) if self.broken.contains(&image) => waiting("ImagePullBackOff", "not found"),
            ("Pending", Some(job)) => match self.behaviour(&job) {
                Behaviour::Waits(reason, message) => waiting(reason, message),
                _ => json!({"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]}),
            },
            ("Running", Some(job)) => match self.behaviour(&job) {
                Behaviour::Succeeds(_) if !self.may_confirm(&pod) => return,
                Behaviour::Succeeds(message) => ended("Succeeded", &message),
                Behaviour::Fails(message) => ended("Failed", &message),
                Behaviour::Hangs | Behaviour::Waits(..) => return,
            },
            ("Pending", None) => json!({"phase": "Running", "podIP": format!("10.0.0.{}", self.uids % 250),
                "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [{"state": {"running": {}}}]}),
            _ => return,
        };
        self.edit("Pod", name, |pod| pod["status"] = status);
    }

    /// The laws of what writes to the schema, at the moment when it begins.
    fn may_begin(&self, name: &str) {
        let writer = |pod: &str| {
            let pod = self.find("Pod", pod).unwrap();
            let over = matches!(json::text(&pod.data, "status.phase"), Some("Succeeded" | "Failed"));
            !over && pod.metadata.labels.as_ref().unwrap().contains_key(SCHEMA_WRITER)
        };
        if !writer(name) {
            return;
        }
        let others: Vec<_> = self.names("Pod").into_iter().filter(|other| other != name && writer(other)).collect();
        assert_eq!(others, Vec::<String>::new(), "two writers: {name}");
        if name.contains("-db-contract-") {
            let image = |pod: &str| json::text(&self.find("Pod", pod).unwrap().data, "spec.containers.0.image");
            let old = |pod: &String| pod.starts_with("api-") && image(pod) != image(name);
            let old: Vec<_> = self.names("Pod").into_iter().filter(old).collect();
            assert_eq!(old, Vec::<String>::new(), "contract while old pods exist");
        }
    }

    /// The Job took too long.
    pub fn deadline(&mut self, name: &str) {
        let Some(job) = self.find("Job", name) else { return };
        if job.data.get("status").and_then(|status| status.get("conditions")).is_some() {
            return;
        }
        for pod in self.pods_of(name) {
            self.terminate(&pod);
        }
        let status = json!({"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]});
        self.edit("Job", name, |job| json::set(job, &["status".into()], status));
    }

    /// The Deployment controller: one pod more, or one less.
    pub fn deployment(&mut self) {
        let Some(live) = self.find("Deployment", "keystone").cloned() else { return };
        let template = json::get(&live.data, "spec.template").cloned().unwrap();
        let wanted = usize::try_from(json::get(&live.data, "spec.replicas").unwrap().as_i64().unwrap()).unwrap();
        let pods: Vec<(String, bool, bool, bool)> = self
            .names("Pod")
            .into_iter()
            .filter(|name| name.starts_with("api-"))
            .map(|name| {
                let pod = self.find("Pod", &name).unwrap();
                let new = json::get(&pod.data, "spec") == template.get("spec");
                let ready = json::get(&pod.data, "status.conditions.0.status") == Some(&json!("True"));
                (name, new, ready, pod.metadata.deletion_timestamp.is_some())
            })
            .collect();
        let alive: Vec<_> = pods.iter().filter(|(.., going)| !going).collect();
        let new: Vec<_> = alive.iter().filter(|(_, new, ..)| *new).collect();
        let ready = alive.iter().filter(|(_, _, ready, _)| *ready).count();
        let status = json!({
            "observedGeneration": live.metadata.generation,
            "replicas": alive.len(), "updatedReplicas": new.len(),
            "readyReplicas": ready, "availableReplicas": ready,
        });
        self.edit("Deployment", "keystone", |live| live["status"] = status);
        // Of the old ones, those that do not serve go first.
        let old = alive.iter().filter(|(_, new, ..)| !new).min_by_key(|(_, _, ready, _)| *ready);
        let idle = old.is_some_and(|(_, _, ready, _)| !ready);
        let surplus = old.copied().or_else(|| alive.last().copied()).map(|(name, ..)| name.clone());
        if alive.len() > wanted && (ready > wanted || wanted == 0 || new.len() > wanted || idle) {
            self.terminate(&surplus.unwrap());
        } else if new.len() < wanted && alive.len() <= wanted {
            self.uids += 1;
            self.make_pod(&format!("api-{}", self.uids), &template, None);
        }
    }
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": reason, "message": message}}}]})
}

fn ended(phase: &str, message: &str) -> Value {
    let state = json!({"terminated": {"message": message, "finishedAt": "2026-01-01T00:00:00Z"}});
    json!({"phase": phase, "containerStatuses": [{"state": state}]})
}
