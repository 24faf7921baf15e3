//! Which version of CNI a container runtime speaks.

use cni::Version;

/// The version for our list, by what the runtime says of itself (CRI `Version`: `containerd`, `v1.6.20`). containerd 1.6 runs a list of
/// version 1.1.0 and then refuses its result; what is not known gets 1.0.0, which every runtime of today speaks.
pub fn cni_version(runtime: &str, version: &str) -> Version {
    let mut numbers = version
        .trim_start_matches('v')
        .split(['.', '-', '+', '~'])
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match (runtime, major, minor) {
        ("containerd", 2.., _) => Version::V110,
        ("containerd", 1, 0..=5) => Version::V040,
        _ => Version::V100,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_runtimes() {
        for (runtime, version, expected) in [
            ("containerd", "1.6.20~ds1", Version::V100),
            ("containerd", "v1.7.27", Version::V100),
            ("containerd", "v2.1.4", Version::V110),
            ("containerd", "2.0.0-rc.1", Version::V110),
            ("containerd", "v1.5.9", Version::V040),
            ("cri-o", "1.33.0", Version::V100),
            ("containerd", "", Version::V100),
            ("", "unknown", Version::V100),
        ] {
            assert_eq!(cni_version(runtime, version), expected, "{runtime} {version}");
        }
    }
}
