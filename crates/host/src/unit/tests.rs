use std::path::Path;
use std::process::Command;

use super::{Enabling, Made, Manifest};
use crate::keep::Places;

fn seed() -> Made {
    Made { links: ["bond0", "bond0.100"].map(str::to_owned).into(), modules: ["bonding", "8021q"].into() }
}

fn tree(root: &Path) -> Vec<String> {
    let output =
        Command::new("find").arg(root).args(["-not", "-type", "d", "-printf", "%P %l\n"]).output().unwrap();
    let mut lines: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| line.trim().to_owned()).collect();
    lines.sort();
    lines
}

#[test]
fn a_tree_with_systemd_gets_the_unit_and_gives_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    std::fs::create_dir_all(root.join("usr/lib/systemd")).unwrap();
    std::fs::write(root.join("usr/lib/systemd/systemd"), "").unwrap();
    std::fs::create_dir_all(root.join("etc/modules-load.d")).unwrap();
    std::fs::write(root.join("etc/modules-load.d/llano.conf"), "theirs\n").unwrap();
    let before = tree(root);
    let places = Places::below(root);
    let plan = Enabling::plan(root, Path::new("/usr/bin/llano"), &seed());
    assert_eq!(plan.by_hand, None);
    let mut manifest = Manifest::read(&places).unwrap();
    let written = manifest.write(&places, &plan.files).unwrap();
    assert_eq!(written.len(), plan.files.len());
    assert_eq!(
        tree(root),
        [
            "etc/modprobe.d/llano.conf",
            "etc/modules-load.d/llano.conf",
            "etc/systemd/network/05-llano.link",
            "etc/systemd/system/llano-host.service",
            "etc/systemd/system/multi-user.target.wants/llano-host.service ../llano-host.service",
            "etc/systemd/system/network-online.target.wants/llano-host.service ../llano-host.service",
            "usr/lib/systemd/systemd",
            "var/lib/llano/host/files.json",
        ]
    );
    let link = std::fs::read_to_string(root.join("etc/systemd/network/05-llano.link")).unwrap();
    assert!(link.contains("OriginalName=bond0 bond0.100\n") && link.contains("MACAddressPolicy=none\n"));
    // Once more changes nothing, and forgets nothing.
    assert_eq!(manifest.write(&places, &plan.files).unwrap(), [""; 0].map(std::path::PathBuf::from));
    let mut again = Manifest::read(&places).unwrap();
    assert_eq!(again, manifest);
    again.put_back(&places).unwrap();
    assert_eq!(tree(root), before);
    assert_eq!(std::fs::read_to_string(root.join("etc/modules-load.d/llano.conf")).unwrap(), "theirs\n");
    assert_eq!(Manifest::read(&places).unwrap(), Manifest::default());
}

#[test]
fn systemd_itself_has_no_word_against_the_unit() {
    let dir = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    std::fs::create_dir_all(dir.path().join("etc/systemd/system")).unwrap();
    let plan = Enabling::plan(dir.path(), &program, &seed());
    for file in &plan.files {
        file.write().unwrap();
    }
    let unit = dir.path().join("etc/systemd/system/llano-host.service");
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output();
    let output = output.expect("this test needs systemd-analyze: apt-get install systemd");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("llano")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}

#[test]
fn without_systemd_it_says_what_to_call() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Enabling::plan(dir.path(), Path::new("/usr/local/bin/llano"), &seed());
    let by_hand = plan.by_hand.unwrap();
    assert_eq!(by_hand.command, "/usr/local/bin/llano host boot");
    assert!(by_hand.places.iter().all(|(_, text)| text.contains(&by_hand.command)));
    assert!(plan.files.iter().all(|file| !file.path.ends_with("llano-host.service")));
}

#[test]
fn a_torn_manifest_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    let file = crate::files::File::text(dir.path().join("a"), "text");
    Manifest::default().write(&places, &[file]).unwrap();
    let path = places.files();
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert!(Manifest::read(&places).unwrap_err().to_string().contains("files.json is not a record"));
    }
}
