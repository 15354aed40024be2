#include "scoring/sequence.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "scoring/error.h"
#include "scoring/neural/state_row.h"

namespace foregate::scoring {

History::History(const trace::Geometry& geometry, const Needs& needs)
    : geometry_(geometry), needs_(needs) {
  const auto layers = static_cast<size_t>(geometry.num_moe_layers);
  if (needs.routing && needs.tokens_back != Needs::kAllTokens) {
    const size_t cells = static_cast<size_t>(needs.tokens_back + 1) * layers;
    routing_.resize(cells * static_cast<size_t>(geometry.top_k));
    routed_.resize(cells);
  }
  if (needs.state) {
    states_.resize(layers * static_cast<size_t>(geometry.hidden_size));
    stated_.resize(layers);
  }
}

void History::reset() {
  num_tokens_ = 0;
  ids_.clear();
  if (needs_.tokens_back == Needs::kAllTokens) {
    routing_.clear();
    routed_.clear();
  }
}

void History::begin_token(int32_t id) {
  if (id < 0) throw UsageError(fmt::format("token id is {}; expected 0 or more", id));
  const auto layers = static_cast<size_t>(geometry_.num_moe_layers);
  if (needs_.token) ids_.push_back(id);
  if (needs_.routing && needs_.tokens_back == Needs::kAllTokens) {
    const size_t cells = static_cast<size_t>(num_tokens_ + 1) * layers;
    routing_.resize(cells * static_cast<size_t>(geometry_.top_k));
    routed_.resize(cells);
  } else if (needs_.routing) {
    std::fill_n(routed_.begin() + static_cast<int64_t>(cell(num_tokens_, 0)), layers, uint8_t{0});
  }
  std::fill(stated_.begin(), stated_.end(), uint8_t{0});
  ++num_tokens_;
}

size_t History::cell(int64_t token, int64_t layer) const {
  const bool all = needs_.tokens_back == Needs::kAllTokens;
  const int64_t row = all ? token : token % (needs_.tokens_back + 1);
  return static_cast<size_t>(row * geometry_.num_moe_layers + layer);
}

void History::require_token(const char* what) const {
  if (num_tokens_ > 0) return;
  throw NotObservedError(fmt::format("{} without a token; begin one first", what));
}

void History::require_layer(int64_t layer) const {
  if (layer >= 0 && layer < geometry_.num_moe_layers) return;
  throw UsageError(fmt::format("layer is {}; the model has MoE layers 0 to {}", layer,
                               geometry_.num_moe_layers - 1));
}

void History::set_routing(int64_t layer, std::span<const int32_t> experts) {
  require_token("routing was given");
  require_layer(layer);
  if (experts.size() != static_cast<size_t>(geometry_.top_k)) {
    throw UsageError(fmt::format("routing of layer {} names {} experts; the model chooses {}",
                                 layer, experts.size(), geometry_.top_k));
  }
  for (size_t i = 0; i < experts.size(); ++i) {
    if (experts[i] < 0 || experts[i] >= geometry_.num_experts) {
      throw UsageError(fmt::format("routing of layer {} names expert {}; the model has 0 to {}",
                                   layer, experts[i], geometry_.num_experts - 1));
    }
    if (std::find(experts.begin(), experts.begin() + static_cast<int64_t>(i), experts[i]) !=
        experts.begin() + static_cast<int64_t>(i)) {
      throw UsageError(fmt::format("routing of layer {} names expert {} twice", layer, experts[i]));
    }
  }
  if (!needs_.routing) return;
  if (has_routing(num_tokens_ - 1, layer)) {
    throw UsageError(
        fmt::format("routing of token {} at layer {} was given already", num_tokens_ - 1, layer));
  }
  const size_t at = cell(num_tokens_ - 1, layer);
  routed_[at] = 1;
  std::copy(experts.begin(), experts.end(),
            routing_.begin() + static_cast<int64_t>(at * experts.size()));
}

void History::set_state(int64_t layer, const void* values, StateDtype dtype, size_t size) {
  require_token("a hidden state was given");
  require_layer(layer);
  if (geometry_.hidden_size > 0 && size != static_cast<size_t>(geometry_.hidden_size)) {
    throw UsageError(fmt::format("the hidden state of layer {} has {} values; the model has {}",
                                 layer, size, geometry_.hidden_size));
  }
  if (!needs_.state) return;
  normalize_state(values, dtype, size, states_.data() + static_cast<size_t>(layer) * size);
  stated_[static_cast<size_t>(layer)] = 1;
}

bool History::has_routing(int64_t token, int64_t layer) const {
  return routed_[cell(token, layer)] != 0;
}

std::span<const uint16_t> History::routing(int64_t token, int64_t layer) const {
  if (!has_routing(token, layer)) {
    throw NotObservedError(
        fmt::format("the routing of token {} (the current one is {}) at layer {} was not given",
                    token, num_tokens_ - 1, layer));
  }
  const auto k = static_cast<size_t>(geometry_.top_k);
  return {routing_.data() + cell(token, layer) * k, k};
}

const float* History::state(int64_t layer) const {
  if (stated_[static_cast<size_t>(layer)] == 0) {
    throw NotObservedError(
        fmt::format("the current token's hidden state at layer {} was not given", layer));
  }
  return states_.data() + static_cast<size_t>(layer) * static_cast<size_t>(geometry_.hidden_size);
}

}  // namespace foregate::scoring
