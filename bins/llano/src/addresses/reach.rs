//! Which cluster is meant, in the order of kubectl.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::bail;
use apiserver::Access;

/// How the cluster is reached.
#[derive(Debug, clap::Args)]
pub(super) struct Reach {
    /// The cluster's kubeconfig [default: what KUBECONFIG names, else ~/.kube/config, else as the pod that this runs in]
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// What is there to find a cluster by.
#[derive(Debug, Default)]
struct Around {
    /// KUBECONFIG.
    variable: Option<OsString>,
    /// `~/.kube/config`, if it is there.
    home: Option<PathBuf>,
    /// Whether this runs in a pod.
    in_pod: bool,
}

impl Reach {
    pub(super) fn access(&self) -> anyhow::Result<Access> {
        choose(self.kubeconfig.clone(), Around::look())
    }

    #[cfg(test)]
    pub(super) fn by(kubeconfig: PathBuf) -> Reach {
        Reach { kubeconfig: Some(kubeconfig) }
    }
}

impl Around {
    fn look() -> Around {
        let home = std::env::home_dir().map(|home| home.join(".kube/config"));
        Around {
            variable: std::env::var_os("KUBECONFIG"),
            home: home.filter(|file| file.exists()),
            in_pod: std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
        }
    }
}

fn choose(given: Option<PathBuf>, around: Around) -> anyhow::Result<Access> {
    let variable = around.variable.filter(|value| !value.is_empty()).map(PathBuf::from);
    match given.or(variable).or(around.home) {
        Some(file) => Ok(Access::Kubeconfig(file)),
        None if around.in_pod => Ok(Access::Pod),
        None => {
            bail!("no cluster to ask: give --kubeconfig FILE, or set KUBECONFIG; there is no ~/.kube/config")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_kubeconfig_is_taken() {
        let all = || Around { variable: Some("/v".into()), home: Some("/h".into()), in_pod: true };
        let by = |file: &str| Access::Kubeconfig(file.into());
        assert_eq!(choose(Some("/g".into()), all()).unwrap(), by("/g"));
        assert_eq!(choose(None, all()).unwrap(), by("/v"));
        assert_eq!(choose(None, Around { variable: Some("".into()), ..all() }).unwrap(), by("/h"));
        assert_eq!(choose(None, Around { in_pod: true, ..Around::default() }).unwrap(), Access::Pod);
        let error = choose(None, Around::default()).unwrap_err().to_string();
        assert!(error.contains("--kubeconfig FILE"), "{error}");
    }
}
