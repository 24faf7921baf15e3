//! `CNI_ARGS` both ways of reading.

use cni::Args;

#[test]
fn strict_takes_known_keys_and_what_is_told_to_ignore() {
    assert_eq!(Args::strict("", &["MAC"]).unwrap(), Args::default());
    let args = Args::strict("MAC=02:00:00:00:00:01;IP=;MAC=x", &["MAC", "IP"]).unwrap();
    assert_eq!((args.get("MAC"), args.get("IP"), args.get("GATEWAY")), (Some("x"), Some(""), None));
    for ignore in ["IgnoreUnknown=1", "IgnoreUnknown=true", "IgnoreUnknown=True"] {
        let args = Args::strict(&format!("K8S_POD_NAME=a;{ignore};IP=10.0.0.1"), &["IP"]).unwrap();
        assert_eq!(args.iter().collect::<Vec<_>>(), [("IP", "10.0.0.1")]);
    }
}

#[test]
fn lenient_takes_everything_with_an_equals_sign() {
    let args = Args::lenient("K8S_POD_NAME=a=b;junk;;=x;IgnoreUnknown=1");
    assert_eq!(args.get("K8S_POD_NAME"), Some("a=b"));
    assert_eq!(args.iter().count(), 3);
}
