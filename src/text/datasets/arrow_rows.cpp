#include <arrow/api.h>
#include <arrow/io/api.h>
#include <arrow/ipc/api.h>
#include <fmt/format.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <parquet/exception.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "text/datasets/arrow_columns.h"
#include "text/datasets/readers.h"

namespace foregate::text {
namespace {

constexpr int64_t kBatchRows = 1024;

[[noreturn]] void fail(const std::string& where, const std::string& reason) {
  throw DataError(fmt::format("{}: cannot read on: {}; copy the file again", where,
                              reason.substr(0, reason.find('\n'))));
}

void check(const arrow::Status& status, const std::string& where) {
  if (!status.ok()) fail(where, status.message());
}

template <typename T>
T value_of(arrow::Result<T> result, const std::string& where) {
  check(result.status(), where);
  return std::move(result).ValueUnsafe();
}

/// Gives the record batches of a file from its start, perhaps only with the columns asked for.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  virtual std::shared_ptr<arrow::Schema> schema() const = 0;
  /// Starts at the first row again. `paths` are the string columns that will be looked at.
  virtual std::shared_ptr<arrow::RecordBatchReader> open(const std::vector<std::string>& paths) = 0;
};

class ParquetSource : public BatchSource {
 public:
  ParquetSource(const std::filesystem::path& path, std::string where) : where_(std::move(where)) {
    auto input = value_of(arrow::io::ReadableFile::Open(path.string()), where_);
    parquet::arrow::FileReaderBuilder builder;
    check(builder.Open(std::move(input)), where_);
    parquet::ArrowReaderProperties properties;
    properties.set_batch_size(kBatchRows);
    properties.set_use_threads(false);
    properties.set_pre_buffer(false);
    reader_ = value_of(builder.properties(properties)->Build(), where_);
    if (reader_->parquet_reader()->metadata()->is_encryption_algorithm_set()) {
      throw DataError(
          fmt::format("{} holds encrypted columns; write it without encryption to read "
                      "it here",
                      where_));
    }
    check(reader_->GetSchema(&schema_), where_);
  }

  std::shared_ptr<arrow::Schema> schema() const override { return schema_; }

  std::shared_ptr<arrow::RecordBatchReader> open(const std::vector<std::string>& paths) override {
    std::vector<int> groups(static_cast<size_t>(reader_->num_row_groups()));
    for (size_t i = 0; i < groups.size(); ++i) groups[i] = static_cast<int>(i);
    std::vector<int> columns;
    for (const auto& field : reader_->manifest().schema_fields) {
      add_leaves(field, field.field->name(), paths, columns);
    }
    return value_of(reader_->GetRecordBatchReader(groups, columns), where_);
  }

 private:
  /// Adds the Parquet columns that make up those of `paths` at or below `field`.
  static void add_leaves(const parquet::arrow::SchemaField& field, const std::string& path,
                         const std::vector<std::string>& paths, std::vector<int>& columns) {
    if (field.is_leaf()) {
      if (std::ranges::find(paths, path) != paths.end()) columns.push_back(field.column_index);
      return;
    }
    const bool is_struct = field.field->type()->id() == arrow::Type::STRUCT;
    for (const auto& child : field.children) {
      add_leaves(child, is_struct ? path + "." + child.field->name() : path, paths, columns);
    }
  }

  std::string where_;
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  std::shared_ptr<arrow::Schema> schema_;
};

class IpcFileBatches : public arrow::RecordBatchReader {
 public:
  explicit IpcFileBatches(std::shared_ptr<arrow::ipc::RecordBatchFileReader> reader)
      : reader_(std::move(reader)) {}
  std::shared_ptr<arrow::Schema> schema() const override { return reader_->schema(); }
  arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch>* batch) override {
    *batch = nullptr;
    if (next_ < reader_->num_record_batches()) {
      ARROW_ASSIGN_OR_RAISE(*batch, reader_->ReadRecordBatch(next_++));
    }
    return arrow::Status::OK();
  }

 private:
  std::shared_ptr<arrow::ipc::RecordBatchFileReader> reader_;
  int next_ = 0;
};

/// Arrow's IPC format: a file with an index, or a bare stream.
class IpcSource : public BatchSource {
 public:
  IpcSource(const std::filesystem::path& path, std::string where)
      : path_(path), where_(std::move(where)), schema_(open({})->schema()) {}

  std::shared_ptr<arrow::Schema> schema() const override { return schema_; }

