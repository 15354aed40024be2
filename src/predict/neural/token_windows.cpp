#include "predict/neural/token_windows.h"

#include <torch/types.h>

#include <algorithm>

namespace foregate::predict {

torch::Tensor indices_of(const torch::Tensor& table, const torch::Tensor& token_ids) {
  const int64_t seen = table.size(0);
  if (seen == 0) return torch::zeros_like(token_ids);
  const torch::Tensor place = torch::searchsorted(table, token_ids.contiguous());
  const torch::Tensor found = table.index_select(0, place.clamp_max(seen - 1)).eq(token_ids);
  return torch::where(found, place, torch::full_like(place, seen));
}

WindowBatch gather_windows(const RoutedRows& rows, const std::vector<TokenWindow>& windows) {
  WindowBatch batch;
  batch.windows = static_cast<int64_t>(windows.size());
  int64_t total = 0;
  for (const TokenWindow& window : windows) {
    batch.longest = std::max(batch.longest, window.size);
    total += window.size;
  }
  std::vector<int64_t> tokens;
  std::vector<int64_t> places;
  std::vector<int64_t> flat;
  std::vector<int64_t> padded(static_cast<size_t>(batch.windows * batch.longest), total);
  for (size_t w = 0; w < windows.size(); ++w) {
    for (int64_t i = 0; i < windows[w].size; ++i) {
      const int64_t at = static_cast<int64_t>(w) * batch.longest + i;
      padded[static_cast<size_t>(at)] = static_cast<int64_t>(tokens.size());
      tokens.push_back(windows[w].first + i);
      places.push_back(i);
      flat.push_back(at);
    }
  }
  const auto moved = [&](const std::vector<int64_t>& values) {
    return torch::tensor(values, torch::kInt64).to(rows.ids.device());
  };
  const torch::Tensor index = moved(tokens);
  batch.ids = rows.ids.index_select(0, index);
  batch.experts = rows.experts.index_select(0, index).to(torch::kInt64);
  if (rows.gate_weights.defined()) {
    batch.gate_weights = rows.gate_weights.index_select(0, index).to(torch::kFloat32);
  }
  batch.places = moved(places);
  batch.padded = moved(padded);
  batch.flat = moved(flat);
  return batch;
}

void TokenWindows::read(const RoutedTexts& corpus, trace::Split split) {
  clear();
  const TextSelection selection{.split = split, .gate_weights = options_.gate_weights};
  corpus.for_each(selection, [&](const RoutedText& text) { add(text); });
  finish();
}

void TokenWindows::set(const std::vector<RoutedText>& texts) {
  clear();
  for (const RoutedText& text : texts) add(text);
  finish();
}

void TokenWindows::clear() {
  tokens_ = 0;
  windows_.clear();
  // An empty piece in front: there may be no text.
  text_ids_ = {torch::empty({0}, torch::kInt64)};
  const std::vector<int64_t> shape = {0, geometry_.num_moe_layers, geometry_.top_k};
  text_experts_ = {torch::empty(shape, torch::kInt16)};
  text_gate_weights_ = {torch::empty(shape, torch::kFloat16)};
}

void TokenWindows::add(const RoutedText& text) {
  for (int64_t first = 0; first < text.num_tokens(); first += length_) {
    windows_.push_back({tokens_ + first, std::min(length_, text.num_tokens() - first)});
  }
  text_ids_.push_back(text.token_ids);
  text_experts_.push_back(text.experts.to(torch::kInt16));
  if (options_.gate_weights) text_gate_weights_.push_back(text.gate_weights.to(torch::kFloat16));
  tokens_ += text.num_tokens();
}

void TokenWindows::finish() {
  rows_ = {torch::cat(text_ids_), torch::cat(text_experts_), {}};
  if (options_.gate_weights) rows_.gate_weights = torch::cat(text_gate_weights_);
  for (auto* parts : {&text_ids_, &text_experts_, &text_gate_weights_}) parts->clear();
  if (table_.defined()) move_rows();
}

void TokenWindows::look_up(const torch::Tensor& ids) {
  table_ = ids;
  if (rows_.ids.defined()) move_rows();
}

void TokenWindows::move_rows() {
  rows_.ids = indices_of(table_, rows_.ids).to(options_.device);
  rows_.experts = rows_.experts.to(options_.device);
  if (options_.gate_weights) rows_.gate_weights = rows_.gate_weights.to(options_.device);
}

TokenWindows::Batch TokenWindows::gather(const BatchIndices& indices,
                                         torch::ScalarType /*dtype*/) const {
  Batch batch{gather_windows(rows_, indices.windows), {}};
  batch.inputs.dropout = indices.dropout;
  const auto by_layer = [&](const torch::Tensor& rows) {
    return rows.slice(1, lead_.first_layer()).transpose(0, 1);
  };
  batch.truth.experts = by_layer(batch.inputs.experts);
  if (options_.gate_weights) batch.truth.gate_weights = by_layer(batch.inputs.gate_weights);
  return batch;
}

void TokenWindows::draw(const TrainerSettings& settings, Random& random,
                        BatchIndices& indices) const {
  indices.windows.clear();
  for (int64_t tokens = 0; tokens < settings.batch_tokens; tokens += indices.windows.back().size) {
    indices.windows.push_back(windows_[random.below(windows_.size())]);
  }
  indices.dropout = at::globalContext().defaultGenerator(options_.device).clone();
  indices.dropout->set_current_seed(random.next());
}

void TokenWindows::for_each_spread_batch(
    const TrainerSettings& settings,
    const std::function<void(const BatchIndices& indices, int64_t tokens)>& visit) const {
  const int64_t wanted = std::min(settings.validation_tokens, tokens_);
  BatchIndices batch;
  int64_t size = 0;  // tokens in it
  const auto visit_batch = [&] {
    if (size > 0) visit(batch, size);
    batch.windows.clear();
    size = 0;
  };
  int64_t seen = 0;
  int64_t taken = 0;
  for (const TokenWindow& window : windows_) {
    seen += window.size;
    if (taken * tokens_ > seen * wanted) continue;
    taken += window.size;
    batch.windows.push_back(window);
    size += window.size;
    if (size >= settings.batch_tokens) visit_batch();
  }
  visit_batch();
}

}  // namespace foregate::predict
