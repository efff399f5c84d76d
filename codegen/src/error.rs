//! What is wrong with a schema, and where.

use std::fmt;

/// A schema that cannot be used: file, message, field and the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SchemaError {
    /// The file, as it was named to the reader.
    pub file: String,
    /// The message, once its name is known.
    pub message: Option<String>,
    /// The field, dotted from the outermost in.
    pub field: Option<String>,
    /// What is wrong.
    pub reason: String,
}

impl SchemaError {
    /// An error of a whole file.
    pub fn new(file: &str, reason: impl Into<String>) -> Self {
        Self { file: file.to_owned(), message: None, field: None, reason: reason.into() }
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if let Some(message) = &self.message {
            write!(f, "{message}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "field {field}: ")?;
        }
        f.write_str(&self.reason)
    }
}
