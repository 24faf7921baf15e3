//! Many threads on one store.

use super::{calls, dump, pod, result};
use crate::Store;

#[test]
fn everybody_gets_an_answer_of_his_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let intent = calls("a");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (store, intent) = (&store, &intent);
            scope.spawn(move || {
                for n in 0..6 {
                    let id = format!("t{thread}-{n}");
                    assert!(store.begin(&pod(&id), intent).unwrap());
                    // On disk, and not only queued, when the answer is there.
                    assert_eq!(store.get(&id).unwrap().unwrap().unwrap().attachments.len(), 2);
                    assert!(!store.begin(&pod(&id), intent).unwrap());
                    assert!(store.made(&id, &[(0, &result("10.0.0.1/8"))]).unwrap());
                    if n % 2 == 0 {
                        assert!(store.forget(&id).unwrap());
                        assert!(!store.forget(&id).unwrap());
                    }
                }
            });
        }
    });
    let found = dump(&store);
    assert_eq!(found.len(), 8 * 3);
    assert!(found.values().all(|text| text == "eth0=10.0.0.1/8 net1=?"), "{found:?}");
}
