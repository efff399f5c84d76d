//! Encoding: the same order, and a refusal of what the version cannot say.

use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, format_ident, quote};

use super::{
    condition::Condition,
    read::{compact, flexible_binding, method, nullable_struct},
    types,
    types::field_name,
};
use crate::{
    model::{Field, Message, Type},
    versions::Versions,
};

/// The body of a struct's `write`.
pub(super) fn body(message: &Message, index: usize) -> TokenStream {
    let possible = types::struct_versions(message, index);
    let fields = &message.structs[index].fields;
    let flexible = flexible_binding(message, possible);
    let writes = merge(fields.iter().flat_map(|field| write_field(message, field, possible)));
    let tagged = tagged_section(message, fields, possible);
    quote! {
        #flexible
        #(#writes)*
        #tagged
        Ok(())
    }
}

/// What a field, or several neighbours, do when written.
struct Step {
    /// When `write` happens; always where there is none.
    condition: Option<TokenStream>,
    write: TokenStream,
    /// What happens otherwise: each an `if`.
    refusals: Vec<TokenStream>,
}

impl Step {
    fn is_under(&self, condition: &Option<TokenStream>) -> bool {
        condition.is_some()
            && self.condition.as_ref().map(TokenStream::to_string) == condition.as_ref().map(TokenStream::to_string)
    }
}

