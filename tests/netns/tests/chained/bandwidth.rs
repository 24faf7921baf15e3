//! `bandwidth`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use lab::{Call, Container, Host, Plugins};
use serde_json::{Value, json};

use crate::support::{
    anonymous, both, call, config, host_shell, lab, llano, macvlan_pod, previous, reference, refused, remove,
    shell,
};

/// A pod with one end of a veth pair, whose other end `vh` + name is on the host.
fn veth_pod<'a>(host: &'a Host, name: &str) -> Container<'a> {
    let pod = host.container(name).unwrap();
    host_shell(
        host,
        &format!("ip link add vh{name} type veth peer name eth0 netns {name} && ip link set vh{name} up"),
    );
    shell(&pod, "ip link set eth0 up");
    pod
}

/// What the veth's maker hands down: both ends.
fn veth_previous(pod: &Container<'_>) -> Value {
    let mut previous = previous(pod, "1.0.0", &[("10.9.0.7/24", None)]);
    let host_end = json!({"name": format!("vh{}", pod.name()), "mac": "02:00:00:00:00:99"});
    previous["interfaces"].as_array_mut().unwrap().insert(0, host_end);
    previous["ips"][0]["interface"] = json!(1);
    previous
}

pub(crate) fn limits(ingress: u64, egress: u64) -> Value {
    let mut keys = json!({});
    for (way, rate) in [("ingress", ingress), ("egress", egress)] {
        if rate > 0 {
            keys[format!("{way}Rate")] = json!(rate);
            keys[format!("{way}Burst")] = json!(800_000);
        }
    }
    keys
}

/// Qdiscs and filters as `tc` tells them, without handles of the kernel's choice.
pub(crate) fn traffic(host: &Host, pod: Option<&Container<'_>>, device: &str) -> String {
    let line = format!("tc qdisc show dev {device}; tc filter show dev {device} ingress");
    match pod {
        Some(pod) => shell(pod, &line),
        None => host_shell(host, &line),
    }
}

/// The ifbs there are.
fn ifbs(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

fn host_ifbs(host: &Host) -> Vec<String> {
    ifbs(&host_shell(host, "ip -br link show type ifb"))
}

fn pod_ifbs(pod: &Container<'_>) -> Vec<String> {
    ifbs(&shell(pod, "ip -br link show type ifb"))
}

#[test]
fn both_shape_a_veth_in_the_same_way() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    for (case, keys) in [
        ("both", limits(8_000_000, 16_000_000)),
        ("in", limits(8_000_000, 0)),
        ("out", limits(0, 16_000_000)),
        ("runtime", json!({"runtimeConfig": {"bandwidth": limits(8_000_000, 16_000_000)}})),
        ("none", json!({})),
    ] {
        let mut shown = Vec::new();
        for (name, plugins) in both() {
            // The same name for both: the length of a name must not matter.
            let pod = veth_pod(host, "pod");
            let previous = veth_previous(&pod);
            let result = plugins
                .run("ADD", &config("bandwidth", "1.0.0", keys.clone(), &previous), &call(&pod))
                .unwrap();
            let ifbs = host_ifbs(host);
            assert_eq!(ifbs.len(), usize::from(!matches!(case, "in" | "none")), "{name} {case}");
            let mut text = traffic(host, None, "vhpod");
            for ifb in &ifbs {
                assert_eq!(ifb.len(), 15);
                assert!(text.contains(&format!("mirred (Egress Redirect to device {ifb})")), "{text}");
                text += &traffic(host, None, ifb);
                text += &host_shell(host, &format!("ip link show {ifb} | grep -o 'mtu [0-9]*\\|,UP'"));
            }
            // The filter itself: the reference sends every packet through two actions, one of them for nothing.
            let text: Vec<String> = text
                .lines()
                .filter(|line| !line.is_empty() && !line.contains("filter") && !line.starts_with(['\t', ' ']))
                .map(str::to_owned)
                .collect();
            let shaped = config("bandwidth", "1.0.0", keys.clone(), &result);
            // Some versions of the reference crash at a CHECK without limits.
            if name == "llano" || case != "none" {
                plugins.run("CHECK", &shaped, &call(&pod)).unwrap();
            }
            plugins.run("DEL", &shaped, &call(&pod)).unwrap();
            assert_eq!(host_ifbs(host), Vec::<String>::new(), "{name} {case}");
            let mut result = anonymous(&result, &pod);
            for interface in result["interfaces"].as_array_mut().unwrap() {
                if interface["name"].as_str().unwrap().starts_with("bwp") {
                    *interface = json!("an ifb without a sandbox").clone();
                }
            }
            let mac = previous["interfaces"][1]["mac"].as_str().unwrap().to_owned();
            shown.push((text, result.to_string().replace(&mac, "MAC")));
            remove(&pod);
        }
        assert_eq!(shown[0], shown[1], "{case}");
    }
}

