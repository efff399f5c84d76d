//! A schema file as it is written: JSON with `//` comments, every property known, nothing resolved yet.

use serde::{Deserialize, de};
use serde_json::Value;

use crate::{error::SchemaError, versions::Versions};

/// One schema file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MessageSpec {
    /// Number of the API, of the metadata record type or of the coordinator's record type.
    pub api_key: Option<i16>,
    /// What the message is for.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// The message's name.
    pub name: String,
    /// Where upstream serves the API. Not used: the broker's own table says what it serves.
    #[serde(default)]
    pub listeners: Vec<String>,
    /// Versions that exist.
    #[serde(deserialize_with = "versions")]
    pub valid_versions: Versions,
    /// Versions that upstream is about to drop.
    #[serde(default = "no_versions", deserialize_with = "versions")]
    pub deprecated_versions: Versions,
    /// Versions with compact lengths and tagged fields.
    #[serde(default = "no_versions", deserialize_with = "versions")]
    pub flexible_versions: Versions,
    /// Whether the newest version may still change.
    #[serde(default)]
    pub latest_version_unstable: bool,
    /// The fields in wire order.
    #[serde(default)]
    pub fields: Vec<FieldSpec>,
    /// Structs that several fields use by name.
    #[serde(default)]
    pub common_structs: Vec<StructSpec>,
}

/// What a message is for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum MessageKind {
    /// Sent by a client.
    Request,
    /// Sent in answer.
    Response,
    /// In front of a request or a response.
    Header,
    /// A record of `__cluster_metadata`.
    Metadata,
    /// The key of a coordinator's record.
    CoordinatorKey,
    /// The value of a coordinator's record.
    CoordinatorValue,
    /// Bytes inside something else: control records, snapshots, subscriptions.
    Data,
}

/// A struct by name.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StructSpec {
    /// The struct's name.
    pub name: String,
    /// Versions in which it exists.
    #[serde(deserialize_with = "versions")]
    pub versions: Versions,
    /// The fields in wire order.
    pub fields: Vec<FieldSpec>,
}

/// One field.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldSpec {
    /// The field's name.
    pub name: String,
    /// The type's name; `[]T` is an array.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Versions in which the field exists. Those in which it is tagged, where the schema leaves them out.
    #[serde(default = "no_versions", deserialize_with = "versions")]
    pub versions: Versions,
    /// Versions in which it may be null.
    #[serde(default = "no_versions", deserialize_with = "versions")]
    pub nullable_versions: Versions,
    /// Versions in which it is a tagged field.
    #[serde(default = "no_versions", deserialize_with = "versions")]
    pub tagged_versions: Versions,
    /// Its tag there.
    pub tag: Option<i64>,
    /// Versions in which its length is compact, where that differs from the message's.
    #[serde(default, deserialize_with = "some_versions")]
    pub flexible_versions: Option<Versions>,
    /// The default as written: a string, a number or a boolean. Upstream takes the text `"null"` for null, but a bare
    /// null for no default at all.
    #[serde(default, deserialize_with = "written_default")]
    pub default: Option<String>,
    /// Whether a value is dropped silently in versions that lack the field.
    #[serde(default)]
    pub ignorable: bool,
    /// Whether the field is (part of) the key of its struct within an array.
    #[serde(default)]
    pub map_key: bool,
    /// What the value identifies.
    pub entity_type: Option<String>,
    /// The description.
    #[serde(default)]
    pub about: String,
    /// Whether upstream avoids a copy of the bytes. Here no bytes are copied.
    #[serde(default)]
    pub zero_copy: bool,
    /// The fields of the struct that the type names.
    #[serde(default)]
    pub fields: Vec<Self>,
}

impl MessageSpec {
    /// Reads a schema. `file` names it in errors.
    pub fn parse(file: &str, text: &str) -> Result<Self, SchemaError> {
        let text = strip_comments(text);
        let mut spec: Self = serde_json::from_str(&text).map_err(|error| located(file, &text, &error))?;
        spec.fields.iter_mut().for_each(FieldSpec::complete_versions);
        spec.common_structs.iter_mut().flat_map(|common| &mut common.fields).for_each(FieldSpec::complete_versions);
        Ok(spec)
    }
}

