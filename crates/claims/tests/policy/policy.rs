//! An admission policy as `deploy/llano.yaml` has it, evaluated.

use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::KubeCelExt;
use kube_cel::cel::common::ast::{Expr, operators};
use kube_cel::cel::extractors::This;
use kube_cel::cel::objects::Key;
use kube_cel::cel::parser::{Expression, Parser};
use kube_cel::cel::{Context, ResolveResult, Value as Cel, to_value};
use serde::Deserialize;
use serde_json::{Value, json};

/// The manifest that is applied.
const MANIFEST: &str = include_str!("../../../../deploy/llano.yaml");
/// Where tokens carry the node that they are bound to.
const NODE: &str = "authentication.kubernetes.io/node-name";

/// A policy whose expressions are compiled.
pub(crate) struct Policy {
    conditions: Vec<Expression>,
    variables: Vec<(String, Expression)>,
    validations: Vec<(String, Expression)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    match_conditions: Vec<Named>,
    variables: Vec<Named>,
    validations: Vec<Validation>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    expression: String,
}

#[derive(Deserialize)]
struct Validation {
    expression: String,
    message: String,
}

impl Policy {
    /// The one of this name.
    pub(crate) fn shipped(name: &str) -> Policy {
        let documents = serde_yaml_ng::Deserializer::from_str(MANIFEST)
            .map(|document| Value::deserialize(document).unwrap());
        let policy = documents
            .into_iter()
            .find(|object| {
                object["kind"] == "ValidatingAdmissionPolicy" && object["metadata"]["name"] == name
            })
            .expect("the policy");
        let spec: Spec = serde_json::from_value(policy["spec"].clone()).unwrap();
        let compiled = |text: &str| {
            let parser = Parser::new().enable_optional_syntax(true);
            let mut expression = parser.parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            use_own_optional(&mut expression);
            expression
        };
        let named = |named: &Named| (named.name.clone(), compiled(&named.expression));
        Policy {
            conditions: spec
                .match_conditions
                .iter()
                .map(|condition| compiled(&condition.expression))
                .collect(),
            variables: spec.variables.iter().map(named).collect(),
            validations: spec
                .validations
                .iter()
                .map(|one| (one.message.clone(), compiled(&one.expression)))
                .collect(),
        }
    }

    /// What its validations say when they refuse.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &String> {
        self.validations.iter().map(|(message, _)| message)
    }

    /// The messages of those that refuse the change when an agent makes it, whose token is bound to `node`, or to none.
    pub(crate) fn refusals(&self, node: &str, before: Option<Value>, after: Option<Value>) -> Vec<String> {
        let extra = if node.is_empty() { json!({}) } else { json!({NODE: [node]}) };
        let user = json!({"username": "system:serviceaccount:llano:llano-agent", "extra": extra});
        self.refusals_of(&user, before, after)
    }

    /// The same when this user makes it.
    pub(crate) fn refusals_of(
        &self,
        user: &Value,
        before: Option<Value>,
        after: Option<Value>,
    ) -> Vec<String> {
        let operation = match (&before, &after) {
            (None, _) => "CREATE",
            (Some(_), Some(_)) => "UPDATE",
            (Some(_), None) => "DELETE",
        };
        let mut context = Context::default().with_all();
        context.add_function(OPTIONAL, optional_at);
        context.add_function(OR, optional_or);
        let mut set = |name: &str, value: Cel| context.add_variable_from_value(name, value);
        set("request", cel(&json!({"operation": operation, "userInfo": user})));
        set("object", cel(&after.unwrap_or(Value::Null)));
        set("oldObject", cel(&before.unwrap_or(Value::Null)));
        for condition in &self.conditions {
            assert_eq!(
                Cel::resolve(condition, &context).unwrap(),
                Cel::Bool(true),
                "the policy is about {user}"
            );
        }
        let mut variables: HashMap<String, Cel> = HashMap::new();
        for (name, program) in &self.variables {
            context.add_variable_from_value("variables", variables.clone());
            let value =
                Cel::resolve(program, &context).unwrap_or_else(|error| panic!("variable {name}: {error}"));
            variables.insert(name.clone(), value);
        }
        context.add_variable_from_value("variables", variables);
        let mut refusals = Vec::new();
        for (message, program) in &self.validations {
            match Cel::resolve(program, &context) {
                Ok(Cel::Bool(true)) => {}
                Ok(Cel::Bool(false)) => refusals.push(message.clone()),
                other => panic!("{message}: {other:?}"),
            }
        }
        refusals
    }
}

/// Our names of `.?` with `[?]`, and of `.orValue()`.
const OPTIONAL: &str = "optionalAt";
const OR: &str = "optionalOr";

/// An optional is a list here: cel 0.13 fails on a key that is missing, and has it that two optionals without a value are unlike.
#[allow(clippy::needless_pass_by_value, reason = "what the context takes for a function")]
fn optional_at(target: Cel, key: Arc<String>) -> ResolveResult {
    let inner = match &target {
        Cel::List(optional) => optional.first(),
        _ => Some(&target),
    };
    let found = match inner {
        Some(Cel::Map(map)) => map.map.get(&Key::String(key)),
        Some(other) => panic!("{key:?} of {other:?}"),
        None => None,
    };
    Ok(Cel::List(Arc::new(found.cloned().into_iter().collect())))
}

fn optional_or(This(optional): This<Arc<Vec<Cel>>>, other: Cel) -> ResolveResult {
    Ok(optional.first().cloned().unwrap_or(other))
}

fn use_own_optional(expression: &mut Expression) {
    match &mut expression.expr {
        Expr::Call(call) => {
            match call.func_name.as_str() {
                operators::OPT_SELECT | operators::OPT_INDEX => call.func_name = OPTIONAL.to_owned(),
                "orValue" => call.func_name = OR.to_owned(),
                _ => {}
            }
            call.target.iter_mut().for_each(|target| use_own_optional(target));
            call.args.iter_mut().for_each(use_own_optional);
        }
        Expr::Select(select) => use_own_optional(&mut select.operand),
        Expr::List(list) => list.elements.iter_mut().for_each(use_own_optional),
        Expr::Ident(_) | Expr::Literal(_) => {}
        other => panic!("the policy has an expression that this does not know: {other:?}"),
    }
}

fn cel(value: &Value) -> Cel {
    to_value(value).unwrap()
}
