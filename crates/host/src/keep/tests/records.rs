//! Records and files, whole or torn.

use super::*;

#[test]
fn a_record_cut_at_any_byte_is_put_aside_with_a_word() {
    let site = Site::new();
    cut_short(&site, Stage::Applying { until: Duration::ZERO });
    let path = site.places().pending();
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        let torn = parse(&path, &whole[..cut]);
        let error = torn.expect_err("a part is no record");
        assert!(error.to_string().contains("pending.json is not a record"), "{error}");
        // Blocks that never came to the disk read as zeros.
        let mut zeroed = whole.clone();
        zeroed[cut..].fill(0);
        parse(&path, &zeroed).expect_err("zeros are no record");
    }
    for content in [&whole[..whole.len() / 2], b"", b"{}", br#"{"version":2}"#, b"[]", b"null", b"\xff\xfe"] {
        std::fs::write(&path, content).unwrap();
        let (keeper, told) = site.open_telling().unwrap();
        let [Told::Recovered(Recovered::Unreadable { aside, .. })] = told.as_slice() else {
            panic!("{told:?}")
        };
        assert_eq!(std::fs::read(aside).unwrap(), content);
        assert!(!path.exists());
        drop(keeper);
    }
    // The network stays as it is, and can be changed.
    assert_eq!(site.now(), network(SECOND));
    site.open().make(change(site.now(), 1300, "third"), None).unwrap();
}

#[test]
fn a_torn_entry_hides_no_other() {
    let site = Site::new();
    for name in ["first", "second", "third"] {
        site.open().make(change(site.now(), 9000, name), None).unwrap();
    }
    let path = site.places().history().join("0003.json");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 3]).unwrap();
    std::fs::write(site.places().history().join("notes.txt"), "").unwrap();
    let places = site.places();
    let entries = History::of(&places).entries().unwrap();
    assert_eq!(entries.iter().map(|n| n.entry.is_ok()).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(site.undo(None).unwrap().0, 2);
    assert!(matches!(site.undo(Some(3)), Err(Error::Record { .. })));
}

#[test]
fn old_entries_go() {
    let site = Site::new();
    let places = site.places();
    site.open().make(change(site.now(), 9000, "first"), None).unwrap();
    let entry = History::of(&places).entry(1).unwrap();
    for number in 0..120 {
        let mut entry = entry.clone();
        entry.id = format!("{number}");
        History::of(&places).add(&entry).unwrap();
    }
    let numbers: Vec<u32> = History::of(&places).entries().unwrap().iter().map(|n| n.number).collect();
    assert_eq!((numbers.len(), numbers.first(), numbers.last()), (100, Some(&22), Some(&121)));
}

#[test]
fn a_write_is_whole_or_not_there_and_leaves_nothing_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/file");
    durable::write(&path, b"one").unwrap();
    // What a crash left.
    std::fs::write(::durable::beside(&path), "torn").unwrap();
    durable::write(&path, b"two").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"two");
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    durable::remove(&path).unwrap();
    durable::remove(&path).unwrap();
    assert_eq!(durable::read(&path).unwrap(), None);
    assert!(durable::write(Path::new("/proc/no/such"), b"").is_err());
}

#[test]
fn files_are_put_back_as_they_were() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("secret"), "psk").unwrap();
    std::fs::set_permissions(at("secret"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink("/dev/null", at("masked")).unwrap();
    let files =
        [File::text(at("secret"), "x"), File::link(at("masked"), "/elsewhere"), File::text(at("d/new"), "y")];
    let before: Vec<_> = files.iter().map(|file| file.look().unwrap()).collect();
    files.iter().for_each(|file| file.write().unwrap());
    assert!(files.iter().all(File::is_there));
    before.iter().for_each(|replaced| replaced.put_back().unwrap());
    assert_eq!(std::fs::read_to_string(at("secret")).unwrap(), "psk");
    assert_eq!(at("secret").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_link(at("masked")).unwrap(), Path::new("/dev/null"));
    assert_eq!(before[2].before, Before::Nothing);
    assert!(!at("d/new").exists());
}
