//! A change made, shown, refused and undone.

use std::process::{Command, Stdio};
use std::time::Duration;

use netns_tests::{LeakCheck, bin_dir};

use crate::site::Site;

#[test]
fn a_change_is_made_shown_and_undone() {
    let check = LeakCheck::begin();
    let site = Site::new();
    let (before, file) = (site.network(), site.file("wanted.yaml"));
    let dry = site.ok(&["apply", &file, "--dry-run"]);
    assert!(dry.contains("shop") && dry.contains("1400") && dry.contains("10.77.0.0/16"), "{dry}");
    assert_eq!((site.network(), site.declared()), (before.clone(), None), "a dry run changes nothing");
    let diff = site.json(&["diff", &file]);
    assert!(diff["interfaces"]["eth0"].is_array(), "{diff}");

    site.ok(&["apply", &file]);
    assert!(site.has_shop() && site.sh("ip -o addr show eth0").contains("10.9.0.7/24"));
    assert!(site.sh("ip route").contains("10.77.0.0/16 via 10.9.0.2"));
    assert!(site.declared().unwrap().contains("name: shop"));
    assert!(site.ok(&["apply", &file]).contains("so already"));
    assert_eq!(site.json(&["history"]).as_array().unwrap().len(), 1);
    let shown = site.json(&["show", "shop"]);
    assert_eq!(shown["interfaces"][0]["mac-vlan"]["base-iface"], "eth0");
    assert!(site.refused(&["show", "nosuch"]).contains("there is no interface nosuch; there are eth0"));

    site.ok(&["undo"]);
    assert_eq!((site.network(), site.declared()), (before, None));
    assert_eq!(site.refused(&["undo"]), "llano: there is no change to undo\n");
    site.settle("after it all");
    drop(site);
    check.assert_clean();
}

/// Where nothing can be written down nothing is changed, and what waits can be taken back all the same.
#[test]
fn a_full_disk() {
    let site = Site::new();
    let (before, file) = (site.network(), site.file("wanted.yaml"));
    let (fill, free) = ("cat /dev/zero > /var/lib/llano/full 2>/dev/null || true", "rm /var/lib/llano/full");
    site.sh(&format!("mount -t tmpfs -o size=512k tmpfs /var/lib/llano; mkdir /var/lib/llano/host; {fill}"));
    let refused = site.refused(&["apply", &file]);
    assert!(refused.contains("No space left on device"), "{refused}");
    site.settle("nothing was begun");
    assert_eq!((site.network(), site.declared()), (before.clone(), None));

    site.sh(free);
    site.ok(&["apply", &file, "--confirm", "600"]);
    site.sh(fill);
    site.ok(&["undo"]);
    site.settle("it is taken back");
    assert_eq!((site.network(), site.declared()), (before.clone(), None));

    site.sh(free);
    site.ok(&["apply", &file, "--confirm", "600"]);
    site.sh(fill);
    site.expire();
    site.settle("when its time is over");
    assert_eq!((site.network(), site.declared()), (before.clone(), None));

    // What cannot be written down as kept is taken back.
    site.sh(free);
    site.ok(&["apply", &file, "--confirm", "600"]);
    site.sh(fill);
    assert!(site.refused(&["confirm"]).contains("No space left on device"));
    site.ok(&["undo"]);
    site.settle("at last");
    assert_eq!((site.network(), site.declared()), (before, None));
}

/// `undo` of what was to be undone already is no undo of what was before it.
#[test]
fn undo_takes_back_one_change_only() {
    let site = Site::new();
    site.ok(&["apply", &site.file("wanted.yaml")]);
    let second =
        "interfaces: [ { name: second, type: mac-vlan, mac-vlan: { base-iface: eth1, mode: bridge } } ]";
    std::fs::write(site.file("second.yaml"), second).unwrap();
    site.ok(&["apply", &site.file("second.yaml"), "--confirm", "600"]);
    site.kill_all();
    site.expire();
    let output = site.run(&["undo"]);
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = "  delete second\nllano: apply second.yaml has been rolled back: not confirmed in 600 s\n";
    assert_eq!(said, expected);
    assert!(output.status.success() && site.has_shop());
    site.ok(&["apply", &site.file("second.yaml"), "--confirm", "600"]);
    assert!(site.refused(&["undo", "1"]).contains("waits to be confirmed"));
    site.ok(&["confirm"]);
    site.ok(&["undo", "1"]);
    assert!(!site.has_shop() && !site.sh("ip -o link").contains("second@"));
    site.settle("after all");
}

