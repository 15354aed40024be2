#include "trace/writer.h"

#include <arrow/io/interfaces.h>
#include <arrow/table.h>
#include <fmt/format.h>
#include <parquet/arrow/writer.h>
#include <parquet/exception.h>

#include <new>
#include <stdexcept>
#include <system_error>

#include "base/error.h"
#include "base/files.h"
#include "base/number_text.h"
#include "trace/geometry.h"
#include "trace/parquet/row_group.h"
#include "trace/parquet/schema.h"
#include "trace/parquet/shard_stream.h"
#include "trace/parquet/validate.h"

namespace foregate::trace {
namespace {

constexpr int kCompressionLevel = 3;
// Parquet lists count their values with 32 bits, and a row group gets at least one whole trace.
constexpr int64_t kMaxValues = 1LL << 30;

/// Measured choices: docs/trace-format.md has the numbers. Dictionaries of floats are nearly as
/// long as the lists, and nobody looks for rows by the smallest value in a list.
std::shared_ptr<parquet::WriterProperties> writer_properties() {
  parquet::WriterProperties::Builder builder;
  builder.compression(parquet::Compression::ZSTD)
      ->compression_level(kCompressionLevel)
      ->enable_page_checksum();
  for (const char* column :
       {schema::kTokenIds, schema::kExperts, schema::kGateWeights, schema::kRouterLogits}) {
    builder.disable_statistics(fmt::format("{}.list.element", column));
  }
  for (const char* column : {schema::kGateWeights, schema::kRouterLogits}) {
    builder.disable_dictionary(fmt::format("{}.list.element", column));
  }
  return builder.build();
}

/// What a person who reads of a failed write wants to know next.
std::string state_after_failure(const fs::path& path) {
  std::error_code error;
  const fs::space_info space = fs::space(path.parent_path(), error);
  const std::string free =
      error ? "" : fmt::format("{} free there; ", human_bytes(space.available));
  return free + "finished shards are kept";
}

}  // namespace

struct ShardWriter::Impl {
  Impl(const fs::path& directory, int index, const Manifest& manifest)
      : path(directory / shard_name(index)),
        geometry(manifest.geometry),
        columns{.gate_weights = manifest.gate_weights, .router_logits = manifest.router_logits},
        schema(schema::shard_schema(manifest)),
        metadata(schema::shard_metadata(manifest)),
        group(manifest) {}

  void open();
  void check(const Trace& trace) const;
  void flush();
  void finish();
  /// Runs something that writes and turns whatever it says or throws into our errors.
  template <typename Action>
  void guarded(Action&& action);

  fs::path path;
  Geometry geometry;
  TraceColumns columns;
  std::shared_ptr<arrow::Schema> schema;
  std::shared_ptr<arrow::KeyValueMetadata> metadata;
  RowGroup group;
  std::unique_ptr<ShardStream> file;
  std::unique_ptr<parquet::arrow::FileWriter> writer;
  ShardEntry entry;
};

template <typename Action>
void ShardWriter::Impl::guarded(Action&& action) {
  try {
    arrow::Status status;
    try {
      status = action();
    } catch (const parquet::ParquetException& error) {
      status = arrow::Status::IOError(error.what());
    } catch (const std::bad_alloc&) {
      status = arrow::Status::OutOfMemory("out of memory");
    }
    if (status.ok()) return;
    if (file) file->rethrow_failure();
    throw EnvironmentError(fmt::format("cannot write {}: {}", path.string(), status.message()));
  } catch (const EnvironmentError& error) {
    throw EnvironmentError(fmt::format("{} ({})", error.what(), state_after_failure(path)));
  }
}

void ShardWriter::Impl::open() {
  guarded([&] {
    file = std::make_unique<ShardStream>(path);
    auto opened = parquet::arrow::FileWriter::Open(*schema, arrow::default_memory_pool(),
                                                   file->stream(), writer_properties());
    if (!opened.ok()) return opened.status();
    writer = std::move(opened).ValueUnsafe();
    return writer->AddKeyValueMetadata(metadata);
  });
}

void ShardWriter::Impl::check(const Trace& trace) const {
  const std::string text =
      fmt::format("{}: text {}/{}", path.string(), trace.dataset, trace.sample);
  const auto num_tokens = static_cast<int64_t>(trace.token_ids.size());
  std::string problem = size_problem(trace, num_tokens, geometry, columns);
  if (problem.empty() && !columns.gate_weights && !trace.gate_weights.empty()) {
    problem = "gate weights in a trace without gate weights";
  }
  if (problem.empty() && !columns.router_logits && !trace.router_logits.empty()) {
    problem = "router logits in a trace without router logits";
  }
  if (!problem.empty()) throw std::logic_error(fmt::format("{}: {}", text, problem));
  const int64_t widest = columns.router_logits ? geometry.num_experts : geometry.top_k;
  if (num_tokens * geometry.num_moe_layers > kMaxValues / widest) {
    throw DataError(fmt::format("{}: {} tokens are too many for one trace; cut texts to {} tokens",
                                text, num_tokens, kMaxValues / widest / geometry.num_moe_layers));
  }
  problem = value_problem(trace, geometry);
  if (!problem.empty()) throw DataError(fmt::format("{}: {}", text, problem));
}

void ShardWriter::Impl::flush() {
  if (group.rows() == 0) return;
  guarded([&] { return writer->WriteTable(*group.table(schema), group.rows()); });
  group.clear();
}

void ShardWriter::Impl::finish() {
  flush();
  guarded([&] {
    ARROW_RETURN_NOT_OK(writer->Close());
    file->commit();
    return arrow::Status::OK();
  });
}

ShardWriter::ShardWriter(const fs::path& directory, int index, const Manifest& manifest) {
  check_geometry(manifest.geometry, (directory / shard_name(index)).string());
  impl_ = std::make_unique<Impl>(directory, index, manifest);
  impl_->entry.file = shard_name(index);
  impl_->open();
}

ShardWriter::~ShardWriter() = default;

void ShardWriter::add(const Trace& trace) {
  impl_->check(trace);
  impl_->group.add(trace);
  ++impl_->entry.rows;
  impl_->entry.tokens += trace.num_tokens();
  if (impl_->group.full()) impl_->flush();
}

ShardEntry ShardWriter::finish() {
  if (impl_->entry.rows == 0) throw std::logic_error("a shard without traces was finished");
  impl_->finish();
  impl_->entry.bytes = impl_->file->size();
  impl_->entry.sha256 = impl_->file->sha256();
  return impl_->entry;
}

std::string shard_name(int index) {
  return fmt::format("part-{:05d}.parquet", index);
}

}  // namespace foregate::trace
