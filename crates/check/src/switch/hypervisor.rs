//! Hypervisors and clouds, which give a guest's NIC only frames of its own MAC unless told otherwise.

use std::fs;

use crate::context::Context;
use crate::error::Result;
use crate::finding::Finding;

/// A hypervisor by what it writes into the firmware's tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vendor {
    pub(crate) name: &'static str,
    /// What `sys_vendor` or `product_name` holds.
    sign: &'static str,
    /// The guest's NIC must be promiscuous to be given other MACs' frames.
    pub(crate) wants_promiscuity: bool,
    advice: &'static str,
}

const fn vendor(
    name: &'static str,
    sign: &'static str,
    wants_promiscuity: bool,
    advice: &'static str,
) -> Vendor {
    Vendor { name, sign, wants_promiscuity, advice }
}

const CLOUD: &str =
    "this cloud delivers only to MACs it gave out: no macvlan; use its own secondary addresses or interfaces";
const VENDORS: [Vendor; 11] = [
    vendor(
        "VMware",
        "VMware",
        true,
        "set the port group to accept promiscuous mode, MAC address changes and forged transmits, or turn MAC learning on",
    ),
    vendor("VirtualBox", "VirtualBox", true, "set the adapter's promiscuous mode to Allow All"),
    vendor("Amazon EC2", "Amazon EC2", false, CLOUD),
    vendor("Google Compute Engine", "Google", false, CLOUD),
    vendor("Alibaba Cloud", "Alibaba Cloud", false, CLOUD),
    vendor(
        "Hyper-V or Azure",
        "Microsoft Corporation",
        false,
        "Set-VMNetworkAdapter -MacAddressSpoofing On; on Azure there is no such thing",
    ),
    vendor(
        "OpenStack",
        "OpenStack",
        false,
        "openstack port set --disable-port-security PORT, or --allowed-address mac-address=… for each MAC",
    ),
    vendor("Xen", "Xen", false, "lift the VIF's locking mode (xe vif-param-set locking-mode=unlocked)"),
    vendor("Nutanix", "Nutanix", false, "allow the additional MACs on the VM's NIC"),
    vendor(
        "KVM",
        "QEMU",
        false,
        "take nwfilter's no-mac-spoofing off the interface; of macvtap set trustGuestRxFilters='yes'; on Proxmox set macfilter: 0",
    ),
    vendor(
        "KVM",
        "Red Hat",
        false,
        "take nwfilter's no-mac-spoofing off the interface; of macvtap set trustGuestRxFilters='yes'",
    ),
];

const UNKNOWN: Vendor = vendor(
    "an unknown hypervisor",
    "",
    false,
    "ask whoever runs it to let frames of other MACs pass in both directions",
);

/// The hypervisor below, when there is one.
pub(crate) fn hypervisor_vendor() -> Option<Vendor> {
    let read = |name: &str| fs::read_to_string(format!("/sys/class/dmi/id/{name}")).unwrap_or_default();
    let (vendor, product) = (read("sys_vendor"), read("product_name"));
    let known = VENDORS.into_iter().find(|known| vendor.contains(known.sign) || product.contains(known.sign));
    // Microsoft builds notebooks as well.
    let known =
        known.filter(|known| known.sign != "Microsoft Corporation" || product.contains("Virtual Machine"));
    known.or_else(|| {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let flags = cpu.lines().find(|line| line.starts_with("flags"))?;
        flags.split_ascii_whitespace().any(|flag| flag == "hypervisor").then_some(UNKNOWN)
    })
}

pub(crate) fn hypervisor(context: &Context) -> Result<Vec<Finding>> {
    let Some(vendor) = hypervisor_vendor() else {
        return Ok(vec![Finding::ok("no hypervisor below: this machine has its NICs for itself")]);
    };
    let probes = context.probed_macs();
    let passes = probes.iter().any(|probe| probe.passes());
    let blocked = probes.iter().any(|probe| probe.blocked());
    Ok(vec![if passes && !blocked {
        Finding::ok(format!("this machine runs on {}, which lets other MACs pass", vendor.name))
    } else {
        Finding::warn(
            format!(
                "this machine runs on {}, which may drop frames of other MACs than its NIC's",
                vendor.name
            ),
            vendor.advice,
        )
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_do_not_hide_each_other() {
        for (at, vendor) in VENDORS.iter().enumerate() {
            let first = VENDORS.iter().position(|other| vendor.sign.contains(other.sign));
            assert_eq!(first, Some(at), "{}", vendor.sign);
        }
    }
}
