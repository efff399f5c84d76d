//! Answers as JSON, without what each broker has of its own.

use anyhow::{Context, Result};
use ottla::protocol::{message::Message, schemas::schemas};
use ottla_codegen::interpret;
use serde_json::Value;

/// What a request came to.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A response.
    Response(Value),
    /// The broker closed the connection.
    Closed,
    /// Nothing came within the time that is waited.
    Silence,
}

impl Answer {
    /// The response, or nothing that has any field.
    pub(crate) fn response(&self) -> &Value {
        match self {
            Self::Response(value) => value,
            Self::Closed | Self::Silence => &Value::Null,
        }
    }
}

/// Reads a response by its schema, every field of it.
pub(crate) fn to_json<M: Message>(body: &[u8], version: i16) -> Result<Value> {
    let schema = schemas().get(M::NAME).context("the schema of a generated message")?;
    let (value, length) = interpret::decode(schema, version, body)?;
    anyhow::ensure!(length == body.len(), "{} v{version}: {} bytes are left over", M::NAME, body.len() - length);
    Ok(interpret::to_json(schema, version, &value)?)
}

/// The answer as it is compared.
pub(crate) fn comparable(answer: &Answer) -> String {
    match answer {
        Answer::Closed => "closed".to_owned(),
        Answer::Silence => "silence".to_owned(),
        Answer::Response(value) => {
            let mut value = value.clone();
            normalize(&mut value);
            value.to_string()
        }
    }
}

/// Takes out what depends on the broker, the time or the run.
fn normalize(value: &mut Value) {
    match value {
        Value::Array(elements) => {
            elements.iter_mut().for_each(normalize);
            // Kafka answers in the order of its hash maps.
            elements.sort_by_key(Value::to_string);
        }
        Value::Object(fields) => {
            for own in ["throttleTimeMs", "host", "port", "rack", "clusterId", "brokers", "nodeEndpoints"] {
                fields.remove(own);
            }
            // Where Kafka says nothing, a reason helps; and where a batch is refused, nobody reads where the log starts.
            fields.remove("errorMessage");
            if fields.get("errorCode").is_some_and(|code| *code != 0) {
                fields.remove("logStartOffset");
            }
            // Formatting a Kafka makes the default of this key a setting of its cluster.
            if fields.get("name").is_some_and(|name| name == "min.insync.replicas") {
                fields.remove("configSource");
                fields.remove("synonyms");
            }
            for (name, value) in fields.iter_mut() {
                normalize_field(name, value);
            }
        }
        _ => {}
    }
}

fn normalize_field(name: &str, value: &mut Value) {
    let shown = match name {
        "batchIndexErrorMessage" => value.as_str().map(|_| "a text"),
        "sessionId" => value.as_i64().filter(|id| *id != 0).map(|_| "a session"),
        "logAppendTimeMs" => value.as_i64().filter(|time| *time != -1).map(|_| "a time"),
        "logDir" => Some("a directory"),
        "totalBytes" | "usableBytes" | "partitionSize" => value.as_i64().filter(|bytes| *bytes > 0).map(|_| "bytes"),
        // Ids that a row made up have zeros in them; a broker's have not.
        "topicId" => value.as_str().filter(|id| !id.starts_with("AAAA")).map(|_| "an id"),
        _ => None,
    };
    match shown {
        Some(shown) => *value = shown.into(),
        None => normalize(value),
    }
}