#[test]
fn every_command_has_help_with_an_example() {
    let commands = [
        "apply",
        "show",
        "diff",
        "confirm",
        "undo",
        "history",
        "enable",
        "disable",
        "boot",
        "owners",
        "access on",
        "access off",
        "access status",
    ];
    for command in commands {
        let llano = bin_dir().join("llano");
        let output = Command::new(llano).arg("host").args(command.split(' ')).arg("--help").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(
            help.contains(&format!("llano host {command}")) && help.contains("Example"),
            "{command}: {help}"
        );
    }
}

/// A file that says nothing is a mistake, not a change.
#[test]
fn an_empty_file_is_refused() {
    let site = Site::new();
    for text in ["", "interfaces: []\n", "---\n"] {
        std::fs::write(site.file("empty.yaml"), text).unwrap();
        assert_eq!(
            site.refused(&["apply", &site.file("empty.yaml")]),
            "llano: empty.yaml declares nothing\n"
        );
    }
    assert_eq!(site.declared(), None);
    assert_eq!(site.json(&["history"]).as_array().map(Vec::len), Some(0));
}

/// A container's macvlan goes with its parent, and no roll back makes it again: not without a word.
#[test]
fn what_containers_hang_on_is_not_taken_away_unasked() {
    let site = Site::new();
    let container = site.host().container("web").unwrap();
    // A macvlan with a VXLAN stands in for a bond or a VLAN with a macvlan, which not every kernel has.
    site.sh(&format!(
        "ip link add own9 link eth1 type macvlan mode bridge && ip link set own9 up \
         && ip link add lan9 type vxlan id 9 dev own9 dstport 4789 && ip link set lan9 netns {}",
        container.path().display()
    ));
    std::fs::write(site.file("gone.yaml"), "interfaces: [ { name: own9, state: absent } ]").unwrap();
    let file = site.file("gone.yaml");
    let said = site.refused(&["apply", &file]);
    assert!(said.contains("own9 carries lan9 of") && said.contains("--lose-containers"), "{said}");
    assert!(site.sh("ip -o link").contains("own9"));
    let dry = site.json(&["apply", &file, "--dry-run"]);
    assert_eq!(dry["containers"][0]["interface"], "lan9", "{dry}");
    assert!(site.ok(&["apply", &file, "--dry-run"]).contains("would refuse: own9 carries lan9"));
    site.ok(&["apply", &file, "--lose-containers"]);
    assert!(!site.sh("ip -o link").contains("own9"));
}

/// Nor by undo.
#[test]
fn undo_does_not_take_away_unasked_what_containers_hang_on() {
    let site = Site::new();
    let container = site.host().container("web").unwrap();
    let file = site.file("mtu.yaml");
    std::fs::write(&file, "interfaces: [ { name: eth1, type: ethernet, mtu: 1400 } ]").unwrap();
    site.ok(&["apply", &file]);
    // The bridge stands in for a bond or a VLAN that the change made, which not every kernel has.
    site.sh(
        r#"sed -i 's/"affected":\["eth1"/"affected":["br9","eth1"/' /var/lib/llano/host/history/0001.json"#,
    );
    site.sh(&format!(
        "ip link add br9 type bridge && ip link set br9 up && ip link add link br9 name lan9 netns {} type macvlan mode bridge",
        container.path().display()
    ));
    let said = site.refused(&["undo"]);
    assert!(said.contains("br9 carries lan9 of") && said.contains("--lose-containers"), "{said}");
    assert!(site.sh("ip -o link").contains("br9"));
    assert_eq!(site.json(&["undo", "--dry-run"])["containers"][0]["interface"], "lan9");
    assert!(site.ok(&["undo", "--dry-run"]).contains("would refuse: br9 carries lan9"));
    site.ok(&["undo", "--lose-containers"]);
    assert!(!site.sh("ip -o link").contains("br9"));
}

