//! `ipam` of a configuration with `"type": "dhcp"`, and what becomes of it in messages.
//!
//! | key | meaning |
//! |---|---|
//! | `families` | `["ipv4"]` (default), `["ipv6"]` or both: ADD succeeds when each has an address |
//! | `provide` | list of `{option, value}` or `{option, fromArg}`: options to send. `fromArg` names a key of CNI_ARGS |
//! | `request` | list of `{option, skipDefault}`: options to ask for, beside or instead of the default list |
//! | `priority` | metric of the routes |
//! | `suppress` | `["gateway"]`: no gateway and no default route |
//! | `clientId` | `"container"` (default, as the reference: `00` and container/network/interface) or `"mac"` |
//! | `probe` | `false` turns the conflict detection of an offered address off |
//! | `timeout` | seconds until ADD gives up, 1 to 210; default is the daemon's |
//! | `daemonSocketPath`, `stateDir` | read by the plugin: where the daemon listens, where it keeps leases |
//!
//! An option is a number from 1 to 254 or one of the names of [`OPTION_NAMES`]. `provide` and `request` are about
//! DHCPv4. Routers of IPv6 are not DHCP's business (they come by router advertisements), so a DHCPv6 address is a
//! /128 without routes.

use cni::{Args, Request};

use crate::wire::v4::option;

/// Names for option numbers: those of the reference plugin, and of what is asked for by default.
pub const OPTION_NAMES: [(&str, u8); 16] = [
    ("dhcp-client-identifier", option::CLIENT_ID),
    ("subnet-mask", option::SUBNET_MASK),
    ("routers", option::ROUTERS),
    ("host-name", option::HOST_NAME),
    ("user-class", option::USER_CLASS),
    ("vendor-class-identifier", option::VENDOR_CLASS),
    ("domain-name-servers", option::DNS_SERVERS),
    ("domain-name", option::DOMAIN_NAME),
    ("interface-mtu", option::INTERFACE_MTU),
    ("static-routes", option::STATIC_ROUTES),
    ("dhcp-lease-time", option::LEASE_TIME),
    ("dhcp-renewal-time", option::RENEWAL),
    ("dhcp-rebinding-time", option::REBINDING),
    ("domain-search", option::DOMAIN_SEARCH),
    ("classless-static-routes", option::CLASSLESS_ROUTES),
    ("ntp-servers", 42),
];

/// Asked for unless `skipDefault`: all that becomes part of the result or of the lease's times. Option 121 stands
/// before 3 and 33, as RFC 3442 wants it.
const DEFAULT_PARAMETERS: [u8; 12] = [
    option::SUBNET_MASK,
    option::CLASSLESS_ROUTES,
    option::ROUTERS,
    option::STATIC_ROUTES,
    option::DNS_SERVERS,
    option::DOMAIN_NAME,
    option::DOMAIN_SEARCH,
    option::INTERFACE_MTU,
    option::LEASE_TIME,
    option::SERVER_ID,
    option::RENEWAL,
    option::REBINDING,
];

/// Options the client sets itself: a configuration that sets them would break the exchange.
const OURS: [u8; 5] = [
    option::OVERLOAD,
    option::MESSAGE_TYPE,
    option::SERVER_ID,
    option::PARAMETERS,
    option::REQUESTED_ADDRESS,
];

/// The longest an ADD may take: kubelet gives up after four minutes.
pub const MOST_SECONDS: u32 = 210;

/// How a client names itself to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientId {
    /// `00`, then `containerID/network/ifname`, as the reference.
    Container,
    /// `01`, then the Ethernet address (RFC 2132, 9.14): the same lease for the same MAC.
    Mac,
}

/// The parsed `ipam` object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// An IPv4 address is wanted.
    pub ipv4: bool,
    /// An IPv6 address is wanted.
    pub ipv6: bool,
    /// DHCPv4 options to send, by number.
    pub provide: Vec<(u8, Vec<u8>)>,
    /// DHCPv4 options to ask for.
    pub request: Vec<u8>,
    /// Metric of routes.
    pub priority: Option<u32>,
    /// No gateway, no default route.
    pub no_gateway: bool,
    /// Client identifier.
    pub client_id: ClientId,
    /// Look for conflicts.
    pub probe: bool,
    /// Seconds until ADD gives up.
    pub timeout: Option<u32>,
}

