//! `ipam.resolvConf`: a resolver's configuration as the DNS part of a result.

use std::path::Path;

use cni::Dns;

/// Reads a file in the form of resolv.conf(5).
///
/// # Errors
/// Code 5: the file cannot be read.
pub(super) fn read_resolv_conf(path: &Path) -> cni::Result<Dns> {
    let content = std::fs::read(path).map_err(|error| {
        cni::Error::io(format!("ipam.resolvConf: cannot read {}: {error}", path.display()))
    })?;
    Ok(parse_resolv_conf(&String::from_utf8_lossy(&content)))
}

/// What the lines say; those that say nothing known are passed over.
pub fn parse_resolv_conf(text: &str) -> Dns {
    let mut dns = Dns::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(keyword), Some(first)) = (words.next(), words.next()) else { continue };
        let all = || std::iter::once(first).chain(words).map(str::to_owned);
        match keyword {
            "nameserver" => dns.nameservers.push(first.to_owned()),
            "domain" => first.clone_into(&mut dns.domain),
            "search" => dns.search.extend(all()),
            "options" => dns.options.extend(all()),
            // Comments, and what only a resolver understands.
            _ => {}
        }
    }
    dns
}

#[cfg(test)]
mod tests {
    use super::parse_resolv_conf;

    #[test]
    fn reads_as_the_reference_does() {
        let dns = parse_resolv_conf(
            "# a comment\n; another\nnameserver 10.0.0.1\n nameserver\t10.0.0.2 rest\r\nnameserver\n\
             domain example.org\nsearch a.example b.example\nsearch c.example\noptions ndots:2 rotate\nsortlist x\n",
        );
        assert_eq!(dns.nameservers, ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(dns.domain, "example.org");
        assert_eq!(dns.search, ["a.example", "b.example", "c.example"]);
        assert_eq!(dns.options, ["ndots:2", "rotate"]);
    }
}
