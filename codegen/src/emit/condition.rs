//! A version condition, reduced to the comparison that is really needed.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use crate::versions::Versions;

/// Whether a version is in a range, for those versions that are possible where the question is asked.
pub(super) enum Condition {
    /// In it, whichever version it is.
    Always,
    /// Not in it.
    Never,
    /// That depends: a boolean expression over `version`.
    When(TokenStream),
}

impl Condition {
    pub(super) fn new(range: Versions, possible: Versions) -> Self {
        let inside = range.intersect(possible);
        let (Some((lowest, highest)), Some((first, last))) = (inside.ends(), possible.ends()) else {
            return Self::Never;
        };
        let [low, high] = [lowest, highest].map(Literal::i16_unsuffixed);
        match (lowest > first, highest < last) {
            (false, false) => Self::Always,
            (true, false) => Self::When(quote!(version >= #low)),
            (false, true) => Self::When(quote!(version <= #high)),
            (true, true) if lowest == highest => Self::When(quote!(version == #low)),
            (true, true) => Self::When(quote!((#low..=#high).contains(&version))),
        }
    }

    /// The condition as a boolean expression.
    pub(super) fn expression(&self) -> TokenStream {
        match self {
            Self::Always => quote!(true),
            Self::Never => quote!(false),
            Self::When(condition) => condition.clone(),
        }
    }

    /// The opposite condition as a boolean expression.
    pub(super) fn negation(range: Versions, possible: Versions) -> TokenStream {
        let inside = range.intersect(possible);
        let (Some((lowest, highest)), Some((first, last))) = (inside.ends(), possible.ends()) else {
            return quote!(true);
        };
        let [low, high] = [lowest, highest].map(Literal::i16_unsuffixed);
        match (lowest > first, highest < last) {
            (false, false) => quote!(false),
            (true, false) => quote!(version < #low),
            (false, true) => quote!(version > #high),
            (true, true) => quote!(!(#low..=#high).contains(&version)),
        }
    }

    /// The expression that takes `yes` where the condition holds and `no` where not.
    pub(super) fn choose(&self, yes: impl FnOnce() -> TokenStream, no: impl FnOnce() -> TokenStream) -> TokenStream {
        match self {
            Self::Always => yes(),
            Self::Never => no(),
            Self::When(condition) => {
                let (yes, no) = (yes(), no());
                quote!(if #condition { #yes } else { #no })
            }
        }
    }
}
