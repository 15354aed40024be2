#pragma once

#include <torch/types.h>

#include <optional>
#include <string>
#include <vector>

namespace foregate::predict {

/// What training by gradient minimises. With s a decision's logits, y its choice as multi-hot, g
/// the chosen experts' gate weights divided by their sum, and
/// c(e) = log(1 + exp(s(e))) - y(e) s(e), a decision costs
enum class Loss {
  kBinary,    ///< sum over e of c(e): multi-label binary cross-entropy
  kGateMass,  ///< the same, chosen experts counting k g(e) times
  kListwise,  ///< - sum over e of g(e) log softmax(s)(e): ListNet (Cao and others 2007)
};

/// The names that settings use.
const std::vector<std::string>& loss_names();
std::string loss_name(Loss loss);
/// Nothing if there is none of this name.
std::optional<Loss> find_loss(const std::string& name);

bool needs_gate_weights(Loss loss);

/// What a batch of logits is to foresee.
struct Decisions {
  torch::Tensor experts;       ///< [L', n, k] int64
  torch::Tensor gate_weights;  ///< [L', n, k] float32; may be undefined if the loss needs none
};

/// Mean over all decisions, a scalar. Differentiable.
torch::Tensor mean_loss(Loss loss, const torch::Tensor& logits,  // [L', n, E] float32
                        const Decisions& truth);

/// What validation chooses the best parameters by: the share of the chosen experts among the k
/// highest logits.
double recall_at_k(const torch::Tensor& logits,    // [..., E]
                   const torch::Tensor& experts);  // [..., k] int64

}  // namespace foregate::predict
