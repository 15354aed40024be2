#include "trace/split/duplicates.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <span>
#include <unordered_map>
#include <utility>

#include "base/hash.h"

namespace foregate::trace {
namespace {

using Tokens = std::span<const int32_t>;

constexpr size_t kPrefixTokens = 64;
constexpr size_t kShingleTokens = 8;
constexpr size_t kTemplateStep = 8;
constexpr size_t kTemplateTexts = 20;
constexpr double kTemplateShare = 0.05;

// 32 bands of 4: two texts that share 70% of their shingles meet in a band with probability 0.9998.
constexpr size_t kBins = 128;
constexpr size_t kBandBins = 4;
constexpr int kBinBits = 7;
constexpr size_t kSimilarBins = 90;  // 70% of kBins
using Sketch = std::array<uint32_t, kBins>;

uint64_t hash_tokens(Tokens tokens, uint64_t seed = 0) {
  return stable_hash({reinterpret_cast<const char*>(tokens.data()), tokens.size_bytes()}, seed);
}

/// Disjoint sets; the smallest index of a set stands for it.
class Groups {
 public:
  explicit Groups(size_t size) : parent_(size) { std::iota(parent_.begin(), parent_.end(), 0); }

  size_t find(size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(size_t a, size_t b) {
    a = find(a);
    b = find(b);
    parent_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<size_t> parent_;
};

/// Tokens of each text that belong to a template, to the nearest kTemplateStep below.
std::vector<size_t> template_lengths(const std::vector<SplitText>& texts) {
  std::map<std::string, std::vector<size_t>> datasets;
  for (size_t i = 0; i < texts.size(); ++i) datasets[texts[i].dataset].push_back(i);
  std::vector<size_t> lengths(texts.size(), 0);
  for (auto& [name, members] : datasets) {
    const size_t enough = std::max(
        kTemplateTexts, static_cast<size_t>(kTemplateShare * static_cast<double>(members.size())));
    // Those that share the first `length` tokens with enough others go on to the next length.
    for (size_t length = kTemplateStep; !members.empty(); length += kTemplateStep) {
      std::unordered_map<uint64_t, std::vector<size_t>> sharing;
      for (const size_t i : members) {
        const Tokens tokens = texts[i].token_ids;
        if (tokens.size() >= length) sharing[hash_tokens(tokens.first(length))].push_back(i);
      }
      members.clear();
      for (const auto& [hash, sharers] : sharing) {
        if (sharers.size() < enough) continue;
        members.insert(members.end(), sharers.begin(), sharers.end());
        for (const size_t i : sharers) lengths[i] = length;
      }
    }
  }
  return lengths;
}

/// One-permutation MinHash (Li, Owen, Zhang 2012): each shingle falls into one bin, which keeps the
/// smallest. A bin without shingles takes the next full one's, offset by the distance (Shrivastava,
/// Li 2014).
Sketch sketch_of(Tokens tokens) {
  constexpr uint32_t kEmpty = UINT32_MAX;
  constexpr uint32_t kOffset = 0x9e3779b1;
  Sketch sketch;
  sketch.fill(kEmpty);
  const size_t width = std::min(kShingleTokens, tokens.size());
  for (size_t i = 0; i + width <= tokens.size(); ++i) {
    const uint64_t hash = hash_tokens(tokens.subspan(i, width));
    uint32_t& bin = sketch[hash >> (64 - kBinBits)];
    bin = std::min(bin, static_cast<uint32_t>(hash) & (kEmpty >> 1));
  }
  const Sketch bins = sketch;
  for (size_t i = 0; i < kBins; ++i) {
    for (uint32_t distance = 0; sketch[i] == kEmpty; ++distance) {
      const uint32_t other = bins[(i + distance) % kBins];
      if (other != kEmpty) sketch[i] = other + distance * kOffset;
    }
  }
  return sketch;
}

bool similar(const Sketch& a, const Sketch& b) {
  size_t equal = 0;
  for (size_t i = 0; i < kBins; ++i) equal += a[i] == b[i] ? 1 : 0;
  return equal >= kSimilarBins;
}

/// Joins texts that meet in a band of their sketches and are similar.
void join_similar(const std::vector<Tokens>& bodies, Groups& groups) {
  // Texts are compared with the first of their band only; an order of their own makes the groups
  // independent of the order they come in.
  std::vector<std::pair<uint64_t, size_t>> ordered;
  for (size_t i = 0; i < bodies.size(); ++i) {
    if (!bodies[i].empty()) ordered.emplace_back(hash_tokens(bodies[i]), i);
  }
  std::sort(ordered.begin(), ordered.end());
  std::vector<Sketch> sketches;
  for (const auto& [hash, i] : ordered) sketches.push_back(sketch_of(bodies[i]));
  for (size_t band = 0; band < kBins; band += kBandBins) {
    std::unordered_map<uint64_t, size_t> first_with;
    for (size_t s = 0; s < sketches.size(); ++s) {
      const auto* bins = reinterpret_cast<const char*>(sketches[s].data() + band);
      const uint64_t hash = stable_hash({bins, kBandBins * sizeof(uint32_t)}, band);
      const size_t other = first_with.try_emplace(hash, s).first->second;
      const size_t i = ordered[s].second;
      const size_t j = ordered[other].second;
      if (groups.find(i) != groups.find(j) && similar(sketches[s], sketches[other])) {
        groups.join(i, j);
      }
    }
  }
}

/// Joins texts with the same key.
class KeyJoiner {
 public:
  explicit KeyJoiner(Groups& groups) : groups_(groups) {}
  void add(uint64_t key, size_t text) {
    groups_.join(text, first_with_.try_emplace(key, text).first->second);
  }

 private:
  Groups& groups_;
  std::unordered_map<uint64_t, size_t> first_with_;
};

}  // namespace

std::vector<size_t> duplicate_groups(const std::vector<SplitText>& texts) {
  const std::vector<size_t> templates = template_lengths(texts);
  Groups groups(texts.size());
  KeyJoiner same_text(groups);
  KeyJoiner same_beginning(groups);
  std::vector<Tokens> bodies;
  for (size_t i = 0; i < texts.size(); ++i) {
    const Tokens tokens = texts[i].token_ids;
    bodies.push_back(tokens.subspan(templates[i]));
    same_text.add(hash_tokens(tokens), i);
    if (bodies[i].size() >= kPrefixTokens) {
      same_beginning.add(hash_tokens(bodies[i].first(kPrefixTokens)), i);
    }
  }
  join_similar(bodies, groups);
  std::vector<size_t> group_of(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) group_of[i] = groups.find(i);
  return group_of;
}

}  // namespace foregate::trace
