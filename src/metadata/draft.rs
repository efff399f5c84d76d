//! A change of many parts: each part is decided against what the parts before it make of the image.

use std::borrow::Cow;

use super::{image::Image, record::MetadataRecord};

/// An image, and the records that were decided on top of it.
pub struct Draft<'a> {
    image: Cow<'a, Image>,
    records: Vec<MetadataRecord>,
    /// How many of them are in the image. The rest follows when somebody looks: the last part, often the only one, is
    /// worth no copy.
    applied: usize,
}

impl<'a> Draft<'a> {
    /// Nothing decided yet.
    #[must_use]
    pub fn new(image: &'a Image) -> Self {
        Self { image: Cow::Borrowed(image), records: Vec::new(), applied: 0 }
    }

    /// The image with all that was decided.
    pub fn image(&mut self) -> &Image {
        for record in &self.records[self.applied..] {
            let image = self.image.to_mut();
            image.apply(image.offset(), record).expect("the records were decided against this very draft");
        }
        self.applied = self.records.len();
        &self.image
    }

    /// Adds records that were decided against [`Draft::image`].
    pub fn extend(&mut self, records: impl IntoIterator<Item = MetadataRecord>) {
        self.records.extend(records);
    }

    /// All records.
    #[must_use]
    pub fn into_records(self) -> Vec<MetadataRecord> {
        self.records
    }
}
