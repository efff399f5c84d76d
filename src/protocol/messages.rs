//! The generated messages: a module each, out of `schemas/`, chosen by `messages.txt`.

include!(concat!(env!("OUT_DIR"), "/messages.rs"));
