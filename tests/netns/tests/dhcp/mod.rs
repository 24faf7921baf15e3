//! What the DHCP tests share: a lab with a host for pods and two for servers, and the servers.

#![allow(dead_code)] // Each test program uses a part.
#![allow(clippy::unwrap_used)] // A test ends where it cannot go on.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::{Answer, Call, Container, Ephemeral, Host, Plugins};
use netns_tests::{bin_dir, llano_plugins, up};
use serde_json::{Value, json};

/// Hosts on one LAN: `host` runs the pods and has no address there; `one` and `two` run servers.
pub(crate) const LAB: &str = "
switches:
  lan: {}
hosts:
  host:
    interfaces:
      eth0: { switch: lan }
  one:
    interfaces:
      eth0: { switch: lan, addresses: [10.77.0.1/24, \"2001:db8:77::1/64\"] }
  two:
    interfaces:
      eth0: { switch: lan, addresses: [10.77.0.2/24, \"2001:db8:77::2/64\"] }
";

/// The lab with everything a test needs.
pub(crate) struct Bench {
    pub(crate) lab: Ephemeral,
    pub(crate) plugins: Plugins,
    /// Files of the servers.
    pub(crate) dir: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let lab = up(LAB);
        // Linked once: tests that run side by side in this process would do it under each other's feet.
        static PLUGINS: std::sync::OnceLock<Plugins> = std::sync::OnceLock::new();
        let plugins = PLUGINS.get_or_init(llano_plugins).clone();
        Bench { lab, plugins, dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn host(&self) -> &Host {
        self.lab.host("host").unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts dnsmasq on a server host. Options that begin with `--` are added.
    pub(crate) fn dnsmasq(&self, on: &str, options: &[&str]) -> Server {
        let leases = self.file(&format!("dnsmasq-{on}.leases"));
        let log = self.file(&format!("dnsmasq-{on}.log"));
        let mut command = self.lab.host(on).unwrap().command("/usr/sbin/dnsmasq").unwrap();
        command.args([
            "--keep-in-foreground",
            "--user=root",
            "--conf-file=/dev/null",
            "--port=0",
            "--no-ping",
        ]);
        command.args([
            "--interface=eth0",
            "--bind-interfaces",
            "--log-dhcp",
            "--pid-file=",
            "--dhcp-authoritative",
        ]);
        command.arg(format!("--dhcp-leasefile={}", leases.display()));
        command.arg(format!("--log-facility={}", log.display()));
        command.args(options);
        let server = Server { child: quiet(command), leases, log };
        wait("dnsmasq to start", || server.log().contains("DHCP"));
        server
    }

    /// Starts Kea's server of one family on a server host, with this configuration below `Dhcp4` or `Dhcp6`.
    pub(crate) fn kea(&self, on: &str, family: u8, mut config: Value) -> Server {
        let (leases, log) =
            (self.file(&format!("kea{family}-{on}.csv")), self.file(&format!("kea{family}-{on}.log")));
        config["interfaces-config"] = json!({"interfaces": ["eth0"]});
        config["lease-database"] =
            json!({"type": "memfile", "persist": true, "name": leases, "lfc-interval": 0});
        if family == 6 {
            // Its own identity, and none of it on the machine.
            config["server-id"] = json!({"type": "LL", "persist": false});
        }
        config["loggers"] = json!([{
            "name": format!("kea-dhcp{family}"), "severity": "DEBUG", "debuglevel": 40,
            "output_options": [{"output": log, "flush": true}],
        }]);
        let path = self.file(&format!("kea{family}-{on}.json"));
        std::fs::write(&path, json!({ format!("Dhcp{family}"): config }).to_string()).unwrap();
        let host = self.lab.host(on).unwrap();
        // Kea gives up on an interface whose link-local address is still being probed.
        wait("the server's addresses to settle", || {
            let all = kernel::Netlink::open_in(host.net()).unwrap().addresses(None).unwrap();
            all.iter().all(|a| a.flags & kernel::uapi::IFA_F_TENTATIVE == 0)
        });
        let mut command = host.command(format!("/usr/sbin/kea-dhcp{family}")).unwrap();
        command.arg("-c").arg(&path).env("KEA_PIDFILE_DIR", self.dir.path()).env("KEA_LOCKFILE_DIR", "none");
        let server = Server { child: quiet(command), leases, log };
        wait("Kea to start", || server.log().contains(&format!("DHCP{family}_STARTED")));
        server
    }

    /// Somebody on the LAN takes an address, and no server knows.
    pub(crate) fn squat(&self, address: &str) {
        let host = self.lab.host("two").unwrap();
        let mut netlink = kernel::Netlink::open_in(host.net()).unwrap();
        let index = netlink.index_of("eth0").unwrap().unwrap();
        let address = kernel::Address::new(index, address.parse().unwrap());
        let address = address.with_flags(kernel::uapi::IFA_F_NODAD);
        netlink.apply(&kernel::Change::AddAddress(address)).unwrap();
    }

    /// Starts the daemon by hand, where the plugin looks for it.
    pub(crate) fn daemon(&self, options: &[&str]) -> Daemon {
        let mut command = self.host().command(bin_dir().join("llano")).unwrap();
        command.arg("dhcp").args(options).env("LLANO_LOG", "debug");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let log = std::fs::File::options().create(true).append(true).open(self.file("daemon.log")).unwrap();
        let child = command.stderr(log).spawn().unwrap();
        wait("the daemon to listen", || self.listens());
        Daemon(child)
    }

    fn listens(&self) -> bool {
        let connect = || std::os::unix::net::UnixStream::connect("/run/llano/dhcp.sock").is_ok();
        self.host().run_in(connect).unwrap()
    }

    /// `llano dhcp list --output json`; empty when there is no daemon.
    pub(crate) fn leases(&self) -> Vec<Value> {
        let mut command = self.host().command(bin_dir().join("llano")).unwrap();
        let output = command.args(["dhcp", "list", "--output", "json"]).output().unwrap();
        if !output.status.success() {
            return Vec::new();
        }
        serde_json::from_slice::<Vec<Value>>(&output.stdout).unwrap()
    }

    /// Process ids of the daemons in the host.
    pub(crate) fn daemons(&self) -> Vec<i32> {
        let inside = self.host().net().id().unwrap();
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let net = kernel::NetNs::open(Path::new(&format!("/proc/{pid}/ns/net")));
            line.contains("llano\0dhcp") && net.is_ok_and(|n| n.id().is_ok_and(|id| id == inside))
        })
        .collect()
    }

    /// ADD of a macvlan with DHCP.
    pub(crate) fn add(&self, pod: &Container<'_>, ipam: &Value) -> lab::Result<Answer> {
        self.plugins.add(&conf(ipam), &call(pod))
    }

    pub(crate) fn del(&self, pod: &Container<'_>, ipam: &Value) -> lab::Result<()> {
        self.plugins.del(&conf(ipam), &call(pod), &Value::Null)
    }

    pub(crate) fn check(&self, pod: &Container<'_>, ipam: &Value, answer: &Answer) -> lab::Result<()> {
        self.plugins.check(&conf(ipam), &call(pod), &answer.json)
    }
}

fn call<'a>(pod: &'a Container<'a>) -> Call<'a> {
    Call { container: pod, ifname: "eth0", id: pod.name(), args: "" }
}

/// A macvlan on `eth0`; `ipam`'s keys beside its type.
pub(crate) fn conf(ipam: &Value) -> Value {
    let mut conf = json!({
        "cniVersion": "1.1.0", "name": "lan", "type": "macvlan", "master": "eth0",
        "ipam": {"type": "dhcp", "timeout": 20},
    });
    for (key, value) in ipam.as_object().unwrap() {
        conf["ipam"][key] = value.clone();
    }
    conf
}

/// Addresses on a pod's `eth0`, without link-local ones.
pub(crate) fn addresses(pod: &Container<'_>) -> Vec<String> {
    let mut netlink = kernel::Netlink::open_in(pod.net()).unwrap();
    let Some(link) = netlink.link_by_name("eth0").unwrap() else { return Vec::new() };
    let all = netlink.addresses(Some(link.index)).unwrap();
    let local = |ip: std::net::IpAddr| matches!(ip, std::net::IpAddr::V6(ip) if ip.is_unicast_link_local());
    all.iter().filter(|a| !local(a.net.addr())).map(|a| a.net.to_string()).collect()
}

/// The gateway of a pod's IPv4 default route.
pub(crate) fn gateway(pod: &Container<'_>) -> Option<String> {
    let filter =
        kernel::RouteFilter { family: Some(kernel::Family::V4), table: Some(254), ..Default::default() };
    let routes = kernel::Netlink::open_in(pod.net()).unwrap().routes(&filter).unwrap();
    routes.iter().find(|r| r.dst.is_none()).and_then(|r| r.gateway).map(|g| g.to_string())
}

/// A daemon started by hand, killed when dropped.
pub(crate) struct Daemon(Child);

impl Daemon {
    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.0)
    }

    /// SIGTERM; whether it ended well.
    pub(crate) fn terminate(mut self) -> bool {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::TERM).unwrap();
        self.0.wait().unwrap().success()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A DHCP server, ended when dropped.
pub(crate) struct Server {
    child: Child,
    leases: PathBuf,
    log: PathBuf,
}

impl Server {
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn leases(&self) -> String {
        std::fs::read_to_string(&self.leases).unwrap_or_default()
    }

    /// How often something stands in the log.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }

    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(80).collect();
            eprintln!("--- {}", self.log.display());
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- daemon");
            eprintln!("{}", std::fs::read_to_string(self.file("daemon.log")).unwrap_or_default());
            let started = self
                .host()
                .run_in(|| std::fs::read_to_string("/run/llano/dhcp.sock.log").unwrap_or_default());
            eprintln!("{}", started.unwrap_or_default());
        }
    }
}

fn quiet(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits for something that must come; a machine under load is given time.
pub(crate) fn wait(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(40);
    while !done() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
