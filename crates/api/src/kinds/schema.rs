//! Schemas of what several kinds have. A text has its rules at itself and not at the object around it, so that a refusal points at
//! it, in a list at its place: `spec.ranges[3]: Invalid value: "10.0.0.9-": must be …`.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// A text with a rule: the longest that is looked at, the rule, and in words what a text must be.
struct Text {
    longest: u32,
    rule: &'static str,
    must: &'static str,
}

const ADDRESS: Text = Text {
    longest: 39,
    rule: "isIP(self) && ip.isCanonical(self)",
    must: "must be an IP address in its shortest form, such as 10.0.0.5 or fd00::5",
};

const SUBNET: Text = Text {
    longest: 43,
    rule: "isCIDR(self) && string(cidr(self).masked()) == self",
    must: "must be a subnet in CIDR notation without host bits, such as 10.0.0.0/24 or fd00::/64",
};

/// Two parts at most, so that the API server sees that looking at them costs little. `a-b` has no dot and colon together: both addresses are of one family.
const RANGE: Text = Text {
    longest: 79,
    rule: "self.split('-', 2).all(a, isIP(a) && ip.isCanonical(a)) \
           && !(self.contains('.') && self.contains(':'))",
    must: "must be an address, or the first and the last of several with - between, such as 10.0.0.5 or 10.0.0.5-10.0.0.9, each in \
           its shortest form",
};

const EXCLUDED: Text = Text {
    longest: 79,
    rule: "self.contains('/') ? isCIDR(self) && string(cidr(self).masked()) == self \
           : self.split('-', 2).all(a, isIP(a) && ip.isCanonical(a)) \
           && !(self.contains('.') && self.contains(':'))",
    must: "must be an address, the first and the last of several with - between, or a subnet without host bits, such as 10.0.0.5, \
           10.0.0.5-10.0.0.9 or 10.0.0.8/29, each in its shortest form",
};

const MAC: Text = Text {
    longest: 17,
    rule: "self.matches('^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$') && self != '00:00:00:00:00:00'",
    must: "must be a MAC address of six pairs of lower-case digits, such as 02:00:5e:10:00:01, not a group's (the second digit is \
           even) and not all zeros",
};

const LABEL: Text = Text {
    longest: 63,
    rule: "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
    must: "must be lower-case letters, digits and -, with a letter or digit first and last, such as lan or vlan-100",
};

const SUBDOMAIN: Text = Text {
    longest: 253,
    rule: "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
    must: "must be lower-case letters, digits, - and ., with a letter or digit around each dot and at both ends",
};

const INTERFACE: Text = Text {
    longest: 15,
    rule: "self.matches('^[^/:%[:space:][:cntrl:]]{1,15}$') && !(self in ['.', '..', 'lo'])",
    must: "must be the name of an interface: 1 to 15 bytes without /, :, % and white space, and not lo, such as eth0 or bond0",
};

const DURATION: Text = Text {
    longest: 16,
    rule: "self != '' && self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,7}s)?$') && duration(self) <= duration('720h')",
    must: "must be hours, minutes and seconds, at most 720h, such as 30s, 10m or 1h30m",
};

impl Text {
    fn schema(&self) -> Value {
        let rule = json!({"rule": self.rule, "message": self.must});
        json!({"type": "string", "maxLength": self.longest, "x-kubernetes-validations": [rule]})
    }

    /// A list in which nothing is twice.
    fn set(&self, least: u32, most: u32) -> Schema {
        json_schema!({
            "type": "array", "items": self.schema(), "minItems": least, "maxItems": most, "x-kubernetes-list-type": "set",
        })
    }

    /// A list whose order counts.
    fn list(&self, most: u32) -> Schema {
        json_schema!({
            "type": "array", "items": self.schema(), "maxItems": most, "x-kubernetes-list-type": "atomic",
        })
    }
}

macro_rules! schemas {
    ($($(#[$doc:meta])* $name:ident => $schema:expr;)*) => {
        $($(#[$doc])* pub(super) fn $name(_: &mut SchemaGenerator) -> Schema { $schema.into() })*
    };
}

/// The object of a text's schema as a [`Schema`].
struct Of(Value);

impl From<Of> for Schema {
    fn from(of: Of) -> Schema {
        of.0.as_object().cloned().map(Schema::from).unwrap_or_default()
    }
}

schemas! {
    address => Of(ADDRESS.schema());
    subnet => Of(SUBNET.schema());
    mac => Of(MAC.schema());
    label => Of(LABEL.schema());
    subdomain => Of(SUBDOMAIN.schema());
    interface => Of(INTERFACE.schema());
    duration => Of(DURATION.schema());
    /// A subnet's ranges; none is every address.
    ranges => RANGE.set(0, 1024);
    /// A reservation's ranges.
    reserved_ranges => RANGE.set(1, 1024);
    excluded => EXCLUDED.set(0, 1024);
    macs => MAC.set(0, 1024);
    nameservers => ADDRESS.list(8);
    search => SUBDOMAIN.list(32);
    selector => Of(selector_schema());
    conditions => Of(conditions_schema());
}

/// A label selector as Kubernetes has it, with its own rules, which the API server does not check in kinds of others.
fn selector_schema() -> Value {
    let text = |longest: u32| json!({"type": "string", "maxLength": longest});
    json!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "description": "Labels that must be there with exactly these values.",
                "type": "object",
                "maxProperties": 32,
                "additionalProperties": text(63),
            },
            "matchExpressions": {
                "description": "Conditions that must hold as well.",
                "type": "array",
                "maxItems": 32,
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {"description": "The label.", "type": "string", "maxLength": 317},
                        "operator": {
                            "description": "In and NotIn compare with values; Exists and DoesNotExist look for the label alone.",
                            "type": "string",
                            "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                        },
                        "values": {
                            "description": "What In and NotIn compare with.",
                            "type": "array",
                            "maxItems": 64,
                            "items": text(63),
                            "x-kubernetes-list-type": "atomic",
                        },
                    },
                    "x-kubernetes-validations": [{
                        "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
                        "message": "values must be given with operator In or NotIn, and left out with Exists or DoesNotExist",
                        "fieldPath": ".values",
                    }],
                },
            },
        },
    })
}

/// Kubernetes' own conditions, one of each type.
fn conditions_schema() -> Value {
    json!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {"description": "What is said, such as Ready.", "type": "string", "maxLength": 316},
                "status": {
                    "description": "Whether it is so.", "type": "string", "enum": ["True", "False", "Unknown"],
                },
                "reason": {"description": "Why, in one word for programs.", "type": "string", "maxLength": 1024},
                "message": {"description": "Why, for people.", "type": "string", "maxLength": 32768},
                "lastTransitionTime": {
                    "description": "Since when the status is what it is.", "type": "string", "format": "date-time",
                },
                "observedGeneration": {
                    "description": "The metadata.generation that was looked at.", "type": "integer", "format": "int64",
                },
            },
        },
    })
}
