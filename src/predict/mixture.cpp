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
  const torch::Tensor target =
      multi_hot(experts, evidence.size(1)) / static_cast<double>(experts.size(1));
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
