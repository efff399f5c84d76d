//! Both codecs, the generated one and the interpreting one, against each other and against Apache Kafka's bytes.

mod captures;
mod codecs;
mod generated;
mod hex;
mod vectors;
