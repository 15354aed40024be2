#include "offload/replay/recency_stack.h"

#include <algorithm>
#include <bit>

namespace foregate::offload {
namespace {

constexpr size_t kWord = 64;

/// Room for as many uses again as there are objects, before the row is packed.
size_t words_for(size_t num_objects) {
  return (2 * num_objects) / kWord + 2;
}

}  // namespace

RecencyStack::RecencyStack(size_t num_objects)
    : occupied_(words_for(num_objects)),
      sums_(occupied_.size() + 1),
      place_of_(num_objects, kNowhere),
      object_at_(occupied_.size() * kWord) {}

void RecencyStack::reset() {
  std::fill(occupied_.begin(), occupied_.end(), uint64_t{0});
  std::fill(sums_.begin(), sums_.end(), int64_t{0});
  std::fill(place_of_.begin(), place_of_.end(), kNowhere);
  live_ = 0;
  head_ = 0;
}

size_t RecencyStack::live_before(size_t place) const {
  int64_t count = 0;
  for (size_t i = place / kWord; i > 0; i &= i - 1) count += sums_[i];
  const uint64_t below = (uint64_t{1} << (place % kWord)) - 1;
  return static_cast<size_t>(count) +
         static_cast<size_t>(std::popcount(occupied_[place / kWord] & below));
}

void RecencyStack::add(size_t place, int64_t amount) {
  occupied_[place / kWord] ^= uint64_t{1} << (place % kWord);
  for (size_t i = place / kWord + 1; i < sums_.size(); i += i & (~i + 1)) sums_[i] += amount;
}

size_t RecencyStack::depth(size_t object) const {
  const size_t place = place_of_[object];
  return place == kNowhere ? kNeverUsed : live_ - live_before(place);
}

void RecencyStack::use(size_t object) {
  if (head_ == object_at_.size()) compact();
  size_t& place = place_of_[object];
  if (place == kNowhere) {
    ++live_;
  } else {
    add(place, -1);
  }
  place = head_++;
  object_at_[place] = object;
  add(place, 1);
}

void RecencyStack::compact() {
  size_t to = 0;
  for (size_t from = 0; from < head_; ++from) {
    if ((occupied_[from / kWord] >> (from % kWord) & 1) == 0) continue;
    object_at_[to] = object_at_[from];
    place_of_[object_at_[to]] = to;
    ++to;
  }
  std::fill(occupied_.begin(), occupied_.end(), uint64_t{0});
  std::fill(sums_.begin(), sums_.end(), int64_t{0});
  for (size_t place = 0; place < to; ++place) add(place, 1);
  head_ = to;
}

}  // namespace foregate::offload
