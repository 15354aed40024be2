#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"

namespace foregate::testing {

/// Choices of routers that like some experts better than others, and mostly those that the step
/// before had chosen.
class RandomChoices {
 public:
  RandomChoices(int layers, int experts, int tokens, int top_k, int steps)
      : layers_(layers), pairs_(tokens * top_k) {
    Random random(11);
    std::vector<int64_t> before(static_cast<size_t>(layers) * static_cast<size_t>(pairs_), -1);
    for (int step = 0; step < steps; ++step) {
      for (int layer = 0; layer < layers; ++layer) {
        for (int token = 0; token < tokens; ++token) {
          const size_t first = chosen_.size();
          while (chosen_.size() < first + static_cast<size_t>(top_k)) {
            int64_t& last = before[static_cast<size_t>(layer * pairs_ + token * top_k) +
                                   chosen_.size() - first];
            int64_t expert = last;
            if (expert < 0 || random.below(100) < 45) {
              // Squares crowd at low numbers, which every layer turns its own way.
              const auto number = static_cast<double>(random.below(1 << 20)) / (1 << 20);
              expert = (static_cast<int64_t>(number * number * experts) + 7 * layer) % experts;
            }
            const auto mine = std::span(chosen_).subspan(first);
            while (std::ranges::find(mine, expert) != mine.end()) expert = (expert + 1) % experts;
            last = expert;
            chosen_.push_back(expert);
          }
        }
      }
    }
  }

  std::span<const int64_t> all() const { return chosen_; }
  int64_t offset(int step, int layer) const { return (int64_t{step} * layers_ + layer) * pairs_; }
  std::span<const int64_t> at(int step, int layer) const {
    return all().subspan(static_cast<size_t>(offset(step, layer)), static_cast<size_t>(pairs_));
  }

 private:
  int layers_;
  int pairs_;
  std::vector<int64_t> chosen_;
};

}  // namespace foregate::testing
