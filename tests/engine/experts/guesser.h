#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "base/random.h"
#include "engine/experts/live_foresight.h"
#include "offload/prediction/foresight.h"

namespace foregate::testing {

/// Guesses at random, right and wrong, whenever it is asked: what prefetches most, and worst.
class Guesser : public offload::Foresight {
 public:
  Guesser(const trace::Geometry& geometry, uint64_t seed) : geometry_(geometry), random_(seed) {}

  void at_step(const offload::Step& /*step*/, std::vector<offload::Guess>& guesses) override {
    guess(0, geometry_.num_moe_layers, guesses);
  }
  void at_layer(const offload::Step& /*step*/, int layer,
                std::vector<offload::Guess>& guesses) override {
    guess(layer, layer + 1, guesses);
  }
  void at_router(const offload::Step& /*step*/, int layer,
                 std::vector<offload::Guess>& guesses) override {
    guess(layer + 1, std::min(layer + 3, geometry_.num_moe_layers), guesses);
  }

 private:
  void guess(int first, int end, std::vector<offload::Guess>& guesses) {
    for (int layer = first; layer < end; ++layer) {
      const auto expert = static_cast<uint16_t>(random_.below(geometry_.num_experts));
      guesses.push_back({layer, expert, static_cast<float>(random_.uniform())});
    }
  }

  trace::Geometry geometry_;
  Random random_;
};

inline engine::MakeForesight guessers(const trace::Geometry& geometry, uint64_t seed) {
  return
      [geometry, seed](int64_t /*sequences*/) { return std::make_unique<Guesser>(geometry, seed); };
}

}  // namespace foregate::testing
