#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{fs::File, io::Read, path::Path};

use flate2::read::GzDecoder;
use serde_json::{Value as Json, json};

use clap::CommandFactory;

use super::*;

/// Runs a command line on `input`: the exit code and the output, or the error.
fn run_on(arguments: &str, input: &[u8]) -> Result<(ExitCode, Vec<u8>), String> {
    let cli = Cli::try_parse_from(arguments.split(' ')).map_err(|error| error.to_string())?;
    let mut output = Vec::new();
    let code = match cli.command.unwrap() {
        Command::Decode(args) => args.run(input, &mut output),
        Command::Encode(args) => args.run(input, &mut output),
        Command::Dump(args) => args.run(&mut output, io::sink()),
        Command::Verify(args) => args.run(&mut output),
        Command::Certs(args) => args.run(&mut output),
        Command::Health(args) => args.run(std::iter::empty(), &mut output),
    };
    code.map(|code| (code, output)).map_err(|error| error.to_string())
}

fn text(arguments: &str, input: &str) -> String {
    let (code, output) = run_on(arguments, input.as_bytes()).unwrap();
    assert_eq!(code, ExitCode::SUCCESS);
    String::from_utf8(output).unwrap()
}

fn refusal(arguments: &str, input: &str) -> String {
    run_on(arguments, input.as_bytes()).unwrap_err()
}

/// FindCoordinatorRequest v0 for the key "my-group", and its JSON.
const GROUP: &str = "00086d792d67726f7570";
const GROUP_JSON: &str = "{\"key\":\"my-group\"}";

/// ApiVersionsRequest v3 behind its header, with correlation id 42 and client id "cli".
const API_VERSIONS: &str = "0012 0003 0000002a 0003636c69 00 04727073 0431 2e30 00";

#[test]
fn the_arguments_do_not_contradict_each_other() {
    Cli::command().debug_assert();
}

#[test]
fn hex_and_raw_bytes_become_json_and_come_back() {
    let target = "--message FindCoordinatorRequest --version 0";
    assert_eq!(text(&format!("ottla decode {target} --hex"), &format!(" {GROUP}\n")), format!("{GROUP_JSON}\n"));
    assert_eq!(text(&format!("ottla encode {target} --hex"), GROUP_JSON), format!("{GROUP}\n"));
    let raw = "\0\u{8}my-group";
    assert_eq!(text(&format!("ottla encode {target}"), GROUP_JSON), raw);
    assert_eq!(text(&format!("ottla decode {target}"), raw), format!("{GROUP_JSON}\n"));
    assert_eq!(text(&format!("ottla decode {target} --pretty"), raw), "{\n  \"key\": \"my-group\"\n}\n");
}

#[test]
fn a_request_header_says_what_follows() {
    let json = text("ottla decode --header --hex", API_VERSIONS);
    let expected = json!({
        "header": {"requestApiKey": 18, "requestApiVersion": 3, "correlationId": 42, "clientId": "cli"},
        "body": {"clientSoftwareName": "rps", "clientSoftwareVersion": "1.0"},
    });
    assert_eq!(serde_json::from_str::<Json>(&json).unwrap(), expected);
    let hex = text("ottla encode --header --hex", &json);
    assert_eq!(hex.trim(), API_VERSIONS.replace(' ', ""));
    assert_eq!(text("ottla decode --header --hex --message ApiVersionsRequest --version 3", API_VERSIONS), json);
}

#[test]
fn a_request_in_an_inflexible_version_has_the_older_header() {
    let json = text("ottla decode --header --hex", &format!("000a 0000 00000001 ffff {GROUP}"));
    let header = r#"{"requestApiKey":10,"requestApiVersion":0,"correlationId":1,"clientId":null}"#;
    assert_eq!(json, format!("{{\"header\":{header},\"body\":{GROUP_JSON}}}\n"));
}