#[test]
fn ours_takes_over_what_the_reference_shaped() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let keys = limits(8_000_000, 16_000_000);
    for with_result in [true, false] {
        let pod = veth_pod(host, "pod");
        let shaping = config("bandwidth", "1.0.0", keys.clone(), &veth_previous(&pod));
        let result = reference().run("ADD", &shaping, &call(&pod)).unwrap();
        let shaped = config("bandwidth", "1.0.0", keys.clone(), &result);
        llano().run("CHECK", &shaped, &call(&pod)).unwrap();
        let del = if with_result { shaped } else { config("bandwidth", "1.0.0", keys.clone(), &Value::Null) };
        llano().run("DEL", &del, &call(&pod)).unwrap();
        assert_eq!(host_ifbs(host), Vec::<String>::new());
        remove(&pod);
    }
}

#[test]
fn two_interfaces_of_a_pod_on_one_network_are_shaped_apart() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let pod = veth_pod(host, "pod");
    host_shell(host, "ip link add vh2 type veth peer name net1 netns pod && ip link set vh2 up");
    shell(&pod, "ip link set net1 up");
    let keys = limits(0, 16_000_000);
    let add = |ifname: &str, keys: &Value| {
        let mut previous = veth_previous(&pod);
        previous["interfaces"][1]["name"] = json!(ifname);
        let call = Call { ifname, ..call(&pod) };
        llano().run("ADD", &config("bandwidth", "1.0.0", keys.clone(), &previous), &call).unwrap()
    };
    let first = add("eth0", &keys);
    add("net1", &keys);
    assert_eq!(host_ifbs(host).len(), 2);
    llano().run("DEL", &config("bandwidth", "1.0.0", keys.clone(), &first), &call(&pod)).unwrap();
    assert_eq!(host_ifbs(host).len(), 1);
    // What a killed ADD left is no obstacle, and a namespace that is gone none for DEL.
    host_shell(host, "ip netns del pod");
    let net1 = Call { ifname: "net1", ..call(&pod) };
    llano().run("DEL", &config("bandwidth", "1.0.0", keys, &Value::Null), &net1).unwrap();
    assert_eq!(host_ifbs(host), Vec::<String>::new());
}

#[test]
fn gc_removes_the_ifbs_of_the_dead() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let keys = limits(0, 16_000_000);
    for name in ["alive", "dead"] {
        let pod = veth_pod(host, name);
        llano()
            .run("ADD", &config("bandwidth", "1.0.0", keys.clone(), &veth_previous(&pod)), &call(&pod))
            .unwrap();
    }
    let pod = host.open_container("alive").unwrap();
    let gc = |network: &str, keys: Value| {
        let mut config = config("bandwidth", "1.1.0", keys, &Value::Null);
        config["name"] = json!(network);
        llano().run("GC", &config, &call(&pod)).unwrap();
        host_ifbs(host).len()
    };
    assert_eq!(gc("net", json!({})), 2, "without a list nothing is garbage");
    assert_eq!(gc("ne", json!({"cni.dev/valid-attachments": []})), 2, "another network's are not ours");
    let alive = json!({"cni.dev/valid-attachments": [{"containerID": "alive", "ifname": "eth0"}]});
    assert_eq!(gc("net", alive), 1);
    assert_eq!(gc("net", json!({"cni.dev/valid-attachments": null})), 0);
}

/// Two macvlans that can reach one another, the first at 10.3.0.1 and the second at 10.3.0.2.
fn neighbours(host: &Host) -> [Container<'_>; 2] {
    ["one", "two"].map(|name| {
        let number = if name == "one" { 1 } else { 2 };
        let pod = macvlan_pod(host, name, number);
        shell(&pod, &format!("ip link set eth0 up && ip address add 10.3.0.{number}/24 dev eth0"));
        pod
    })
}

fn shape(plugins: &Plugins, pod: &Container<'_>, keys: &Value) -> Value {
    let previous = previous(pod, "1.0.0", &[("10.3.0.1/24", None)]);
    plugins.run("ADD", &config("bandwidth", "1.0.0", keys.clone(), &previous), &call(pod)).unwrap()
}

