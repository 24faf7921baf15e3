//! What a plugin tells of its device, in the file that `CNIDeviceInfoFile` names.

use cni::json::{self, Object, Value};

use crate::{Error, Result};

/// Most bytes of a device file.
const LONGEST: usize = 64 << 10;

/// The keys of Go's structures, in their order.
const KINDS: [(&str, &[&str]); 4] = [
    ("pci", &["pci-address", "vhost-net", "rdma-device", "pf-pci-address", "representor-device"]),
    ("vdpa", &["parent-device", "driver", "path", "pci-address", "pf-pci-address", "representor-device"]),
    ("vhost-user", &["mode", "path"]),
    ("memif", &["role", "path", "mode"]),
];

/// `device-info` of a status.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceInfo(Value);

impl DeviceInfo {
    /// Reads a device file; only the specification's keys are kept.
    ///
    /// # Errors
    /// [`Error::Unreadable`].
    pub fn parse(bytes: &[u8]) -> Result<DeviceInfo> {
        let unreadable =
            |problem: String| Error::Unreadable { what: "device information".to_owned(), problem };
        if bytes.len() > LONGEST {
            return Err(unreadable(format!("has {} bytes, at most {LONGEST} are allowed", bytes.len())));
        }
        let read = json::parse(bytes).and_then(|value| Ok(DeviceInfo(read(&Object::root(&value)?)?)));
        read.map_err(|error| unreadable(error.to_string()))
    }

    pub(super) fn to_value(&self) -> Value {
        self.0.clone()
    }
}

fn read(root: &Object<'_>) -> cni::Result<Value> {
    let mut value = texts(root, &["type", "version"])?;
    for (kind, keys) in KINDS {
        if let Some(object) = root.object(kind)? {
            value.set(kind, texts(&object, keys)?);
        }
    }
    Ok(value)
}

fn texts(object: &Object<'_>, keys: &[&str]) -> cni::Result<Value> {
    let mut value = Value::object([]);
    for key in keys {
        if let Some(text) = object.text(key)? {
            value.set(key, text.into());
        }
    }
    Ok(value)
}
