#include "trace/parquet/parquet_file.h"

#include <arrow/io/file.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <fmt/format.h>
#include <parquet/arrow/reader.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/schema.h>

#include <algorithm>
#include <new>
#include <numeric>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/files.h"

namespace foregate::trace {
namespace {

// Traces read at a time. Lists are long, so a few rows already amortise the decoder's start.
constexpr int64_t kBatchRows = 32;

[[noreturn]] void fail(const fs::path& path, const std::string& what, const arrow::Status& status) {
  const std::string text = status.message();
  const std::string cause = text.substr(0, text.find('\n'));
  if (status.IsOutOfMemory()) {
    throw EnvironmentError(fmt::format("{}: {}: {}", path.string(), what, cause));
  }
  throw DataError(
      fmt::format("{}: {}: {}; the file is damaged or not a trace shard: restore it or record it "
                  "again",
                  path.string(), what, cause));
}

/// The value of the arrow::Result that `action` returns.
template <typename Action>
auto value_of(const fs::path& path, const std::string& what, Action&& action) {
  arrow::Status status;
  try {
    auto result = action();
    if (result.ok()) return std::move(result).ValueUnsafe();
    status = result.status();
  } catch (const parquet::ParquetException& error) {
    status = arrow::Status::Invalid(error.what());
  } catch (const std::bad_alloc&) {
    status = arrow::Status::OutOfMemory("out of memory");
  } catch (const std::length_error& error) {
    status = arrow::Status::Invalid(error.what());
  }
  fail(path, what, status);
}

arrow::Result<std::unique_ptr<parquet::arrow::FileReader>> open_reader(const fs::path& path) {
  auto properties = parquet::default_reader_properties();
  properties.set_page_checksum_verification(true);
  // Read page by page: a row group of a foreign file can be larger than memory.
  properties.enable_buffered_stream();
  parquet::ArrowReaderProperties arrow_properties(/*use_threads=*/false);
  arrow_properties.set_pre_buffer(false);
  arrow_properties.set_batch_size(kBatchRows);
  ARROW_ASSIGN_OR_RAISE(auto source, arrow::io::ReadableFile::Open(path.string()));
  parquet::arrow::FileReaderBuilder builder;
  ARROW_RETURN_NOT_OK(builder.Open(std::move(source), properties));
  return builder.properties(arrow_properties)->Build();
}

void require_readable(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {
    throw EnvironmentError(fmt::format("no such file: {}", path.string()));
  }
  const MappedFile readable(path);  // Says why, if it is not: Arrow's errors are all alike.
}

/// Indices of the leaf columns under the top-level columns of these names.
std::vector<int> leaf_columns(const parquet::SchemaDescriptor& schema,
                              const std::vector<std::string>& names) {
  std::vector<int> leaves;
  for (int i = 0; i < schema.num_columns(); ++i) {
    const std::string& root = schema.GetColumnRoot(i)->name();
    if (std::find(names.begin(), names.end(), root) != names.end()) leaves.push_back(i);
  }
  return leaves;
}

}  // namespace

struct ParquetFile::Impl {
  fs::path path;
  std::unique_ptr<parquet::arrow::FileReader> reader;  // Outlives `batches`, which reads from it.
  std::unique_ptr<arrow::RecordBatchReader> batches;
  int64_t rows_read = 0;

  const parquet::FileMetaData& metadata() const { return *reader->parquet_reader()->metadata(); }
};

ParquetFile::ParquetFile(const fs::path& path) : impl_(std::make_unique<Impl>()) {
  require_readable(path);
  impl_->path = path;
  impl_->reader = value_of(path, "not a readable Parquet file", [&] { return open_reader(path); });
}

ParquetFile::~ParquetFile() = default;

int64_t ParquetFile::num_rows() const {
  return impl_->metadata().num_rows();
}

const arrow::KeyValueMetadata* ParquetFile::metadata() const {
  return impl_->metadata().key_value_metadata().get();
}

std::shared_ptr<arrow::Schema> ParquetFile::start(const std::vector<std::string>& columns) {
  impl_->batches = value_of(impl_->path, "cannot be read", [&] {
    std::vector<int> row_groups(static_cast<size_t>(impl_->reader->num_row_groups()));
    std::iota(row_groups.begin(), row_groups.end(), 0);
    const std::vector<int> leaves = leaf_columns(*impl_->metadata().schema(), columns);
    return impl_->reader->GetRecordBatchReader(row_groups, leaves);
  });
  return impl_->batches->schema();
}

std::shared_ptr<arrow::RecordBatch> ParquetFile::next() {
  auto batch = value_of(impl_->path, fmt::format("cannot be read from row {} on", impl_->rows_read),
                        [&] { return impl_->batches->Next(); });
  if (batch) impl_->rows_read += batch->num_rows();
  return batch;
}

}  // namespace foregate::trace
