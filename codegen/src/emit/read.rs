//! Decoding: straight down in wire order.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use super::{
    condition::Condition,
    types::{self, field_name, variable_name},
};
use crate::{
    layout::least_size,
    model::{Field, Message, Type},
    versions::Versions,
};

/// The body of a struct's `read`.
pub(super) fn body(message: &Message, index: usize) -> TokenStream {
    let possible = types::struct_versions(message, index);
    let fields = &message.structs[index].fields;
    let flexible = flexible_binding(message, possible);
    let reads = fields.iter().map(|field| read_field(message, field, possible));
    let inits = fields.iter().map(|field| {
        let (name, variable) = (field_name(field), variable_name(field));
        if name == variable { quote!(#name) } else { quote!(#name: #variable) }
    });
    let tagged = tagged_section(message, fields, possible);
    let unknown = has_tagged_section(message, possible).then(|| quote!(unknown_tagged_fields,));
    quote! {
        #flexible
        #(#reads)*
        #tagged
        Ok(Self { #(#inits,)* #unknown })
    }
}

/// `let flexible = …;` where that depends on the version.
pub(super) fn flexible_binding(message: &Message, possible: Versions) -> Option<TokenStream> {
    match Condition::new(message.flexible, possible) {
        Condition::When(condition) => Some(quote!(let flexible = #condition;)),
        Condition::Always | Condition::Never => None,
    }
}

/// Whether the struct has tagged fields in some version.
pub(super) fn has_tagged_section(message: &Message, possible: Versions) -> bool {
    !message.flexible.intersect(possible).is_empty()
}

/// Whether a field's length is compact, as an expression.
pub(super) fn compact(message: &Message, field: &Field, possible: Versions) -> TokenStream {
    match Condition::new(field.flexible, possible) {
        Condition::When(_) if field.flexible == message.flexible => quote!(flexible),
        condition => condition.expression(),
    }
}

fn read_field(message: &Message, field: &Field, possible: Versions) -> TokenStream {
    let name = variable_name(field);
    let default = types::default_value(message, field);
    // A field is tagged from some version on; it stands among the others below that one.
    let untagged = match field.tagged_versions().ends() {
        None => field.versions,
        Some((lowest, _)) => field.versions.intersect(Versions::new(0, lowest - 1)),
    };
    let value = Condition::new(untagged, possible).choose(
        || {
            let read = read_value(message, field, untagged.intersect(possible));
            let field = field.camel_case_name();
            quote!(#read.in_field(#field)?)
        },
        || default,
    );
    if field.tagged_versions().intersect(possible).is_empty() {
        quote!(let #name = #value;)
    } else {
        quote!(let mut #name = #value;)
    }
}

/// An expression that reads the field's value, or fails.
fn read_value(message: &Message, field: &Field, possible: Versions) -> TokenStream {
    let plain = || read_plain(message, field, possible);
    if !types::is_optional(message, field) {
        return plain();
    }
    let nullable = Condition::new(field.nullable, possible);
    let optional = matches!(nullable, Condition::When(_));
    let read = nullable.choose(
        || read_nullable(message, field, possible),
        || {
            let plain = plain();
            quote!(#plain.map(Some))
        },
    );
    if optional { quote!((#read)) } else { read }
}

fn read_plain(message: &Message, field: &Field, possible: Versions) -> TokenStream {
    let compact = compact(message, field, possible);
    match &field.ty {
        Type::String => quote!(r.string(#compact)),
        Type::Bytes => quote!(r.bytes(#compact)),
        Type::Records => quote!(r.records(#compact)),
        Type::Array(element) => {
            let (least, read) = element_parts(message, field, element, possible);
            quote!(r.array(#compact, #least, #read))
        }
        Type::Struct(_) => {
            let ty = types::value_type(message, &field.ty);
            quote!(#ty::read(r, version))
        }
        primitive => {
            let method = method(primitive);
            quote!(r.#method())
        }
    }
}

fn read_nullable(message: &Message, field: &Field, possible: Versions) -> TokenStream {
    let compact = compact(message, field, possible);
    match &field.ty {
        Type::String => quote!(r.nullable_string(#compact)),
        Type::Bytes => quote!(r.nullable_bytes(#compact)),
        Type::Records => quote!(r.nullable_records(#compact)),
        Type::Array(element) => {
            let (least, read) = element_parts(message, field, element, possible);
            quote!(r.nullable_array(#compact, #least, #read))
        }
        _ => {
            let (ty, method) = (types::value_type(message, &field.ty), nullable_struct(field, possible));
            quote!(r.#method(|r| #ty::read(r, version)))
        }
    }
}

/// The method of `Reader` and `Writer` for a struct that may be null, which is another one within a tagged field.
pub(super) fn nullable_struct(field: &Field, possible: Versions) -> Ident {
    let is_tagged = !field.tagged_versions().intersect(possible).is_empty();
    format_ident!("{}", if is_tagged { "nullable_tagged_struct" } else { "nullable_struct" })
}

/// The least size of an array's element, and what reads one.
fn element_parts(message: &Message, field: &Field, element: &Type, possible: Versions) -> (Literal, TokenStream) {
    let least = Literal::usize_unsuffixed(least_size(message, field, element, possible));
    let compact = compact(message, field, possible);
    let read = match element {
        Type::Struct(_) => {
            let ty = types::value_type(message, element);
            quote!(|r| #ty::read(r, version))
        }
        Type::String => quote!(|r| r.string(#compact)),
        Type::Bytes => quote!(|r| r.bytes(#compact)),
        primitive => {
            let method = method(primitive);
            quote!(Reader::#method)
        }
    };
    (least, read)
}

/// The method of `Reader` and `Writer` for a type that is no struct and no array: those have code of their own.
pub(super) fn method(ty: &Type) -> Ident {
    format_ident!("{}", ty.name())
}

fn tagged_section(message: &Message, fields: &[Field], possible: Versions) -> TokenStream {
    let flexible = match Condition::new(message.flexible, possible) {
        Condition::Never => return TokenStream::new(),
        Condition::Always => None,
        Condition::When(_) => Some(quote!(flexible)),
    };
    let possible = possible.intersect(message.flexible);
    let arms: Vec<_> = fields.iter().filter_map(|field| tag_arm(message, field, possible)).collect();
    let section = if arms.is_empty() {
        quote!(r.tagged_fields(|_, _| Ok(false))?)
    } else {
        quote! {
            r.tagged_fields(|r, tag| {
                match tag {
                    #(#arms)*
                    _ => return Ok(false),
                }
                Ok(true)
            })?
        }
    };
    match flexible {
        None => quote!(let unknown_tagged_fields = #section;),
        Some(flexible) => quote! {
            let unknown_tagged_fields = if #flexible { #section } else { UnknownTaggedFields::default() };
        },
    }
}

fn tag_arm(message: &Message, field: &Field, possible: Versions) -> Option<TokenStream> {
    let tag = field.tag?;
    let guard = match Condition::new(tag.versions, possible) {
        Condition::Never => return None,
        Condition::Always => None,
        Condition::When(condition) => Some(quote!(if #condition)),
    };
    let number = Literal::u32_unsuffixed(tag.number);
    let name = variable_name(field);
    let read = read_value(message, field, tag.versions.intersect(possible));
    let wire_name = field.camel_case_name();
    Some(quote!(#number #guard => #name = #read.in_field(#wire_name)?,))
}
