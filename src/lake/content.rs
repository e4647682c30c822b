//! The data version: a hash of the schema and every row in order.
//!
//! It is a function of the values alone: not of the engine, of how rows were cut into batches,
//! of encodings, or of what bytes lie under a NULL. Rows are taken in blocks of
//! [`super::BLOCK_ROWS`] (the last may be shorter), column by column, in large pieces, so that
//! hashing runs at memory speed. Pure; does not block.

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, GenericByteArray, OffsetSizeTrait, PrimitiveArray, RecordBatch,
    UInt64Array,
};
use datafusion::arrow::buffer::{BooleanBuffer, NullBuffer};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{
    ArrowNativeType, ArrowPrimitiveType, ByteArrayType, DataType, Date32Type, Decimal128Type, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Schema, TimestampMillisecondType,
};

use super::canonical::type_text;
use super::error::LakeError;
use crate::graph::DataVersion;

/// Takes in the blocks of one partition.
pub(super) struct ContentHasher {
    hasher: blake3::Hasher,
    scratch: Vec<u8>,
    rows: u64,
}

impl ContentHasher {
    pub(super) fn new(schema: &Schema) -> Self {
        let mut text = String::from("rxpulse rows 1\n");
        for field in schema.fields() {
            text += &format!("{:?} {}\n", field.name(), type_text(field.data_type()));
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
        Self { hasher, scratch: Vec::new(), rows: 0 }
    }

    /// Takes in the next block, whose columns have canonical types.
    pub(super) fn block(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        self.rows += batch.num_rows() as u64;
        self.number(batch.num_rows() as u64);
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            self.column(column, None).map_err(|found| LakeError::Type {
                column: field.name().clone(),
                found,
                advice: "bring the rows to the canonical schema first".into(),
            })?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> DataVersion {
        let rows = self.rows;
        self.number(rows);
        DataVersion::finish(&self.hasher)
    }

    fn number(&mut self, n: u64) {
        self.hasher.update(&n.to_le_bytes());
    }

    /// One column of a block; `above` are the NULLs of the struct around it.
    fn column(&mut self, array: &ArrayRef, above: Option<&NullBuffer>) -> Result<(), String> {
        let nulls = NullBuffer::union(array.nulls(), above);
        let nulls = nulls.as_ref();
        match nulls {
            None => {
                self.hasher.update(&[0]);
            }
            Some(nulls) => {
                self.hasher.update(&[1]);
                self.bits(nulls.inner());
            }
        }
        match array.data_type() {
            DataType::Boolean => self.booleans(array.as_boolean(), nulls),
            DataType::Int8 => self.fixed(array.as_primitive::<Int8Type>(), nulls),
            DataType::Int16 => self.fixed(array.as_primitive::<Int16Type>(), nulls),
            DataType::Int32 => self.fixed(array.as_primitive::<Int32Type>(), nulls),
            DataType::Int64 => self.fixed(array.as_primitive::<Int64Type>(), nulls),
            DataType::Date32 => self.fixed(array.as_primitive::<Date32Type>(), nulls),
            DataType::Timestamp(_, _) => self.fixed(array.as_primitive::<TimestampMillisecondType>(), nulls),
            DataType::Decimal128(_, _) => self.fixed(array.as_primitive::<Decimal128Type>(), nulls),
            DataType::Float32 => {
                let values = array.as_primitive::<Float32Type>().values();
                self.floats(values.iter().map(|v| canonical_f32(*v).to_le_bytes()), nulls);
            }
            DataType::Float64 => {
                let values = array.as_primitive::<Float64Type>().values();
                self.floats(values.iter().map(|v| canonical_f64(*v).to_le_bytes()), nulls);
            }
            DataType::Utf8 => self.texts(array.as_string::<i32>(), nulls),
            DataType::Binary => self.texts(array.as_binary::<i32>(), nulls),
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                self.children(list.offsets(), list.values(), nulls)?;
            }
            DataType::Map(_, _) => {
                let map = array.as_map();
                let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
                self.children(map.offsets(), &entries, nulls)?;
            }
            DataType::Struct(_) => {
                for child in array.as_struct().columns() {
                    self.column(child, nulls)?;
                }
            }
            other => return Err(other.to_string()),
        }
        Ok(())
    }

    /// Bits in words of 64, the rest of the last word zero.
    fn bits(&mut self, bits: &BooleanBuffer) {
        self.scratch.clear();
        for word in bits.bit_chunks().iter_padded() {
            self.scratch.extend_from_slice(&word.to_le_bytes());
        }
        self.hasher.update(&self.scratch);
    }

    fn booleans(&mut self, array: &BooleanArray, nulls: Option<&NullBuffer>) {
        match nulls {
            None => self.bits(array.values()),
            Some(nulls) => self.bits(&(array.values() & nulls.inner())),
        }
    }

    fn fixed<T: ArrowPrimitiveType>(&mut self, array: &PrimitiveArray<T>, nulls: Option<&NullBuffer>) {
        // The bytes of the values as they lie in memory; little-endian on every machine we
        // build for.
        let bytes = array.values().inner().as_slice();
        match nulls {
            None => {
                self.hasher.update(bytes);
            }
            Some(nulls) => {
                self.scratch.clear();
                self.scratch.extend_from_slice(bytes);
                blank(&mut self.scratch, size_of::<T::Native>(), nulls);
                self.hasher.update(&self.scratch);
            }
        }
    }

    fn floats<const N: usize>(&mut self, values: impl Iterator<Item = [u8; N]>, nulls: Option<&NullBuffer>) {
        self.scratch.clear();
        for value in values {
            self.scratch.extend_from_slice(&value);
        }
        if let Some(nulls) = nulls {
            blank(&mut self.scratch, N, nulls);
        }
        self.hasher.update(&self.scratch);
    }

    fn texts<T: ByteArrayType>(&mut self, array: &GenericByteArray<T>, nulls: Option<&NullBuffer>) {
        let offsets = array.value_offsets();
        let hidden = self.lengths(offsets, nulls);
        let data = array.value_data();
        if !hidden {
            let (first, last) = (offsets[0].as_usize(), offsets[offsets.len() - 1].as_usize());
            self.hasher.update(&data[first..last]);
            return;
        }
        self.scratch.clear();
        for (i, pair) in offsets.windows(2).enumerate() {
            if nulls.is_none_or(|n| n.is_valid(i)) {
                self.scratch.extend_from_slice(&data[pair[0].as_usize()..pair[1].as_usize()]);
            }
        }
        self.hasher.update(&self.scratch);
    }

    fn children(
        &mut self,
        offsets: &[i32],
        values: &ArrayRef,
        nulls: Option<&NullBuffer>,
    ) -> Result<(), String> {
        let hidden = self.lengths(offsets, nulls);
        let (first, last) = (offsets[0] as usize, offsets[offsets.len() - 1] as usize);
        let child = if hidden {
            let seen = offsets.windows(2).enumerate().filter(|(i, _)| nulls.is_none_or(|n| n.is_valid(*i)));
            let indices: UInt64Array = seen.flat_map(|(_, pair)| pair[0] as u64..pair[1] as u64).collect();
            take(values, &indices, None).map_err(|e| e.to_string())?
        } else {
            values.slice(first, last - first)
        };
        self.number(child.len() as u64);
        self.column(&child, None)
    }

    /// Lengths as 32-bit numbers, 0 for NULL; tells whether a NULL hides values.
    fn lengths<O: OffsetSizeTrait>(&mut self, offsets: &[O], nulls: Option<&NullBuffer>) -> bool {
        let mut hidden = false;
        self.scratch.clear();
        for (i, pair) in offsets.windows(2).enumerate() {
            let mut length = (pair[1].as_usize() - pair[0].as_usize()) as u32;
            if length != 0 && nulls.is_some_and(|n| n.is_null(i)) {
                hidden = true;
                length = 0;
            }
            self.scratch.extend_from_slice(&length.to_le_bytes());
        }
        self.hasher.update(&self.scratch);
        hidden
    }
}

/// Zeroes the places of NULLs in packed values of `size` bytes.
fn blank(bytes: &mut [u8], size: usize, nulls: &NullBuffer) {
    for (i, valid) in nulls.iter().enumerate() {
        if !valid {
            bytes[i * size..(i + 1) * size].fill(0);
        }
    }
}

fn canonical_f32(v: f32) -> u32 {
    if v == 0.0 {
        0
    } else if v.is_nan() {
        0x7fc0_0000
    } else {
        v.to_bits()
    }
}

fn canonical_f64(v: f64) -> u64 {
    if v == 0.0 {
        0
    } else if v.is_nan() {
        0x7ff8_0000_0000_0000
    } else {
        v.to_bits()
    }
}
