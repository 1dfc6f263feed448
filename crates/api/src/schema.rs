//! Type -> schema fragments that `schemars` cannot derive, such as quantities (pure).

use k8s_openapi::api::core::v1::PodSpec;
use kube::core::{Message, Rule};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

/// Non-negative quantity: digits, an optional fraction, then a decimal exponent or an SI or binary suffix.
const QUANTITY_PATTERN: &str = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$";

/// One line of text, without characters that [`controls_display`] names.
pub(crate) const PLAIN_TEXT: &str = r"^[^\x00-\x1f\x7f-\x{9f}\x{2028}-\x{202e}\x{2066}-\x{2069}]+$";

/// The same in several lines, with tabs.
pub(crate) const PLAIN_LINES: &str =
    r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x{9f}\x{2028}-\x{202e}\x{2066}-\x{2069}]*$";

/// Whether a character controls a terminal, the direction of text or lines.
pub fn controls_display(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Name of an object: a DNS-1123 subdomain, up to its length.
pub(crate) const OBJECT_NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// Name of an option or choice, up to its length.
pub(crate) const OPTION_NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]*$";

/// Name of a Workspace, up to its length: a DNS-1035 label.
pub(crate) const WORKSPACE_NAME: &str = "^[a-z]([-a-z0-9]*[a-z0-9])?$";

/// Most resource names in one map.
const MAX_RESOURCE_NAMES: u32 = 32;

/// Keeps a field's default out of the schema: the API server then stores no value that the request left out, and admission sees that.
/// `schemars` asks this whether to leave the default out.
pub(crate) fn without_default<T>(_: &T) -> bool {
    true
}

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

/// Longest string within an embedded type: as long as the longest value of an environment variable.
const MAX_EMBEDDED_STRING: u32 = 32_768;
/// Most items of a list, and keys of a map, within an embedded type.
const MAX_EMBEDDED_ITEMS: u32 = 64;

/// A type of Kubernetes' own, without its descriptions, which `kubectl explain pod.spec` has: with them the definition would be
/// too large for client-side apply. Everything in it is bounded.
pub(crate) fn embedded<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = T::json_schema(generator);
    bound(schema.ensure_object());
    schema
}

/// A type without its description, for a field with its own.
pub(crate) fn plain<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = T::json_schema(generator);
    schema.remove("description");
    schema
}

/// The spec of a pod, in which nothing is required.
pub(crate) fn pod_spec(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = embedded::<PodSpec>(generator);
    schema.remove("required");
    schema
}

/// At most `MAX` items of a type of Kubernetes' own.
pub(crate) fn embedded_list<T: JsonSchema, const MAX: u32>(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": MAX, "items": embedded::<T>(generator)})
}

/// At most `MAX` labels: key -> value.
pub(crate) fn labels<const MAX: u32>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": MAX,
        "additionalProperties": {"type": "string", "maxLength": 63},
    })
}

/// At most 32 annotations: key -> value.
pub(crate) fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 4096},
    })
}

/// Variable name -> value, at most 32.
pub(crate) fn variables(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 1024},
    })
}

/// Option -> chosen choice, at most 16.
pub(crate) fn options(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 63},
    })
}

/// Option -> choices of it, at most 8 options.
pub(crate) fn when(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 8,
        "additionalProperties": {
            "type": "array",
            "minItems": 1,
            "maxItems": 32,
            "items": {"type": "string", "minLength": 1, "maxLength": 63},
        },
    })
}

/// Objects of any kind, at most 8: the API server stores them as they are.
pub(crate) fn manifests(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 8,
        "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    })
}

/// One object of any kind. Without a type, so that rules about immutability compare the whole of it: of a typed object with unknown fields
/// the API server does not see that one was renamed.
pub(crate) fn manifest(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-preserve-unknown-fields": true})
}

