//! Types, defaults and documentation of fields.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{format_ident, quote};

use crate::{
    model::{Default, Field, Message, Type},
    versions::Versions,
};

/// The field's name as an identifier; a keyword becomes a raw one.
pub(super) fn field_name(field: &Field) -> Ident {
    let name = field.snake_case_name();
    syn::parse_str(&name).unwrap_or_else(|_| Ident::new_raw(&name, Span::call_site()))
}

/// The name of the variable that a field is read into: not one that the code around it uses.
pub(super) fn variable_name(field: &Field) -> Ident {
    let name = field.snake_case_name();
    match name.as_str() {
        "version" | "flexible" | "tag" | "r" => format_ident!("{name}_field"),
        _ => field_name(field),
    }
}

/// The type of a value, null left aside.
pub(super) fn value_type(message: &Message, ty: &Type) -> TokenStream {
    match ty {
        Type::Bool => quote!(bool),
        Type::Int8 => quote!(i8),
        Type::Int16 => quote!(i16),
        Type::Uint16 => quote!(u16),
        Type::Int32 => quote!(i32),
        Type::Uint32 => quote!(u32),
        Type::Int64 => quote!(i64),
        Type::Float64 => quote!(f64),
        Type::Uuid => quote!(Uuid),
        Type::String => quote!(StrBytes),
        Type::Bytes => quote!(Bytes),
        Type::Records => quote!(Records),
        Type::Struct(index) => {
            let name = format_ident!("{}", message.structs[*index].name);
            quote!(#name)
        }
        Type::Array(element) => {
            let element = value_type(message, element);
            quote!(Vec<#element>)
        }
    }
}

/// Whether the field is an `Option`: null in some version that is in use.
pub(super) fn is_optional(message: &Message, field: &Field) -> bool {
    !field.nullable.intersect(field.versions).intersect(message.versions).is_empty()
}

/// The field's type.
pub(super) fn field_type(message: &Message, field: &Field) -> TokenStream {
    let value = value_type(message, &field.ty);
    if is_optional(message, field) { quote!(Option<#value>) } else { value }
}

/// Whether the default is what the field's Rust type has by `Default`.
pub(super) fn has_plain_default(message: &Message, field: &Field) -> bool {
    match field.default {
        Default::Empty => !is_optional(message, field),
        Default::Null => is_optional(message, field),
        Default::Bool(value) => !value,
        Default::Int(_) | Default::Float(_) | Default::String(_) => false,
    }
}

/// The field's default as an expression.
pub(super) fn default_value(message: &Message, field: &Field) -> TokenStream {
    let optional = is_optional(message, field);
    let value = match &field.default {
        Default::Null if optional => return quote!(None),
        Default::Empty | Default::Null => empty_value(message, &field.ty),
        Default::Bool(value) => quote!(#value),
        Default::Int(value) => integer(*value),
        Default::Float(value) => quote!(#value),
        Default::String(text) => quote!(StrBytes::from_static(#text)),
    };
    if optional { quote!(Some(#value)) } else { value }
}

fn integer(value: i64) -> TokenStream {
    match value {
        i64::MAX => quote!(i64::MAX),
        2_147_483_647 => quote!(i32::MAX),
        -2_147_483_648 => quote!(i32::MIN),
        value => {
            let literal = Literal::i64_unsuffixed(value);
            quote!(#literal)
        }
    }
}

fn empty_value(message: &Message, ty: &Type) -> TokenStream {
    match ty {
        Type::Bool => quote!(false),
        Type::Float64 => quote!(0.0),
        Type::Int8 | Type::Int16 | Type::Uint16 | Type::Int32 | Type::Uint32 | Type::Int64 => quote!(0),
        Type::Uuid => quote!(Uuid::nil()),
        Type::Array(_) => quote!(Vec::new()),
        Type::String | Type::Bytes | Type::Records | Type::Struct(_) => {
            let ty = value_type(message, ty);
            quote!(#ty::default())
        }
    }
}

/// An expression that is true where the field has not its default.
pub(super) fn is_set(message: &Message, field: &Field) -> TokenStream {
    let name = field_name(field);
    match (&field.default, &field.ty) {
        (Default::Null, _) if is_optional(message, field) => quote!(self.#name.is_some()),
        (Default::Empty, _) if is_optional(message, field) => {
            let default = default_value(message, field);
            quote!(self.#name != #default)
        }
        (Default::Bool(true), _) => quote!(!self.#name),
        (_, Type::Bool) => quote!(self.#name),
        (Default::Empty | Default::Null, Type::String | Type::Bytes | Type::Records | Type::Array(_)) => {
            quote!(!self.#name.is_empty())
        }
        (_, Type::Uuid) => quote!(!self.#name.is_nil()),
        _ => {
            let default = default_value(message, field);
            quote!(self.#name != #default)
        }
    }
}

/// The field's documentation: the schema's description, then the versions.
pub(super) fn documentation(message: &Message, field: &Field) -> String {
    let about = wrapped(&escape(&field.about));
    let mut versions = format!("Versions {}", field.versions);
    if is_optional(message, field) {
        versions += &format!(", nullable {}", field.nullable.intersect(field.versions));
    }
    if let Some(tag) = field.tag {
        versions += &format!(", tag {} in {}", tag.number, tag.versions);
    }
    if let Some(entity) = &field.entity {
        versions += &format!(", a {entity}");
    }
    if about.is_empty() { format!(" {versions}.") } else { format!("{about}\n\n {versions}.") }
}

/// Fills lines of about a hundred characters. None begins with what Markdown would take for a list or a heading.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 100;
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        let can_begin = word.starts_with(|c: char| c.is_alphabetic() || c == '(');
        if width > 0 && can_begin && width + word.len() > WIDTH {
            lines.push('\n');
            width = 0;
        }
        lines.push(' ');
        lines.push_str(word);
        width += 1 + word.len();
    }
    lines
}

/// Keeps rustdoc from taking a description's brackets for links and tags.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if matches!(c, '[' | ']' | '<' | '>' | '*' | '_') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// The versions in which a struct's fields are read and written.
pub(super) fn struct_versions(message: &Message, index: usize) -> Versions {
    message.versions.intersect(message.structs[index].versions)
}
