//! The page about the kinds, made from their definitions: what `kubectl explain` says, and what it does not.

use std::fmt::Write;

use serde_json::Value;

/// What no definition says: an example, and why a `Ready` is `False`.
struct About {
    kind: &'static str,
    example: &'static str,
    more: &'static str,
}

const ABOUT: [About; 4] = [
    About { kind: "MacvlanNetwork", example: include_str!("network.yaml"), more: include_str!("network.md") },
    About { kind: "MacvlanSubnet", example: include_str!("subnet.yaml"), more: include_str!("subnet.md") },
    About { kind: "MacvlanIP", example: include_str!("claim.yaml"), more: include_str!("claim.md") },
    About {
        kind: "MacvlanReservation",
        example: include_str!("reservation.yaml"),
        more: include_str!("reservation.md"),
    },
];

/// The page.
pub(crate) fn page(definitions: &[Value]) -> String {
    let mut page = include_str!("top.md").to_owned();
    page += "\n| kind | short | scope | one of them |\n|---|---|---|---|\n";
    for definition in definitions {
        let names = &definition["spec"]["names"];
        let kind = text(&names["kind"]);
        let said = text(&schema(definition)["description"]);
        let first = said.split_once(". ").map_or(said, |(first, _)| first);
        // It goes on after "one MacvlanIP".
        let first = first.strip_prefix(kind).unwrap_or(first).trim_start();
        let short = text(&names["shortNames"][0]);
        let _ = writeln!(
            page,
            "| [{kind}](#{}) | `{short}` | {} | {first} |",
            kind.to_lowercase(),
            scope(definition)
        );
    }
    for definition in definitions {
        section(definition, &mut page);
    }
    page
}

fn section(definition: &Value, page: &mut String) {
    let names = &definition["spec"]["names"];
    let kind = text(&names["kind"]);
    let version = &definition["spec"]["versions"][0];
    let schema = schema(definition);
    let _ = write!(page, "\n## {kind}\n\n{}\n", text(&schema["description"]));
    let _ = writeln!(
        page,
        "\n`kubectl get {}`, {}; its name has at most {} characters.",
        text(&names["shortNames"][0]),
        if scope(definition) == "cluster" { "for the whole cluster" } else { "in a namespace" },
        schema["properties"]["metadata"]["properties"]["name"]["maxLength"]
    );
    if let Some(about) = ABOUT.iter().find(|about| about.kind == kind) {
        let _ = write!(page, "\n```yaml\n{}```\n", about.example);
    }
    table("spec", &schema["properties"]["spec"], page);
    rules(schema, page);
    columns(version, names, page);
    let status = &schema["properties"]["status"];
    if status.is_object() {
        table("status", status, page);
    }
    if let Some(about) = ABOUT.iter().find(|about| about.kind == kind) {
        let _ = write!(page, "\n{}", about.more);
    }
}

fn scope(definition: &Value) -> String {
    text(&definition["spec"]["scope"]).trim_end_matches('d').to_lowercase()
}

