#include "collect/sink.h"

#include <fmt/format.h>

#include <algorithm>

#include "tensor/dtype.h"
#include "trace/features.h"

namespace foregate::collect {
namespace {

/// Rows [first, first + count) of a [T, L, n] tensor as the flat vector a Trace holds.
template <typename Value>
std::vector<uint16_t> flat_rows(const torch::Tensor& tensor, int64_t first, int64_t count) {
  const int64_t width = tensor.size(1) * tensor.size(2);
  const auto* begin = static_cast<const Value*>(tensor.const_data_ptr()) + first * width;
  return {begin, begin + count * width};
}

std::vector<tensor::TensorEntry> feature_entries(const ShardWork& work,
                                                 const trace::Manifest& manifest) {
  const int64_t texts = work.num_feature_texts();
  const int64_t tokens = work.num_feature_tokens();
  const trace::Geometry& geometry = manifest.geometry;
  const std::vector<int64_t> shape = {tokens, geometry.num_moe_layers, geometry.hidden_size};
  return {{trace::features::kRows, torch::kInt64, {texts}},
          {trace::features::kOffsets, torch::kInt64, {texts + 1}},
          {trace::features::kRouterInputs, tensor::parse_dtype(manifest.dtype), shape},
          {trace::features::kResidual, torch::kBFloat16, shape}};
}

}  // namespace

ShardSink::ShardSink(std::filesystem::path directory, trace::Manifest manifest)
    : directory_(std::move(directory)), manifest_(std::move(manifest)) {}

void ShardSink::open_shard(const ShardWork& work) {
  writer_ = std::make_unique<trace::ShardWriter>(directory_, work.index, manifest_);
  if (work.num_feature_texts() == 0) return;
  features_name_ =
      fs::path(trace::shard_name(work.index)).replace_extension(".features.safetensors");
  features_ = std::make_unique<tensor::SafetensorsWriter>(directory_ / features_name_,
                                                          feature_entries(work, manifest_));
  feature_row_ = 0;
  std::vector<int64_t> rows;
  std::vector<int64_t> offsets = {0};
  for (size_t i = 0; i < work.texts.size(); ++i) {
    if (!work.texts[i].with_features) continue;
    rows.push_back(static_cast<int64_t>(i));
    offsets.push_back(offsets.back() + static_cast<int64_t>(work.texts[i].ids.size()));
  }
  features_->write_rows(trace::features::kRows, 0, torch::tensor(rows, torch::kInt64));
  features_->write_rows(trace::features::kOffsets, 0, torch::tensor(offsets, torch::kInt64));
}

void ShardSink::add_features(const BatchResult& batch) {
  if (!batch.router_inputs.defined()) return;
  features_->write_rows(trace::features::kRouterInputs, feature_row_, batch.router_inputs);
  features_->write_rows(trace::features::kResidual, feature_row_, batch.residual);
  feature_row_ += batch.router_inputs.size(0);
}

void ShardSink::add(const BatchResult& batch) {
  if (!writer_) open_shard(*batch.work);
  int64_t token = 0;
  for (size_t i = 0; i < batch.range.num_texts; ++i) {
    const TokenizedText& text = batch.work->texts[batch.range.first_text + i];
    const auto length = static_cast<int64_t>(text.ids.size());
    trace::Trace trace;
    trace.dataset = manifest_.datasets[static_cast<size_t>(text.dataset)].name;
    trace.sample = text.row;
    trace.prompt_tokens = static_cast<int32_t>(text.prompt_tokens);
    trace.token_ids = text.ids;
    trace.experts = flat_rows<int32_t>(batch.experts, token, length);
    trace.gate_weights = flat_rows<uint16_t>(batch.gate_weights, token, length);
    if (batch.router_logits.defined()) {
      trace.router_logits = flat_rows<uint16_t>(batch.router_logits, token, length);
    }
    writer_->add(trace);
    token += length;
  }
  add_features(batch);
  if (batch.last_of_shard) finish_shard();
}

void ShardSink::finish_shard() {
  trace::ShardEntry entry = writer_->finish();
  writer_.reset();
  if (features_) {
    features_->commit();
    entry.features = features_name_.string();
    entry.feature_bytes = static_cast<int64_t>(features_->file_size());
    features_.reset();
  }
  manifest_.shards.push_back(std::move(entry));
  trace::write_manifest(directory_, manifest_);
}

void ShardSink::plan(const trace::DatasetEntry& dataset) {
  manifest_.datasets.front() = dataset;
}

void ShardSink::set_routers(const std::string& sha256) {
  manifest_.routers_sha256 = sha256;
}

void ShardSink::begin() {
  trace::write_manifest(directory_, manifest_);
}

void ShardSink::complete() {
  manifest_.complete = true;
  trace::write_manifest(directory_, manifest_);
}

}  // namespace foregate::collect
