#include <algorithm>
#include <cmath>
#include <span>

#include "base/random.h"
#include "offload/prediction/foresight.h"

namespace foregate::offload {
namespace {

class StandIn : public Foresight {
 public:
  StandIn(const trace::Geometry& geometry, const StandInOptions& options)
      : options_(options),
        num_layers_(geometry.num_moe_layers),
        num_experts_(geometry.num_experts),
        top_k_(geometry.top_k),
        uses_(static_cast<size_t>(num_layers_) * num_experts_, 1),
        totals_(static_cast<size_t>(num_layers_), num_experts_) {
    const double k = top_k_;
    wrong_ =
        options.recall > 0 ? k * options.recall * (1 - options.precision) / options.precision : k;
    wrong_ = std::min(wrong_, static_cast<double>(num_experts_ - top_k_));
  }

  void at_step(const Step& step, std::vector<Guess>& guesses) override {
    if (step.prompt) return;
    for (int layer = 0; layer < std::min(options_.lead, num_layers_); ++layer)
      tell(step, layer, guesses);
  }
  void at_router(const Step& step, int layer, std::vector<Guess>& guesses) override {
    count(step, layer);
    if (!step.prompt && layer + options_.lead < num_layers_)
      tell(step, layer + options_.lead, guesses);
  }

 private:
  std::span<const uint16_t> needed(const Step& step, int32_t token, int layer) const {
    const size_t first = (static_cast<size_t>(token) * num_layers_ + layer) * top_k_;
    return {step.text->experts.data() + first, static_cast<size_t>(top_k_)};
  }

  void count(const Step& step, int layer) {
    for (int32_t token = step.first_token; token < step.first_token + step.num_tokens; ++token) {
      for (const uint16_t expert : needed(step, token, layer))
        ++uses_[static_cast<size_t>(layer) * num_experts_ + expert];
      totals_[static_cast<size_t>(layer)] += top_k_;
    }
  }

  void tell(const Step& step, int layer, std::vector<Guess>& guesses) {
    // A stream of its own for every decision: what a cache does changes no draw.
    Random random =
        Random(options_.seed)
            .fork(static_cast<uint64_t>(step.number) * num_layers_ + static_cast<uint64_t>(layer));
    const auto probability = static_cast<float>(options_.precision);
    const std::span<const uint16_t> right = needed(step, step.first_token, layer);
    const auto begin = static_cast<std::ptrdiff_t>(guesses.size());
    for (const uint16_t expert : right) {
      if (random.uniform() < options_.recall) guesses.push_back({layer, expert, probability});
    }
    const double whole = std::floor(wrong_);
    const int wrong = static_cast<int>(whole) + (random.uniform() < wrong_ - whole ? 1 : 0);
    for (int told = 0; told < wrong;) {
      const uint16_t expert = draw(layer, random);
      const auto is = [&](const Guess& guess) { return guess.expert == expert; };
      if (std::find(right.begin(), right.end(), expert) != right.end() ||
          std::any_of(guesses.begin() + begin, guesses.end(),
                      [&](const Guess& guess) { return guess.layer == layer && is(guess); }))
        continue;
      guesses.push_back({layer, expert, probability});
      ++told;
    }
  }

  uint16_t draw(int layer, Random& random) const {
    auto left = static_cast<int64_t>(
        random.below(static_cast<uint64_t>(totals_[static_cast<size_t>(layer)])));
    const int64_t* uses = uses_.data() + static_cast<size_t>(layer) * num_experts_;
    int expert = 0;
    while (left >= uses[expert]) left -= uses[expert++];
    return static_cast<uint16_t>(expert);
  }

  StandInOptions options_;
  int num_layers_;
  int num_experts_;
  int top_k_;
  double wrong_;
  std::vector<int64_t> uses_;    // [L][E] and one: nothing is impossible
  std::vector<int64_t> totals_;  // [L]
};

}  // namespace

std::unique_ptr<Foresight> make_stand_in(const trace::Geometry& geometry,
                                         const StandInOptions& options) {
  return std::make_unique<StandIn>(geometry, options);
}

}  // namespace foregate::offload
