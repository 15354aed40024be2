#include "trace/import/routing_block.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/half.h"
#include "trace/geometry.h"
#include "trace/import/ranking.h"

namespace foregate::trace {
namespace {

// A layer with one expert a token may really send all of a short record to expert 0.
constexpr int64_t kMinTokensOfDense = 16;

bool holds_nothing(std::span<const int64_t> decision) {
  const int64_t id = decision.front();
  const bool alike =
      std::all_of(decision.begin(), decision.end(), [&](int64_t other) { return other == id; });
  if (!alike) return false;
  return id == -1 || (decision.size() > 1 && (id == 0 || id == UINT8_MAX || id == UINT16_MAX));
}

[[noreturn]] void fail_at(const std::string& where, int64_t token, int64_t layer, int64_t rank,
                          const std::string& problem) {
  throw DataError(fmt::format("{}: {} at [{}, {}, {}] (token, layer, rank)", where, problem, token,
                              layer, rank));
}

void check_decision(std::span<const int64_t> decision, int64_t token, int64_t layer,
                    const std::string& where) {
  for (size_t rank = 0; rank < decision.size(); ++rank) {
    const int64_t id = decision[rank];
    if (id < 0 || id >= kMaxExperts) {
      throw DataError(fmt::format("{}: expert id {} at [{}, {}, {}]; expected ids from 0 to {}",
                                  where, id, token, layer, rank, kMaxExperts - 1));
    }
    const auto before = decision.first(rank);
    if (std::find(before.begin(), before.end(), id) != before.end()) {
      fail_at(where, token, layer, static_cast<int64_t>(rank), fmt::format("expert {} twice", id));
    }
  }
}

}  // namespace

void RoutingBlock::append(const RoutingBlock& next) {
  tokens += next.tokens;
  experts.insert(experts.end(), next.experts.begin(), next.experts.end());
  weights.insert(weights.end(), next.weights.begin(), next.weights.end());
}

RoutingBlock make_block(std::span<const int64_t> ids, int64_t tokens, int64_t layers, int64_t k,
                        const std::string& where) {
  if (layers < 1 || layers > kMaxLayers || k < 1 || k > kMaxExperts) {
    throw DataError(fmt::format("{}: {} MoE layers and {} experts a decision; expected 1 to {}",
                                where, layers, k, kMaxLayers));
  }
  RoutingBlock block{.tokens = tokens, .layers = layers, .k = k, .experts = {}, .weights = {}};
  block.experts.reserve(ids.size());
  for (int64_t token = 0; token < tokens; ++token) {
    for (int64_t layer = 0; layer < layers; ++layer) {
      const auto decision =
          ids.subspan(static_cast<size_t>((token * layers + layer) * k), static_cast<size_t>(k));
      if (holds_nothing(decision)) {
        block.experts.insert(block.experts.end(), decision.size(), kNoExpert);
        continue;
      }
      check_decision(decision, token, layer, where);
      for (const int64_t id : decision) block.experts.push_back(static_cast<int32_t>(id));
    }
  }
  return block;
}

void LayerSurvey::add(const RoutingBlock& block) {
  seen_.resize(static_cast<size_t>(block.layers));
  k_ = block.k;
  tokens_ += block.tokens;
  for (int64_t token = 0; token < block.tokens; ++token) {
    for (int64_t layer = 0; layer < block.layers; ++layer) {
      const auto decision = block.decision(token, layer);
      if (decision.front() == kNoExpert) continue;
      Seen& seen = seen_[static_cast<size_t>(layer)];
      seen.recorded = true;
      const int32_t largest = *std::max_element(decision.begin(), decision.end());
      seen.other_than_zero = seen.other_than_zero || largest > 0;
      largest_ = std::max(largest_, static_cast<int>(largest));
    }
  }
}

std::vector<int> LayerSurvey::moe_layers() const {
  // With one expert a token a place that was never filled looks like expert 0.
  const bool others = std::any_of(seen_.begin(), seen_.end(),
                                  [](const Seen& seen) { return seen.other_than_zero; });
  const bool zero_is_nothing = k_ == 1 && others && tokens_ >= kMinTokensOfDense;
  std::vector<int> layers;
  for (size_t layer = 0; layer < seen_.size(); ++layer) {
    const bool holds = zero_is_nothing ? seen_[layer].other_than_zero : seen_[layer].recorded;
    if (holds) layers.push_back(static_cast<int>(layer));
  }
  return layers;
}

RoutedSpan routed_span(const RoutingBlock& block, const std::vector<int>& moe_layers) {
  const auto recorded = [&](int64_t token) {
    return std::count_if(moe_layers.begin(), moe_layers.end(),
                         [&](int layer) { return block.recorded(token, layer); });
  };
  const auto all = static_cast<int64_t>(moe_layers.size());
  RoutedSpan span;
  int64_t end = block.tokens;
  while (span.first < end && recorded(span.first) == 0) ++span.first;
  while (end > span.first && recorded(end - 1) == 0) --end;
  span.unrouted = block.tokens - end;
  int64_t token = span.first;
  while (token < end && recorded(token) == all) ++token;
  span.count = token - span.first;
  span.cut = end - token;
  if (token < end) {
    const auto layer = std::find_if(moe_layers.begin(), moe_layers.end(), [&](int candidate) {
      return !block.recorded(token, candidate);
    });
    span.gap = fmt::format("token {} at layer {}", token, *layer);
  }
  return span;
}

void copy_routing(const RoutingBlock& block, const std::vector<int>& moe_layers,
                  const RoutedSpan& span, Trace& trace) {
  const auto k = static_cast<size_t>(block.k);
  trace.experts.clear();
  trace.gate_weights.clear();
  std::vector<float> weights;
  for (int64_t token = span.first; token < span.first + span.count; ++token) {
    for (const int layer : moe_layers) {
      for (const int32_t id : block.decision(token, layer)) {
        trace.experts.push_back(static_cast<uint16_t>(id));
      }
      if (block.weights.empty()) continue;
      const auto first = block.weights.begin() + (token * block.layers + layer) * block.k;
      weights.assign(first, first + block.k);
      rank_by_weight(std::span(trace.experts).last(k), weights);
      for (const float weight : weights) trace.gate_weights.push_back(float_to_half(weight));
    }
  }
}

}  // namespace foregate::trace
