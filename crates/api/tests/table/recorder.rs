//! A delegate that writes down what it is asked, and answers as the configuration's `answer` says.

use std::fmt::Write;

use api::sequence::PluginCall;
use api::status::DeviceInfo;
use api::{Delegate, DelegateCall, Device, Plan, RouteChange};
use cni::json::{self, Object, Value};
use cni::{CniResult, Error, Result, Verb, Version};
use ipnet::IpNet;

pub(crate) struct Recorder {
    pub(crate) lines: String,
}

impl Recorder {
    /// For a plan, whose calls must survive being written down: a deletion has nothing else.
    pub(crate) fn new(plan: &Plan) -> Recorder {
        for call in &plan.calls {
            let text = call.to_value().to_compact();
            let again = DelegateCall::from_value(&json::parse(text.as_bytes()).unwrap()).unwrap();
            assert_eq!(&again.to_value().to_compact(), &text);
            assert_eq!((&again.runtime, &again.args), (&call.runtime, &call.args));
            for index in 0..call.config.plugins().len() {
                let stdin = |call: &DelegateCall| call.config.stdin(index, None, &call.runtime).unwrap();
                assert_eq!(stdin(&again), stdin(call));
            }
            assert_eq!(
                (again.position, &again.ifname, &again.network, &again.default_route, &again.device),
                (call.position, &call.ifname, &call.network, &call.default_route, &call.device)
            );
            assert_eq!((again.role, &again.selection), (call.role, &call.selection));
        }
        Recorder { lines: String::new() }
    }
}

impl Delegate for Recorder {
    fn run(&mut self, plugin: &PluginCall<'_>) -> Result<Option<CniResult>> {
        let conf = json::parse(plugin.config.as_bytes())?;
        let root = Object::root(&conf)?;
        let text = |key: &str| root.string(key).map(|text| text.unwrap_or("-").to_owned());
        let verb = plugin.verb.as_str();
        write!(
            self.lines,
            "{verb} {} {} {} {}",
            plugin.call.ifname,
            plugin.kind,
            text("name")?,
            text("cniVersion")?
        )
        .unwrap();
        assert_eq!(text("type")?, plugin.kind);
        if let Some(runtime) = root.get("runtimeConfig") {
            write!(self.lines, " runtimeConfig={}", runtime.value).unwrap();
        }
        if let Some(args) = root.object("args")?.and_then(|args| args.get("cni")) {
            write!(self.lines, " args.cni={}", args.value).unwrap();
        }
        let own = ["IgnoreUnknown=true", "K8S_POD_NAMESPACE=", "K8S_POD_NAME=web-0"];
        let args: Vec<&str> = plugin.args.split(';').collect();
        assert!(own.iter().zip(&args).all(|(own, arg)| arg.starts_with(own)), "{}", plugin.args);
        let more = args.get(5..).unwrap_or_default();
        if !more.is_empty() {
            write!(self.lines, " CNI_ARGS={}", more.join(";")).unwrap();
        }
        if let Some(device) = root.string("deviceID")? {
            assert_eq!(root.string("pciBusID")?, Some(device));
            write!(self.lines, " deviceID={device}").unwrap();
        }
        let prev = root.get("prevResult").map(|node| node.value.clone());
        self.lines.push_str(if prev.is_some() { " prev\n" } else { "\n" });
        if plugin.verb != Verb::Add {
            return Ok(None);
        }
        if plugin.kind == "failing" {
            return Err(Error::try_again("no cable"));
        }
        let version = plugin.call.config.version();
        match (root.get("answer"), prev) {
            (Some(answer), _) => answer_of(answer.value, plugin, &root, version).map(Some),
            (None, Some(prev)) => CniResult::parse(&prev, version).map(Some),
            (None, None) => Ok(Some(CniResult::default())),
        }
    }

    fn change_default_route(&mut self, change: &RouteChange) -> Result<()> {
        write!(self.lines, "route {}", change.ifname).unwrap();
        self.lines.push_str(if change.remove.v4 { " -4" } else { "" });
        self.lines.push_str(if change.remove.v6 { " -6" } else { "" });
        for gateway in &change.add {
            write!(self.lines, " +{gateway}").unwrap();
        }
        self.lines.push('\n');
        Ok(())
    }

    fn device_info(&mut self, device: &Device) -> Option<DeviceInfo> {
        device.resource.as_ref()?;
        let id = &device.id;
        let text = format!(
            r#"{{"pci":{{"vhost-net":"/dev/vhost","pci-address":"{id}","x":"y"}},"version":"1.1.0","type":"pci"}}"#
        );
        Some(DeviceInfo::parse(text.as_bytes()).unwrap())
    }
}

/// The answer, with what was asked for where the plugin reads it.
fn answer_of(
    answer: &Value,
    plugin: &PluginCall<'_>,
    root: &Object<'_>,
    version: Version,
) -> Result<CniResult> {
    let mut result = CniResult::parse(answer, version)?;
    for interface in &mut result.interfaces {
        if interface.name == "IFNAME" {
            interface.name = plugin.call.ifname.to_string();
        }
    }
    let (mut ips, mut mac) = (Vec::new(), None);
    match root.string("reads")? {
        Some("runtime") => {
            if let Some(runtime) = root.object("runtimeConfig")? {
                ips = runtime.strings("ips")?.into_iter().map(str::to_owned).collect();
                mac = runtime.string("mac")?.map(str::to_owned);
            }
        }
        Some("args") => {
            let args = cni::Args::lenient(&plugin.args);
            ips = args.get("IP").map(|list| list.split(',').map(str::to_owned).collect()).unwrap_or_default();
            mac = args.get("MAC").map(str::to_owned);
        }
        _ => {}
    }
    if let Some(template) = result.ips.first().cloned()
        && !ips.is_empty()
    {
        let net = |ip: &str| match ip.parse::<IpNet>() {
            Ok(net) => net,
            Err(_) => IpNet::new(ip.parse().unwrap(), template.address.prefix_len()).unwrap(),
        };
        result.ips = ips.iter().map(|ip| cni::IpConfig { address: net(ip), ..template.clone() }).collect();
    }
    for interface in result.interfaces.iter_mut().filter(|interface| !interface.sandbox.is_empty()) {
        if let Some(mac) = &mac {
            interface.mac = mac.to_ascii_lowercase().replace('-', ":");
        }
    }
    Ok(result)
}
