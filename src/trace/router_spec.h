#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"

namespace foregate::trace {

/// How a model's routers make a decision of their logits; the same in every layer. Together with
/// the logits and the biases it is all that a decision depends on: see nn::route.
///
/// | model | spec |
/// |---|---|
/// | Qwen, OLMoE, Mixtral, DeepSeek-MoE | softmax, norm_topk or not |
/// | DeepSeek-V2 | softmax, groups by their best, scale |
/// | DeepSeek-V3, Kimi-K2, GLM-4.5 | sigmoid, choice bias, groups by the sum of their two best,
/// norm_topk with epsilon 1e-20, scale |
/// | MiniMax-M2 | sigmoid, choice bias, norm_topk |
/// | ERNIE 4.5 | softmax, choice bias, norm_topk with min_sum |
/// | gpt-oss, Granite | softmax of the chosen; gpt-oss with a logit bias |
/// | Phi-3.5-MoE | sparsemixer |
struct RouterSpec {
  enum class Score : uint8_t {
    kSoftmax,          ///< over all experts
    kSigmoid,          ///< of each expert by itself
    kSoftmaxOfChosen,  ///< the logits choose; the softmax is over the k chosen
    kSparsemixer,      ///< the logits choose two; each is the highest of a softmax over what is not
                       ///< far below it, the second without the first (Liu et al. 2024,
                       ///< arXiv 2409.12136)
  };
  enum class GroupScore : uint8_t {
    kMax,          ///< a group is as good as its best expert
    kSumOfTopTwo,  ///< as its two best together
  };
  Score score = Score::kSoftmax;
  bool norm_topk = false;  ///< gate weights are divided by their sum
  double epsilon = 0;      ///< that is added to this sum
  double min_sum = 0;      ///< the sum counts as this much at least
  /// Of kSparsemixer: logit s is far below the highest one, m, if (m - s) / max(|s|, m) is more
  /// than twice this.
  double jitter = 0;
  double scale = 1;        ///< that gate weights are multiplied by in the end
  int64_t groups = 1;      ///< experts are in so many groups of neighbours, all of one size
  int64_t top_groups = 1;  ///< of which so many, the best, may be chosen from
  GroupScore group_score = GroupScore::kMax;

  bool operator==(const RouterSpec&) const = default;
};

Json router_spec_to_json(const RouterSpec& spec);
/// Throws DataError naming document and key.
RouterSpec router_spec_from_json(const JsonReader& reader);
/// Throws DataError, its message beginning with `where`, if no router of `num_experts` experts that
/// chooses `top_k` of them can be like this.
void check_router_spec(const RouterSpec& spec, int64_t num_experts, int64_t top_k,
                       const std::string& where);

}  // namespace foregate::trace
