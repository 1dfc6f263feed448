//! Schema fragments that `schemars` cannot derive: quantities as Kubernetes writes them (pure).

use kube::core::{Message, Rule};
use schemars::{Schema, SchemaGenerator, json_schema};

/// Non-negative quantity: digits, an optional fraction, then a decimal exponent or an SI or binary suffix.
const QUANTITY_PATTERN: &str = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$";

/// One line of text: no control characters, and none that make text read other than it is written.
pub(crate) const PLAIN_TEXT: &str = r"^[^\x00-\x1f\x7f\x{202a}-\x{202e}\x{2066}-\x{2069}]+$";

/// Most resource names in one map.
const MAX_RESOURCE_NAMES: u32 = 32;

/// A quantity: an integer, or a string of at most 32 characters in Kubernetes' notation.
pub(crate) fn quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "pattern": QUANTITY_PATTERN,
        "maxLength": 32,
    })
}

/// Resource name -> quantity.
pub(crate) fn quantity_map(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": MAX_RESOURCE_NAMES,
        "additionalProperties": quantity(generator),
    })
}

/// Rule of a template: each default request and limit whose name `k` satisfies `selects` is within
/// `resourceBounds.<bound>`.
pub(crate) fn defaults_within(bound: &str, selects: &str) -> Rule {
    let bounds = format!("self.resourceBounds.{bound}");
    let value = "quantity(string(m[k]))";
    let rule = format!(
        "!has(self.defaultResources) || !has(self.resourceBounds) || !has({bounds}) || \
         [self.defaultResources.?requests.orValue({{}}), self.defaultResources.?limits.orValue({{}})].all(m, m.all(k, \
         !({selects}) || \
         ((!has({bounds}.min) || quantity(string({bounds}.min)).compareTo({value}) <= 0) && \
         (!has({bounds}.max) || {value}.compareTo(quantity(string({bounds}.max))) <= 0))))"
    );
    Rule::new(rule).message(Message::Message(format!(
        "defaultResources must be within resourceBounds.{bound}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantity_schema_is_int_or_string_and_bounded() {
        let schema = quantity(&mut SchemaGenerator::default());
        assert_eq!(schema.get("x-kubernetes-int-or-string"), Some(&true.into()));
        assert_eq!(schema.get("maxLength"), Some(&32.into()));
    }
}