/// A dry run says what apply would say, and nothing that is not so.
#[test]
fn a_dry_run_says_what_apply_would() {
    let site = Site::new();
    let file = site.file("as-is.yaml");
    std::fs::write(&file, "interfaces: [ { name: eth1, type: ethernet, mtu: 1500 } ]").unwrap();
    let said = site.ok(&["apply", &file, "--dry-run"]);
    assert!(said.contains("it would be declared") && !said.contains("declared now"), "{said}");
    assert_eq!(site.json(&["apply", &file, "--dry-run"])["declared"], false);
    site.ok(&["apply", &file]);
    assert_eq!(site.json(&["apply", &file, "--dry-run"])["declared"], true);

    let wanted = site.file("wanted.yaml");
    site.ok(&["apply", &wanted, "--confirm", "600"]);
    std::fs::write(&file, "interfaces: [ { name: eth1, type: ethernet, mtu: 1400 } ]").unwrap();
    let said = site.ok(&["apply", &file, "--dry-run"]);
    assert!(said.contains("would refuse: ") && said.contains("waits to be confirmed"), "{said}");
    site.ok(&["confirm"]);
    site.ok(&["enable", "--program", "/usr/bin/llano"]);
    let second =
        "interfaces: [ { name: second, type: mac-vlan, mac-vlan: { base-iface: eth1, mode: bridge } } ]";
    std::fs::write(&file, second).unwrap();
    let dry = site.json(&["apply", &file, "--dry-run"]);
    assert_eq!(dry["refused"], serde_json::json!([]));
    assert_eq!(dry["files"], serde_json::json!(["/etc/systemd/network/05-llano.link"]));
    assert!(
        site.ok(&["apply", &file, "--dry-run"]).contains("would write /etc/systemd/network/05-llano.link")
    );
}

/// What was written into host.yaml by hand is not lost by an undo.
#[test]
fn undo_keeps_a_host_yaml_that_was_edited() {
    let site = Site::new();
    site.ok(&["apply", &site.file("wanted.yaml")]);
    site.sh("echo '# by hand' >> /etc/llano/host.yaml");
    let edited = site.declared().unwrap();
    let output = site.run(&["undo"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("/etc/llano/host.yaml was edited since the newest change"), "{said}");
    assert_eq!((site.declared(), site.sh("cat /etc/llano/host.yaml.edited")), (None, edited));
    site.sh("rm /etc/llano/host.yaml.edited");
    site.ok(&["apply", &site.file("wanted.yaml")]);
    let output = site.run(&["undo"]);
    assert!(!String::from_utf8(output.stderr).unwrap().contains("was edited"));
    assert_eq!(site.sh("ls /etc/llano/host.yaml.edited 2>/dev/null || true"), "");
}

/// enable writes into the list of files that an apply writes into too: one after the other.
#[test]
fn enable_waits_for_an_apply() {
    let site = Site::new();
    let mut holder = site.host().command("sh").unwrap();
    let script =
        "mkdir -p /var/lib/llano/host; exec 9<> /var/lib/llano/host/lock; flock 9; echo held; read line";
    let mut holder =
        holder.args(["-ec", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut [0; 5]).unwrap();
    let mut enable = site.command(&["enable", "--program", "/usr/bin/llano"]);
    let mut enable = enable.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut errors = std::io::BufReader::new(enable.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut errors, &mut said).unwrap();
    assert_eq!(said, "llano: waiting for another llano host\n");
    assert_eq!(site.sh("ls /var/lib/llano/host/files.json 2>/dev/null || true"), "");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert!(enable.wait().unwrap().success());
    assert!(!site.sh("ls /var/lib/llano/host/files.json").is_empty());
}

/// What cannot be taken back now may be later: somebody may be cut off from the host until then.
#[test]
fn the_watchdog_does_not_give_up() {
    let site = Site::new();
    let before = site.network();
    site.ok(&["apply", &site.file("wanted.yaml"), "--confirm", "600"]);
    // A network that does not let go is stood in for by one that is not the change's.
    let of = |text: &str| {
        let at = text.find("\"namespace\":[").unwrap() + "\"namespace\":[".len();
        (at, at + text[at..].find(']').unwrap())
    };
    let mut own = String::new();
    site.rewrite(|text| {
        let (from, to) = of(text);
        own = text[from..to].to_owned();
        format!("{}{:>width$}{}", &text[..from], "0,0", &text[to..], width = to - from)
    });
    site.expire();
    // Longer than a handful of tries.
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(site.running().len(), 1, "the watchdog is there");
    assert!(site.has_shop());
    site.rewrite(|text| {
        let (from, to) = of(text);
        format!("{}{own}{}", &text[..from], &text[to..])
    });
    site.settle("when it can be taken back");
    assert_eq!(site.network(), before);
}
