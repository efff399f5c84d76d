//! The API keys: every one that the schemas know, compiled or not, and the header versions that go with it.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

use super::condition::Condition;
use crate::{model::Message, schemas::Schemas, spec::MessageKind, versions::Versions};

pub(super) fn emit(schemas: &Schemas) -> TokenStream {
    let mut requests: Vec<_> = schemas.iter().filter(|message| message.kind == MessageKind::Request).collect();
    requests.sort_by_key(|message| message.api_key);
    let texts: Vec<_> = requests.iter().map(|message| api_name(message)).collect();
    let names: Vec<_> = texts.iter().map(|text| format_ident!("{text}")).collect();
    let numbers: Vec<_> =
        requests.iter().map(|message| Literal::i16_unsuffixed(message.api_key.unwrap_or_default())).collect();
    let request_headers = requests.iter().map(|message| request_header_version(message));
    let response_headers = requests.iter().map(|message| response_header_version(message));
    let abouts =
        texts.iter().zip(&requests).map(|(text, message)| format!(" `{text}`, versions {}.", message.versions));
    quote! {
        //! The key of every API that the schemas describe.

        /// An API, whether the broker serves it or not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {
            #(#[doc = #abouts] #names = #numbers,)*
        }

        impl ApiKey {
            /// Every key, ascending.
            pub const ALL: &'static [Self] = &[#(Self::#names),*];

            /// The API with this key.
            #[must_use]
            pub fn from_code(code: i16) -> Option<Self> {
                match code {
                    #(#numbers => Some(Self::#names),)*
                    _ => None,
                }
            }

            /// The key as the wire has it.
            #[must_use]
            pub fn code(self) -> i16 {
                match self {
                    #(Self::#names => #numbers,)*
                }
            }

            /// The name in Kafka's protocol documents.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    #(Self::#names => #texts,)*
                }
            }

            /// The version of the header in front of a request of this version.
            #[must_use]
            pub fn request_header_version(self, version: i16) -> i16 {
                match self {
                    #(Self::#names => #request_headers,)*
                }
            }

            /// The version of the header in front of a response of this version.
            #[must_use]
            pub fn response_header_version(self, version: i16) -> i16 {
                match self {
                    #(Self::#names => #response_headers,)*
                }
            }
        }
    }
}

fn api_name(message: &Message) -> &str {
    message.name.strip_suffix("Request").unwrap_or(&message.name)
}

fn request_header_version(message: &Message) -> TokenStream {
    Condition::new(message.flexible, Versions::ALL).choose(|| quote!(2), || quote!(1))
}

/// A client that asks for the versions cannot know yet which header the broker understands, so the answer to
/// `ApiVersions` has the oldest (KIP-511).
fn response_header_version(message: &Message) -> TokenStream {
    if api_name(message) == "ApiVersions" {
        return quote!(0);
    }
    Condition::new(message.flexible, Versions::ALL).choose(|| quote!(1), || quote!(0))
}
