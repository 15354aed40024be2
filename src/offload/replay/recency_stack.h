#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace foregate::offload {

/// Objects by how recently they were used. The depth of an object is its reuse distance: an LRU
/// cache of so many slots and more holds it, whatever its size, so that one pass tells the hits of
/// all sizes (Mattson et al. 1970). Both calls take time logarithmic in the number of objects.
class RecencyStack {
 public:
  static constexpr size_t kNeverUsed = 0;

  explicit RecencyStack(size_t num_objects);

  /// From 1, the most recent; kNeverUsed.
  size_t depth(size_t object) const;
  void use(size_t object);
  void reset();

 private:
  size_t live_before(size_t place) const;
  void add(size_t place, int64_t amount);
  void compact();

  // Every object is in one place of a row; later is more recent. The row is packed when it is full.
  static constexpr size_t kNowhere = ~size_t{0};
  std::vector<uint64_t> occupied_;  // a bit a place
  std::vector<int64_t> sums_;       // Fenwick tree over the words' counts
  std::vector<size_t> place_of_;    // [objects]
  std::vector<size_t> object_at_;   // [places]
  size_t live_ = 0;
  size_t head_ = 0;
};

}  // namespace foregate::offload