impl FieldSpec {
    fn complete_versions(&mut self) {
        if self.versions.is_empty() {
            self.versions = self.tagged_versions;
        }
        self.fields.iter_mut().for_each(Self::complete_versions);
    }
}

/// Adds message and field to an error of the JSON reader, which knows line and column only.
fn located(file: &str, text: &str, error: &serde_json::Error) -> SchemaError {
    let schema: Value = serde_json::from_str(text).unwrap_or_default();
    let commons = schema["commonStructs"].as_array().into_iter().flatten();
    let mut lists = [&schema].into_iter().chain(commons).map(|of| bad_field(&of["fields"]));
    let path = lists.find(|path| !path.is_empty()).unwrap_or_default();
    SchemaError {
        file: file.to_owned(),
        message: schema["name"].as_str().map(str::to_owned),
        field: (!path.is_empty()).then(|| path.join(".")),
        reason: error.to_string(),
    }
}

/// The names that lead to the first field in a list that cannot be read; empty where all can.
fn bad_field(fields: &Value) -> Vec<&str> {
    let mut fields = fields.as_array().into_iter().flatten();
    let Some(bad) = fields.find(|field| FieldSpec::deserialize(*field).is_err()) else { return Vec::new() };
    let mut path = vec![bad["name"].as_str().unwrap_or("(no name)")];
    path.extend(bad_field(&bad["fields"]));
    path
}

/// Blanks out `//` comments, so that positions in errors stay those of the file.
pub(crate) fn strip_comments(text: &str) -> String {
    text.lines().map(|line| &line[..comment_start(line)]).collect::<Vec<_>>().join("\n")
}

/// Where the comment of a line begins; its end where there is none.
fn comment_start(line: &str) -> usize {
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' if !escaped => in_string = !in_string,
            b'/' if !in_string && line[at..].starts_with("//") => return at,
            _ => {}
        }
        escaped = in_string && byte == b'\\' && !escaped;
    }
    line.len()
}

fn no_versions() -> Versions {
    Versions::NONE
}

fn versions<'de, D: de::Deserializer<'de>>(input: D) -> Result<Versions, D::Error> {
    String::deserialize(input)?.parse().map_err(de::Error::custom)
}

fn some_versions<'de, D: de::Deserializer<'de>>(input: D) -> Result<Option<Versions>, D::Error> {
    versions(input).map(Some)
}

fn written_default<'de, D: de::Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(input)? {
        Value::String(text) => Ok(Some(text)),
        value @ (Value::Bool(_) | Value::Number(_)) => Ok(Some(value.to_string())),
        // Upstream's reader takes a bare null for "no default", unlike the string "null".
        Value::Null => Ok(None),
        value => Err(de::Error::custom(format!("a default is a string, a number, a boolean or null, not {value}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_end_where_strings_do_not_hold_them() {
        let text = "{ \"a\": \"http://x\", // note\n// all\n\"b\": \"\\\"//\" }";
        assert_eq!(strip_comments(text), "{ \"a\": \"http://x\", \n\n\"b\": \"\\\"//\" }");
    }

    #[test]
    fn a_bare_null_is_no_default() {
        let default = |written: &str| {
            let field = format!(r#"{{ "name": "F", "type": "string", "versions": "0+", "default": {written} }}"#);
            serde_json::from_str::<FieldSpec>(&field).expect("a field").default
        };
        assert_eq!(default("null"), None);
        assert_eq!(default("\"null\"").as_deref(), Some("null"));
        assert_eq!(default("-1").as_deref(), Some("-1"));
    }

    #[test]
    fn an_unknown_property_names_the_file_and_the_line() {
        let text = "{\n\"type\": \"data\", \"name\": \"A\", \"validVersions\": \"0\",\n\"colour\": 1 }";
        let error = MessageSpec::parse("A.json", text).expect_err("unknown property").to_string();
        assert!(error.starts_with("A.json: A: unknown field `colour`"), "{error}");
        assert!(error.contains("line 3"), "{error}");
    }
}