fn bound(schema: &mut Map<String, Value>) {
    schema.remove("description");
    schema.remove("title");
    let is = |schema: &Map<String, Value>, name: &str| schema.get("type").is_some_and(|kind| kind == name);
    if is(schema, "string") && !schema.contains_key("format") {
        schema.insert("maxLength".to_owned(), MAX_EMBEDDED_STRING.into());
    }
    if is(schema, "array") {
        schema.insert("maxItems".to_owned(), MAX_EMBEDDED_ITEMS.into());
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for value in properties.values_mut() {
            value.as_object_mut().into_iter().for_each(bound);
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(Value::Object(inner)) = schema.get_mut(key) {
            bound(inner);
            if key == "additionalProperties" {
                schema.insert("maxProperties".to_owned(), MAX_EMBEDDED_ITEMS.into());
            }
        }
    }
}

/// CEL: whether Kubernetes or kubeadm gives out this name of a user or group itself.
pub(crate) fn is_of_kubernetes(name: &str) -> String {
    let begins = crate::names::KUBERNETES_PREFIXES.map(|prefix| format!("{name}.startsWith('{prefix}')"));
    format!("({})", begins.join(" || "))
}

/// What a message shows of a text in an object: quoted, with everything escaped, at most 100 characters.
fn shown(path: &str) -> String {
    format!("strings.quote({path}.size() > 100 ? {path}.substring(0, 100) + '...' : {path})")
}

/// Rule: the text `field` is neither added, changed nor removed. `why` ends the message: the reason, and what to do.
pub(crate) fn immutable(field: &str, why: &str) -> Rule {
    let side = |side: &str| {
        let path = format!("{side}.{field}");
        format!("(has({path}) ? {} : 'unset')", shown(&path))
    };
    let rule = format!(
        "has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
    );
    Rule::new(rule)
        .message(Message::Expression(format!(
            "'{field} is immutable, it is ' + {} + ' and cannot become ' + {} + ': {why}'",
            side("oldSelf"),
            side("self")
        )))
        .field_path(format!(".{field}"))
}

/// Rule of a template: no field of its spec, of type `T`, is added, changed or removed, except `free`.
pub(crate) fn spec_is_immutable_but<T: JsonSchema>(free: &str) -> Rule {
    let schema = T::json_schema(&mut SchemaGenerator::default());
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map_or_else(Vec::new, |names| names.iter().filter_map(Value::as_str).collect());
    let fields = schema.get("properties").and_then(Value::as_object);
    let names = fields
        .into_iter()
        .flat_map(Map::keys)
        .filter(|name| *name != free);
    let same = names.map(|name| {
        let (new, old) = (format!("self.spec.{name}"), format!("oldSelf.spec.{name}"));
        if required.contains(&name.as_str()) {
            format!("{new} == {old}")
        } else {
            format!("has({new}) == has({old}) && (!has({new}) || {new} == {old})")
        }
    });
    Rule::new(same.collect::<Vec<_>>().join(" && "))
        .message(Message::Expression(format!(
            "'template spec is immutable after creation: leave ' + self.metadata.name + ' as it is, and create the other under a new \
             name; only {free} may change'"
        )))
        .field_path(".spec")
}

/// Rule: the path `field` holds no `..` between its slashes.
pub(crate) fn no_way_up(field: &str) -> Rule {
    let path = format!("self.{field}");
    Rule::new(format!("!has({path}) || !('..' in {path}.split('/'))"))
        .message(Message::Expression(format!(
            "'{field} must not hold \"..\", it is ' + {} + ': write the path without it'",
            shown(&path)
        )))
        .field_path(format!(".{field}"))
}

/// Rule: the quantity `less` is not greater than `more`.
pub(crate) fn ordered(less: &str, more: &str) -> Rule {
    let amount = |field: &str| format!("quantity(string(self.{field}))");
    Rule::new(format!(
        "!has(self.{less}) || !has(self.{more}) || {}.compareTo({}) <= 0",
        amount(less),
        amount(more)
    ))
    .message(Message::Expression(format!(
        "'{less} must not be greater than {more}: ' + string(self.{less}) + ' is more than ' + string(self.{more}) + \
         ', lower the one or raise the other'"
    )))
    .field_path(format!(".{less}"))
}

/// Rule of a workspace: its disk does not become smaller than its claim's request, once a pod used its volume. Before that any size
/// goes here, so that a size can be corrected that the cluster refuses.
///
/// The webhook compares the size with the claim itself, and so does the operator: the status may be older than the disk.
pub(crate) fn disk_does_not_shrink() -> Rule {
    const NEW: &str = "self.spec.storage.size";
    const OLD: &str = "oldSelf.spec.storage.size";
    // The API server ignores the status in an update, so this is the status that the operator wrote.
    const DISK: &str = "self.?status.?disk.?size";
    const VOLUME: &str = "self.?status.?disk.?volumeName";
    Rule::new(format!(
        "!{DISK}.hasValue() || !{VOLUME}.hasValue() || !has(self.spec.storage) || !has(oldSelf.spec.storage) || \
         !has({OLD}) || (has({NEW}) && [{OLD}, {DISK}.value()].exists(least, quantity(string({NEW})).compareTo(quantity(string(least))) >= 0))"
    ))
    .message(Message::Expression(format!(
        "'size can only grow, from ' + string({OLD}) + ' it cannot become ' + (has({NEW}) ? string({NEW}) : 'unset') + ': a disk \
         does not shrink below what it has, which status.disk.size says; keep the size, or ask for more'"
    )))
    .field_path(".spec.storage.size")
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
    let end = |end: &str| format!("(has({bounds}.{end}) ? string({bounds}.{end}) : 'open')");
    Rule::new(rule)
        .message(Message::Expression(format!(
            "'defaultResources must be within resourceBounds.{bound}, which is from ' + {} + ' to ' + {} + ': change the default or \
             the bound'",
            end("min"),
            end("max")
        )))
        .field_path(".defaultResources")
}

/// Rule of a template: each default request and limit is within `resourceBounds.resources`, where that names it.
pub(crate) fn defaults_within_named() -> Rule {
    let value = "quantity(string(m[k]))";
    let named = "self.resourceBounds.resources";
    let rule = format!(
        "!has(self.defaultResources) || !has(self.resourceBounds) || !has({named}) || \
         [self.defaultResources.?requests.orValue({{}}), self.defaultResources.?limits.orValue({{}})].all(m, m.all(k, \
         !(k in {named}) || \
         ((!has({named}[k].min) || quantity(string({named}[k].min)).compareTo({value}) <= 0) && \
         (!has({named}[k].max) || {value}.compareTo(quantity(string({named}[k].max))) <= 0))))"
    );
    Rule::new(rule)
        .message("defaultResources must be within resourceBounds.resources: change the default, or the bound of the same name")
        .field_path(".defaultResources")
}

/// Rule of a template: its default idle timeout is within its own bounds.
pub(crate) fn default_idle_timeout_within() -> Rule {
    let ends = [
        ".?idleShutdownOverrides.?minIdleTimeoutInMinutes",
        ".?idleShutdownOverrides.?maxIdleTimeoutInMinutes",
    ];
    default_within(
        "defaultIdleShutdown",
        "idleTimeoutInMinutes",
        ends,
        "idleShutdownOverrides",
    )
}

/// Rule of a template: its default time of an open page is within its own maximum.
pub(crate) fn default_open_tab_within() -> Rule {
    let value = "self.defaultIdleShutdown.openTabMinutes";
    let rule = format!(
        "!has(self.defaultIdleShutdown) || !has({value}) || \
         {value} <= self.?idleShutdownOverrides.?maxOpenTabMinutes.orValue({value})"
    );
    Rule::new(rule)
        .message(
            "defaultIdleShutdown.openTabMinutes must not be greater than idleShutdownOverrides.maxOpenTabMinutes: change the default \
             or the maximum",
        )
        .field_path(".defaultIdleShutdown.openTabMinutes")
}

/// Rule of a template: its default of this time limit is within its own bounds.
pub(crate) fn default_limit_within(field: &str) -> Rule {
    let [least, most] = ["min", "max"].map(|end| format!(".?limitBounds.?{field}.?{end}"));
    default_within(
        "defaultLimits",
        field,
        [&least, &most],
        &format!("limitBounds.{field}"),
    )
}

/// Rule of a template: the number in `<default>.<field>` is not outside the optional `[least, most]`, which `bounds` holds.
fn default_within(default: &str, field: &str, [least, most]: [&str; 2], bounds: &str) -> Rule {
    let value = format!("self.{default}.{field}");
    let rule = format!(
        "!has(self.{default}) || !has({value}) || \
         (self{least}.orValue({value}) <= {value} && {value} <= self{most}.orValue({value}))"
    );
    Rule::new(rule)
        .message(Message::Message(format!(
            "{default}.{field} must be within {bounds}: change the default or the bounds"
        )))
        .field_path(format!(".{default}.{field}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_template_but_its_presentation_is_immutable() {
        let rule = spec_is_immutable_but::<crate::WorkspaceTemplateSpec>("presentation").rule;
        let schema = crate::WorkspaceTemplateSpec::json_schema(&mut SchemaGenerator::default());
        let fields = schema.get("properties").and_then(Value::as_object).unwrap();
        assert!(fields.len() > 40, "{fields:?}");
        for name in fields.keys() {
            let is_compared = rule.contains(&format!("self.spec.{name} == oldSelf.spec.{name}"));
            assert_eq!(is_compared, name != "presentation", "{name}");
        }
    }

    #[test]
    fn quantity_schema_is_int_or_string_and_bounded() {
        let schema = quantity(&mut SchemaGenerator::default());
        assert_eq!(schema.get("x-kubernetes-int-or-string"), Some(&true.into()));
        assert_eq!(schema.get("maxLength"), Some(&32.into()));
    }
}
