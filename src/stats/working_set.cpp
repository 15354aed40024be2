#include "stats/working_set.h"

#include <bit>
#include <cmath>
#include <limits>

#include "stats/sums.h"

namespace foregate::stats {
namespace {

constexpr int kLongest = 1 << 20;

/// 1, 2, 3, 4, 6, 8, 12, ... up to kLongest.
const std::vector<int>& all_lengths() {
  static const std::vector<int> kLengths = [] {
    std::vector<int> lengths = {1};
    for (int power = 2; power <= kLongest; power *= 2) {
      lengths.push_back(power);
      if (power < kLongest) lengths.push_back(power / 2 * 3);
    }
    return lengths;
  }();
  return kLengths;
}

}  // namespace

WorkingSet::WorkingSet(const trace::Geometry& geometry)
    : texts_(all_lengths().size()),
      distinct_(static_cast<size_t>(geometry.num_moe_layers) * all_lengths().size()) {}

void WorkingSet::add(const RoutingView& routing) {
  const std::vector<int>& lengths = all_lengths();
  for (size_t i = 0; i < lengths.size() && lengths[i] <= routing.tokens(); ++i) ++texts_[i];
  std::vector<uint64_t> used(static_cast<size_t>(routing.words()));
  for (int layer = 0; layer < routing.num_layers(); ++layer) {
    std::fill(used.begin(), used.end(), 0);
    int64_t* distinct = distinct_.data() + static_cast<size_t>(layer) * lengths.size();
    size_t next = 0;
    for (int token = 0; token < routing.tokens() && next < lengths.size(); ++token) {
      const uint64_t* set = routing.set(layer, token);
      for (size_t word = 0; word < used.size(); ++word) used[word] |= set[word];
      if (token + 1 != lengths[next]) continue;
      for (const uint64_t word : used) distinct[next] += std::popcount(word);
      ++next;
    }
  }
}

void WorkingSet::merge(const WorkingSet& other) {
  add_into(texts_, other.texts_);
  add_into(distinct_, other.distinct_);
}

std::vector<int> WorkingSet::lengths() const {
  std::vector<int> reached;
  for (size_t i = 0; i < texts_.size() && texts_[i] > 0; ++i) reached.push_back(all_lengths()[i]);
  return reached;
}

double WorkingSet::mean(int layer, size_t length_index) const {
  if (texts_[length_index] == 0) return kNan;
  return static_cast<double>(distinct_[static_cast<size_t>(layer) * texts_.size() + length_index]) /
         static_cast<double>(texts_[length_index]);
}

double expected_working_set(const int64_t* counts, int num_experts, int64_t tokens, int n) {
  if (tokens == 0) return kNan;
  double expected = 0;
  for (int expert = 0; expert < num_experts; ++expert) {
    const double used = static_cast<double>(counts[expert]) / static_cast<double>(tokens);
    expected += 1 - std::pow(1 - used, n);
  }
  return expected;
}

}  // namespace foregate::stats
