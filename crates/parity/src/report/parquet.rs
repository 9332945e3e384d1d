//! All measurements for a data frame or a query engine, with their types.

use super::render::Render;
use super::table::{Column, Values, table};
use super::v1::Report;
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

/// The table of [`Csv`](super::Csv) as a Parquet file, names as they are; the verdict is in its metadata.
///
/// # Example
///
/// In Python: `pandas.read_parquet("parity.parquet").nlargest(5, "relative_rmse")`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parquet;

/// Lines that are in memory twice while they are written.
const LINES_A_GROUP: usize = 1 << 17;

impl Render for Parquet {
    fn render(&self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        // The file's writer wants to own what it writes to; compressed, a pair takes some 20 bytes.
        let mut file = Vec::new();
        write(report, &mut file).map_err(io::Error::other)?;
        out.write_all(&file)
    }
}

fn write(report: &Report, file: &mut Vec<u8>) -> Result<(), ParquetError> {
    let (lines, columns) = table(report);
    let fields = columns.iter().map(field).collect::<Result<Vec<_>, _>>()?;
    let schema = Type::group_type_builder("parity")
        .with_fields(fields)
        .build()?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(format!("parity {}", report.parity_version))
        .set_key_value_metadata(Some(metadata(report)))
        .build();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?;
    for start in (0..lines).step_by(LINES_A_GROUP) {
        let group = start..lines.min(start + LINES_A_GROUP);
        let mut group_writer = writer.next_row_group()?;
        for column in &columns {
            let mut column_writer = group_writer
                .next_column()?
                .expect("the schema has a field for each column");
            write_column(&column.values, group.clone(), &mut column_writer)?;
            column_writer.close()?;
        }
        group_writer.close()?;
    }
    writer.close()?;
    Ok(())
}

fn field(column: &Column<'_>) -> Result<Arc<Type>, ParquetError> {
    let (physical, logical, repetition) = match column.values {
        Values::Text(_) => (
            Physical::BYTE_ARRAY,
            Some(LogicalType::String),
            Repetition::REQUIRED,
        ),
        Values::Integer(_) => (Physical::INT64, None, Repetition::OPTIONAL),
        Values::Real(_) => (Physical::DOUBLE, None, Repetition::OPTIONAL),
        Values::Flag(_) => (Physical::BOOLEAN, None, Repetition::REQUIRED),
    };
    let field = Type::primitive_type_builder(column.name, physical)
        .with_logical_type(logical)
        .with_repetition(repetition)
        .build()?;
    Ok(Arc::new(field))
}

fn write_column(
    values: &Values<'_>,
    lines: Range<usize>,
    out: &mut SerializedColumnWriter<'_>,
) -> Result<(), ParquetError> {
    match values {
        Values::Text(value) => {
            let all: Vec<ByteArray> = lines.map(|line| ByteArray::from(value(line))).collect();
            out.typed::<ByteArrayType>().write_batch(&all, None, None)?;
        }
        Values::Flag(value) => {
            let all: Vec<bool> = lines.map(value).collect();
            out.typed::<BoolType>().write_batch(&all, None, None)?;
        }
        Values::Integer(value) => write_optional::<Int64Type>(value, lines, out)?,
        Values::Real(value) => write_optional::<DoubleType>(value, lines, out)?,
    }
    Ok(())
}

/// What is there, and for each line whether it is: level 1 of one.
fn write_optional<T: DataType>(
    value: &dyn Fn(usize) -> Option<T::T>,
    lines: Range<usize>,
    out: &mut SerializedColumnWriter<'_>,
) -> Result<(), ParquetError> {
    let all: Vec<Option<T::T>> = lines.map(value).collect();
    let levels: Vec<i16> = all.iter().map(|value| value.is_some().into()).collect();
    let there: Vec<T::T> = all.into_iter().flatten().collect();
    out.typed::<T>().write_batch(&there, Some(&levels), None)?;
    Ok(())
}

fn metadata(report: &Report) -> Vec<KeyValue> {
    let entry = |key: &str, value: String| KeyValue::new(format!("parity.{key}"), value);
    let left_out = report.cells.as_ref().map_or(0, |cells| cells.left_out);
    vec![
        entry("pairs_left_out", left_out.to_string()),
        entry("schema_version", report.schema_version.to_string()),
        entry("verdict", report.verdict.clone()),
        entry("exit_code", report.exit_code.to_string()),
        entry("reference", report.reference.path.clone()),
        entry("candidate", report.candidate.path.clone()),
    ]
}
