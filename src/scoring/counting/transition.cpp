#include <algorithm>
#include <vector>

#include "scoring/counting/mixture_scorer.h"
#include "scoring/counting/path_table.h"
#include "scoring/scorers.h"

namespace foregate::scoring {
namespace {

/// score(b) = v log frequency(b) + over the earlier layers j that the lead allows, at most W before
/// the layer: w(j) e(b | first choice at j) + u(j) sum over the other choices a: e(b | a)
///   + over paths p: x(p) log(1 + count(p, b) / (4 P(b)))
class TransitionScorer : public MixtureScorer {
 public:
  TransitionScorer(PredictorIdentity identity, const Weights& weights)
      : MixtureScorer(std::move(identity)),
        window_(weights.size("evidence", 4, 1)),
        table_(weights.floats("evidence", {num_layers(), window_, num_experts(), num_experts()})),
        frequency_(weights.floats("frequency", {num_layers(), num_experts()})),
        log_frequency_(safe_logs(frequency_, num_layers() * num_experts())),
        paths_(weights, geometry(), this->identity().lead, window_) {
    set_mixture(weights, num_transition_terms(geometry(), this->identity().lead, window_));
  }

  Needs needs() const override { return {.routing = true}; }

  void evidence(const Sequence& sequence, int64_t layer, float* out) const override {
    const int64_t token = sequence.history.num_tokens() - 1;
    const int64_t width = num_experts();
    std::copy_n(log_frequency_.data() + layer * width, width, out);
    out += width;
    std::vector<int64_t> pairs;
    for (int64_t w = first_layer() - 1; w < window_; ++w, out += 2 * width) {
      const int64_t source = layer - 1 - w;
      if (source < 0) {
        std::fill_n(out, 2 * width, 0.0F);
        continue;
      }
      const float* table = table_ + (layer * window_ + w) * width * width;
      const auto known = sequence.history.routing(token, source);
      sum_rows(table, known.first(1), width, out);
      sum_rows(table, known.subspan(1), width, out + width);
      pairs.push_back(paths_.paths().pair(known.data()));
    }
    paths_.evidence(layer, pairs, frequency_ + layer * width, out);
  }

 private:
  const int64_t window_;    // W
  const float* table_;      // [L][W][E][E] e(b | a)
  const float* frequency_;  // [L][E]
  const std::vector<float> log_frequency_;
  const PathTable paths_;
};

}  // namespace

std::unique_ptr<Scorer> make_transition_scorer(PredictorIdentity identity, const Weights& weights) {
  return std::make_unique<TransitionScorer>(std::move(identity), weights);
}

}  // namespace foregate::scoring
