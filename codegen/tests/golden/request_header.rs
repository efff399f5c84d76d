//! `RequestHeader`: header, versions 1-2, flexible from 2.

use crate::protocol::{
    message::Message,
    wire::{
        DecodeError, EncodeError, InField, Reader, StrBytes, UnknownTaggedFields, Writer,
    },
};

/// The header `RequestHeader`.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestHeader {
    /// The API key of this request.
    ///
    /// Versions 0+.
    pub request_api_key: i16,
    /// The API version of this request.
    ///
    /// Versions 0+.
    pub request_api_version: i16,
    /// The correlation ID of this request.
    ///
    /// Versions 0+.
    pub correlation_id: i32,
    /// The client ID string.
    ///
    /// Versions 1+, nullable 1+.
    pub client_id: Option<StrBytes>,
    /// Tagged fields that the schema does not know.
    pub unknown_tagged_fields: UnknownTaggedFields,
}

impl Default for RequestHeader {
    fn default() -> Self {
        Self {
            request_api_key: 0,
            request_api_version: 0,
            correlation_id: 0,
            client_id: Some(StrBytes::default()),
            unknown_tagged_fields: UnknownTaggedFields::default(),
        }
    }
}

impl Message for RequestHeader {
    const NAME: &'static str = "RequestHeader";
    const LOWEST_VERSION: i16 = 1;
    const HIGHEST_VERSION: i16 = 2;

    fn read(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let request_api_key = r.int16().in_field("requestApiKey")?;
        let request_api_version = r.int16().in_field("requestApiVersion")?;
        let correlation_id = r.int32().in_field("correlationId")?;
        let client_id = r.nullable_string(false).in_field("clientId")?;
        let unknown_tagged_fields = if flexible {
            r.tagged_fields(|_, _| Ok(false))?
        } else {
            UnknownTaggedFields::default()
        };
        Ok(Self {
            request_api_key,
            request_api_version,
            correlation_id,
            client_id,
            unknown_tagged_fields,
        })
    }

    fn write(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        w.int16(self.request_api_key).in_field("requestApiKey")?;
        w.int16(self.request_api_version).in_field("requestApiVersion")?;
        w.int32(self.correlation_id).in_field("correlationId")?;
        w.nullable_string(self.client_id.as_ref(), false).in_field("clientId")?;
        if flexible {
            w.unknown_tagged_fields(&self.unknown_tagged_fields);
        } else if self.unknown_tagged_fields.count() > 0 {
            return Err(EncodeError::not_in_version("unknownTaggedFields"));
        }
        Ok(())
    }
}
