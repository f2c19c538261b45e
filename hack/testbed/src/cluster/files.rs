//! The files of a cluster: credentials, kubeconfigs, the audit policy, the arguments of the API server.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::json;

/// The name of the audit log.
pub(super) const AUDIT_LOG: &str = "audit.log";
const TOKENS: &str = "tokens.csv";
const SIGNING_KEY: &str = "service-account.key";
const VERIFYING_KEY: &str = "service-account.pub";
/// What stands before the point of a P-256 key in its `SubjectPublicKeyInfo`: the lengths and the names of the curve.
const P256_HEADER: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
const AUDIT_POLICY: &str = "audit-policy.json";

/// Who asks. Two users, so that the audit log and RBAC tell the operator from the administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// May do everything.
    Admin,
    /// May do what the operator's roles say.
    Operator,
}

impl User {
    const ALL: [Self; 2] = [Self::Admin, Self::Operator];

    /// The name that the API server knows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            // The name of its service account, as the admission policies know it.
            Self::Operator => "system:serviceaccount:openstack-operators:openstack-release-operator",
        }
    }

    fn groups(self) -> &'static str {
        match self {
            Self::Admin => "system:masters",
            Self::Operator => "system:serviceaccounts",
        }
    }

    /// A test cluster listens on the loopback address and lives for minutes: the token needs no secrecy.
    fn token(self) -> String {
        format!("token-of-{}", self.name().replace(':', "-"))
    }
}

/// The kubeconfig of a user.
pub(super) fn kubeconfig(dir: &Path, user: User) -> PathBuf {
    dir.join(format!("{}.kubeconfig", user.name().replace(':', "-")))
}

/// Writes every file that the parts read.
pub(super) fn write(dir: &Path, port: u16) -> anyhow::Result<()> {
    let line = |user: User| format!("{},{name},{name},\"{}\"\n", user.token(), user.groups(), name = user.name());
    let tokens: String = User::ALL.into_iter().map(line).collect();
    fs::write(dir.join(TOKENS), tokens)?;
    write_signing_keys(dir)?;
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata", "users": User::ALL.map(User::name)}, {"level": "None"}],
    });
    fs::write(dir.join(AUDIT_POLICY), policy.to_string())?;
    for user in User::ALL {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "testbed",
            "clusters": [{"name": "testbed", "cluster": {
                "server": format!("https://127.0.0.1:{port}"),
                // The API server makes its own certificate at its first start.
                "certificate-authority": dir.join("certificates/apiserver.crt"),
            }}],
            "users": [{"name": user.name(), "user": {"token": user.token()}}],
            "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": user.name()}}],
        });
        fs::write(kubeconfig(dir, user), config.to_string())?;
    }
    Ok(())
}

/// The arguments of kube-apiserver.
pub(super) fn apiserver_args(dir: &Path, port: u16, etcd_port: u16, audit: bool) -> Vec<String> {
    let file = |name: &str| dir.join(name).display().to_string();
    let mut args = vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", file("certificates")),
        // No node will ever look for the endpoints of this server.
        "--endpoint-reconciler-type=none".to_owned(),
        "--service-cluster-ip-range=198.18.0.0/16".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        // As some distributions have it: who says `blockOwnerDeletion` must be allowed to update the owner's finalizers.
        "--enable-admission-plugins=OwnerReferencesPermissionEnforcement".to_owned(),
        format!("--token-auth-file={}", file(TOKENS)),
        "--service-account-issuer=https://testbed.invalid".to_owned(),
        format!("--service-account-key-file={}", file(VERIFYING_KEY)),
        format!("--service-account-signing-key-file={}", file(SIGNING_KEY)),
    ];
    if audit {
        args.push(format!("--audit-policy-file={}", file(AUDIT_POLICY)));
        args.push(format!("--audit-log-path={}", file(AUDIT_LOG)));
    }
    args
}

/// Keys for service account tokens, private and public. The server insists on them, although no test uses such a token.
fn write_signing_keys(dir: &Path) -> anyhow::Result<()> {
    let random = SystemRandom::new();
    let private = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
        .map_err(|_| anyhow!("no random numbers for a key"))?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private.as_ref(), &random)
        .map_err(|error| anyhow!("the new key is refused: {error}"))?;
    let public = [P256_HEADER, pair.public_key().as_ref()].concat();
    let pem = |label: &str, der: &[u8]| {
        format!("-----BEGIN {label} KEY-----\n{}\n-----END {label} KEY-----\n", STANDARD.encode(der))
    };
    fs::write(dir.join(SIGNING_KEY), pem("PRIVATE", private.as_ref()))?;
    fs::write(dir.join(VERIFYING_KEY), pem("PUBLIC", &public))?;
    Ok(())
}
