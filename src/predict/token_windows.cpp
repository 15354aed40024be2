#include "predict/token_windows.h"

#include <torch/torch.h>

#include <algorithm>

namespace foregate {

torch::Tensor places_of(const torch::Tensor& table, const torch::Tensor& token_ids) {
  const int64_t seen = table.size(0);
  if (seen == 0) return torch::zeros_like(token_ids);
  const torch::Tensor place = torch::searchsorted(table, token_ids.contiguous());
  const torch::Tensor found = table.index_select(0, place.clamp_max(seen - 1)).eq(token_ids);
  return torch::where(found, place, torch::full_like(place, seen));
}

WindowBatch gather_windows(const torch::Tensor& ids, const torch::Tensor& experts,
                           const std::vector<TokenWindow>& windows) {
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
    return torch::tensor(values, torch::kInt64).to(ids.device());
  };
  const torch::Tensor index = moved(tokens);
  batch.ids = ids.index_select(0, index);
  batch.experts = experts.index_select(0, index).to(torch::kInt64);
  batch.places = moved(places);
  batch.padded = moved(padded);
  batch.flat = moved(flat);
  return batch;
}

void WindowRows::read(const RoutedTexts& corpus, Split split) {
  clear();
  corpus.for_each({.split = split}, [&](const RoutedText& text) { add(text); });
  finish();
}

void WindowRows::set(const std::vector<RoutedText>& texts) {
  clear();
  for (const RoutedText& text : texts) add(text);
  finish();
}

void WindowRows::clear() {
  tokens_ = 0;
  windows_.clear();
  // An empty piece in front: there may be no text.
  text_ids_ = {torch::empty({0}, torch::kInt64)};
  text_experts_ = {torch::empty({0, geometry_.num_moe_layers, geometry_.top_k}, torch::kInt16)};
}

void WindowRows::add(const RoutedText& text) {
  for (int64_t first = 0; first < text.num_tokens(); first += length_) {
    windows_.push_back({tokens_ + first, std::min(length_, text.num_tokens() - first)});
  }
  text_ids_.push_back(text.token_ids);
  text_experts_.push_back(text.experts.to(torch::kInt16));
  tokens_ += text.num_tokens();
}

void WindowRows::finish() {
  ids_ = torch::cat(text_ids_);
  experts_ = torch::cat(text_experts_);
  text_ids_.clear();
  text_experts_.clear();
}

void WindowRows::look_up(const torch::Tensor& ids, torch::Device device) {
  ids_ = places_of(ids, ids_).to(device);
  experts_ = experts_.to(device);
}

}  // namespace foregate