#[test]
fn a_macvlan_is_shaped_inside_the_pod_and_unshaped_again() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let [pod, _] = neighbours(host);
    let plain = traffic(host, Some(&pod), "eth0");
    let keys = limits(8_000_000, 16_000_000);
    let result = shape(&llano(), &pod, &keys);
    let ifb = pod_ifbs(&pod);
    assert_eq!((ifb.len(), host_ifbs(host).len()), (1, 0));
    let interface = &result["interfaces"][1];
    assert_eq!((&interface["name"], &interface["sandbox"]), (&json!(ifb[0]), &json!("/run/netns/one")));
    let mac = shell(
        &pod,
        &format!(
            "cat /sys/class/net/{}/address 2>/dev/null || ip -br link show {0} | awk '{{print $3}}'",
            ifb[0]
        ),
    );
    assert!(
        shell(&pod, &format!("ip link show {}", ifb[0])).contains(interface["mac"].as_str().unwrap()),
        "{mac}"
    );
    let eth0 = traffic(host, Some(&pod), "eth0");
    assert!(eth0.contains("tbf 1: root") && eth0.contains("rate 16Mbit burst 100000b lat 25ms"), "{eth0}");
    assert!(eth0.contains(&format!("mirred (Egress Redirect to device {})", ifb[0])), "{eth0}");
    let through = traffic(host, Some(&pod), &ifb[0]);
    assert!(
        through.contains("tbf 1: root") && through.contains("rate 8Mbit burst 100000b lat 25ms"),
        "{through}"
    );

    let shaped = config("bandwidth", "1.0.0", keys.clone(), &result);
    llano().run("CHECK", &shaped, &call(&pod)).unwrap();
    let ifb = &ifb[0];
    for (change, back, words) in [
        (
            "tc qdisc change dev eth0 root tbf rate 17mbit burst 100000 latency 25ms".to_owned(),
            "tc qdisc change dev eth0 root tbf rate 16mbit burst 100000 limit 150000".to_owned(),
            "Rate doesn't match",
        ),
        (
            "tc qdisc change dev eth0 root tbf rate 16mbit burst 100000 limit 150001".to_owned(),
            "tc qdisc change dev eth0 root tbf rate 16mbit burst 100000 limit 150000".to_owned(),
            "Limit doesn't match",
        ),
        (
            format!("tc qdisc change dev {ifb} root tbf rate 8mbit burst 90000 limit 125000"),
            format!("tc qdisc change dev {ifb} root tbf rate 8mbit burst 100000 limit 125000"),
            "Buffer doesn't match",
        ),
        ("tc filter del dev eth0 ingress".to_owned(), String::new(), "is not sent through"),
        (format!("ip link del {ifb}"), String::new(), "get ifb device"),
        ("tc qdisc del dev eth0 root".to_owned(), String::new(), "no tbf"),
    ] {
        shell(&pod, &change);
        let (code, text) = refused(&llano(), "CHECK", &shaped, &call(&pod));
        assert!(code >= 100 && text.contains(words), "{change}: {code} {text}");
        if !back.is_empty() {
            shell(&pod, &back);
            llano().run("CHECK", &shaped, &call(&pod)).unwrap();
        }
    }
    // DEL of what is half gone, twice, and a new ADD.
    llano().run("DEL", &shaped, &call(&pod)).unwrap();
    llano().run("DEL", &shaped, &call(&pod)).unwrap();
    assert_eq!(traffic(host, Some(&pod), "eth0"), plain);
    shape(&llano(), &pod, &keys);
    llano().run("DEL", &config("bandwidth", "1.0.0", keys, &Value::Null), &call(&pod)).unwrap();
    assert_eq!(traffic(host, Some(&pod), "eth0"), plain);
    assert_eq!(pod_ifbs(&pod), Vec::<String>::new());
    let (_, text) =
        refused(&reference(), "ADD", &config("bandwidth", "1.0.0", limits(8000, 8000), &result), &call(&pod));
    assert!(text.contains("no veth peer"), "the reference cannot: {text}");
}

#[test]
fn a_failed_add_leaves_nothing() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let [pod, _] = neighbours(host);
    for other in
        ["tc qdisc add dev eth0 root tbf rate 1mbit burst 10000 latency 1ms", "tc qdisc add dev eth0 clsact"]
    {
        shell(&pod, other);
        let before = traffic(host, Some(&pod), "eth0");
        let previous = previous(&pod, "1.0.0", &[]);
        let keys = limits(8_000_000, 16_000_000);
        let (_, text) = refused(&llano(), "ADD", &config("bandwidth", "1.0.0", keys, &previous), &call(&pod));
        assert!(text.contains("EEXIST") || text.contains("exist"), "{text}");
        assert_eq!(traffic(host, Some(&pod), "eth0"), before);
        assert_eq!(pod_ifbs(&pod), Vec::<String>::new());
        shell(&pod, other.replace("add", "del").split(" tbf").next().unwrap());
    }
}

