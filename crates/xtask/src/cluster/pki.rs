//! Layout of a new node -> its keys and certificates (pure, except for randomness).

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::layout::{API_SERVICE, NODE, NODE_ADDRESS};

/// A key with its certificate, both as PEM.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// One certificate to be issued.
struct Subject {
    file: &'static str,
    common_name: String,
    organization: Option<&'static str>,
    names: Vec<String>,
}

/// Everything the node's processes need, as file name -> PEM text.
pub(crate) fn generate() -> anyhow::Result<Vec<(String, String)>> {
    generate_with(&[])
}

/// A client beyond those of a node: name of its files, user and group.
pub(crate) type Client = (&'static str, &'static str, &'static str);

/// The same, and certificates for more clients.
pub(crate) fn generate_with(clients: &[Client]) -> anyhow::Result<Vec<(String, String)>> {
    let cluster = authority("jupyter-k8s-cluster")?;
    let front = authority("jupyter-k8s-front-proxy")?;
    let accounts = KeyPair::generate()?;
    let mut files = vec![
        ("ca.crt".to_owned(), cluster.pem()),
        ("ca.key".to_owned(), cluster.key().serialize_pem()),
        ("front-ca.crt".to_owned(), front.pem()),
        ("accounts.key".to_owned(), accounts.serialize_pem()),
        ("accounts.pub".to_owned(), accounts.public_key_pem()),
    ];
    let mut add = |name: &str, pair: Pair| {
        files.push((format!("{name}.crt"), pair.certificate));
        files.push((format!("{name}.key"), pair.key));
    };
    let clients = clients
        .iter()
        .map(|(file, user, group)| Subject::client(file, user, Some(group)));
    for subject in subjects().into_iter().chain(clients) {
        let file = subject.file;
        add(file, issue(&cluster, subject)?);
    }
    add(
        "front",
        issue(&front, Subject::client("front", "front-proxy", None))?,
    );
    Ok(files)
}

impl Subject {
    fn client(file: &'static str, common_name: &str, organization: Option<&'static str>) -> Self {
        Self {
            file,
            common_name: common_name.to_owned(),
            organization,
            names: Vec::new(),
        }
    }
}

fn subjects() -> Vec<Subject> {
    let api_names = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ]
    .into_iter()
    .chain(["127.0.0.1", API_SERVICE, NODE_ADDRESS]);
    vec![
        Subject {
            names: api_names.map(str::to_owned).collect(),
            ..Subject::client("apiserver", "kube-apiserver", None)
        },
        Subject {
            names: [NODE, NODE_ADDRESS, "127.0.0.1"].map(str::to_owned).to_vec(),
            ..Subject::client("kubelet", &format!("system:node:{NODE}"), Some("system:nodes"))
        },
        Subject::client("admin", "admin", Some("system:masters")),
        Subject::client("controllers", "system:kube-controller-manager", None),
        Subject::client("scheduler", "system:kube-scheduler", None),
        Subject::client("proxy", "system:kube-proxy", None),
    ]
}

fn authority(name: &str) -> anyhow::Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = params(name, None, Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn issue(authority: &CertifiedIssuer<'_, KeyPair>, subject: Subject) -> anyhow::Result<Pair> {
    let mut params = params(&subject.common_name, subject.organization, subject.names)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// A user, and at most one group.
fn named(user: &str, group: Option<&str>, names: Vec<String>) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, user);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    Ok(params)
}

fn params(user: &str, group: Option<&str>, names: Vec<String>) -> anyhow::Result<CertificateParams> {
    let mut params = named(user, group, names)?;
    params.use_authority_key_identifier_extension = true;
    // A node is deleted long before; fixed dates need no clock.
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2045, 1, 1);
    Ok(params)
}

/// A new key and a request for a certificate that names a user and at most one group, both as PEM.
pub(crate) fn request(user: &str, group: Option<&str>) -> anyhow::Result<Pair> {
    let key = KeyPair::generate()?;
    Ok(Pair {
        certificate: named(user, group, Vec::new())?.serialize_request(&key)?.pem()?,
        key: key.serialize_pem(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_administrator_is_a_master() {
        let masters = subjects()
            .into_iter()
            .filter(|subject| subject.organization == Some("system:masters"));
        assert_eq!(masters.map(|subject| subject.file).collect::<Vec<_>>(), ["admin"]);
    }
}
