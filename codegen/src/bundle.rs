//! All schemas in one text, which the binary carries: a line for each file, without comments and descriptions.

use serde_json::Value;

use crate::{
    error::SchemaError,
    schemas::{Release, Schemas},
    spec::strip_comments,
};

/// Marks the files of the newer release.
const NEWER: &str = "newer";
/// Marks those of the older one.
const OLDER: &str = "older";

/// Packs the files of both releases. [`Schemas::from_bundle`] unpacks them.
pub fn bundle(newer: &Release, older: &Release) -> Result<String, SchemaError> {
    let mut text = String::new();
    for (release, files) in [(NEWER, newer.files()), (OLDER, older.files())] {
        for (file, schema) in files {
            let file_name = file.rsplit(['/', '\\']).next().unwrap_or(file);
            let schema = minified(schema).map_err(|error| SchemaError::new(file, error.to_string()))?;
            text.push_str(&format!("{release}\t{file_name}\t{schema}\n"));
        }
    }
    Ok(text)
}

impl Schemas {
    /// Reads what [`bundle`] packed.
    pub fn from_bundle(text: &str) -> Result<Self, SchemaError> {
        let release = |mark: &str| {
            let files = text.lines().filter_map(|line| line.strip_prefix(mark)?.strip_prefix('\t')?.split_once('\t'));
            Release::from_texts(files.map(|(file, schema)| (file.to_owned(), schema.to_owned())))
        };
        Self::load(&release(NEWER), &release(OLDER))
    }
}

/// The schema on one line.
fn minified(schema: &str) -> Result<Value, serde_json::Error> {
    let mut schema = serde_json::from_str(&strip_comments(schema))?;
    drop_descriptions(&mut schema);
    Ok(schema)
}

fn drop_descriptions(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.shift_remove("about");
            members.values_mut().for_each(drop_descriptions);
        }
        Value::Array(elements) => elements.iter_mut().for_each(drop_descriptions),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_holds_both_releases_and_no_descriptions() {
        let schema = |versions, field: &str| {
            let text = format!(
                r#"// Note.
                {{ "name": "A", "type": "data", "validVersions": "{versions}", "fields": [
                   {{ "name": "{field}", "type": "int8", "versions": "{versions}", "about": "A field." }} ] }}"#
            );
            Release::from_texts([("dir/A.json".to_owned(), text)])
        };
        let text = bundle(&schema("1", "Newer"), &schema("0", "Older")).expect("good schemas");
        assert_eq!(text.lines().count(), 2);
        assert!(text.starts_with("newer\tA.json\t{"), "{text}");
        assert!(!text.contains("about") && !text.contains("Note"), "{text}");
        let schemas = Schemas::from_bundle(&text).expect("good schemas");
        let fields = &schemas.get("A").expect("is there").root().fields;
        assert_eq!(fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>(), ["Older", "Newer"]);
    }
}