fn schema(definition: &Value) -> &Value {
    &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The fields of `spec` or `status`.
fn table(part: &str, schema: &Value, page: &mut String) {
    let _ = write!(
        page,
        "\n### {part}\n\n| `{part}.` | type | default | allowed | meaning |\n|---|---|---|---|---|\n"
    );
    fields(schema, "", page);
}

fn fields(schema: &Value, path: &str, page: &mut String) {
    let required = |key: &str| {
        schema["required"].as_array().is_some_and(|required| required.iter().any(|name| name == key))
    };
    // As in the types, what must be there first.
    let properties = schema["properties"].as_object().into_iter().flatten();
    let (first, then): (Vec<_>, Vec<_>) = properties.partition(|(key, _)| required(key));
    for (key, field) in first.into_iter().chain(then) {
        let path = format!("{path}{key}");
        let default = match &field["default"] {
            Value::Null if required(key) => "required".to_owned(),
            Value::Null => String::new(),
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        let cells = [kind_of(field), default, allowed(field), text(&field["description"]).to_owned()];
        let cells = cells.map(|cell| cell.replace('|', "\\|")).join(" | ");
        let _ = writeln!(page, "| `{path}` | {cells} |");
        match text(&field["type"]) {
            "object" if !is_selector(field) => fields(field, &format!("{path}."), page),
            "array" if !is_conditions(field) => fields(&field["items"], &format!("{path}[]."), page),
            _ => {}
        }
    }
}

/// A label selector is explained by Kubernetes.
fn is_selector(field: &Value) -> bool {
    field["properties"]["matchLabels"].is_object()
}

/// So are conditions.
fn is_conditions(field: &Value) -> bool {
    field["items"]["properties"]["lastTransitionTime"].is_object()
}

fn kind_of(field: &Value) -> String {
    match text(&field["type"]) {
        "object" if is_selector(field) => "label selector".to_owned(),
        "array" if is_conditions(field) => "conditions".to_owned(),
        "array" => format!("list of {}s", kind_of(&field["items"])),
        "string" if field["format"] == "date-time" => "time".to_owned(),
        kind => kind.to_owned(),
    }
}

/// What a value may be, as far as its own schema says so.
fn allowed(field: &Value) -> String {
    let mut said = Vec::new();
    let number = |key: &str| field[key].as_i64();
    let bounds = |least: Option<i64>, most: Option<i64>| match (least, most) {
        (None | Some(0), Some(most)) => Some(format!("at most {most}")),
        (Some(least), Some(most)) => Some(format!("{least} to {most}")),
        (Some(least), None) => Some(format!("at least {least}")),
        (None, None) => None,
    };
    let range = match (number("minimum"), number("maximum")) {
        (Some(0), Some(most)) => Some(format!("0 to {most}")),
        (least, most) => bounds(least, most),
    };
    let values = field["enum"].as_array().into_iter().flatten().map(|value| format!("`{}`", text(value)));
    let values = values.collect::<Vec<_>>().join(", ");
    said.extend(Some(values).filter(|values| !values.is_empty()));
    said.extend(range);
    // A rule about the text itself says more than its length does.
    let must: Vec<String> =
        own_rules(field).map(|must| must.trim_start_matches("must be ").to_owned()).collect();
    if must.is_empty() && field["enum"].is_null() {
        said.extend(
            bounds(number("minLength"), number("maxLength")).map(|size| format!("{size} characters")),
        );
    }
    said.extend(must);
    if field["type"] == "array" && !is_conditions(field) {
        said.extend(bounds(number("minItems"), number("maxItems")));
        let each = allowed(&field["items"]);
        said.extend(Some(each).filter(|each| !each.is_empty()).map(|each| format!("each {each}")));
    }
    said.join("; ")
}

/// The messages of the rules about a text.
fn own_rules(field: &Value) -> impl Iterator<Item = String> {
    let of_text = field["type"] == "string";
    rules_of(field).filter(move |_| of_text).map(message)
}

fn rules_of(schema: &Value) -> impl Iterator<Item = &Value> {
    schema["x-kubernetes-validations"].as_array().into_iter().flatten()
}

/// What is refused about several fields, or about a change.
fn rules(schema: &Value, page: &mut String) {
    fn collect<'a>(schema: &'a Value, found: &mut Vec<&'a Value>) {
        if schema["type"] != "string" && !is_selector(schema) {
            found.extend(rules_of(schema));
            let fields = schema["properties"].as_object().into_iter().flatten();
            fields.for_each(|(_, field)| collect(field, found));
            if schema["items"].is_object() {
                collect(&schema["items"], found);
            }
        }
    }
    let mut found = Vec::new();
    collect(schema, &mut found);
    let of_change = |rule: &&Value| text(&rule["rule"]).contains("oldSelf");
    let (changes, objects): (Vec<&Value>, Vec<&Value>) = found.into_iter().partition(of_change);
    for (title, rules) in [("What is refused", objects), ("What cannot change", changes)] {
        if !rules.is_empty() {
            let _ = write!(page, "\n### {title}\n\n");
            for rule in rules {
                let _ = writeln!(page, "- {}", message(rule));
            }
        }
    }
}

/// A rule's message. Where it is made from the object, `…` is for what comes from there.
fn message(rule: &Value) -> String {
    if let Some(message) = rule["message"].as_str() {
        return message.to_owned();
    }
    let mut message = String::new();
    for part in parts(text(&rule["messageExpression"])) {
        match part.strip_prefix('\'').and_then(|part| part.strip_suffix('\'')) {
            Some(literal) if literal.chars().any(char::is_alphabetic) => message += literal,
            _ if message.ends_with('…') => {}
            _ => message.push('…'),
        }
    }
    message
}

/// The operands of the outermost `+`.
fn parts(expression: &str) -> Vec<&str> {
    let (mut depth, mut in_text, mut from) = (0_u32, false, 0);
    let mut parts = Vec::new();
    for (at, character) in expression.char_indices() {
        match character {
            '\'' => in_text = !in_text,
            '(' | '[' if !in_text => depth += 1,
            ')' | ']' if !in_text => depth = depth.saturating_sub(1),
            '+' if !in_text && depth == 0 => {
                parts.push(expression[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(expression[from..].trim());
    parts
}

fn columns(version: &Value, names: &Value, page: &mut String) {
    let short = text(&names["shortNames"][0]);
    let columns: Vec<&Value> = version["additionalPrinterColumns"].as_array().into_iter().flatten().collect();
    let named = |wide: bool| {
        let columns = columns.iter().filter(|column| (column["priority"].as_i64() > Some(0)) == wide);
        columns
            .map(|column| format!("`{}`", text(&column["name"]).to_uppercase()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let _ = write!(page, "\n### In lists\n\n`kubectl get {short}` has the columns `NAME`, {}", named(false));
    if !named(true).is_empty() {
        let _ = write!(page, ", with `-o wide` also {}", named(true));
    }
    page.push_str(".\n");
    let fields = version["selectableFields"].as_array().into_iter().flatten();
    let fields: Vec<String> =
        fields.map(|field| format!("`{}`", text(&field["jsonPath"]).trim_start_matches('.'))).collect();
    if !fields.is_empty() {
        let _ = writeln!(page, "`--field-selector` knows {}.", fields.join(", "));
    }
}
