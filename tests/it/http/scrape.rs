//! Reads what `/metrics` answers.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    condition::{self, Condition},
    service,
};
use testbed::Operator;

use crate::support::SOON;

/// One sample.
#[derive(Debug)]
pub struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// All samples of an answer.
#[derive(Debug)]
pub struct Scrape {
    text: String,
    samples: Vec<Sample>,
}

/// Asks an operator.
pub async fn scrape(operator: &Operator) -> Scrape {
    let (code, text) = operator.ask("/metrics").await.unwrap();
    assert_eq!(code, 200, "{text}");
    Scrape::read(text)
}

/// Asks an operator until a sample with these labels has that value.
pub async fn until(operator: &Operator, name: &str, labels: &[(&str, &str)], value: f64) -> Scrape {
    let has = |_: u16, text: &str| Scrape::read(text.to_owned()).find(name, labels) == Some(value);
    let found = operator.answers("/metrics", SOON, has).await;
    Scrape::read(
        found.unwrap_or_else(|error| panic!("{name} {labels:?} {value}: {error:#}\n{}", operator.log_tail(20))),
    )
}

impl Scrape {
    fn read(text: String) -> Self {
        assert!(text.ends_with("# EOF\n"), "{text}");
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(sample).collect();
        Self { text, samples }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Takes over the samples of another one.
    pub fn add(&mut self, other: Self) {
        self.text.push_str(&other.text);
        self.samples.extend(other.samples);
    }

    pub fn named(&self, name: &str) -> Vec<&Sample> {
        self.samples.iter().filter(|sample| sample.name == name).collect()
    }

    /// Whether there is a sample of a row: counters and histograms have endings.
    pub fn has(&self, name: &str) -> bool {
        ["", "_total", "_count"].iter().any(|end| !self.named(&format!("{name}{end}")).is_empty())
    }

    pub fn names(&self) -> BTreeSet<&str> {
        self.samples.iter().map(|sample| sample.name.as_str()).collect()
    }

    fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let matches = |sample: &&&Sample| {
            labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|found| found == value))
        };
        self.named(name).iter().find(matches).map(|sample| sample.value)
    }

    /// The value of the sample with these labels.
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).unwrap_or_else(|| panic!("no {name} {labels:?}: {:#?}", self.named(name)))
    }

    /// Each condition of an object is there: its type is known.
    #[track_caller]
    pub fn assert_conditions(&self, kind: &str, conditions: &[Condition]) {
        assert!(conditions.len() > 5);
        for Condition { type_, .. } in conditions {
            self.value("openstack_release_condition", &[("kind", kind), ("type", type_)]);
        }
    }

    /// No label has any text but the namespace and the name of objects.
    #[track_caller]
    pub fn assert_labels(&self) {
        let roots =
            ["OpenStackVersion", "OpenStackControlPlane", "OpenStackDataPlaneNodeSet", "CustomResourceDefinition"];
        let kinds: BTreeSet<&str> =
            service::kinds().iter().chain(plan::keystone::KINDS).map(|kind| kind.kind).chain(roots).collect();
        assert!(self.samples.len() > 20);
        for sample in &self.samples {
            for (label, value) in &sample.labels {
                let fine = match label.as_str() {
                    "namespace" | "name" => true,
                    "kind" => kinds.contains(value.as_str()),
                    "type" => condition::known(value).is_some(),
                    "service" => service::find(value).is_some(),
                    "le" => value == "+Inf" || value.parse::<f64>().is_ok(),
                    "version" => value == env!("CARGO_PKG_VERSION"),
                    "state" | "status" | "severity" | "step" | "phase" | "keys" | "verb" | "reason" | "controller" => {
                        is_word(value)
                    }
                    _ => false,
                };
                assert!(fine, "{label}={value:?} of {}", sample.name);
            }
        }
    }
}

/// `RollingUpdate`, `ovn-controlplane`: what enums are made of.
fn is_word(value: &str) -> bool {
    value.len() < 40 && value.chars().all(|c| c.is_ascii_alphabetic() || c == '-' || c == '_') && !value.is_empty()
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.strip_suffix('}').unwrap();
    let pairs = labels.split("\",").filter(|pair| !pair.is_empty()).map(|pair| pair.split_once("=\"").unwrap());
    let labels = pairs.map(|(label, value)| (label.to_owned(), value.trim_end_matches('"').to_owned())).collect();
    Sample { name: name.to_owned(), labels, value: value.parse().unwrap() }
}

/// The names of our metrics in a text.
pub fn metrics_in(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    words.filter(|word| word.starts_with("openstack_release_")).map(str::to_owned).collect()
}
