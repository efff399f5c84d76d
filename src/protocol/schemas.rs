//! The schemas at run time, for what generated code does not cover: the codec commands, and answers in versions that
//! the broker does not serve.

use std::sync::LazyLock;

use ottla_codegen::Schemas;

/// Every message of the vendored schemas. The first call reads them, which takes some milliseconds.
pub fn schemas() -> &'static Schemas {
    static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| {
        let bundle = include_str!(concat!(env!("OUT_DIR"), "/schemas.bundle"));
        Schemas::from_bundle(bundle).expect("the build script has checked the very same schemas")
    });
    &SCHEMAS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_carries_every_schema() {
        assert_eq!(schemas().iter().count(), 286);
        let produce = schemas().get("ProduceRequest").expect("is there");
        assert_eq!(produce.api_key, Some(0));
    }
}
