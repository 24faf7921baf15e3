//! The cluster's certificates, and the kubeconfigs that hold them.

use std::net::{IpAddr, Ipv4Addr};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use serde_json::json;

use crate::directory::{self, Directory};
use crate::error::{Error, Result};
use crate::spec::{API, API_PORT, API_SERVICE, CONTROL};

/// Where certificates are, on every host.
pub(crate) const DIR: &str = "/etc/kubernetes/pki";

/// The authority that signs everything, and its certificate.
pub(crate) struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
    key: String,
}

/// A certificate and its key, both PEM.
pub(crate) struct Pair {
    certificate: String,
    key: String,
}

impl Authority {
    pub(crate) fn new() -> Result<Self> {
        let wrong = |source| Error::Certificate { subject: "the authority".to_owned(), source };
        let key = KeyPair::generate().map_err(wrong)?;
        let mut params = named("kubernetes", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).map_err(wrong)?.pem();
        let text = key.serialize_pem();
        Ok(Authority { certificate, issuer: Issuer::new(params, key), key: text })
    }

    /// A client: its name is its user, its organisation a group.
    pub(crate) fn client(&self, user: &str, group: Option<&str>) -> Result<Pair> {
        let mut params = named(user, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(user, params)
    }

    /// A server under these names and addresses.
    fn server(&self, name: &str, names: &[&str], addresses: &[IpAddr]) -> Result<Pair> {
        let wrong = |source| Error::Certificate { subject: name.to_owned(), source };
        let mut params = named(name, None);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in names {
            params.subject_alt_names.push(SanType::DnsName((*name).try_into().map_err(wrong)?));
        }
        params.subject_alt_names.extend(addresses.iter().map(|address| SanType::IpAddress(*address)));
        self.sign(name, params)
    }

    fn sign(&self, subject: &str, mut params: CertificateParams) -> Result<Pair> {
        let wrong = |source| Error::Certificate { subject: subject.to_owned(), source };
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().map_err(wrong)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(wrong)?;
        Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// A kubeconfig with that client's certificate in it. JSON, which is YAML.
    pub(crate) fn kubeconfig(&self, user: &str, group: Option<&str>) -> Result<String> {
        let pair = self.client(user, group)?;
        let config = json!({
            "apiVersion": "v1", "kind": "Config",
            "clusters": [{"name": "llano", "cluster": {
                "server": format!("https://{API}:{API_PORT}"),
                "certificate-authority-data": base64(self.certificate.as_bytes()),
            }}],
            "users": [{"name": user, "user": {
                "client-certificate-data": base64(pair.certificate.as_bytes()),
                "client-key-data": base64(pair.key.as_bytes()),
            }}],
            "contexts": [{"name": "llano", "context": {"cluster": "llano", "user": user}}],
            "current-context": "llano",
        });
        Ok(format!("{config:#}"))
    }

    /// The authority's certificate on a host's disk.
    pub(crate) fn write_certificate(&self, directory: &Directory, host: &str) -> Result<()> {
        directory::write(&directory.on_disk(host, &format!("{DIR}/ca.crt")), &self.certificate)
    }

    /// What the control plane has on its disk: the authority, the API server's certificates, the key of service accounts.
    pub(crate) fn write_control(&self, directory: &Directory) -> Result<()> {
        let write = |name: &str, content: &str| {
            directory::write(&directory.on_disk(CONTROL, &format!("{DIR}/{name}")), content)
        };
        self.write_certificate(directory, CONTROL)?;
        write("ca.key", &self.key)?;
        let names = [
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "localhost",
        ];
        let addresses = [API, API_SERVICE, Ipv4Addr::LOCALHOST].map(IpAddr::V4);
        let server = self.server("kube-apiserver", &names, &addresses)?;
        write("apiserver.crt", &server.certificate)?;
        write("apiserver.key", &server.key)?;
        let client = self.client("kube-apiserver-kubelet-client", Some("system:masters"))?;
        write("apiserver-kubelet-client.crt", &client.certificate)?;
        write("apiserver-kubelet-client.key", &client.key)?;
        let accounts = KeyPair::generate()
            .map_err(|source| Error::Certificate { subject: "service accounts".to_owned(), source })?;
        write("sa.key", &accounts.serialize_pem())?;
        write("sa.pub", &accounts.public_key_pem())
    }
}

fn named(name: &str, organisation: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(organisation) = organisation {
        params.distinguished_name.push(DnType::OrganizationName, organisation);
    }
    // Go compares it with the authority's key identifier when several authorities have one name.
    params.use_authority_key_identifier_extension = true;
    params
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let index = (group >> (18 - 6 * at)) & 63;
            text.push(if at > chunk.len() { '=' } else { char::from(LETTERS[index as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn a_kubeconfig_names_user_and_server() {
        let authority = Authority::new().unwrap();
        let text = authority.kubeconfig("system:node:node1", Some("system:nodes")).unwrap();
        let config: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(config["clusters"][0]["cluster"]["server"], "https://10.60.0.1:6443");
        assert_eq!(config["users"][0]["name"], "system:node:node1");
    }
}
