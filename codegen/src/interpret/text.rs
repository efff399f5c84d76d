//! JSON as text, letter for letter as Jackson prints it: what differs from other printers are floats and escapes.

use std::fmt::Write;

use serde_json::{Map, Number, Value as Json};

/// JSON on one line, or with `pretty` on as many as its structure has.
#[must_use]
pub fn json_text(json: &Json, pretty: bool) -> String {
    let mut printer = Printer { out: String::new(), pretty, depth: 0 };
    printer.value(json);
    printer.out
}

struct Printer {
    out: String,
    pretty: bool,
    depth: usize,
}

impl Printer {
    fn value(&mut self, json: &Json) {
        match json {
            Json::Null => self.out.push_str("null"),
            Json::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Json::Number(number) => self.number(number),
            Json::String(text) => self.string(text),
            Json::Array(elements) => self.array(elements),
            Json::Object(members) => self.object(members),
        }
    }

    fn number(&mut self, number: &Number) {
        match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => self.out.push_str(&java_double(float)),
            None => self.out.push_str(&number.to_string()),
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            self.character(c);
        }
        self.out.push('"');
    }

    fn character(&mut self, c: char) {
        let escaped = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '\0'..='\u{1f}' => {
                let _infallible = write!(self.out, "\\u{:04X}", u32::from(c));
                return;
            }
            plain => return self.out.push(plain),
        };
        self.out.push_str(escaped);
    }

    fn array(&mut self, elements: &[Json]) {
        self.items('[', elements, ']', Self::value);
    }

    fn object(&mut self, members: &Map<String, Json>) {
        self.items('{', members, '}', |printer, (name, value)| {
            printer.string(name);
            printer.out.push_str(if printer.pretty { ": " } else { ":" });
            printer.value(value);
        });
    }

    fn items<T>(&mut self, open: char, items: impl IntoIterator<Item = T>, close: char, print: impl Fn(&mut Self, T)) {
        self.out.push(open);
        self.depth += 1;
        let mut is_empty = true;
        for item in items {
            if !is_empty {
                self.out.push(',');
            }
            is_empty = false;
            self.new_line();
            print(self, item);
        }
        self.depth -= 1;
        if !is_empty {
            self.new_line();
        }
        self.out.push(close);
    }

    fn new_line(&mut self) {
        if self.pretty {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", self.depth));
        }
    }
}

/// As `Double.toString` has it: at least one digit on either side of the point, an exponent from 10^7 on and below 10^-3.
fn java_double(value: f64) -> String {
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return format!("{value:?}");
    }
    let shortest = format!("{value:e}");
    // Where one digit would do, Java takes the closest of two: 4.9E-324, not 5.0E-324.
    let two_digits = format!("{value:.1e}");
    let text = if shortest.contains('.') { shortest } else { two_digits };
    text.replace('e', "E")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_look_as_in_java() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-0.001, "-0.001"),
            (0.0001, "1.0E-4"),
            (9_999_999.5, "9999999.5"),
            (1e7, "1.0E7"),
            (-1.25e300, "-1.25E300"),
            (2e23, "2.0E23"),
            (f64::from_bits(1), "4.9E-324"),
            (f64::MAX, "1.7976931348623157E308"),
            (0.1 + 0.2, "0.30000000000000004"),
        ] {
            assert_eq!(java_double(value), text);
        }
    }

    #[test]
    fn control_characters_are_escaped_in_capitals() {
        assert_eq!(
            json_text(&Json::String("a\"\\\n\u{1f}é\u{7f}".to_owned()), false),
            "\"a\\\"\\\\\\n\\u001Fé\u{7f}\""
        );
    }

    #[test]
    fn pretty_text_is_indented_and_empty_things_stay_short() {
        let json = serde_json::json!({"a": [1, {}], "b": []});
        assert_eq!(json_text(&json, true), "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
        assert_eq!(json_text(&json, false), "{\"a\":[1,{}],\"b\":[]}");
    }
}