  std::shared_ptr<arrow::RecordBatchReader> open(const std::vector<std::string>&) override {
    auto input = value_of(arrow::io::ReadableFile::Open(path_.string()), where_);
    const auto start = value_of(input->ReadAt(0, 6), where_)->ToString();
    if (start.starts_with("FEA1")) {
      throw DataError(
          fmt::format("{} is Feather version 1, which Arrow gave up; write it anew, with pandas: "
                      "read_feather(FILE).to_parquet(FILE.parquet)",
                      where_));
    }
    if (start != "ARROW1") {
      check(input->Seek(0), where_);
      return value_of(arrow::ipc::RecordBatchStreamReader::Open(input), where_);
    }
    return std::make_shared<IpcFileBatches>(
        value_of(arrow::ipc::RecordBatchFileReader::Open(input), where_));
  }

 private:
  std::filesystem::path path_;
  std::string where_;
  std::shared_ptr<arrow::Schema> schema_;
};

size_t count_same_before(const std::vector<Column>& columns, size_t index) {
  return static_cast<size_t>(
      std::count_if(columns.begin(), columns.begin() + static_cast<long>(index),
                    [&](const Column& column) { return column.name == columns[index].name; }));
}

class ArrowRows : public RowReader {
 public:
  ArrowRows(std::unique_ptr<BatchSource> source, const ColumnRequest& request)
      : source_(std::move(source)), where_(request.where), values_(0) {
    auto columns = string_columns(*source_->schema());
    if (columns.empty()) {
      throw DataError(fmt::format("{}: no column holds texts; the columns are {}", where_,
                                  show_schema(*source_->schema())));
    }
    measure(columns);
    choice_ = choose_columns(request, columns);
    for (const size_t i : choice_.columns) {
      paths_.push_back(columns[i].name);
      same_before_.push_back(count_same_before(columns, i));
    }
    values_ = ValueRows(paths_.size());
    reader_ = source_->open(paths_);
  }

  bool next(Row& row) override {
    while (!values_.next(row)) {
      while (batch_ == nullptr || row_ >= batch_->num_rows()) {
        batch_ = next_batch(*reader_);
        if (batch_ == nullptr) return false;
        row_ = 0;
        strings_.clear();
        for (size_t i = 0; i < paths_.size(); ++i) {
          strings_.emplace_back(*batch_, paths_[i], same_before_[i]);
        }
      }
      for (size_t i = 0; i < strings_.size(); ++i) strings_[i].read(row_, values_.column(i));
      values_.start();
      ++row_;
    }
    return true;
  }

  std::string description() const override { return choice_.description; }

 private:
  std::shared_ptr<arrow::RecordBatch> next_batch(arrow::RecordBatchReader& reader) const {
    try {
      return value_of(reader.Next(), where_);
    } catch (const parquet::ParquetException& error) {
      fail(where_, error.what());
    }
  }

  /// Sets the mean sizes, over the first batch.
  void measure(std::vector<Column>& columns) const {
    std::vector<std::string> paths;
    for (const Column& column : columns) paths.push_back(column.name);
    const auto batch = paths.empty() ? nullptr : next_batch(*source_->open(paths));
    if (batch == nullptr || batch->num_rows() == 0) return;
    std::vector<Value> values;
    for (size_t c = 0; c < columns.size(); ++c) {
      Column& column = columns[c];
      const ArrowStrings strings(*batch, column.name, count_same_before(columns, c));
      for (int64_t i = 0; i < batch->num_rows(); ++i) {
        strings.read(i, values);
        for (const Value& value : values) {
          column.mean_size += static_cast<double>(value.text.size());
        }
      }
      column.mean_size /= static_cast<double>(batch->num_rows());
    }
  }

  std::unique_ptr<BatchSource> source_;
  std::string where_;
  ColumnChoice choice_;
  std::vector<std::string> paths_;
  std::vector<size_t> same_before_;  ///< how many columns of the same path stand before it
  std::shared_ptr<arrow::RecordBatchReader> reader_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  std::vector<ArrowStrings> strings_;
  ValueRows values_;
  int64_t row_ = 0;
};

template <typename Source>
std::unique_ptr<RowReader> open_rows(const std::filesystem::path& path,
                                     const ColumnRequest& request) {
  try {
    return std::make_unique<ArrowRows>(std::make_unique<Source>(path, request.where), request);
  } catch (const parquet::ParquetException& error) {
    fail(request.where, error.what());
  }
}

}  // namespace

std::unique_ptr<RowReader> open_parquet(const std::filesystem::path& path,
                                        const ColumnRequest& request) {
  return open_rows<ParquetSource>(path, request);
}

std::unique_ptr<RowReader> open_arrow(const std::filesystem::path& path,
                                      const ColumnRequest& request) {
  return open_rows<IpcSource>(path, request);
}

}  // namespace foregate::text
