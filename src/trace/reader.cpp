#include "trace/reader.h"

#include <arrow/array.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>
#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "trace/geometry.h"
#include "trace/parquet/list_column.h"
#include "trace/parquet/parquet_file.h"
#include "trace/parquet/schema.h"
#include "trace/parquet/validate.h"

namespace foregate::trace {
namespace {

struct WantedColumn {
  const char* name;
  ColumnKind kind;
};

std::vector<WantedColumn> wanted_columns(TraceColumns columns) {
  std::vector<WantedColumn> wanted = {{schema::kDataset, ColumnKind::kText},
                                      {schema::kSample, ColumnKind::kInteger},
                                      {schema::kNumTokens, ColumnKind::kInteger},
                                      {schema::kPromptTokens, ColumnKind::kInteger}};
  if (columns.token_ids) wanted.push_back({schema::kTokenIds, ColumnKind::kIntegerList});
  if (columns.experts) wanted.push_back({schema::kExperts, ColumnKind::kIntegerList});
  if (columns.gate_weights) wanted.push_back({schema::kGateWeights, ColumnKind::kHalfList});
  if (columns.router_logits) wanted.push_back({schema::kRouterLogits, ColumnKind::kHalfList});
  return wanted;
}

std::string column_names(const arrow::Schema& schema) {
  std::string names;
  for (const auto& field : schema.fields()) names += (names.empty() ? "" : ", ") + field->name();
  return names.size() > 200 ? names.substr(0, 197) + "..." : names;
}

void check_columns(const fs::path& file, const arrow::Schema& schema,
                   const std::vector<WantedColumn>& wanted) {
  for (const auto& [name, kind] : wanted) {
    const std::vector<int> found = schema.GetAllFieldIndices(name);
    if (found.size() != 1) {
      throw DataError(fmt::format("{}: expected one column '{}', found {} (columns: {})",
                                  file.string(), name, found.size(), column_names(schema)));
    }
    const arrow::DataType& type = *schema.field(found[0])->type();
    if (!readable_as(type, kind)) {
      throw DataError(fmt::format("{}: column '{}' is {}; expected {}", file.string(), name,
                                  type.ToString(), description(kind)));
    }
  }
}

}  // namespace

struct ShardReader::Impl {
  Impl(const fs::path& path, const Geometry& model_geometry, TraceColumns wanted);

  void read_row(int64_t index, Trace& trace) const;
  const arrow::Array& column(const char* name) const { return *batch->GetColumnByName(name); }

  fs::path path;
  Geometry geometry;
  TraceColumns columns;
  ParquetFile file;
  std::shared_ptr<arrow::RecordBatch> batch;
  int64_t row_in_batch = 0;
  int64_t row = 0;
};

ShardReader::Impl::Impl(const fs::path& shard, const Geometry& model_geometry, TraceColumns wanted)
    : path(shard), geometry(model_geometry), columns(wanted), file(shard) {
  if (const auto stored = schema::geometry_in_metadata(file.metadata(), path.string())) {
    const std::string difference = geometry_difference(*stored, geometry);
    if (!difference.empty()) {
      throw DataError(
          fmt::format("{}: recorded from another model: {}", path.string(), difference));
    }
  }
  const std::vector<WantedColumn> required = wanted_columns(columns);
  std::vector<std::string> names;
  for (const WantedColumn& column : required) names.emplace_back(column.name);
  check_columns(path, *file.start(names), required);
}

void ShardReader::Impl::read_row(int64_t index, Trace& trace) const {
  trace.dataset = read_text(column(schema::kDataset), index, schema::kDataset);
  trace.sample = read_integer(column(schema::kSample), index, schema::kSample);
  const int64_t num_tokens = read_integer(column(schema::kNumTokens), index, schema::kNumTokens);
  const int64_t prompt = read_integer(column(schema::kPromptTokens), index, schema::kPromptTokens);
  // Narrowed for the struct; what does not fit is out of range for size_problem() too.
  trace.prompt_tokens = static_cast<int32_t>(std::clamp<int64_t>(prompt, -1, INT_MAX));
  trace.token_ids.clear();
  trace.experts.clear();
  trace.gate_weights.clear();
  trace.router_logits.clear();
  if (columns.token_ids) {
    read_list(column(schema::kTokenIds), index, schema::kTokenIds, trace.token_ids);
  }
  if (columns.experts) {
    read_list(column(schema::kExperts), index, schema::kExperts, trace.experts);
  }
  if (columns.gate_weights) {
    read_half_list(column(schema::kGateWeights), index, schema::kGateWeights, trace.gate_weights);
  }
  if (columns.router_logits) {
    read_half_list(column(schema::kRouterLogits), index, schema::kRouterLogits,
                   trace.router_logits);
  }
  std::string problem = size_problem(trace, num_tokens, geometry, columns);
  if (problem.empty()) problem = value_problem(trace, geometry);
  if (!problem.empty()) throw DataError(problem);
}

ShardReader::ShardReader(const fs::path& file, const Geometry& geometry, TraceColumns columns)
    : impl_(std::make_unique<Impl>(file, geometry, columns)) {}

ShardReader::~ShardReader() = default;
ShardReader::ShardReader(ShardReader&&) noexcept = default;
ShardReader& ShardReader::operator=(ShardReader&&) noexcept = default;

bool ShardReader::next(Trace& trace) {
  while (!impl_->batch || impl_->row_in_batch == impl_->batch->num_rows()) {
    impl_->batch = impl_->file.next();
    impl_->row_in_batch = 0;
    if (impl_->batch) continue;
    if (impl_->row == num_rows()) return false;
    throw DataError(fmt::format("{}: ends after {} rows; expected {}", impl_->path.string(),
                                impl_->row, num_rows()));
  }
  trace.dataset.clear();
  try {
    impl_->read_row(impl_->row_in_batch, trace);
  } catch (const DataError& error) {
    const std::string text =
        trace.dataset.empty() ? "" : fmt::format(" ({} {})", trace.dataset, trace.sample);
    throw DataError(
        fmt::format("{}: row {}{}: {}", impl_->path.string(), impl_->row, text, error.what()));
  }
  ++impl_->row_in_batch;
  ++impl_->row;
  return true;
}

int64_t ShardReader::num_rows() const {
  return impl_->file.num_rows();
}

Geometry read_shard_geometry(const fs::path& path) {
  const ParquetFile file(path);
  const auto geometry = schema::geometry_in_metadata(file.metadata(), path.string());
  if (!geometry) {
    throw DataError(
        fmt::format("{}: no '{}' in the Parquet metadata; expected a shard that foregate wrote",
                    path.string(), schema::kMetaGeometry));
  }
  return *geometry;
}

}  // namespace foregate::trace
