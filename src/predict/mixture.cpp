#include "predict/mixture.h"

#include <torch/torch.h>

#include "predict/predictor.h"

namespace foregate {
namespace {

constexpr int64_t kIterations = 40;
constexpr double kRidge = 1e-4;

}  // namespace

torch::Tensor fit_log_linear(const torch::Tensor& evidence, const torch::Tensor& experts,
                             const torch::Tensor& start) {
  // The first expert counts twice: the likelihood of the set alone does not care which of the
  // chosen ones ranks first, and would give up a good share of top-1 for nothing.
  const torch::Tensor chosen =
      multi_hot(experts, evidence.size(1)) + multi_hot(experts.slice(1, 0, 1), evidence.size(1));
  const torch::Tensor target = chosen / static_cast<double>(experts.size(1) + 1);
  torch::Tensor weights = start.clone().requires_grad_();
  torch::optim::LBFGS optimizer(
      {weights},
      torch::optim::LBFGSOptions(1).max_iter(kIterations).line_search_fn("strong_wolfe"));
  optimizer.step([&] {
    optimizer.zero_grad();
    const torch::Tensor likelihood =
        (target * evidence.matmul(weights).log_softmax(-1)).sum(-1).mean();
    torch::Tensor loss = kRidge * (weights - start).square().sum() - likelihood;
    loss.backward();
    return loss;
  });
  return weights.detach();
}

}  // namespace foregate