impl ToTokens for Step {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { condition, write, refusals } = self;
        tokens.extend(match (condition, &refusals[..]) {
            (None, refusals) => quote!(#write #(#refusals)*),
            (Some(condition), []) => quote!(if #condition { #write }),
            (Some(condition), [refusal]) => quote!(if #condition { #write } else #refusal),
            (Some(condition), refusals) => quote!(if #condition { #write } else { #(#refusals)* }),
        });
    }
}

/// Puts neighbours under one condition where they have the same.
fn merge(steps: impl Iterator<Item = Step>) -> Vec<Step> {
    let mut merged: Vec<Step> = Vec::new();
    for step in steps {
        match merged.last_mut() {
            Some(last) if last.is_under(&step.condition) => {
                last.write.extend(step.write);
                last.refusals.extend(step.refusals);
            }
            _ => merged.push(step),
        }
    }
    merged
}

fn write_field(message: &Message, field: &Field, possible: Versions) -> Option<Step> {
    let tagged = field.tagged_versions();
    let untagged = match tagged.ends() {
        None => field.versions,
        Some((lowest, _)) => field.versions.intersect(Versions::new(0, lowest - 1)),
    };
    let write = || {
        let write = write_value(message, field, untagged.intersect(possible));
        let name = field.camel_case_name();
        quote!(#write.in_field(#name)?;)
    };
    let present = Condition::new(field.versions, possible);
    let refuses = !field.ignorable && !matches!(present, Condition::Always);
    if tagged.intersect(possible).is_empty() {
        let refusals = refuses.then(|| refuse_if(types::is_set(message, field), field)).into_iter().collect();
        return match present {
            Condition::Always => Some(Step { condition: None, write: write(), refusals }),
            Condition::Never => None,
            Condition::When(condition) => Some(Step { condition: Some(condition), write: write(), refusals }),
        };
    }
    let refusal = refuses.then(|| {
        let (absent, set) = (Condition::negation(field.versions, possible), types::is_set(message, field));
        refuse_if(quote!(#absent && #set), field)
    });
    let condition = Condition::new(untagged, possible);
    let plain = match &condition {
        Condition::Never => TokenStream::new(),
        Condition::Always | Condition::When(_) => write(),
    };
    match condition {
        Condition::When(condition) if refusal.is_none() => {
            Some(Step { condition: Some(condition), write: plain, refusals: Vec::new() })
        }
        Condition::When(condition) => {
            let write = quote!(if #condition { #plain } #refusal);
            Some(Step { condition: None, write, refusals: Vec::new() })
        }
        Condition::Always | Condition::Never => {
            Some(Step { condition: None, write: plain, refusals: refusal.into_iter().collect() })
        }
    }
}

fn refuse_if(condition: TokenStream, field: &Field) -> TokenStream {
    let name = field.camel_case_name();
    quote!(if #condition { return Err(EncodeError::not_in_version(#name)); })
}

/// An expression that writes the field's value, or fails.
fn write_value(message: &Message, field: &Field, possible: Versions) -> TokenStream {
    let name = field_name(field);
    if !types::is_optional(message, field) {
        return write_plain(message, field, possible);
    }
    let nullable = write_nullable(message, field, possible);
    let write = write_plain_value(message, field, possible);
    let known = quote! { match &self.#name { Some(value) => #write, None => w.refuse_null() } };
    match Condition::new(field.nullable, possible) {
        Condition::Always => nullable,
        Condition::Never => quote!((#known)),
        Condition::When(condition) => quote!((if #condition { #nullable } else { #known })),
    }
}

fn write_plain(message: &Message, field: &Field, possible: Versions) -> TokenStream {
    let name = field_name(field);
    let compact = compact(message, field, possible);
    match &field.ty {
        Type::String => quote!(w.string(&self.#name, #compact)),
        Type::Bytes => quote!(w.bytes(&self.#name, #compact)),
        Type::Records => quote!(w.records(&self.#name, #compact)),
        Type::Array(element) => {
            let write = element_writer(element, &compact);
            quote!(w.array(&self.#name, #compact, #write))
        }
        Type::Struct(_) => quote!(self.#name.write(w, version)),
        primitive => {
            let method = method(primitive);
            quote!(w.#method(self.#name))
        }
    }
}

/// Writes `value`, what an optional field holds.
fn write_plain_value(message: &Message, field: &Field, possible: Versions) -> TokenStream {
    let compact = compact(message, field, possible);
    match &field.ty {
        Type::String => quote!(w.string(value, #compact)),
        Type::Bytes => quote!(w.bytes(value, #compact)),
        Type::Records => quote!(w.records(value, #compact)),
        Type::Array(element) => {
            let write = element_writer(element, &compact);
            quote!(w.array(value, #compact, #write))
        }
        _ => quote!(value.write(w, version)),
    }
}

fn write_nullable(message: &Message, field: &Field, possible: Versions) -> TokenStream {
    let name = field_name(field);
    let compact = compact(message, field, possible);
    match &field.ty {
        Type::String => quote!(w.nullable_string(self.#name.as_ref(), #compact)),
        Type::Bytes => quote!(w.nullable_bytes(self.#name.as_ref(), #compact)),
        Type::Records => quote!(w.nullable_records(self.#name.as_ref(), #compact)),
        Type::Array(element) => {
            let write = element_writer(element, &compact);
            quote!(w.nullable_array(self.#name.as_ref(), #compact, #write))
        }
        _ => {
            let method = nullable_struct(field, possible);
            quote!(w.#method(self.#name.as_ref(), |w, value| value.write(w, version)))
        }
    }
}

fn element_writer(element: &Type, compact: &TokenStream) -> TokenStream {
    match element {
        Type::Struct(_) => quote!(|w, element| element.write(w, version)),
        Type::String => quote!(|w, element| w.string(element, #compact)),
        Type::Bytes => quote!(|w, element| w.bytes(element, #compact)),
        primitive => {
            let method = method(primitive);
            quote!(|w, &element| w.#method(element))
        }
    }
}

fn tagged_section(message: &Message, fields: &[Field], possible: Versions) -> TokenStream {
    let flexible = Condition::new(message.flexible, possible);
    if matches!(flexible, Condition::Never) {
        return TokenStream::new();
    }
    let possible = possible.intersect(message.flexible);
    let mut tagged: Vec<_> = fields.iter().filter_map(|field| Some((field.tag?, field))).collect();
    tagged.retain(|(tag, _)| !tag.versions.intersect(possible).is_empty());
    tagged.sort_by_key(|(tag, _)| tag.number);
    let section = if tagged.is_empty() {
        quote!(w.unknown_tagged_fields(&self.unknown_tagged_fields);)
    } else {
        known_and_unknown(message, &tagged, possible)
    };
    match flexible {
        // As Apache Kafka does: dropped silently, they would be missing where somebody counts on them.
        Condition::When(_) => quote! {
            if flexible {
                #section
            } else if self.unknown_tagged_fields.count() > 0 {
                return Err(EncodeError::not_in_version("unknownTaggedFields"));
            }
        },
        Condition::Always | Condition::Never => section,
    }
}

/// Tags ascend on the wire, so what is unknown goes between the known ones.
fn known_and_unknown(message: &Message, tagged: &[(crate::model::Tag, &Field)], possible: Versions) -> TokenStream {
    let present: Vec<_> = tagged
        .iter()
        .map(|(tag, field)| {
            let set = types::is_set(message, field);
            match Condition::new(tag.versions, possible) {
                Condition::When(condition) => quote!(#condition && #set),
                Condition::Always | Condition::Never => set,
            }
        })
        .collect();
    let names: Vec<_> = tagged.iter().map(|(_, field)| format_ident!("has_{}", field.snake_case_name())).collect();
    let mut next = 0_u32;
    let writes = tagged.iter().zip(&names).map(|((tag, field), present)| {
        let number = Literal::u32_unsuffixed(tag.number);
        let between = (tag.number > next).then(|| {
            let from = Literal::u32_unsuffixed(next);
            quote!(w.unknown_tagged_fields_between(&self.unknown_tagged_fields, #from, #number);)
        });
        // Where the version decides whether a tag is known, that tag may be among the unknown ones.
        let always_known = matches!(Condition::new(tag.versions, possible), Condition::Always);
        next = if always_known { tag.number + 1 } else { tag.number };
        let write = write_value(message, field, tag.versions.intersect(possible));
        let wire_name = field.camel_case_name();
        quote! {
            #between
            if #present {
                w.tagged_field(#number, |w| #write).in_field(#wire_name)?;
            }
        }
    });
    let writes: Vec<_> = writes.collect();
    let after = Literal::u32_unsuffixed(next);
    quote! {
        #(let #names = #present;)*
        w.tagged_field_count(&self.unknown_tagged_fields, &[#(#names),*]);
        #(#writes)*
        w.unknown_tagged_fields_from(&self.unknown_tagged_fields, #after);
    }
}