impl Settings {
    /// Reads the configuration of a call.
    ///
    /// # Errors
    /// Code 7 with the key, its value and what is allowed.
    pub fn parse(request: &Request) -> cni::Result<Settings> {
        let mut settings = Settings {
            ipv4: true,
            ipv6: false,
            provide: Vec::new(),
            request: DEFAULT_PARAMETERS.to_vec(),
            priority: None,
            no_gateway: false,
            client_id: ClientId::Container,
            probe: true,
            timeout: None,
        };
        let Some(ipam) = request.ipam()? else { return Ok(settings) };
        if ipam.get("families").is_some() {
            (settings.ipv4, settings.ipv6) = (false, false);
            for node in ipam.items("families")? {
                match node.string()? {
                    "ipv4" => settings.ipv4 = true,
                    "ipv6" => settings.ipv6 = true,
                    _ => return Err(node.refuse("\"ipv4\" or \"ipv6\"")),
                }
            }
            if !settings.ipv4 && !settings.ipv6 {
                return Err(cni::Error::config(
                    "ipam.families",
                    "[]",
                    "a list with \"ipv4\", \"ipv6\" or both",
                ));
            }
        }
        settings.priority = ipam.u32("priority")?.filter(|p| *p > 0);
        settings.probe = ipam.bool("probe")?.unwrap_or(true);
        settings.timeout = ipam.u32_in("timeout", 1..=MOST_SECONDS)?;
        for node in ipam.items("suppress")? {
            match node.string()? {
                "gateway" => settings.no_gateway = true,
                _ => return Err(node.refuse("\"gateway\"")),
            }
        }
        if let Some(node) = ipam.get("clientId") {
            settings.client_id = match node.string()? {
                "container" | "" => ClientId::Container,
                "mac" => ClientId::Mac,
                _ => return Err(node.refuse("\"container\" or \"mac\"")),
            };
        }
        let args = Args::lenient(&request.env.args);
        for entry in ipam.objects("provide")? {
            let code = option_code(&entry)?;
            if OURS.contains(&code) {
                return Err(cni::Error::config(
                    &entry.path_of("option"),
                    code,
                    "an option that the client does not set itself (not 50, 52 to 55)",
                ));
            }
            let value = match (entry.text("fromArg")?.and_then(|key| args.get(key)), entry.text("value")?) {
                (Some(from_arg), _) => from_arg,
                (None, Some(value)) => value,
                (None, None) => continue,
            };
            if value.len() > 255 {
                return Err(cni::Error::config(&entry.path_of("value"), value, "at most 255 bytes"));
            }
            settings.provide.retain(|(c, _)| *c != code);
            settings.provide.push((code, value.as_bytes().to_vec()));
        }
        let wishes = ipam.objects("request")?;
        for entry in &wishes {
            if entry.bool("skipDefault")? == Some(true) {
                settings.request.clear();
            }
        }
        for entry in wishes {
            let skip_only = entry.get("option").is_none() && entry.bool("skipDefault")? == Some(true);
            if !skip_only {
                let code = option_code(&entry)?;
                if !settings.request.contains(&code) {
                    settings.request.push(code);
                }
            }
        }
        Ok(settings)
    }

    /// DHCPv4 options of every message: what the configuration provides, and the client identifier.
    pub fn options_v4(&self, key: &str, mac: [u8; 6]) -> Vec<(u8, Vec<u8>)> {
        let mut options = self.provide.clone();
        if !options.iter().any(|(code, _)| *code == option::CLIENT_ID) {
            let id = match self.client_id {
                ClientId::Container => std::iter::once(0).chain(key.bytes().take(254)).collect(),
                ClientId::Mac => std::iter::once(1).chain(mac).collect(),
            };
            options.push((option::CLIENT_ID, id));
        }
        options
    }
}