#[test]
fn a_response_header_has_tags_only_in_flexible_versions_and_never_for_api_versions() {
    for (message, hex, body) in [
        ("HeartbeatResponse --version 3", "00000007 00000000 0000", r#"{"throttleTimeMs":0,"errorCode":0}"#),
        ("HeartbeatResponse --version 4", "00000007 00 00000000 0000 00", r#"{"throttleTimeMs":0,"errorCode":0}"#),
        (
            "ApiVersionsResponse --version 3",
            "00000007 0000 01 00000000 00",
            r#"{"errorCode":0,"apiKeys":[],"throttleTimeMs":0}"#,
        ),
    ] {
        let target = format!("--header --hex --message {message}");
        let json = format!("{{\"header\":{{\"correlationId\":7}},\"body\":{body}}}\n");
        assert_eq!(text(&format!("ottla decode {target}"), hex), json);
        assert_eq!(text(&format!("ottla encode {target}"), &json).trim(), hex.replace(' ', ""));
    }
}

#[test]
fn a_header_that_says_otherwise_is_refused() {
    let decode = |arguments| refusal(&format!("ottla decode --header --hex {arguments}"), API_VERSIONS);
    let error = "the header says ApiVersionsRequest v3, not FetchRequest v3";
    assert_eq!(decode("--message FetchRequest"), error);
    assert_eq!(decode("--version 2"), "the header says ApiVersionsRequest v3, not ApiVersionsRequest v2");
    assert_eq!(
        decode("--message LeaderChangeMessage --version 0"),
        "LeaderChangeMessage has no header before it, only requests and responses have"
    );
    assert_eq!(
        refusal("ottla decode --header --hex", "7fff 0000 00000000 ffff"),
        "the header's API key is 32767, which no request has"
    );
}

#[test]
fn errors_count_bytes_from_the_start_of_the_input() {
    let cut = "0012 0003 0000002a 0003636c69 00 047270";
    let error = "ApiVersionsRequest v3: clientSoftwareName: 3 bytes needed, 2 left, at byte 15";
    assert_eq!(refusal("ottla decode --header --hex", cut), error);
    let error = "ApiVersionsRequest v3: 2 bytes too many: the message ends before byte 23";
    assert_eq!(refusal("ottla decode --header --hex", &format!("{API_VERSIONS} 0000")), error);
}

#[test]
fn a_frame_with_its_size_is_recognised() {
    let error = refusal("ottla decode --header --hex", &format!("00000017 {API_VERSIONS}"));
    assert!(error.starts_with("ProduceRequest v23: no such version, it has 3-13; the input seems to begin"), "{error}");
}

#[test]
fn what_is_missing_or_unknown_is_said() {
    let decode = |arguments: &str| refusal(&format!("ottla decode {arguments} --hex"), "");
    assert_eq!(
        decode("--version 1"),
        "--message is needed (and --version), or --header where a request's header comes first"
    );
    assert_eq!(decode("--message ProduceRequest"), "--version is needed: ProduceRequest has 3-13");
    assert_eq!(decode("--message ProduceRequest --version 99"), "ProduceRequest v99: no such version, it has 3-13");
    assert_eq!(
        decode("--message Produce --version 9"),
        "no message is called Produce; near are ProduceRequest, ProduceResponse, ProducerSnapshot"
    );
    assert_eq!(decode("--message Zzz --version 9"), "no message is called Zzz");
}

#[test]
fn bad_hex_and_bad_json_are_said() {
    let target = "--message FindCoordinatorRequest --version 0";
    let decode = |hex| refusal(&format!("ottla decode {target} --hex"), hex);
    assert_eq!(decode("00 0g"), "'g' at character 5 is not a hex digit");
    assert_eq!(decode("000"), "an odd number of hex digits: 3");
    let encode = |arguments, json| refusal(&format!("ottla encode {arguments}"), json);
    assert_eq!(encode(target, "{\"key\":"), "not JSON: EOF while parsing a value at line 1 column 7");
    let error = "FindCoordinatorRequest v0: key: is missing and has to be there in this version";
    assert_eq!(encode(target, "{}"), error);
    let error = r#"JSON with a header has to be {"header": {…}, "body": {…}}: body is missing"#;
    assert_eq!(encode("--header", r#"{"header": {}}"#), error);
}

#[test]
fn a_batch_answers_each_line_in_its_place() {
    let lines =
        format!("FindCoordinatorRequest\t0\t{GROUP}\r\nFindCoordinatorRequest\tx\t00\n\nResponseHeader\t0\t00\n");
    let (code, output) = run_on("ottla decode --batch", lines.as_bytes()).unwrap();
    assert_eq!(code, ExitCode::FAILURE);
    let expected = [
        GROUP_JSON,
        r#"{"error":"\"x\" is not a version"}"#,
        r#"{"error":"a line of a batch has three columns with tabs between them: name, version, content"}"#,
        r#"{"error":"ResponseHeader v0: correlationId: 4 bytes needed, 1 left, at byte 0"}"#,
    ];
    assert_eq!(String::from_utf8(output).unwrap().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_batch_of_every_vector_goes_to_json_and_back() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vectors.tsv.gz");
    let mut vectors = String::new();
    GzDecoder::new(File::open(fixture).unwrap()).read_to_string(&mut vectors).unwrap();
    let lines: Vec<[&str; 3]> = vectors
        .lines()
        .map(|line| {
            let mut columns = line.split('\t');
            [(); 3].map(|()| columns.next().unwrap())
        })
        .collect();
    let batch = |contents: &[&str]| -> String {
        let line = |([name, version, _], content): (&[&str; 3], &&str)| format!("{name}\t{version}\t{content}\n");
        lines.iter().zip(contents).map(line).collect()
    };
    let hex: Vec<_> = lines.iter().map(|[_, _, hex]| *hex).collect();
    let json = text("ottla decode --batch", &batch(&hex));
    let json: Vec<_> = json.lines().collect();
    assert_eq!(json.len(), hex.len());
    let back = text("ottla encode --batch", &batch(&json));
    assert_eq!(back.lines().collect::<Vec<_>>(), hex);
}

#[test]
fn a_batch_names_its_messages_itself() {
    let error = refusal("ottla decode --batch --message FetchRequest", "");
    assert!(error.contains("cannot be used with"), "{error}");
}
