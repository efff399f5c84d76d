//! The LZ4 frame format, as far as Kafka uses it: one frame, and nothing after it.
//!
//! The crate's decoder takes a missing end for an end, goes on to further frames and knows linked blocks and older
//! formats. Kafka's own clients read none of that, so a batch that needs it would be stored and never read again:
//! the frame's outline is checked before it is decoded.

use std::io::{self, Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

const MAGIC: u32 = 0x184d_2204;
const FLAG_INDEPENDENT_BLOCKS: u8 = 0x20;
const FLAG_BLOCK_CHECKSUM: u8 = 0x10;
const FLAG_CONTENT_SIZE: u8 = 0x08;
const FLAG_CONTENT_CHECKSUM: u8 = 0x04;
const FLAG_DICTIONARY: u8 = 0x01;
/// Marks a block that is stored as it is.
const STORED_BLOCK: u32 = 0x8000_0000;
const CHECKSUM_SIZE: usize = 4;

pub(super) fn encode(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

pub(super) fn decoder(payload: &[u8]) -> io::Result<impl Read> {
    check_outline(payload)?;
    Ok(FrameDecoder::new(payload))
}

/// Steps from block to block: one whole frame with independent blocks, up to the end of the payload.
fn check_outline(payload: &[u8]) -> io::Result<()> {
    let mut rest = payload;
    if u32::from_le_bytes(take_chunk(&mut rest)?) != MAGIC {
        return Err(invalid("not an LZ4 frame"));
    }
    let [flags, _block_size] = take_chunk(&mut rest)?;
    if flags & FLAG_INDEPENDENT_BLOCKS == 0 {
        return Err(invalid("blocks depend on each other"));
    }
    if flags & FLAG_DICTIONARY != 0 {
        return Err(invalid("a dictionary is needed"));
    }
    take(&mut rest, if flags & FLAG_CONTENT_SIZE == 0 { 0 } else { size_of::<u64>() })?;
    let [_header_checksum] = take_chunk(&mut rest)?;
    skip_blocks(&mut rest, if flags & FLAG_BLOCK_CHECKSUM == 0 { 0 } else { CHECKSUM_SIZE })?;
    take(&mut rest, if flags & FLAG_CONTENT_CHECKSUM == 0 { 0 } else { CHECKSUM_SIZE })?;
    if rest.is_empty() { Ok(()) } else { Err(invalid("bytes follow the frame")) }
}

fn skip_blocks(rest: &mut &[u8], checksum_size: usize) -> io::Result<()> {
    loop {
        let size = u32::from_le_bytes(take_chunk(rest)?) & !STORED_BLOCK;
        if size == 0 {
            return Ok(());
        }
        let size = usize::try_from(size).map_err(|_| invalid("the block's size does not fit into memory"))?;
        take(rest, size)?;
        take(rest, checksum_size)?;
    }
}

fn take_chunk<const N: usize>(rest: &mut &[u8]) -> io::Result<[u8; N]> {
    let (chunk, left) = rest.split_first_chunk().ok_or_else(cut)?;
    *rest = left;
    Ok(*chunk)
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> io::Result<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count).ok_or_else(cut)?;
    *rest = left;
    Ok(taken)
}

fn cut() -> io::Error {
    invalid("the frame is cut off")
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
