//! A message's module: its structs, and how they are read and written.

use proc_macro2::{Ident, Literal, TokenStream, TokenTree};
use quote::{format_ident, quote};

use super::{kind, read, types, types::field_name, write};
use crate::{
    model::{Field, Message, Struct, snake_case},
    sensitive::is_sensitive,
    spec::MessageKind,
};

/// The whole module.
pub(super) fn emit(message: &Message, others: &[Message]) -> TokenStream {
    let head = head(message);
    let request = request_impl(message, others);
    let message_impl = message_impl(message);
    let (root, nested) = message.structs.split_first().expect("a message has its own struct first");
    let root_definition = definition(message, 0, root);
    let nested = nested.iter().enumerate().map(|(index, inner)| {
        let definition = definition(message, index + 1, inner);
        let codec = nested_codec(message, index + 1, inner);
        quote!(#definition #codec)
    });
    let code = quote! {
        #root_definition
        #message_impl
        #request
        #(#nested)*
    };
    let imports = imports(&code);
    quote! {
        #![doc = #head]
        #imports
        #code
    }
}

/// The module's first line.
fn head(message: &Message) -> String {
    let key = message.api_key.map_or_else(String::new, |key| format!(", api key {key}"));
    let flexible = match message.flexible.intersect(message.versions).ends() {
        None => "not flexible".to_owned(),
        Some((lowest, _)) => format!("flexible from {lowest}"),
    };
    format!(" `{}`: {}{key}, versions {}, {flexible}.", message.name, kind(message), message.versions)
}

/// What the module's code names.
fn imports(code: &TokenStream) -> TokenStream {
    let used = |names: &[&str]| -> Vec<Ident> {
        names.iter().filter(|name| mentions(code, name)).map(|name| format_ident!("{name}")).collect()
    };
    let fmt = mentions(code, "fmt").then(|| {
        quote!(
            use std::fmt;
        )
    });
    let bytes = mentions(code, "Bytes").then(|| {
        quote!(
            use bytes::Bytes;
        )
    });
    let uuid = mentions(code, "Uuid").then(|| {
        quote!(
            use uuid::Uuid;
        )
    });
    let traits = used(&["Message", "Request"]);
    let api_key = mentions(code, "ApiKey").then(|| quote!(messages::ApiKey,));
    let records = mentions(code, "Records").then(|| quote!(records::Records,));
    let in_field = mentions(code, "in_field").then(|| quote!(InField,));
    let (errors, types) =
        (used(&["DecodeError", "EncodeError"]), used(&["Reader", "StrBytes", "UnknownTaggedFields", "Writer"]));
    quote! {
        #fmt
        #bytes
        #uuid
        use crate::protocol::{
            message::{#(#traits),*},
            #api_key
            #records
            wire::{#(#errors,)* #in_field #(#types),*},
        };
    }
}

/// Whether a name occurs in the code, other than as that of a field.
fn mentions(code: &TokenStream, name: &str) -> bool {
    let tokens: Vec<_> = code.clone().into_iter().collect();
    let is = |at: usize, sign: char| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == sign);
    tokens.iter().enumerate().any(|(at, token)| match token {
        TokenTree::Ident(ident) if ident == name => {
            let of_value = at > 0 && is(at - 1, '.') && name == "version";
            let initialised = is(at + 1, ':') && !is(at + 2, ':');
            !of_value && !initialised
        }
        TokenTree::Group(group) => mentions(&group.stream(), name),
        TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

fn definition(message: &Message, index: usize, of: &Struct) -> TokenStream {
    let name = format_ident!("{}", of.name);
    let about = if index == 0 {
        format!(" The {} `{}`.", kind(message), message.name)
    } else {
        format!(" Part of [`{}`].", message.name)
    };
    let fields = of.fields.iter().map(|field| field_definition(message, field));
    let unknown = read::has_tagged_section(message, types::struct_versions(message, index)).then(|| {
        quote! {
            /// Tagged fields that the schema does not know.
            pub unknown_tagged_fields: UnknownTaggedFields,
        }
    });
    let plain = of.fields.iter().all(|field| types::has_plain_default(message, field));
    let has_secrets = of.fields.iter().any(|field| is_sensitive(&message.name, &field.name));
    let derived = [("Clone", true), ("Debug", !has_secrets), ("Default", plain), ("PartialEq", true)];
    let derived = derived.iter().filter(|(_, is_derived)| *is_derived).map(|(name, _)| format_ident!("{name}"));
    let default = (!plain).then(|| default_impl(message, of, unknown.is_some()));
    let debug = has_secrets.then(|| debug_impl(message, of, unknown.is_some()));
    quote! {
        #[doc = #about]
        #[derive(#(#derived),*)]
        pub struct #name {
            #(#fields)*
            #unknown
        }
        #default
        #debug
    }
}

fn field_definition(message: &Message, field: &Field) -> TokenStream {
    let name = field_name(field);
    let ty = types::field_type(message, field);
    let about = types::documentation(message, field);
    let lines = about.lines();
    quote!(#(#[doc = #lines])* pub #name: #ty,)
}

fn default_impl(message: &Message, of: &Struct, has_unknown: bool) -> TokenStream {
    let name = format_ident!("{}", of.name);
    let fields = of.fields.iter().map(|field| {
        let name = field_name(field);
        let value = types::default_value(message, field);
        quote!(#name: #value,)
    });
    let unknown = has_unknown.then(|| quote!(unknown_tagged_fields: UnknownTaggedFields::default(),));
    quote! {
        impl Default for #name {
            fn default() -> Self {
                Self { #(#fields)* #unknown }
            }
        }
    }
}

/// For a struct with sensitive fields, which are not shown.
fn debug_impl(message: &Message, of: &Struct, has_unknown: bool) -> TokenStream {
    let (name, text) = (format_ident!("{}", of.name), &of.name);
    let fields = of.fields.iter().map(|field| {
        let (name, text) = (field_name(field), snake_case(&field.name));
        match is_sensitive(&message.name, &field.name) {
            true => quote!(.field(#text, &format_args!("<redacted>"))),
            false => quote!(.field(#text, &self.#name)),
        }
    });
    let unknown = has_unknown.then(|| quote!(.field("unknown_tagged_fields", &self.unknown_tagged_fields)));
    quote! {
        impl fmt::Debug for #name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(#text) #(#fields)* #unknown .finish()
            }
        }
    }
}

fn message_impl(message: &Message) -> TokenStream {
    let name = format_ident!("{}", message.name);
    let text = &message.name;
    let (lowest, highest) = message.versions.ends().expect("only messages with versions are emitted");
    let [lowest, highest] = [lowest, highest].map(Literal::i16_unsuffixed);
    let codec = codec(message, 0);
    quote! {
        impl Message for #name {
            const NAME: &'static str = #text;
            const LOWEST_VERSION: i16 = #lowest;
            const HIGHEST_VERSION: i16 = #highest;

            #codec
        }
    }
}

/// The two functions of a struct.
fn codec(message: &Message, index: usize) -> TokenStream {
    let (read, write) = (read::body(message, index), write::body(message, index));
    let parameter = |body, used, unused| format_ident!("{}", if mentions(body, used) { used } else { unused });
    let (reader, read_version) = (parameter(&read, "r", "_r"), parameter(&read, "version", "_version"));
    let (writer, write_version) = (parameter(&write, "w", "_w"), parameter(&write, "version", "_version"));
    quote! {
        fn read(#reader: &mut Reader<'_>, #read_version: i16) -> Result<Self, DecodeError> { #read }

        fn write(&self, #writer: &mut Writer, #write_version: i16) -> Result<(), EncodeError> { #write }
    }
}

fn nested_codec(message: &Message, index: usize, of: &Struct) -> TokenStream {
    let name = format_ident!("{}", of.name);
    let codec = codec(message, index);
    quote! {
        impl #name {
            #codec
        }
    }
}

/// Ties a request to its key and its response, where that is emitted too.
fn request_impl(message: &Message, others: &[Message]) -> Option<TokenStream> {
    if message.kind != MessageKind::Request {
        return None;
    }
    let response = others.iter().find(|m| m.kind == MessageKind::Response && m.api_key == message.api_key)?;
    let name = format_ident!("{}", message.name);
    let key = format_ident!("{}", message.name.strip_suffix("Request").unwrap_or(&message.name));
    let module = format_ident!("{}", snake_case(&response.name));
    let response = format_ident!("{}", response.name);
    Some(quote! {
        impl Request for #name {
            const KEY: ApiKey = ApiKey::#key;
            type Response = super::#module::#response;
        }
    })
}
