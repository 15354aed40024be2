#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace foregate {

/// SplitMix64 (Steele, Lea, Flood 2014). The same seed gives the same numbers on every platform and
/// standard library, which std:: distributions do not promise.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = (state_ += kStep);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  /// Passes over so many numbers.
  void discard(uint64_t count) { state_ += count * kStep; }
  /// Uniform in [0, bound), unbiased (Lemire 2019). bound > 0.
  uint64_t below(uint64_t bound);
  /// Uniform in [0, 1).
  double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  /// Standard normal (Box-Muller, one value per call).
  double normal();
  /// A generator whose stream is independent of this one's further use.
  Random fork(uint64_t stream) const {
    return Random(state_ ^ (stream * 0xd1342543de82ef95ULL + 1));
  }

  template <typename T>
  void shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }
  /// `count` different numbers of [0, population), ascending. count <= population.
  std::vector<int64_t> sample_sorted(int64_t population, int64_t count);

  uint64_t state() const { return state_; }

 private:
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15ULL;

  uint64_t state_;
};

}  // namespace foregate
