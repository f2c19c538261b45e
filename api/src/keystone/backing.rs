//! What a `Keystone` stands on: database, cache, keys, the first administrator.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::filled;

/// A key of a Secret in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKey {
    /// The Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key; `password` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub key: Option<String>,
}

/// Where the data is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// The host; a Service of the namespace or any name or address.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(length(max = 253))]
    pub host: Option<String>,
    /// A Galera instance of the control plane: upstream's Service has the name of the instance; `host` says it better.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(length(max = 253))]
    pub instance: Option<String>,
    /// The port. Default 3306.
    #[serde(default = "mysql_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The schema. Default `keystone`.
    #[serde(default = "keystone")]
    #[schemars(length(min = 1, max = 64))]
    pub database: String,
    /// The user. Default `keystone`.
    #[serde(default = "keystone")]
    #[schemars(length(min = 1, max = 80))]
    pub user: String,
    /// The user's password. Default: key `password` of the Secret `<name>-db`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKey>,
    /// TLS to the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<DatabaseTls>,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            host: None,
            instance: None,
            port: mysql_port(),
            database: keystone(),
            user: keystone(),
            secret_ref: None,
            tls: None,
        }
    }
}

fn mysql_port() -> i32 {
    3306
}

fn keystone() -> String {
    "keystone".to_owned()
}

/// TLS to the database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseTls {
    /// The authorities that the server's certificate is checked against; key `ca.crt` when absent.
    pub ca_secret_ref: SecretKey,
}

/// The cache that all pods share. Without one every request asks the database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cache {
    /// memcached servers, `host:port`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub servers: Vec<String>,
    /// A Memcached instance of the control plane: the Service of that name, port 11211.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(length(max = 253))]
    pub instance: Option<String>,
}

/// The keys that tokens are encrypted with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FernetKeys {
    /// When keys rotate, as a cron expression. Default weekly.
    #[schemars(length(max = 100))]
    pub rotation_schedule: String,
    /// How many keys are kept. Default 3.
    #[schemars(range(min = 3, max = 100))]
    pub max_active_keys: i32,
    /// No scheduled rotation.
    pub suspend: bool,
    /// The time zone of the schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub time_zone: Option<String>,
}

impl Default for FernetKeys {
    fn default() -> Self {
        Self { rotation_schedule: WEEKLY.to_owned(), max_active_keys: 3, suspend: false, time_zone: None }
    }
}

/// Every Sunday at midnight (seed 000: weekly).
const WEEKLY: &str = "0 0 * * 0";

/// The keys that credentials are encrypted with. Keystone keeps three of them, always.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CredentialKeys {
    /// When keys rotate, as a cron expression. Default weekly.
    #[schemars(length(max = 100))]
    pub rotation_schedule: String,
    /// No scheduled rotation.
    pub suspend: bool,
    /// The time zone of the schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub time_zone: Option<String>,
}

impl Default for CredentialKeys {
    fn default() -> Self {
        Self { rotation_schedule: WEEKLY.to_owned(), suspend: false, time_zone: None }
    }
}

/// The first administrator and the first endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Bootstrap {
    /// The administrator. Default `admin`.
    #[schemars(length(min = 1, max = 255))]
    pub admin_user: String,
    /// The administrator's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_password_secret_ref: Option<SecretKey>,
    /// The region. Default `RegionOne`.
    #[schemars(length(min = 1, max = 255))]
    pub region: String,
    /// The URL that users reach; the Service's when absent. Bootstrap writes it into the catalog: when Keystone is installed,
    /// and when a newer release is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub public_endpoint: Option<String>,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self {
            admin_user: "admin".to_owned(),
            admin_password_secret_ref: None,
            region: "RegionOne".to_owned(),
            public_endpoint: None,
        }
    }
}
