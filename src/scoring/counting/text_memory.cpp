#include "scoring/counting/text_memory.h"

#include <fmt/format.h>

#include <algorithm>

#include "scoring/constants.h"
#include "scoring/counting/pair_table.h"
#include "scoring/error.h"

namespace foregate::scoring {
namespace {

/// The latest token of a key before this one, which becomes the latest; -1 if it is the first.
int64_t exchange(std::unordered_map<int64_t, int64_t>& latest, int64_t key, int64_t token) {
  const auto [place, is_new] = latest.try_emplace(key, token);
  if (is_new) return -1;
  const int64_t before = place->second;
  place->second = token;
  return before;
}

}  // namespace

TextMemory::TextMemory(const trace::Geometry& geometry)
    : num_layers_(geometry.num_moe_layers),
      num_experts_(geometry.num_experts),
      all_experts_(static_cast<size_t>(num_layers_ * num_experts_)),
      missing_(static_cast<size_t>(num_layers_), -1) {}

void TextMemory::reset() {
  all_tokens_ = 0;
  std::fill(all_experts_.begin(), all_experts_.end(), 0.0F);
  std::fill(missing_.begin(), missing_.end(), -1);
  ids_.clear();
  pairs_.clear();
  same_id_.clear();
  same_pair_.clear();
}

void TextMemory::begin_token(const History& history) {
  // Only now is the routing of the token before part of the past.
  const int64_t token = history.num_tokens() - 1;
  if (token > 0) add_routing(history, token - 1);
  const int64_t id = history.id(token);
  same_id_.push_back(exchange(ids_, id, token));
  same_pair_.push_back(token == 0 ? -1
                                  : exchange(pairs_, pair_id(history.id(token - 1), id), token));
}

void TextMemory::add_routing(const History& history, int64_t token) {
  all_tokens_ = kTextDecay * all_tokens_ + 1;
  for (float& sum : all_experts_) sum *= kTextDecay;
  for (int64_t l = 0; l < num_layers_; ++l) {
    if (!history.has_routing(token, l)) {
      int64_t& missing = missing_[static_cast<size_t>(l)];
      if (missing < 0) missing = token;
      continue;
    }
    for (const uint16_t expert : history.routing(token, l)) {
      all_experts_[static_cast<size_t>(l * num_experts_ + expert)] += 1;
    }
  }
}

void TextMemory::require_complete(int64_t layer) const {
  const int64_t missing = missing_[static_cast<size_t>(layer)];
  if (missing < 0) return;
  throw NotObservedError(
      fmt::format("the routing of token {} at layer {} was not given, and statistics counts every "
                  "token before the current one",
                  missing, layer));
}

std::span<const float> TextMemory::all_experts(int64_t layer) const {
  return std::span(all_experts_)
      .subspan(static_cast<size_t>(layer * num_experts_), static_cast<size_t>(num_experts_));
}

int64_t TextMemory::count_same_id(const History& history, int64_t layer, float* out) const {
  return count(same_id_, history, layer, out);
}

int64_t TextMemory::count_same_pair(const History& history, int64_t layer, float* out) const {
  return count(same_pair_, history, layer, out);
}

int64_t TextMemory::count(const std::vector<int64_t>& latest, const History& history, int64_t layer,
                          float* out) const {
  std::fill_n(out, num_experts_, 0.0F);
  int64_t tokens = 0;
  for (int64_t t = latest.back(); t >= 0; t = latest[static_cast<size_t>(t)]) {
    for (const uint16_t expert : history.routing(t, layer)) out[expert] += 1;
    ++tokens;
  }
  return tokens;
}

}  // namespace foregate::scoring