/// `option`: a number, also as text, or a name.
fn option_code(entry: &cni::json::Object<'_>) -> cni::Result<u8> {
    const ALLOWED: &str =
        "a number from 1 to 254, or a name such as \"host-name\", \"user-class\" or \"routers\"";
    let Some(node) = entry.get("option") else { return Err(entry.missing("option", ALLOWED)) };
    let number = match node.string() {
        Ok(text) => match OPTION_NAMES.iter().find(|(name, _)| *name == text) {
            Some((_, code)) => Some(*code),
            None => text.parse().ok(),
        },
        Err(_) => node.integer(1..=254).ok().and_then(|n| u8::try_from(n).ok()),
    };
    number.filter(|n| (1..=254).contains(n)).ok_or_else(|| node.refuse(ALLOWED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(ipam: &str, args: &str) -> cni::Result<Settings> {
        let config = format!(r#"{{"cniVersion":"1.1.0","name":"n","type":"macvlan","ipam":{ipam}}}"#);
        let env = [
            ("CNI_COMMAND", "ADD"),
            ("CNI_CONTAINERID", "c"),
            ("CNI_NETNS", "/n"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/p"),
            ("CNI_ARGS", args),
        ];
        Settings::parse(&Request::from_texts(&env, &config)?)
    }

    #[test]
    fn the_references_options_are_taken() {
        let s = parse(
            r#"{"type":"dhcp","priority":7,
                "provide":[{"option":"host-name","fromArg":"K8S_POD_NAME","value":"x"},
                           {"option":"60","value":"llano"},{"option":"user-class","fromArg":"NOT_THERE"}],
                "request":[{"option":"ntp-servers"},{"option":"3"}]}"#,
            "IgnoreUnknown=1;K8S_POD_NAME=web-0",
        )
        .unwrap();
        assert_eq!(s.provide, [(12, b"web-0".to_vec()), (60, b"llano".to_vec())]);
        assert_eq!(s.request.last(), Some(&42));
        assert_eq!((s.request.len(), s.priority), (13, Some(7)));
        let s = parse(r#"{"request":[{"skipDefault":true,"option":"6"}]}"#, "").unwrap();
        assert_eq!(s.request, [6]);
        assert_eq!(s.options_v4("c/n/eth0", [2; 6]), [(61, b"\0c/n/eth0".to_vec())]);
        let s = parse(r#"{"clientId":"mac"}"#, "").unwrap();
        assert_eq!(s.options_v4("c/n/eth0", [2; 6]), [(61, vec![1, 2, 2, 2, 2, 2, 2])]);
    }

    #[test]
    fn families_are_chosen() {
        let s = parse(r#"{"families":["ipv6"]}"#, "").unwrap();
        assert_eq!((s.ipv4, s.ipv6), (false, true));
        let s = parse(r#"{"families":["ipv4","ipv6"]}"#, "").unwrap();
        assert_eq!((s.ipv4, s.ipv6), (true, true));
    }

    #[test]
    fn mistakes_name_the_key() {
        for (ipam, key) in [
            (r#"{"families":[]}"#, "ipam.families"),
            (r#"{"families":["ipx"]}"#, "ipam.families[0]"),
            (r#"{"families":"ipv6"}"#, "ipam.families"),
            (r#"{"priority":-1}"#, "ipam.priority"),
            (r#"{"timeout":0}"#, "ipam.timeout"),
            (r#"{"timeout":211}"#, "ipam.timeout"),
            (r#"{"suppress":["dns"]}"#, "ipam.suppress[0]"),
            (r#"{"clientId":"x"}"#, "ipam.clientId"),
            (r#"{"probe":"no"}"#, "ipam.probe"),
            (r#"{"provide":[{"option":"nonsense","value":"x"}]}"#, "ipam.provide[0].option"),
            (r#"{"provide":[{"option":"53","value":"x"}]}"#, "ipam.provide[0].option"),
            (r#"{"provide":[{"value":"x"}]}"#, "ipam.provide[0].option"),
            (r#"{"provide":[{"option":"0","value":"x"}]}"#, "ipam.provide[0].option"),
            (r#"{"request":[{"option":"256"}]}"#, "ipam.request[0].option"),
            (r#"{"request":[{}]}"#, "ipam.request[0].option"),
            (r#"{"request":{}}"#, "ipam.request"),
        ] {
            let error = parse(ipam, "").unwrap_err();
            assert!(error.to_string().contains(key), "{ipam}: {error}");
            assert_eq!(error.code(), 7, "{ipam}: {error}");
        }
        let long = format!(r#"{{"provide":[{{"option":"12","value":"{}"}}]}}"#, "x".repeat(256));
        assert!(parse(&long, "").unwrap_err().to_string().contains("ipam.provide[0].value"));
    }
}
