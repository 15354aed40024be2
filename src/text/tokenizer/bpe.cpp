#include "text/tokenizer/bpe.h"

#include <algorithm>
#include <array>
#include <queue>

#include "text/unicode/utf8.h"

namespace foregate::text {
namespace {

/// Up to here scanning all pairs for the best is faster than keeping a heap.
constexpr size_t kShortWord = 40;

struct Symbol {
  int32_t id;
  int32_t previous, next;  ///< indices, -1 at the ends
};

struct Candidate {
  uint32_t rank;
  int32_t position, result;
  bool operator>(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

}  // namespace

void BytePairEncoder::encode(std::string_view word, std::vector<int32_t>& ids) const {
  if (word.empty()) return;
  if (!junctions_ || word.size() <= kShortWord) return encode_part(word, ids);
  size_t begin = 0, i = 0;
  char32_t left = next_code_point(word, i);
  while (i < word.size()) {
    const size_t start = i;
    const char32_t right = next_code_point(word, i);
    // Substitutes are fused and reordered across characters: no cut beside them.
    if (!junctions_->may_join(left, right) && alphabet_.has_character(left) &&
        alphabet_.has_character(right)) {
      encode_part(word.substr(begin, start - begin), ids);
      begin = start;
    }
    left = right;
  }
  encode_part(word.substr(begin), ids);
}

void BytePairEncoder::encode_part(std::string_view part, std::vector<int32_t>& ids) const {
  if (const auto known = cache_->find(part); !known.empty()) {
    ids.insert(ids.end(), known.begin(), known.end());
    return;
  }
  const size_t before = ids.size();
  const auto whole =
      whole_words_.empty() ? whole_words_.end() : whole_words_.find(std::string(part));
  if (whole != whole_words_.end()) {
    ids.push_back(whole->second);
  } else if (part.size() <= kShortWord) {
    std::array<int32_t, kShortWord> symbols;
    merge_short(std::span(symbols).first(alphabet_.symbols_of(part, symbols)), ids);
  } else {
    std::vector<int32_t> symbols(part.size());
    merge_long(std::span(symbols).first(alphabet_.symbols_of(part, symbols)), ids);
  }
  cache_->insert(part, {ids.data() + before, ids.size() - before});
}

void BytePairEncoder::merge_short(std::span<int32_t> symbols, std::vector<int32_t>& ids) const {
  std::array<MergeTable::Merge, kShortWord> pairs;  // pairs[i]: of symbols i and i + 1
  size_t count = symbols.size();
  for (size_t i = 1; i < count; ++i) pairs[i - 1] = merges_.find(symbols[i - 1], symbols[i]);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == MergeTable::kNoRank) break;
    symbols[best] = pairs[best].result;
    std::copy(symbols.begin() + best + 2, symbols.begin() + count, symbols.begin() + best + 1);
    std::copy(pairs.begin() + best + 1, pairs.begin() + count - 1, pairs.begin() + best);
    --count;
    if (best > 0) pairs[best - 1] = merges_.find(symbols[best - 1], symbols[best]);
    if (best + 1 < count) pairs[best] = merges_.find(symbols[best], symbols[best + 1]);
  }
  ids.insert(ids.end(), symbols.begin(), symbols.begin() + count);
}

void BytePairEncoder::merge_long(std::span<const int32_t> start, std::vector<int32_t>& ids) const {
  const auto count = static_cast<int32_t>(start.size());
  std::vector<Symbol> symbols(start.size());
  std::vector<Candidate> initial;
  for (int32_t i = 0; i < count; ++i) {
    symbols[i] = {start[i], i - 1, i + 1 < count ? i + 1 : -1};
    if (i == 0) continue;
    const auto merge = merges_.find(symbols[i - 1].id, symbols[i].id);
    if (merge.rank != MergeTable::kNoRank) initial.push_back({merge.rank, i - 1, merge.result});
  }
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue(std::greater<>{},
                                                                               std::move(initial));
  const auto offer = [&](int32_t position) {
    if (position < 0 || symbols[position].next < 0) return;
    const auto merge = merges_.find(symbols[position].id, symbols[symbols[position].next].id);
    if (merge.rank != MergeTable::kNoRank) queue.push({merge.rank, position, merge.result});
  };
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = symbols[best.position];
    // Candidates are not taken out when a neighbour changes; stale ones are recognised here. A
    // symbol that was merged away has id -1, which no pair has.
    if (left.id < 0 || left.next < 0) continue;
    Symbol& right = symbols[left.next];
    if (merges_.find(left.id, right.id).result != best.result) continue;
    left.id = best.result;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbols[left.next].previous = best.position;
    offer(left.previous);
    offer(best.position);
  }
  if (symbols.empty()) return;
  for (int32_t i = 0; i >= 0; i = symbols[i].next) ids.push_back(symbols[i].id);
}

}  // namespace foregate::text
