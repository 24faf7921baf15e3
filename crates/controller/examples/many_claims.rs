//! A small API server with 20,000 claims of 20 subnets, each with its pod, to see what a controller needs for them:
//!
//! ```console
//! cargo run -p controller --example many_claims -- /tmp/many &
//! llano controller --kubeconfig /tmp/many/kubeconfig-* --metrics-address 127.0.0.1:9465 &
//! grep VmRSS /proc/$!/status
//! ```

use std::io::Write;
use std::path::PathBuf;

use apiserver::testing::Server;
use serde_json::json;

const SUBNETS: u8 = 20;
const EACH: u16 = 1000;

fn main() -> std::io::Result<()> {
    let dir = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "/tmp/many".to_owned()));
    std::fs::create_dir_all(&dir)?;
    let server = Server::start()?;
    let ours = "/apis/llano.dev/v1alpha1";
    server.put("/api/v1/namespaces", json!({"metadata": {"name": "shop"}}));
    for node in 0..10 {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        server.put(
            "/api/v1/nodes",
            json!({"metadata": {"name": format!("node{node}")}, "status": {"conditions": ready}}),
        );
    }
    let network = json!({"metadata": {"name": "lan"}, "spec": {"parent": "eth0"}});
    server.put(&format!("{ours}/macvlannetworks"), network);
    for s in 0..SUBNETS {
        let name = format!("lan-{s}");
        let spec = json!({"network": "lan", "cidr": format!("10.{s}.0.0/22")});
        server.put(&format!("{ours}/macvlansubnets"), json!({"metadata": {"name": name}, "spec": spec}));
        for n in 1..=EACH {
            let address = format!("10.{s}.{}.{}", n >> 8, n & 255);
            let (pod, uid) =
                (format!("web-5d8f7c9b4-{s:02}{n:03}"), format!("{s:08x}-0000-4000-8000-{n:012x}"));
            let owner = json!({"namespace": "shop", "pod": pod, "uid": uid, "node": format!("node{}", n % 10),
                "containerID": format!("{s:032x}{n:032x}"), "interface": "eth0"});
            let spec = json!({"network": "lan", "subnet": name, "address": address, "owner": owner,
                "mac": format!("02:00:00:{s:02x}:{:02x}:{:02x}", n >> 8, n & 255)});
            let metadata = json!({"name": format!("lan.{address}")});
            server.put(&format!("{ours}/macvlanips"), json!({"metadata": metadata, "spec": spec}));
            server.put("/api/v1/namespaces/shop/pods", json!({"metadata": {"name": pod, "uid": uid}}));
        }
    }
    let file = server.kubeconfig(&dir)?;
    writeln!(std::io::stdout(), "{}", file.display())?;
    loop {
        std::thread::park();
    }
}
