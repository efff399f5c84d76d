use proptest::{collection::vec, prelude::*};

use super::*;

const CODECS: [Compression; 4] = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn packed(codec: Compression, bytes: &[u8]) -> Bytes {
    compress(codec, None, &Bytes::copy_from_slice(bytes)).expect("memory suffices")
}

fn corrupt(result: Result<Bytes, DecompressError>) -> String {
    match result {
        Err(DecompressError::Corrupt { reason, .. }) => reason,
        other => panic!("not refused as corrupt: {other:?}"),
    }
}

#[test]
fn numbers_are_the_formats() {
    for (id, name) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let codec = Compression::from_id(i16::try_from(id).expect("small")).expect("known");
        assert_eq!((usize::try_from(codec.id()), codec.name()), (Ok(id), name));
    }
    assert_eq!([5, 6, 7, -1].map(Compression::from_id), [None; 4]);
}

#[test]
fn the_limit_is_exact() {
    for size in [0, 1, 65_535, 65_536, 65_537, 200_000] {
        let bytes = Bytes::from(vec![b'x'; size]);
        for codec in [Compression::None].into_iter().chain(CODECS) {
            let compressed = packed(codec, &bytes);
            assert_eq!(decompress(codec, &compressed, size), Ok(bytes.clone()), "{codec:?} {size}");
            if let Some(limit) = size.checked_sub(1) {
                let refused = decompress(codec, &compressed, limit);
                assert_eq!(refused, Err(DecompressError::TooLarge { limit }), "{codec:?} {size}");
            }
        }
    }
}

#[test]
fn levels_reach_their_codec() {
    let text: Vec<u8> = (0..20_000u32).flat_map(|n| (n * n).to_string().into_bytes()).collect();
    let size = |codec, level| compress(codec, level, &Bytes::from(text.clone())).expect("memory suffices").len();
    assert!(size(Compression::Gzip, Some(1)) > size(Compression::Gzip, Some(9)));
    assert_eq!(size(Compression::Gzip, Some(-1)), size(Compression::Gzip, None));
    assert!(size(Compression::Zstd, Some(-131_072)) > size(Compression::Zstd, Some(19)));
    assert_eq!(size(Compression::Lz4, Some(1)), size(Compression::Lz4, Some(17)));
}

#[test]
fn a_cut_or_extended_payload_is_corrupt() {
    let bytes: Vec<u8> = (0..100_000u32).map(|n| (n % 251).to_le_bytes()[0]).collect();
    for codec in CODECS {
        let whole = packed(codec, &bytes);
        for cut in 1..40.min(whole.len()) {
            corrupt(decompress(codec, &whole.slice(..whole.len() - cut), 1 << 20));
        }
        let extended = Bytes::from([&whole[..], b"trailing"].concat());
        corrupt(decompress(codec, &extended, 1 << 20));
    }
}

#[test]
fn gzip_members_are_read_one_after_the_other() {
    let members = [packed(Compression::Gzip, b"one "), packed(Compression::Gzip, b"two")].concat();
    assert_eq!(decompress(Compression::Gzip, &members.into(), 7), Ok(Bytes::from_static(b"one two")));
}

#[test]
fn zstd_frames_are_read_one_after_the_other() {
    let frames = [packed(Compression::Zstd, b"one "), packed(Compression::Zstd, b"two")].concat();
    assert_eq!(decompress(Compression::Zstd, &frames.into(), 7), Ok(Bytes::from_static(b"one two")));
}

#[test]
fn snappy_is_written_in_chunks_and_read_bare_too() {
    let written = packed(Compression::Snappy, b"aaaaaaaaaaaaaaaaaaaa");
    let raw = [20, 0, b'a', 0x4a, 1, 0];
    let framed = [&b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x06"[..], &raw].concat();
    assert_eq!(written, framed);
    let plain = Ok(Bytes::from_static(&[b'a'; 20]));
    assert_eq!(decompress(Compression::Snappy, &framed.into(), 20), plain);
    assert_eq!(decompress(Compression::Snappy, &Bytes::copy_from_slice(&raw), 20), plain);
}

#[test]
fn a_snappy_chunk_cannot_declare_more_than_it_holds() {
    // Four bytes that say they are 4 GiB.
    let bomb = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, b'a']);
    let reason = corrupt(decompress(Compression::Snappy, &bomb, usize::MAX));
    assert_eq!(reason, "a chunk declares more bytes than it can hold");
    let negative = Bytes::from_static(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\xff\xff\xff\xff");
    assert_eq!(corrupt(decompress(Compression::Snappy, &negative, 100)), "a chunk is cut off");
}

#[test]
fn an_lz4_frame_is_as_kafkas_clients_read_it() {
    let frame = packed(Compression::Lz4, b"some bytes");
    // Version 1, independent blocks, no checksums; blocks of 64 KiB.
    assert_eq!(frame[..6], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40]);
    let refuse = |change: fn(&mut Vec<u8>)| {
        let mut changed = frame.to_vec();
        change(&mut changed);
        corrupt(decompress(Compression::Lz4, &changed.into(), 100))
    };
    assert_eq!(refuse(|frame| frame[4] = 0x40), "blocks depend on each other");
    assert_eq!(refuse(|frame| frame[4] = 0x61), "a dictionary is needed");
    assert_eq!(refuse(|frame| frame[0] = 0x02), "not an LZ4 frame");
    assert_eq!(refuse(|frame| frame.extend_from_within(..)), "bytes follow the frame");
    assert_eq!(refuse(|frame| frame.truncate(frame.len() - 1)), "the frame is cut off");
    refuse(|frame| frame[6] ^= 1);
}

#[test]
fn a_panic_of_a_decoder_is_an_error() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("index out of bounds")
        }
    }
    let mut decompressor = Decompressor::new(Compression::Gzip, &[], 10).expect("opened");
    decompressor.reader = Box::new(Broken);
    let mut out = vec![1, 2];
    let error = decompressor.read_onto(&mut out).expect_err("it panics");
    assert_eq!(error, DecompressError::Corrupt { codec: "gzip", reason: "the decoder panicked".into() });
    assert_eq!(out, [1, 2]);
}

proptest! {
    #[test]
    fn everything_survives_every_codec(bytes in vec(any::<u8>(), 0..5_000), repeat in 1usize..60) {
        let bytes = Bytes::from(bytes.repeat(repeat));
        for codec in CODECS {
            let compressed = packed(codec, &bytes);
            prop_assert_eq!(decompress(codec, &compressed, bytes.len()), Ok(bytes.clone()));
        }
    }

    #[test]
    fn garbage_is_refused_within_the_limit(bytes in vec(any::<u8>(), 0..300), at: prop::sample::Index, byte: u8) {
        const LIMIT: usize = 100_000;
        let repeated = bytes.repeat(20);
        for codec in CODECS {
            let mut mutated = packed(codec, &repeated).to_vec();
            if !mutated.is_empty() {
                let at = at.index(mutated.len());
                mutated[at] = byte;
            }
            for input in [mutated, bytes.clone()] {
                let output = decompress(codec, &Bytes::from(input), LIMIT);
                prop_assert!(output.map_or(0, |output| output.len()) <= LIMIT);
            }
        }
    }
}
