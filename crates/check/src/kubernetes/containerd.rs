//! containerd's configuration, as far as it concerns CNI: `conf_dir` and `bin_dir` or `bin_dirs` of the section that ends
//! in `.cni`. A reader of TOML is not needed for that: both are written on a line of their own.

/// What containerd was told of CNI; its defaults where nothing is.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Cni {
    pub(crate) conf_dir: Option<String>,
    pub(crate) bin_dirs: Vec<String>,
}

impl Cni {
    pub(crate) fn parse(text: &str) -> Self {
        let mut cni = Self::default();
        let mut inside = false;
        for line in text.lines().map(str::trim) {
            if let Some(section) = line.strip_prefix('[') {
                inside = section.split(']').next().is_some_and(|name| name.trim().ends_with(".cni"));
                continue;
            }
            let (true, Some((key, value))) = (inside, line.split_once('=')) else { continue };
            let mut texts = quoted(value);
            match key.trim() {
                "conf_dir" => cni.conf_dir = texts.pop(),
                "bin_dir" | "bin_dirs" => cni.bin_dirs.extend(texts),
                _ => {}
            }
        }
        cni
    }
}

/// The texts in quotes of either kind on a line, up to a comment.
fn quoted(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find(['"', '\'', '#']) {
        let quote = &rest[at..=at];
        let after = &rest[at + 1..];
        let (false, Some(end)) = (quote == "#", after.find(quote)) else { break };
        found.push(after[..end].to_owned());
        rest = &after[end + 1..];
    }
    found.retain(|text| !text.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_of_the_file() {
        let text = r#"
version = 2
[plugins."io.containerd.grpc.v1.cri".containerd]
  conf_dir = "/not/this"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/opt/bin" # "/not/this"
  conf_dir = '/etc/net.d'
"#;
        let cni = Cni::parse(text);
        assert_eq!(
            (cni.conf_dir.as_deref(), cni.bin_dirs),
            (Some("/etc/net.d"), vec!["/opt/bin".to_owned()])
        );
        let newer = "[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = ['/a', '/b']\nconf_dir = ''\n";
        assert_eq!(
            Cni::parse(newer),
            Cni { conf_dir: None, bin_dirs: vec!["/a".to_owned(), "/b".to_owned()] }
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "(\\[a\\.cni\\]\n)?[a-z_=\"'#\\[\\] ä\n]*") {
            let _ = Cni::parse(&text);
        }
    }
}
