//! One message out of two upstream releases: the newer one's schema, and from the older one the versions that the newer
//! dropped.
//!
//! Where both releases define a version they must agree on it; a contradiction is an error that names the field.

use crate::{
    error::SchemaError,
    spec::{FieldSpec, MessageSpec, StructSpec},
    versions::Versions,
};

/// Adds to `newer` the versions below its own that `older` has.
pub(crate) fn merge(file: &str, newer: &MessageSpec, older: &MessageSpec) -> Result<MessageSpec, SchemaError> {
    let mut merger = Merger { newer: newer.valid_versions, older: older.valid_versions, path: Vec::new() };
    merger.message(newer, older).map_err(|reason| SchemaError {
        file: file.to_owned(),
        message: Some(newer.name.clone()),
        field: (!merger.path.is_empty()).then(|| merger.path.join(".")),
        reason,
    })
}

struct Merger {
    newer: Versions,
    older: Versions,
    path: Vec<String>,
}

impl Merger {
    fn message(&mut self, newer: &MessageSpec, older: &MessageSpec) -> Result<MessageSpec, String> {
        same("apiKey", &newer.api_key, &older.api_key)?;
        same("type", &newer.kind, &older.kind)?;
        let valid_versions = self
            .newer
            .union(self.older)
            .ok_or_else(|| format!("versions {} and {} leave a gap", self.older, self.newer))?;
        Ok(MessageSpec {
            valid_versions,
            flexible_versions: self.versions("flexibleVersions", newer.flexible_versions, older.flexible_versions)?,
            fields: self.fields(&newer.fields, &older.fields)?,
            common_structs: self.structs(&newer.common_structs, &older.common_structs)?,
            ..newer.clone()
        })
    }

    fn structs(&mut self, newer: &[StructSpec], older: &[StructSpec]) -> Result<Vec<StructSpec>, String> {
        let mut merged = Vec::new();
        for new in newer {
            merged.push(match older.iter().find(|old| old.name == new.name) {
                None => new.clone(),
                Some(old) => StructSpec {
                    name: new.name.clone(),
                    versions: self.versions("versions of the struct", new.versions, old.versions)?,
                    fields: self.fields(&new.fields, &old.fields)?,
                },
            });
        }
        merged.extend(older.iter().filter(|old| !newer.iter().any(|new| new.name == old.name)).cloned());
        Ok(merged)
    }

    /// The newer fields in their order; a field that only the older release has keeps its place behind its predecessor.
    fn fields(&mut self, newer: &[FieldSpec], older: &[FieldSpec]) -> Result<Vec<FieldSpec>, String> {
        let mut merged: Vec<FieldSpec> = Vec::new();
        for new in newer {
            self.path.push(new.name.clone());
            merged.push(match older.iter().find(|old| old.name == new.name) {
                None => self.only_newer(new)?,
                Some(old) => self.field(new, old)?,
            });
            self.path.pop();
        }
        let mut place = 0;
        for old in older {
            self.path.push(old.name.clone());
            match merged.iter().position(|field| field.name == old.name) {
                Some(at) if at < place => return Err("the two releases have it in different places".to_owned()),
                Some(at) => place = at + 1,
                None => {
                    merged.insert(place, self.only_older(old)?);
                    place += 1;
                }
            }
            self.path.pop();
        }
        Ok(merged)
    }

    fn field(&mut self, new: &FieldSpec, old: &FieldSpec) -> Result<FieldSpec, String> {
        same("type", &new.type_name, &old.type_name)?;
        same("default", &new.default, &old.default)?;
        same("tag", &new.tag, &old.tag)?;
        Ok(FieldSpec {
            versions: self.versions("versions", new.versions, old.versions)?,
            nullable_versions: self.versions("nullableVersions", new.nullable_versions, old.nullable_versions)?,
            tagged_versions: self.versions("taggedVersions", new.tagged_versions, old.tagged_versions)?,
            flexible_versions: match (new.flexible_versions, old.flexible_versions) {
                (Some(new), Some(old)) => Some(self.versions("flexibleVersions", new, old)?),
                (None, None) => None,
                _ => return Err("flexibleVersions in one release only".to_owned()),
            },
            fields: self.fields(&new.fields, &old.fields)?,
            ..new.clone()
        })
    }

    /// A field that the older release lacks must not be in a version that the older release defines.
    fn only_newer(&self, new: &FieldSpec) -> Result<FieldSpec, String> {
        match new.versions.intersect(self.newer).intersect(self.older).ends() {
            None => Ok(FieldSpec { versions: above(new.versions, self.older), ..new.clone() }),
            Some((version, _)) => Err(format!("version {version} has it in the newer release, not in the older")),
        }
    }

    /// And the reverse. What is left of the field are the versions that only the older release defines.
    fn only_older(&self, old: &FieldSpec) -> Result<FieldSpec, String> {
        match old.versions.intersect(self.older).intersect(self.newer).ends() {
            None => Ok(FieldSpec { versions: old.versions.intersect(self.older), ..old.clone() }),
            Some((version, _)) => Err(format!("version {version} has it in the older release, not in the newer")),
        }
    }

    /// Joins two ranges, each good for the versions that its own release defines.
    fn versions(&self, what: &str, newer: Versions, older: Versions) -> Result<Versions, String> {
        let both = self.newer.intersect(self.older);
        if newer.intersect(both) != older.intersect(both) {
            return Err(format!("{what} is {newer} in the newer release, {older} in the older"));
        }
        // Written ranges often reach below the versions that a release still has: there the older release speaks.
        let newer = above_lowest(newer, self.newer);
        newer.union(older.intersect(self.older)).ok_or_else(|| format!("{what} {older} and {newer} leave a gap"))
    }
}

/// `range` from the lowest version of `release` on.
fn above_lowest(range: Versions, release: Versions) -> Versions {
    release.ends().map_or(range, |(lowest, _)| range.intersect(Versions::from(lowest)))
}

/// `range` above the highest version of `release`.
fn above(range: Versions, release: Versions) -> Versions {
    release.ends().map_or(range, |(_, highest)| range.intersect(Versions::from(highest.saturating_add(1))))
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, newer: &T, older: &T) -> Result<(), String> {
    if newer == older {
        Ok(())
    } else {
        Err(format!("{what} is {newer:?} in the newer release, {older:?} in the older"))
    }
}
