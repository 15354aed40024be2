#include "predict/texts/corpus.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <algorithm>

#include "base/error.h"
#include "base/half.h"
#include "base/hash.h"
#include "predict/texts/routed_text.h"
#include "trace/features.h"

namespace foregate::predict {
namespace {

template <typename Value>
torch::Tensor as_int64(const std::vector<Value>& values, at::IntArrayRef shape) {
  torch::Tensor tensor = torch::empty(shape, torch::kInt64);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<int64_t>());
  return tensor;
}

torch::Tensor halves_as_float(const std::vector<uint16_t>& bits, at::IntArrayRef shape) {
  torch::Tensor tensor = torch::empty(shape, torch::kFloat32);
  std::transform(bits.begin(), bits.end(), tensor.mutable_data_ptr<float>(), half_to_float);
  return tensor;
}

RoutedText to_tensors(const trace::Trace& trace, const trace::Geometry& geometry) {
  const int64_t tokens = trace.num_tokens();
  const std::vector<int64_t> shape = {tokens, geometry.num_moe_layers, geometry.top_k};
  RoutedText text;
  text.dataset = trace.dataset;
  text.sample = trace.sample;
  text.prompt_tokens = trace.prompt_tokens;
  text.hash = hash_of(trace.token_ids);
  text.token_ids = as_int64(trace.token_ids, {tokens});
  text.experts = as_int64(trace.experts, shape);
  if (!trace.gate_weights.empty()) text.gate_weights = halves_as_float(trace.gate_weights, shape);
  return text;
}

void require_recorded_routers(const std::filesystem::path& directory,
                              const trace::Manifest& manifest) {
  const auto path = directory / trace::features::kRoutersFile;
  if (manifest.routers_sha256.empty() || sha256_of_file(path) == manifest.routers_sha256) return;
  throw DataError(fmt::format(
      "{}: is not the file that the trace was recorded with (its SHA-256 is not that in "
      "{}); put that back, or collect the trace again",
      path.string(), trace::kManifestName));
}

}  // namespace

Corpus::Corpus(const std::filesystem::path& directory, const std::string& held_out,
               const StopToken& stop)
    : stop_(stop),
      traces_(directory),
      digest_(sha256_of_file(directory / trace::kManifestName)),
      splits_(trace::split_traces(traces_, split_options_)) {
  if (auto routers = nn::load_routers(directory, geometry())) {
    require_recorded_routers(directory, manifest());
    set_routers(std::move(*routers), (directory / trace::features::kRoutersFile).string());
  }
  for (size_t shard = 0; shard < manifest().shards.size(); ++shard) {
    const auto file = traces_.features_path(shard);
    features_.push_back(file.empty() ? nullptr
                                     : std::make_unique<FeatureShard>(
                                           file, geometry(), manifest().shards[shard].rows));
  }
  if (!held_out.empty()) hold_out(held_out);
}

void Corpus::take_routers_of_model(nn::Routers routers) {
  const auto same = [](const torch::Tensor& a, const torch::Tensor& b) {
    return a.defined() == b.defined() && (!a.defined() || torch::equal(a, b));
  };
  const std::optional<nn::Routers> recorded = this->routers();
  set_routers(std::move(routers), "the model's routers");
  const nn::Routers& given = *this->routers();
  if (!recorded ||
      (same(recorded->weight, given.weight) && same(recorded->logit_bias, given.logit_bias) &&
       same(recorded->choice_bias, given.choice_bias))) {
    return;
  }
  throw DataError(
      fmt::format("{}: the routers of --model are not those that the trace was recorded with ({}); "
                  "give the model it was collected from, or leave --model out",
                  path().string(), trace::features::kRoutersFile));
}

void Corpus::hold_out(const std::string& dataset) {
  std::vector<std::string> datasets;
  for (size_t shard = 0; shard < manifest().shards.size(); ++shard) {
    trace::TraceColumns columns;
    columns.experts = false;
    trace::ShardReader reader = traces_.open_shard(shard, columns);
    for (trace::Trace trace; reader.next(trace);) datasets.push_back(trace.dataset);
  }
  hold_out_dataset(splits_, datasets, dataset);
}

bool Corpus::has_features() const {
  return std::any_of(features_.begin(), features_.end(),
                     [](const auto& shard) { return shard && shard->num_texts() > 0; });
}

double Corpus::mean_tokens() const {
  return static_cast<double>(manifest().num_tokens()) /
         std::max<double>(1, static_cast<double>(manifest().num_traces()));
}

bool Corpus::selected(const TextSelection& selection, size_t shard, int64_t row,
                      size_t text) const {
  if (selection.split && splits_.at(text) != *selection.split) return false;
  if (selection.features != TextSelection::Features::kRequire) return true;
  return features_[shard] && features_[shard]->find(row);
}

void Corpus::attach_features(size_t shard, int64_t row, RoutedText& text) const {
  if (!features_[shard]) return;
  const auto range = features_[shard]->find(row);
  if (!range) return;
  const int64_t tokens = range->end - range->begin;
  if (tokens != text.num_tokens()) {
    throw DataError(fmt::format(
        "{}: row {} has {} tokens, but its trace in {} has {}; the files do not belong together",
        features_[shard]->path().string(), row, tokens, manifest().shards[shard].file,
        text.num_tokens()));
  }
  text.router_inputs = features_[shard]->router_inputs().narrow(0, range->begin, tokens);
  text.residual = features_[shard]->residual().narrow(0, range->begin, tokens);
}

void Corpus::for_each(const TextSelection& selection,
                      const std::function<void(const RoutedText&)>& visit) const {
  trace::TraceColumns columns;
  columns.gate_weights = selection.gate_weights && manifest().gate_weights;
  size_t index = 0;
  for (size_t shard = 0; shard < manifest().shards.size(); ++shard) {
    trace::ShardReader reader = traces_.open_shard(shard, columns);
    trace::Trace trace;
    for (int64_t row = 0; reader.next(trace); ++row, ++index) {
      if (!selected(selection, shard, row, index)) continue;
      stop_.check("nothing was written");
      RoutedText text = to_tensors(trace, geometry());
      if (selection.features != TextSelection::Features::kLeaveOut) {
        attach_features(shard, row, text);
      }
      visit(text);
    }
  }
}

int64_t Corpus::count(const TextSelection& selection) const {
  int64_t total = 0;
  size_t index = 0;
  for (size_t shard = 0; shard < manifest().shards.size(); ++shard) {
    for (int64_t row = 0; row < manifest().shards[shard].rows; ++row, ++index) {
      total += selected(selection, shard, row, index) ? 1 : 0;
    }
  }
  return total;
}

}  // namespace foregate::predict
