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

WindowRows::WindowRows(const Corpus& corpus, Split split, int64_t length) {
  const Geometry& geometry = corpus.geometry();
  // An empty piece in front: a split may have no text.
  std::vector<torch::Tensor> ids = {torch::empty({0}, torch::kInt64)};
  std::vector<torch::Tensor> experts = {
      torch::empty({0, geometry.num_moe_layers, geometry.top_k}, torch::kInt16)};
  int64_t tokens = 0;
  corpus.for_each({.split = split}, [&](const RoutedText& text) {
    for (int64_t first = 0; first < text.num_tokens(); first += length) {
      windows_.push_back({tokens + first, std::min(length, text.num_tokens() - first)});
    }
    ids.push_back(text.token_ids);
    experts.push_back(text.experts.to(torch::kInt16));
    tokens += text.num_tokens();
  });
  ids_ = torch::cat(ids);
  experts_ = torch::cat(experts);
}

void WindowRows::look_up(const torch::Tensor& ids, torch::Device device) {
  ids_ = places_of(ids, ids_).to(device);
  experts_ = experts_.to(device);
}

}  // namespace foregate
