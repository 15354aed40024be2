#include "predict/evaluation/control.h"

#include <fmt/format.h>
#include <torch/types.h>

#include "base/error.h"
#include "nn/router.h"

namespace foregate::predict {

void OwnRouterControl::add(const RoutedText& text) {
  ++texts_;
  if (!text.router_inputs.defined()) return;
  const int64_t k = text.experts.size(2);
  for (int64_t l = 0; l < text.experts.size(1); ++l) {
    const torch::Tensor logits =
        nn::router_logits(text.router_inputs.select(1, l), routers_.weight[l]);
    const torch::Tensor experts = nn::route(logits, routers_.spec, routers_.biases(l), k).experts;
    const torch::Tensor same = experts.eq(text.experts.select(1, l)).all(1);  // [n]
    const int64_t matches = same.sum().item<int64_t>();
    decisions_ += text.num_tokens();
    matches_ += matches;
    if (matches < text.num_tokens() && first_mismatch_.empty()) {
      first_mismatch_ =
          fmt::format("dataset {}, text {} of those evaluated, token {}, MoE layer {}",
                      text.dataset, texts_ - 1, same.logical_not().nonzero()[0].item<int64_t>(), l);
    }
  }
}

void OwnRouterControl::require_perfect(const std::string& trace) const {
  if (matches_ == decisions_) return;
  throw DataError(fmt::format(
      "{}: the own-router control failed: {} of {} decisions differ from what the recorded router "
      "inputs give (first: {}); features, routers and decisions do not belong together, so no "
      "number "
      "from them would mean anything: collect the trace again",
      trace, decisions_ - matches_, decisions_, first_mismatch_));
}

}  // namespace foregate::predict
