//! The containers' image: one static program.

use crate::error::Result;
use crate::host::Host;

/// The image's name, as runtimes write it in full.
pub const IMAGE: &str = "lab.llano.dev/busybox:latest";

/// Statically linked in Debian's package busybox-static: the image needs no library.
const BUSYBOX: &str = "/bin/busybox";

/// Where the archive is made, in the host's own /run.
const ARCHIVE: &str = "/run/llano-image/image.tar";

/// The layout of `docker save`, which ctr and podman both read.
const BUILD: &str = r#"set -e
mkdir -p /run/llano-image
cd /run/llano-image
mkdir -p root/bin root/etc root/proc root/sys root/dev root/tmp
cp "$BUSYBOX" root/bin/busybox
for name in sh sleep ping ip cat ls; do ln -sf busybox root/bin/$name; done
tar -C root -cf layer.tar .
sum=$(sha256sum layer.tar | cut -d' ' -f1)
printf '{"architecture":"%s","os":"linux","config":{"Cmd":["/bin/sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$ARCH" "$sum" > config.json
printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$IMAGE" > manifest.json
tar -cf image.tar manifest.json config.json layer.tar
rm -r root layer.tar
"#;

/// Makes the image's archive on a host; gives its path there.
pub(super) fn archive(host: &Host) -> Result<&'static str> {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let env = [("BUSYBOX", BUSYBOX), ("ARCH", arch), ("IMAGE", IMAGE)];
    super::output(host, "sh", &["-c", BUILD], &env).map(|_| ARCHIVE)
}
