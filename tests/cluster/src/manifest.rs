//! Parts of the manifests in `deploy/`.

/// The documents of a manifest that are of any other kind than this one.
///
/// # Panics
/// When it has none of that kind: it would be the whole manifest.
pub fn without_kind(manifest: &str, kind: &str) -> String {
    let line = format!("\nkind: {kind}\n");
    let (left_out, kept): (Vec<&str>, Vec<&str>) =
        manifest.split("\n---\n").partition(|document| document.contains(&line));
    assert!(!left_out.is_empty(), "the manifest has no {kind}");
    kept.join("\n---\n")
}
