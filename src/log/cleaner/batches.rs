//! Reads the batches of a segment one after the other, in large pieces, and holds each against its CRC.

use std::{io, sync::Arc};

use bytes::Bytes;

use crate::{
    log::{
        disk::{DiskFile, read_full},
        scan::{Damage, ScanError},
        segment::{Segment, SegmentError},
    },
    protocol::records::batch::{BatchError, HEADER_SIZE, RecordBatch},
};

/// The batches of a segment.
pub(super) struct Batches<'a> {
    segment: &'a Segment,
    file: Arc<dyn DiskFile>,
    /// What was read and not handed out yet.
    piece: Bytes,
    /// Where that ends in the file.
    position: u64,
    end: u64,
    piece_size: usize,
}

impl<'a> Batches<'a> {
    /// From `position` on, where a batch begins, in pieces of about `piece_size` bytes.
    pub(super) fn new(segment: &'a Segment, position: u64, piece_size: usize) -> Result<Self, SegmentError> {
        let file = segment.log().get().map_err(|source| segment.error(ScanError::Io { position, source }))?;
        Ok(Self { segment, file, piece: Bytes::new(), position, end: segment.size(), piece_size })
    }

    /// The next one; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, SegmentError> {
        let batch = match RecordBatch::split_from(&mut self.piece) {
            Err(BatchError::Truncated { needed, .. }) => {
                let at = self.position - self.piece.len() as u64;
                if at == self.end {
                    return Ok(None);
                }
                self.read(at, needed.max(HEADER_SIZE))?;
                match RecordBatch::split_from(&mut self.piece) {
                    // The header is there now, and says more.
                    Err(BatchError::Truncated { needed, .. }) => {
                        self.read(at, needed)?;
                        RecordBatch::split_from(&mut self.piece)
                    }
                    batch => batch,
                }
            }
            batch => batch,
        };
        let checked = batch.and_then(|batch| batch.check_crc().map(|()| batch));
        match checked {
            Ok(batch) => Ok(Some(batch)),
            Err(source) => {
                let position = self.position - self.piece.len() as u64;
                Err(self.segment.error(ScanError::Corrupt { position, source: Damage::Batch(source) }))
            }
        }
    }

    fn read(&mut self, at: u64, least: usize) -> Result<(), SegmentError> {
        let left = usize::try_from(self.end - at).unwrap_or(usize::MAX);
        let mut piece = vec![0; least.max(self.piece_size).min(left)];
        let error = |source| self.segment.error(ScanError::Io { position: at, source });
        if read_full(&*self.file, &mut piece, at).map_err(error)? < piece.len() {
            return Err(error(io::ErrorKind::UnexpectedEof.into()));
        }
        self.position = at + piece.len() as u64;
        self.piece = Bytes::from(piece);
        Ok(())
    }
}
