#include <algorithm>

#include "offload/prediction/foresight.h"

namespace foregate::offload {
namespace {

class Oracle : public Foresight {
 public:
  Oracle(const trace::Geometry& geometry, int depth)
      : num_layers_(geometry.num_moe_layers), top_k_(geometry.top_k), depth_(depth) {}

  void at_step(const Step& step, std::vector<Guess>& guesses) override {
    if (step.prompt) return;
    for (int layer = 0; layer < std::min(depth_, num_layers_); ++layer) tell(step, layer, guesses);
  }
  void at_router(const Step& step, int layer, std::vector<Guess>& guesses) override {
    if (!step.prompt && layer + depth_ < num_layers_) tell(step, layer + depth_, guesses);
  }

 private:
  void tell(const Step& step, int layer, std::vector<Guess>& guesses) const {
    const size_t first = (static_cast<size_t>(step.first_token) * num_layers_ + layer) * top_k_;
    for (int rank = 0; rank < top_k_; ++rank)
      guesses.push_back({layer, step.text->experts[first + static_cast<size_t>(rank)], 1});
  }

  int num_layers_;
  int top_k_;
  int depth_;
};

}  // namespace

std::unique_ptr<Foresight> make_oracle(const trace::Geometry& geometry, int depth) {
  return std::make_unique<Oracle>(geometry, depth);
}

}  // namespace foregate::offload