#[test]
fn no_previous_result_is_an_error_and_no_panic() {
    let lab = lab();
    let pod = macvlan_pod(lab.host("host").unwrap(), "pod", 1);
    for keys in [json!({}), limits(8000, 8000)] {
        let (code, text) =
            refused(&llano(), "ADD", &config("bandwidth", "1.0.0", keys, &Value::Null), &call(&pod));
        assert!(code == 7 && text.contains("must be called as chained plugin"), "{code} {text}");
    }
    let old = config("bandwidth", "0.2.0", json!({}), &Value::Null);
    assert_eq!(refused(&llano(), "ADD", &old, &call(&pod)).0, 1, "0.2.0 has no interfaces to add to");
}

/// Bytes that arrive in `time`, sent as fast as can be over TCP from inside `from` to `to` in `receiver`.
fn tcp(from: &Container<'_>, receiver: &Container<'_>, to: SocketAddr, time: Duration) -> u64 {
    let listener = receiver.net().run(|| TcpListener::bind(to).unwrap()).unwrap();
    let mut sender =
        from.net().run(|| TcpStream::connect_timeout(&to, Duration::from_secs(5)).unwrap()).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    sender.set_write_timeout(Some(time)).unwrap();
    stream.set_read_timeout(Some(time)).unwrap();
    let end = Instant::now() + time;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let block = [0; 16_384];
            while Instant::now() < end && sender.write(&block).is_ok() {}
            // What is in its queue would still come after the end.
            let _ = sender.shutdown(std::net::Shutdown::Both);
        });
        let mut total = 0;
        let mut block = [0; 16_384];
        while Instant::now() < end {
            match stream.read(&mut block) {
                Ok(0) | Err(_) => break,
                Ok(count) => total += u64::try_from(count).unwrap(),
            }
        }
        total
    })
}

/// Bytes that arrive while datagrams are sent for `time` at about 80 Mbit/s.
fn udp(from: &Container<'_>, receiver: &Container<'_>, to: SocketAddr, time: Duration) -> u64 {
    let socket = receiver.net().run(|| UdpSocket::bind(to).unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let sender = from.net().run(|| UdpSocket::bind("0.0.0.0:0").unwrap()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let end = Instant::now() + time;
            while Instant::now() < end {
                for _ in 0..10 {
                    let _ = sender.send_to(&[0; 1000], to);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let mut total = 0;
        let mut block = [0; 2000];
        while let Ok(count) = socket.recv(&mut block) {
            total += u64::try_from(count).unwrap();
        }
        total
    })
}

/// Whether `bytes` in one second are what a bucket of `rate` bits per second and 100,000 bytes lets through, within a
/// factor of two: the machine may be busy.
fn assert_limited(what: &str, bytes: u64, rate: u64) {
    let expected = rate / 8 + 100_000;
    assert!(bytes > expected / 2 && bytes < expected * 2, "{what}: {bytes} bytes, expected about {expected}");
}

#[test]
fn a_macvlans_rates_are_really_limited_both_ways() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let [one, two] = neighbours(host);
    let to_one: SocketAddr = "10.3.0.1:7000".parse().unwrap();
    let to_two: SocketAddr = "10.3.0.2:7000".parse().unwrap();
    let second = Duration::from_secs(1);
    let (ingress, egress) = (8_000_000, 4_000_000);
    // Far more than the limits passes before.
    assert!(tcp(&one, &two, to_two, second) > 4 * ingress / 8, "unshaped, out");
    assert!(tcp(&two, &one, to_one, second) > 4 * ingress / 8, "unshaped, in");
    let keys = limits(ingress, egress);
    let result = shape(&llano(), &one, &keys);
    assert_limited("TCP in", tcp(&two, &one, to_one, second), ingress);
    assert_limited("TCP out", tcp(&one, &two, to_two, second), egress);
    assert_limited("UDP in", udp(&two, &one, to_one, second), ingress);
    assert_limited("UDP out", udp(&one, &two, to_two, second), egress);
    llano().run("DEL", &config("bandwidth", "1.0.0", keys, &result), &call(&one)).unwrap();
    // One way only: the other is free.
    let keys = limits(0, egress);
    shape(&llano(), &one, &keys);
    assert_eq!(pod_ifbs(&one), Vec::<String>::new(), "only what is received needs an ifb");
    assert_limited("TCP out alone", tcp(&one, &two, to_two, second), egress);
    assert!(udp(&two, &one, to_one, second) > 4 * egress / 8, "in is not shaped");
}
