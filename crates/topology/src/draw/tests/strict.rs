//! Strict readers of the two formats, as far as they are used: what they refuse, a browser or graphviz may refuse.

/// Reads XML: declaration, elements that close in order, quoted attributes, the five entities. Gives all texts.
pub(crate) fn xml(text: &str) -> Result<Vec<String>, String> {
    let legal = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    if let Some(c) = text.chars().find(|c| !legal(*c)) {
        return Err(format!("{c:?} is no letter of XML"));
    }
    let mut rest =
        text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").ok_or("no declaration")?;
    let (mut open, mut texts, mut roots): (Vec<&str>, Vec<String>, usize) = (Vec::new(), Vec::new(), 0);
    while let Some(at) = rest.find('<') {
        let content = unescape(&rest[..at])?;
        if open.is_empty() && !content.trim().is_empty() {
            return Err(format!("text outside of the root: {content:?}"));
        }
        texts.push(content);
        let end = rest[at..].find('>').ok_or("a tag does not end")? + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(format!("</{name}> closes nothing"));
            }
            continue;
        }
        let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let name_end = tag.find(' ').unwrap_or(tag.len());
        let (name, mut attributes) = tag.split_at(name_end);
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphabetic()) {
            return Err(format!("{name:?} is no name of a tag"));
        }
        while !attributes.is_empty() {
            let pair = attributes.strip_prefix(' ').ok_or("no space before an attribute")?;
            let (key, value) = pair.split_once("=\"").ok_or_else(|| format!("{pair:?} is no attribute"))?;
            let (value, tail) = value.split_once('"').ok_or("a value does not end")?;
            if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphabetic() || c == '-') {
                return Err(format!("{key:?} is no key"));
            }
            unescape(value)?;
            attributes = tail;
        }
        if open.is_empty() {
            roots += 1;
        }
        if !empty {
            open.push(name);
        }
    }
    if !open.is_empty() || roots != 1 || !rest.trim().is_empty() {
        return Err(format!("{roots} roots, open {open:?}, then {rest:?}"));
    }
    Ok(texts)
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let (entity, tail) = rest[at + 1..].split_once(';').ok_or("a bare &")?;
        out.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "#39" => '\'',
            "#10" => '\n',
            other => return Err(format!("&{other}; is unknown")),
        });
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// Names of nodes, and edges between them.
pub(crate) type Graph = (Vec<String>, Vec<(String, String)>);

/// Reads a digraph with subgraphs, nodes, edges and attributes. Gives nodes and edges.
pub(crate) fn dot(text: &str) -> Result<Graph, String> {
    let tokens = tokens(text)?;
    let mut at = 0;
    let mut next = || {
        let token = tokens.get(at).cloned().unwrap_or_default();
        at += 1;
        token
    };
    let (mut nodes, mut edges) = (Vec::new(), Vec::new());
    if (next(), next(), next()) != ("digraph".into(), "links".into(), "{".into()) {
        return Err("no digraph".to_owned());
    }
    let mut depth = 1;
    let mut statement: Vec<String> = Vec::new();
    while depth > 0 {
        let token = next();
        match token.as_str() {
            "" => return Err("it ends too early".to_owned()),
            "{" if statement.len() == 2 && statement[0] == "subgraph" => {
                depth += 1;
                statement.clear();
            }
            "}" if statement.is_empty() => depth -= 1,
            ";" => read(&std::mem::take(&mut statement), &mut nodes, &mut edges)?,
            _ => statement.push(token),
        }
    }
    if next().is_empty() { Ok((nodes, edges)) } else { Err("it goes on after its end".to_owned()) }
}

fn read(words: &[String], nodes: &mut Vec<String>, edges: &mut Vec<(String, String)>) -> Result<(), String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let is_id =
        |text: &str| text.starts_with('"') || text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let attributes = |words: &[&str]| match words {
        [] => true,
        ["[", inner @ .., "]"] => inner
            .split(|word| *word == ",")
            .all(|pair| matches!(pair, [key, "=", value] if is_id(key) && is_id(value))),
        _ => false,
    };
    match words.as_slice() {
        [key, "=", value] if is_id(key) && is_id(value) => {}
        [from, "->", to, rest @ ..] if is_id(from) && is_id(to) && attributes(rest) => {
            edges.push(((*from).to_owned(), (*to).to_owned()));
        }
        [node, rest @ ..] if is_id(node) && attributes(rest) => {
            if *node != "node" {
                nodes.push((*node).to_owned());
            }
        }
        other => return Err(format!("{other:?} is no statement")),
    }
    Ok(())
}

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        match c {
            c if c.is_whitespace() => {}
            '{' | '}' | '[' | ']' | ';' | '=' | ',' => all.push(c.to_string()),
            '-' if letters.next() == Some('>') => all.push("->".to_owned()),
            '"' => {
                let mut token = String::from('"');
                loop {
                    match letters.next() {
                        Some('"') => break,
                        Some('\\') => {
                            token.push('\\');
                            token.push(letters.next().ok_or("a string does not end")?);
                        }
                        Some(c) if c.is_control() => return Err(format!("{c:?} in a string")),
                        Some(c) => token.push(c),
                        None => return Err("a string does not end".to_owned()),
                    }
                }
                all.push(token);
            }
            c if c.is_ascii_alphanumeric() || c == '_' => {
                let mut token = c.to_string();
                while let Some(c) = letters.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    token.push(c);
                }
                all.push(token);
            }
            c => return Err(format!("{c:?} is unexpected")),
        }
    }
    Ok(all)
}
