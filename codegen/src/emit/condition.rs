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
            (true, true) if lowest == highest => quote!(version != #low),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(range: &str, possible: &str) -> (String, String) {
        let [range, possible] = [range, possible].map(|text| text.parse().expect("a range"));
        let text = |tokens: TokenStream| tokens.to_string();
        (text(Condition::new(range, possible).expression()), text(Condition::negation(range, possible)))
    }

    #[test]
    fn only_what_can_be_false_is_asked() {
        for (range, possible, inside, outside) in [
            ("0+", "4-12", "true", "false"),
            ("4-12", "4-12", "true", "false"),
            ("13+", "4-12", "false", "true"),
            ("none", "4-12", "false", "true"),
            ("7+", "4-12", "version >= 7", "version < 7"),
            ("0-6", "4-12", "version <= 6", "version > 6"),
            ("6", "4-12", "version == 6", "version != 6"),
            ("5-6", "4-12", "(5 ..= 6) . contains (& version)", "! (5 ..= 6) . contains (& version)"),
            ("4", "4-12", "version <= 4", "version > 4"),
        ] {
            assert_eq!(condition(range, possible), (inside.to_owned(), outside.to_owned()), "{range} of {possible}");
        }
    }
}
