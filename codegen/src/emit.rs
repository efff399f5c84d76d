//! Rust out of the model: a module a message, formatted as a careful person would have typed it.
//!
//! The range of versions is checked once, at the message's door; what is below relies on it, and only comparisons that
//! can be false are emitted.

mod api_keys;
mod condition;
mod message;
mod read;
mod types;
mod write;

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::{model::Message, model::snake_case, schemas::Schemas, spec::MessageKind};

/// A generated source file.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// The module's name, which is the file's too.
    pub module: String,
    /// The text.
    pub text: String,
}

/// All modules for `messages`, and the one that knows every API key of `schemas`.
#[must_use]
pub fn emit(messages: &[Message], schemas: &Schemas) -> Vec<SourceFile> {
    let mut files: Vec<_> = messages.iter().map(|message| emit_message(message, messages)).collect();
    files.push(source_file("api_key", api_keys::emit(schemas)));
    files
}

/// The module of one message. `others` tells whether a request's response is there too.
#[must_use]
pub fn emit_message(message: &Message, others: &[Message]) -> SourceFile {
    source_file(&snake_case(&message.name), message::emit(message, others))
}

/// The module tree: declares `files`, which stand in `directory`, and re-exports the messages.
#[must_use]
pub fn emit_root(files: &[SourceFile], messages: &[Message], directory: &str) -> String {
    let modules = files.iter().map(|file| {
        let path = format!("{directory}/{}.rs", file.module);
        let module = format_ident!("{}", file.module);
        quote!(#[path = #path] pub mod #module;)
    });
    let types: Vec<_> = messages.iter().map(|message| format_ident!("{}", message.name)).collect();
    let exports = messages.iter().zip(&types).map(|(message, ty)| {
        let module = format_ident!("{}", snake_case(&message.name));
        quote!(#[doc(inline)] pub use #module::#ty;)
    });
    format(quote! {
        #(#modules)*
        pub use api_key::ApiKey;
        #(#exports)*

        /// Calls a macro with the list of all compiled messages' types.
        #[doc(hidden)]
        #[macro_export]
        macro_rules! for_each_message {
            ($each:ident) => { $each! { #(#types)* } };
        }
    })
}

fn source_file(module: &str, tokens: TokenStream) -> SourceFile {
    SourceFile { module: module.to_owned(), text: format(tokens) }
}

/// Formats; tokens that do not parse are a bug of the emitter, shown as they are.
fn format(tokens: TokenStream) -> String {
    match syn::parse2(tokens.clone()) {
        Ok(file) => spaced(&prettyplease::unparse(&file)),
        Err(error) => panic!("the emitter wrote what is not Rust: {error}\n{tokens}"),
    }
}

/// Sets items apart by blank lines, of which the formatter puts none.
fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut previous = "";
    for line in text.lines() {
        if is_apart(previous, line) {
            out.push('\n');
        }
        out.push_str(line);
        out.push('\n');
        previous = line;
    }
    out
}

/// Whether a blank line belongs between two neighbouring lines.
fn is_apart(previous: &str, line: &str) -> bool {
    if line.trim() == "}" {
        return false;
    }
    let starts = |line: &str, words: &[&str]| words.iter().any(|word| line.starts_with(word));
    let is_listed = |line| starts(line, &["use ", "pub use ", "pub mod ", "#[path", "#[doc(inline)]"]);
    match line.len() - line.trim_start().len() {
        0 if is_listed(line) => {
            let group = |line: &str| ["use std::", "use crate::"].map(|start| line.starts_with(start));
            previous.starts_with("//!") || previous.starts_with("use ") && group(line) != group(previous)
        }
        0 => {
            let after_head = previous.starts_with("//!") && !line.starts_with("//!");
            after_head || is_listed(previous) || starts(previous, &["}", "};"])
        }
        4 => starts(previous, &["    }", "    ];"]) || starts(line, &["    fn "]) && starts(previous, &["    const "]),
        _ => false,
    }
}

/// What a message is, for its module's first line.
fn kind(message: &Message) -> &'static str {
    match message.kind {
        MessageKind::Request => "request",
        MessageKind::Response => "response",
        MessageKind::Header => "header",
        MessageKind::Metadata => "metadata record",
        MessageKind::CoordinatorKey => "coordinator record key",
        MessageKind::CoordinatorValue => "coordinator record value",
        MessageKind::Data => "data",
    }
}
